"""`progress=True` shows a bar on stderr, which says how far the run is, and leaves nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest
from support.leaks import nothing_left
from support.modes import every_mode
from support.servers import ScriptServer, answer, by_path

from fetchq import fetch_all, fetch_all_sync, fetch_iter

ANSWERS = by_path({"/missing": answer(status=b"404 Not Found")})


def bar_of(capfd: pytest.CaptureFixture[str]) -> str:
    out, err = capfd.readouterr()
    assert out == ""
    return err


@every_mode
def test_the_bar_shows_the_numbers_of_the_run(mode: str, capfd: pytest.CaptureFixture[str]) -> None:
    with nothing_left(), ScriptServer(ANSWERS) as server:
        urls = [f"{server.url}/{name}" for name in ("a", "b", "missing")]
        assert len(fetch_all_sync(urls, mode=mode, progress=True)) == 3
        shown = bar_of(capfd)
        assert "3/3" in shown
        assert "1 failed" in shown
        fetch_all_sync(urls, mode=mode)
        assert bar_of(capfd) == ""


async def test_a_run_of_unknown_length_shows_how_many_are_done_also_if_it_is_left(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with ScriptServer() as server:
        await fetch_all([server.url], progress=True)
        assert "1/1" in bar_of(capfd)

        def endless() -> Iterable[str]:
            while True:
                yield server.url

        async with fetch_iter(endless(), workers=1, progress=True) as run:
            assert (await anext(run)).ok
        assert " done" in bar_of(capfd)
        unused = fetch_iter([server.url], progress=True)
        await unused.aclose()
        assert bar_of(capfd) == ""


def test_a_bar_ends_with_the_exception_of_a_callback(capfd: pytest.CaptureFixture[str]) -> None:
    with ScriptServer() as server, pytest.raises(ZeroDivisionError):
        asyncio.run(fetch_all([server.url], progress=True, on_result=lambda result: 1 // 0))
    assert "1/1" in bar_of(capfd)

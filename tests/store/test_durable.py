"""Durable runs from Python: `output=` for fetch_all and its like, and open_run."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path

import pytest
from support.factories import make_result
from support.leaks import left_threads

from fetchq import Cause, Request, Settings, SettingsError, fetch_all, fetch_all_sync, fetch_iter, open_run
from fetchq.cli.practice.server import PracticeServer
from fetchq.store.folder import FolderError
from fetchq.store.ledger_connection import ConditionError, LedgerError
from fetchq.store.stored_run import StoredRun


@pytest.fixture
def run(tmp_path: Path) -> Iterator[str]:
    yield str(tmp_path / "run")
    assert left_threads() == []


@pytest.fixture
def urls(practice: PracticeServer) -> list[str]:
    return [f"{practice.url}/bytes/{size}" for size in (0, 1, 70_000, 300_000)] + [f"{practice.url}/status/404"]


def test_the_results_are_as_without_a_folder_and_their_bodies_are_in_it_too(
    run: str, urls: list[str], mode: str
) -> None:
    results = fetch_all_sync(urls, output=run, mode=mode)
    for result, plain in zip(results, fetch_all_sync(urls, mode=mode), strict=True):
        assert (result.ok, result.status, result.sha256, result.body) == (
            plain.ok, plain.status, plain.sha256, plain.body,
        )  # fmt: skip
        assert result._spool is None
        assert (result.path is None) == (result.size == 0)
        assert result.path is None or Path(run, result.path).read_bytes() == result.body


def test_bodies_need_not_be_kept_in_memory(run: str, urls: list[str], mode: str) -> None:
    results = fetch_all_sync(urls, output=run, mode=mode, keep_body=False)
    assert {result.body for result in results} == {b""}
    with open_run(run) as stored:
        assert [len(stored.body(result)) for result in results] == [0, 1, 70_000, 300_000, results[4].size]


def test_a_run_that_goes_on_gives_every_result_and_fetches_only_the_rest(practice: PracticeServer, run: str) -> None:
    asked: list[int] = []

    def on_start(request: Request, _: int) -> None:
        asked.append(request.index)

    first = [f"{practice.url}/json?{number}" for number in range(600)]
    fetch_all_sync(first, output=run, workers=20)
    for mode in ("async", "threads", "sync"):
        longer = [*first, f"{practice.url}/json?{mode}"]
        asked.clear()
        results = fetch_all_sync(longer, output=run, resume=True, mode=mode, on_start=on_start)
        assert [result.index for result in results] == list(range(len(longer)))
        assert all(result.body and result.ok for result in results)
        assert asked == [len(first)]
        first = longer


def test_a_stored_result_is_the_one_that_was_given(run: str, urls: list[str]) -> None:
    before = fetch_all_sync(urls, output=run)
    after = fetch_all_sync(urls, output=run, resume=True)
    for old, new in zip(before, after, strict=True):
        assert (new.to_record(), new.body) == (old.to_record(), old.body)
    with open_run(run) as stored:
        assert [result.to_record() for result in stored] == [old.to_record() for old in before]
        assert len(stored) == len(urls)
        assert stored.counts() == {"ok": 4, "status": 1}
        assert stored.finished
        assert [result.cause for result in stored.results("NOT ok")] == [Cause.STATUS]
        with pytest.raises(ConditionError):
            list(stored.results("nonsense ="))


def test_a_row_that_is_to_be_fetched_again_gives_one_result(practice: PracticeServer, run: str, mode: str) -> None:
    from fetchq.store.open_session import session_in_folder

    urls = [f"{practice.url}/json", f"{practice.url}/status/404"]
    fetch_all_sync(urls, output=run)
    with session_in_folder(run) as session:
        session.retry("NOT ok")
    results = fetch_all_sync(urls, output=run, resume=True, mode=mode)
    assert [(result.index, result.status) for result in results] == [(0, 200), (1, 404)]


async def test_fewer_rows_than_before_leave_the_run_as_it_was(practice: PracticeServer, run: str) -> None:
    urls = [f"{practice.url}/json?{number}" for number in range(3)]
    await fetch_all(urls, output=run)
    with pytest.raises(FolderError, match="fewer rows"):
        await fetch_all(urls[:1], output=run, resume=True)
    with pytest.raises(FolderError, match="fewer rows"):
        [result async for result in fetch_iter(iter(urls[:1]), output=run, resume=True)]
    with open_run(run) as stored:
        assert (stored.finished, len(stored)) == (True, 3)


@pytest.mark.parametrize("durable", [True, False])
def test_what_a_callback_raises_finds_the_run_at_its_end(
    practice: PracticeServer, run: str, mode: str, durable: bool
) -> None:
    def on_result(_: object) -> None:
        raise ZeroDivisionError

    output = {"output": run} if durable else {}
    urls = [f"{practice.url}/json?{number}" for number in range(50)]
    try:
        fetch_all_sync(urls, mode=mode, workers=4, on_result=on_result, **output)
    except ZeroDivisionError:
        assert left_threads() == []
        if durable:
            assert len(fetch_all_sync(urls, output=run, resume=True)) == 50
    else:
        pytest.fail("it was swallowed")


async def test_a_program_may_go_elsewhere_while_it_fetches(
    practice: PracticeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other").mkdir()
    urls = [f"{practice.url}/bytes/100000?seed={number}" for number in range(30)]
    async for _ in fetch_iter(urls, output="run", workers=2):
        monkeypatch.chdir(tmp_path / "other")
    with open_run(tmp_path / "run") as stored:
        assert (stored.finished, stored.counts()) == (True, {"ok": 30})


LEAVES = """
import asyncio, sys
from fetchq import fetch_all_sync, fetch_iter

urls, run, mode = [f"{sys.argv[1]}?{number}" for number in range(200)], *sys.argv[2:]

async def main():
    async for result in fetch_iter(urls, output=run, workers=5, mode=mode):
        if result.index >= 3:
            break

asyncio.run(main())
assert [result.ok for result in fetch_all_sync(urls, output=run, resume=True)] == [True] * 200
"""


def test_leaving_just_before_the_end_of_the_loop_is_quiet(practice: PracticeServer, run: str, mode: str) -> None:
    command = [sys.executable, "-c", LEAVES, f"{practice.url}/json", run, mode]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_closed_run_says_so(practice: PracticeServer, run: str) -> None:
    fetch_all_sync([f"{practice.url}/json"], output=run)
    stored = open_run(run)
    stored.close()
    with pytest.raises(LedgerError, match="closed"):
        len(stored)
    with pytest.raises(LedgerError, match="there is no run"):
        open_run("a" * 300)


def test_a_list_is_known_to_the_folder_before_it_is_fetched(practice: PracticeServer, run: str) -> None:
    class Stop(Exception):
        pass

    def on_result(_: object) -> None:
        raise Stop

    urls = [f"{practice.url}/json?{number}" for number in range(2000)]
    with pytest.raises(Stop):
        fetch_all_sync(urls, output=run, on_result=on_result)
    from fetchq.store.open_session import session_in_folder

    with session_in_folder(run) as session:
        left = [request.url for batch in session.source for request in batch]
        assert 0 < len(left) < len(urls)
        assert set(left) <= set(urls)
        assert len(left) + session.ledger.count() == len(urls)


async def test_an_endless_iterable_can_be_left_and_gone_on_with(practice: PracticeServer, run: str) -> None:
    async def endless() -> AsyncIterator[str]:
        number = 0
        while True:
            yield f"{practice.url}/json?{number}"
            number += 1

    seen: list[int] = []
    for wanted in (100, 250):  # the second session begins with what the first has done
        seen.clear()
        async with aclosing(fetch_iter(endless(), output=run, resume=True, keep_body=False)) as results:
            async for result in results:
                seen.append(result.index)
                if len(seen) == wanted:
                    break
        with open_run(run) as stored:
            assert set(seen) <= {result.index for result in stored}
        assert len(set(seen)) == wanted


async def test_a_result_that_was_given_out_is_in_the_ledger(practice: PracticeServer, run: str) -> None:
    urls = [f"{practice.url}/json?{number}" for number in range(50)]
    async with aclosing(fetch_iter(urls, output=run)) as results:
        async for result in results:
            with open_run(run) as stored:
                assert [one.index for one in stored.results(f'"index" = {result.index}')] == [result.index]


async def test_a_run_that_is_cancelled_leaves_neither_lock_nor_temporary_file(
    practice: PracticeServer, run: str
) -> None:
    urls = [f"{practice.url}/bytes/200000", f"{practice.url}/delay/60"]
    task = asyncio.create_task(fetch_all(urls, output=run, workers=2))
    while not os.path.exists(f"{run}/bodies/000000"):  # noqa: ASYNC240  # nothing else is waiting
        assert not task.done()
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert os.listdir(f"{run}/tmp") == []
    results = await fetch_all([urls[0], urls[1]], output=run, resume=True, deadline=0.3)
    assert [result.cause for result in results] == [None, Cause.CANCELLED]


async def test_cancelling_while_the_run_begins_leaves_no_lock(practice: PracticeServer, run: str) -> None:
    urls = [f"{practice.url}/json"]
    task = asyncio.create_task(fetch_all(urls, output=run))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await fetch_all(urls, output=run, resume=True))[0].ok


def test_what_is_wrong_with_the_folder_is_raised(run: str, practice: PracticeServer) -> None:
    urls = [f"{practice.url}/json"]
    fetch_all_sync(urls, output=run)
    with pytest.raises(FolderError, match="holds a run already"):
        fetch_all_sync(urls, output=run)
    with pytest.raises(FolderError, match="row 0 is not what it was"):
        fetch_all_sync([f"{practice.url}/html"], output=run, resume=True)
    assert fetch_all_sync(urls, output=run, overwrite=True)[0].ok
    with pytest.raises(SettingsError):
        Settings(resume=True)
    with pytest.raises(LedgerError, match="there is no run"):
        open_run(Path(run) / "nowhere")


def test_requests_come_back_with_all_they_had(run: str, practice: PracticeServer) -> None:
    rows = [Request(f"{practice.url}/echo", method="PUT", headers=(("X-A", "1"),), body=b"\xff\x00", label="first")]
    (result,) = fetch_all_sync(rows, output=run)
    (again,) = fetch_all_sync(rows, output=run, resume=True)
    assert (again.label, again.method, again.json()) == ("first", "PUT", result.json())


def test_a_run_can_be_read_by_everybody_who_has_it(tmp_path: Path) -> None:
    from fetchq.store.ledger import Ledger

    ledger = Ledger.create(tmp_path / "run.db", {})
    ledger.commit([make_result(index=index, started=None) for index in range(3)])
    with StoredRun(tmp_path) as run:
        iterator = run.results()
        assert next(iterator).index == 0
        ledger.commit([make_result(index=3)])
        assert [one.index for one in iterator] == [1, 2]
        assert len(run) == 4
        assert not run.finished
    ledger.close()

"""The views of a run: each sees every Result once, and the final Summary, however the run ended."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from support.cli import Cli
from support.leaks import left_threads
from support.servers import closed_port
from support.store import files_of_at_most

from fetchq import Result, Settings, SettingsError, StorageError, Summary, fetch_all, fetch_all_sync, fetch_iter
from fetchq.cli.practice.server import PracticeServer
from fetchq.reports import view
from fetchq.reports.json_file import JsonFile

OPTION = "report"
"""The setting that asks for the view of these tests."""


@dataclass
class Seen:
    """A view that keeps what it is given."""

    results: list[Result] = field(default_factory=list)
    ends: list[tuple[int, float]] = field(default_factory=list)
    threads: set[int] = field(default_factory=set)
    full_after: int | None = None
    """The disk is full after as many Results."""

    def add(self, results: Sequence[Result]) -> None:
        assert not self.ends
        self.threads.add(threading.get_ident())
        self.results += results
        if self.full_after is not None and len(self.results) > self.full_after:
            self.full_after = -1
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def close(self, summary: Summary) -> None:
        assert self.full_after != -1, "a view that has raised is not called again"
        self.threads.add(threading.get_ident())
        self.ends.append((summary.total, summary.duration))


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    one = Seen()
    monkeypatch.setattr(view, "VIEWS", {OPTION: lambda settings: one})
    return one


async def run(urls: Sequence[str], in_loop: bool, **options: Any) -> Sequence[Result]:
    return await fetch_all(urls, **options) if in_loop else fetch_all_sync(urls, **options)


@pytest.mark.parametrize("in_loop", [True, False])
@pytest.mark.parametrize("durable", [True, False])
async def test_a_view_sees_each_result_once_and_then_the_final_summary(
    mode: str, in_loop: bool, durable: bool, seen: Seen, practice: PracticeServer, tmp_path: Path
) -> None:
    urls = [f"{practice.url}/bytes/{number}" for number in range(7)]
    options: dict[str, Any] = {"output": tmp_path / "run"} if durable else {}
    results = await run(urls, in_loop, mode=mode, workers=2, report=str(tmp_path / "file"), **options)
    assert sorted(one.url for one in seen.results) == sorted(urls)
    assert seen.ends == [(7, results.summary.duration)]  # type: ignore[attr-defined]  # they are Results
    if in_loop:
        assert threading.get_ident() not in seen.threads, "the loop would have waited for the disk"


async def test_a_view_is_completed_where_the_run_is_left_early(
    mode: str, seen: Seen, practice: PracticeServer, tmp_path: Path
) -> None:
    async with fetch_iter(
        [f"{practice.url}/bytes/1"] * 50, mode=mode, workers=2, report=str(tmp_path / "file")
    ) as results:
        async for _ in results:
            break
    assert [total for total, _ in seen.ends] == [len(seen.results)]
    assert seen.results
    assert left_threads() == []


async def test_a_view_is_completed_where_a_callback_raises_or_the_task_is_cancelled(
    mode: str, seen: Seen, practice: PracticeServer, tmp_path: Path
) -> None:
    def on_result(result: Result) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fetch_all([f"{practice.url}/bytes/1"], mode=mode, on_result=on_result, report=str(tmp_path / "file"))
    assert [total for total, _ in seen.ends] == [1]

    seen.ends.clear()
    started = asyncio.Event()
    task = asyncio.create_task(
        fetch_all(
            [f"{practice.url}/delay/30"],
            mode=mode,
            on_start=lambda *_: started.set(),
            report=str(tmp_path / "file"),
        )
    )
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(seen.ends) == 1


@pytest.mark.parametrize("in_loop", [True, False])
async def test_a_file_that_cannot_be_written_ends_the_run_and_keeps_what_is_done(
    mode: str, in_loop: bool, seen: Seen, practice: PracticeServer, tmp_path: Path
) -> None:
    seen.full_after = 2
    path = str(tmp_path / "file")
    with pytest.raises(StorageError, match="file' cannot be written: No space left on device"):
        await run([f"{practice.url}/bytes/1"] * 20, in_loop, mode=mode, workers=2, report=path)
    assert seen.ends == []
    assert left_threads() == []


def test_the_command_line_says_so_in_one_line_with_exit_status_3(
    seen: Seen, practice: PracticeServer, cli: Cli
) -> None:
    seen.full_after = 0
    ran = cli("-q", "--report", "file", f"{practice.url}/bytes/1")
    assert ran.status == 3
    assert ran.said == f"fetchq: '{os.getcwd()}/file' cannot be written: No space left on device\n"
    assert len(seen.results) == 1


@pytest.mark.parametrize("path", ["missing/file", ".", "x" * 250])
def test_a_file_that_cannot_be_written_is_refused_before_the_run_has_a_folder(path: str, seen: Seen, cli: Cli) -> None:
    ran = cli("-o", "run", "--report", path, "http://example.org/")
    assert "--report" in ran.problem
    assert ran.problem.count(f"{os.path.abspath(path)!r} ") == 1
    assert not os.path.exists("run")
    with pytest.raises(SettingsError, match=re.escape(os.path.abspath(path))):
        fetch_iter([], report=path)


def test_the_file_may_be_in_the_folder_of_the_run_but_not_be_one_of_its_own(
    seen: Seen, practice: PracticeServer, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    with pytest.raises(SettingsError, match="the run's own"):
        fetch_iter([], output=folder, report=str(folder / "run.db"))
    fetch_all_sync([f"{practice.url}/bytes/1"], output=folder, report=str(folder / "file"))
    assert len(seen.ends) == 1


def test_two_views_may_not_have_the_same_file_also_not_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    for other in (tmp_path / "file", tmp_path / "link" / "file"):
        with pytest.raises(SettingsError, match=r"trace: .* is the file of har, too"):
            fetch_iter([], har=tmp_path / "file", trace=other)


def test_a_json_file_whose_items_cannot_be_made_is_deleted(tmp_path: Path) -> None:
    file = JsonFile(str(tmp_path / "file"), b"[")
    with pytest.raises(TypeError):
        file.add([{"this is no JSON": object()}])
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_opened_by_a_run_that_is_never_iterated(seen: Seen, tmp_path: Path) -> None:
    fetch_iter(["http://example.org/"], report=str(tmp_path / "file"))
    assert seen.ends == []
    assert list(tmp_path.iterdir()) == []


def test_no_view_is_made_where_none_is_asked_for(seen: Seen, practice: PracticeServer) -> None:
    assert not view.Views(Settings())
    fetch_all_sync([f"{practice.url}/bytes/1"])
    assert (seen.results, seen.ends) == ([], [])


@pytest.mark.parametrize("option", ["--report", "--har", "--trace"])
def test_a_file_that_the_run_needs_for_something_else_is_refused(option: str, cli: Cli) -> None:
    cli.write("urls.txt", "http://127.0.0.1:9/\n")
    os.symlink("urls.txt", "link")
    os.symlink("other", "same")
    other = "--trace" if option == "--har" else "--har"
    assert cli("urls.txt", option, "link").problem.endswith("/link' is a list of URLs")
    assert cli("urls.txt", "-o", "run", option, "./urls.txt").problem.endswith("/urls.txt' is a list of URLs")
    assert "is the file of cookie_jar, too" in cli("urls.txt", option, "jar", "--cookie-jar", "./jar").problem
    assert ", too" in cli("urls.txt", option, "./other", other, "other").problem
    assert "is a symbolic link" in cli("urls.txt", option, "same").problem
    assert cli.folder.joinpath("urls.txt").read_text() == "http://127.0.0.1:9/\n"
    assert not os.path.exists("run")


def test_a_run_that_goes_on_does_not_replace_its_list(cli: Cli) -> None:
    with closed_port() as url:
        cli.write("urls.txt", f"{url}/\n")
        cli("urls.txt", "-o", "run", "--retries", "0")
        assert cli("retry", "run", "--har", "urls.txt").problem.endswith("/urls.txt' is a list of URLs")
        assert cli.folder.joinpath("urls.txt").read_text() == f"{url}/\n"


def test_every_file_that_could_not_be_written_is_named(mode: str, practice: PracticeServer, tmp_path: Path) -> None:
    har, page = tmp_path / "a.har", tmp_path / "a.html"
    with files_of_at_most(100_000), pytest.raises(StorageError) as raised:
        fetch_all_sync([f"{practice.url}/bytes/1"] * 200, mode=mode, har=har, report=page)
    assert f"{str(har)!r} cannot be written: File too large; {str(page)!r} cannot be written" in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_no_file_is_replaced_where_one_of_them_cannot_be_opened(
    mode: str, practice: PracticeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(settings: Settings) -> view.View:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(view, "VIEWS", view.VIEWS | {"trace": full})
    paths = [tmp_path / name for name in ("a.html", "a.har", "a.json")]
    for path in paths:
        path.write_text("before")
    with pytest.raises(StorageError, match=r"a\.json' cannot be written: Too many open files"):
        fetch_all_sync([f"{practice.url}/bytes/1"], mode=mode, report=paths[0], har=paths[1], trace=paths[2])
    assert [path.read_text() for path in paths] == ["before"] * 3
    assert len(list(tmp_path.iterdir())) == 3

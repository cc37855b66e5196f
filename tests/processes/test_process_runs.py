"""Runs in several processes are what they are in one."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from faults.wire import Asked, Connection
from support.hosts import Hosts, places
from support.leaks import left_threads
from support.modes import every_mode
from support.servers import Counted, ScriptServer, answer, by_path, hang, ok
from support.started import children, peer
from support.waiting import A_MOMENT, PATIENCE, in_time

from fetchq import (
    Cause,
    Client,
    Request,
    Result,
    Settings,
    SettingsError,
    fetch_all,
    fetch_all_sync,
    fetch_iter,
    open_run,
)
from fetchq.core.process_error import ProcessDiedError
from fetchq.processes import starting
from fetchq.store.folder import LEDGER_FILES
from fetchq.store.sinks import BODY_FOLDERS


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Neither a process nor a thread."""
    before = children()
    yield
    assert children() == before
    assert left_threads() == []


def echo(conn: Connection, asked: Asked) -> None:
    """Answer with the path."""
    answer(asked.path.encode())(conn, asked)


@every_mode
def test_each_row_has_its_result_in_order_and_each_host_is_in_one_process(mode: str) -> None:
    with ScriptServer(echo) as server:
        hosts = Hosts(server, 6)
        rows = hosts.rows(60)
        results = fetch_all_sync(rows, mode=mode, processes=2, workers=8, resolve=hosts.resolve)
    assert [(result.index, result.url, result.text(), result.mode) for result in results] == [
        (index, url, f"/{index}", mode) for index, url in enumerate(rows)
    ]
    found = places(results, 8)
    assert {len(halves) for halves in found.values()} == {1}
    assert set.union(*found.values()) == {True, False}
    assert results.summary.ok == 60
    assert sum(worker.attempts for worker in results.summary.workers.values()) == 60
    assert results.summary.attribution is not None
    assert results.summary.attribution.processes == 2
    assert sum(results.summary.attribution.parts().values()) == pytest.approx(results.summary.attribution.total)


async def test_results_come_as_they_finish_and_leaving_ends_the_processes() -> None:
    with ScriptServer(by_path({"/1": hang}, echo)) as server:
        hosts = Hosts(server, 4)
        seen = []
        async with fetch_iter(hosts.rows(40), processes=2, workers=8, resolve=hosts.resolve) as run:
            async for result in run:
                seen.append(result.index)
                if len(seen) == 39:
                    break
    assert sorted(seen) == [index for index in range(40) if index != 1]


async def test_an_async_iterable_is_read_in_the_loop() -> None:
    loop = asyncio.get_running_loop()
    with ScriptServer(echo) as server:
        hosts = Hosts(server, 4)

        async def rows() -> AsyncIterator[str]:
            for url in hosts.rows(2500):
                assert asyncio.get_running_loop() is loop
                yield url

        results = await fetch_all(rows(), processes=2, workers=20, resolve=hosts.resolve)
    assert [result.text() for result in results] == [f"/{index}" for index in range(2500)]


async def test_an_async_iterable_that_never_ends_is_left() -> None:
    closed = asyncio.Event()
    with ScriptServer(echo) as server:
        hosts = Hosts(server, 4)

        async def rows() -> AsyncIterator[str]:
            try:
                for url in hosts.rows(10):
                    yield url
                await asyncio.Event().wait()
            finally:
                closed.set()

        async with fetch_iter(rows(), processes=2, workers=8, resolve=hosts.resolve) as run:
            seen = [await anext(run) for _ in range(10)]
        await asyncio.wait_for(closed.wait(), PATIENCE)
    assert len(seen) == 10


@pytest.mark.parametrize("kind", [list, iter])
def test_what_the_list_raises_is_raised(kind: Any) -> None:
    def rows() -> Iterator[str]:
        yield "http://127.0.0.1:1/"
        raise ZeroDivisionError

    async def fetch() -> None:
        async with fetch_iter(rows(), processes=2, retries=0) as run:
            async for _ in run:
                pass

    with pytest.raises(ZeroDivisionError):
        asyncio.run(fetch()) if kind is iter else fetch_all_sync(rows(), processes=2, retries=0)


async def test_callbacks_are_called_here() -> None:
    starts: list[tuple[int, int]] = []

    async def started(request: Request, worker: int) -> None:
        await asyncio.sleep(0)
        starts.append((request.index, worker))

    with ScriptServer(echo) as server:
        hosts = Hosts(server, 4)
        done: list[int] = []
        rows = hosts.rows(20)
        options: dict[str, Any] = {"processes": 2, "workers": 4, "resolve": hosts.resolve}
        results = await fetch_all(rows, on_start=started, on_result=lambda one: done.append(one.index), **options)
    assert dict(starts) == {result.index: result.worker for result in results}
    assert sorted(done) == list(range(20))


async def test_what_a_callback_raises_ends_the_run() -> None:
    def started(*_: object) -> None:
        raise ZeroDivisionError

    with ScriptServer(hang) as server:
        hosts = Hosts(server, 4)
        with pytest.raises(ZeroDivisionError):
            await fetch_all(hosts.rows(20), processes=2, on_start=started, resolve=hosts.resolve)


@every_mode
def test_at_the_deadline_every_row_of_a_list_has_a_result(mode: str) -> None:
    with ScriptServer(by_path({"/0": ok, "/1": ok}, hang)) as server:
        hosts = Hosts(server, 4)
        options: dict[str, Any] = {"mode": mode, "processes": 2, "workers": 4, "resolve": hosts.resolve}
        results = fetch_all_sync(hosts.rows(500), deadline=1.5, **options)
    assert len(results) == 500
    causes = Counter(result.cause for result in results)
    assert causes[None] <= 2
    assert causes[Cause.CANCELLED] >= 490
    assert results.summary.unfinished == causes[Cause.CANCELLED]


@every_mode
@pytest.mark.parametrize("options", [{"max_failures": 5}, {"fail_fast": True}])
def test_a_process_stops_when_too_many_of_its_rows_have_failed(
    tmp_path: Path, mode: str, options: dict[str, Any]
) -> None:
    """The run learns of failures late, when the rows are stored: then all of these rows would have been asked for.

    Each process has 5 failures and 2 rows under way at most, and a few more where a thread stops it that has to wait.
    """
    with ScriptServer(answer(status=b"404 Not Found")) as server:
        hosts = Hosts(server, 8)
        given: dict[str, Any] = {"mode": mode, "processes": 2, "workers": 4, "resolve": hosts.resolve, **options}
        results = fetch_all_sync(hosts.rows(2000), output=tmp_path / "run", retries=0, **given)
        assert options.get("max_failures", 1) <= len(server.log) <= 100
    assert results.summary.unfinished == 2000 - results.summary.failed


@pytest.mark.parametrize(("options", "most"), [({"max_failures": 30}, 200), ({"fail_fast": True}, 200)])
def test_failures_are_counted_over_all_processes(options: dict[str, Any], most: int) -> None:
    def slow_404(conn: Connection, asked: Asked) -> None:
        conn.pause(A_MOMENT / 20)
        answer(status=b"404 Not Found")(conn, asked)

    with ScriptServer(slow_404) as server:
        hosts = Hosts(server, 8)
        results = fetch_all_sync(hosts.rows(3000), processes=2, workers=4, resolve=hosts.resolve, **options)
    assert len(results) == 3000
    assert options.get("max_failures", 1) <= results.summary.failed < most
    assert results.summary.unfinished == 3000 - results.summary.failed


def test_limits_hold_for_each_host_over_all_processes() -> None:
    counts = [Counted() for _ in range(6)]

    def counted(conn: Connection, asked: Asked) -> None:
        counts[int(dict(asked.headers)["Host"].partition(".")[0].removeprefix("host"))](conn, asked)

    with ScriptServer(counted) as server:
        hosts = Hosts(server, 6)
        fetch_all_sync(hosts.rows(120), processes=3, workers=60, per_host=2, resolve=hosts.resolve)
    assert [one.most for one in counts] == [2] * 6


@pytest.mark.parametrize("size", [100, 65_537, 3_000_000])
def test_bodies_come_whole(size: int) -> None:
    body = os.urandom(size)
    with ScriptServer(answer(body)) as server:
        hosts = Hosts(server, 4)
        results = fetch_all_sync(hosts.rows(8), processes=2, workers=4, resolve=hosts.resolve)
    assert all(result.body == body for result in results)


@pytest.mark.parametrize("save", [*("files", "warc", "parquet"), "none"])
def test_a_durable_run_has_one_ledger_and_every_body(save: str, tmp_path: Path) -> None:
    body = os.urandom(70_000)
    with ScriptServer(by_path({"/7": answer(body), "/9": answer(status=b"404 Not Found")}, echo)) as server:
        hosts = Hosts(server, 5)
        options: dict[str, Any] = {"resolve": hosts.resolve, "processes": 2, "workers": 6, "save": save}
        rows = hosts.rows(40)
        results = fetch_all_sync(rows, output=tmp_path / "run", **options)
        asked = len(server.log)
        again = fetch_all_sync(rows, output=tmp_path / "run", resume=True, **options)
        assert len(server.log) == asked == 40
    assert [one.sha256 for one in results] == [one.sha256 for one in again]
    with open_run(tmp_path / "run") as run:
        stored = list(run)
        bodies = [run.body(one) for one in stored]
    assert {one.name for one in (tmp_path / "run").iterdir()} <= {"lock", "input", "tmp", *LEDGER_FILES, *BODY_FOLDERS}
    assert [one.index for one in stored] == list(range(40))
    if save != "none":
        assert bodies == [body if i == 7 else b"ok" if i == 9 else b"/%d" % i for i in range(40)]
    assert list((tmp_path / "run" / "tmp").iterdir()) == []


def test_duplicates_are_fetched_once(tmp_path: Path) -> None:
    with ScriptServer(echo) as server:
        hosts = Hosts(server, 4)
        rows = hosts.rows(20) * 2
        options: dict[str, Any] = {"resolve": hosts.resolve, "processes": 2, "workers": 4, "dedupe": True}
        results = fetch_all_sync(rows, output=tmp_path / "run", **options)
        assert len(server.log) == 20
    assert [one.text() for one in results] == [f"/{index}" for index in range(20)] * 2


# --- processes that die ---


class _Killer:
    """A script that kills the process which asks for the row `path`, `times` times, before it answers."""

    def __init__(self, path: str, times: int) -> None:
        self._path = path
        self._left = times
        self._lock = threading.Lock()

    def __call__(self, conn: Connection, asked: Asked) -> None:
        with self._lock:
            kill = asked.path == self._path and self._left > 0
            self._left -= kill
        if kill:
            os.kill(peer(conn), signal.SIGKILL)
            conn.hang()
        else:
            echo(conn, asked)


@every_mode
def test_a_process_that_is_killed_is_followed_by_one_that_goes_on(mode: str) -> None:
    with ScriptServer(_Killer("/33", 2)) as server:
        hosts = Hosts(server, 5)
        results = fetch_all_sync(hosts.rows(300), mode=mode, processes=2, workers=4, resolve=hosts.resolve)
    assert [result.text() for result in results] == [f"/{index}" for index in range(300)]


def test_a_row_that_always_kills_its_process_ends_the_run_in_one_line() -> None:
    with ScriptServer(_Killer("/33", 100)) as server:
        hosts = Hosts(server, 5)
        with pytest.raises(
            ProcessDiedError, match=r"^process \d was ended by signal 9, perhaps for lack of memory; so "
        ):
            fetch_all_sync(hosts.rows(50), processes=2, workers=4, resolve=hosts.resolve)


def test_processes_that_cannot_be_started_end_the_run_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(starting, "start_python", refuse)
    open_before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(ProcessDiedError, match=r"^a process cannot be started: Resource temporarily unavailable$"):
        fetch_all_sync(["http://a.test/", "http://b.test/"], processes=2)
    assert len(os.listdir("/proc/self/fd")) == open_before


def test_a_source_that_is_cancelled_is_not_taken_for_one_that_has_ended() -> None:
    async def source() -> AsyncIterator[str]:
        yield "http://127.0.0.1:1/"
        raise asyncio.CancelledError

    async def main() -> None:
        with pytest.raises(RuntimeError, match=r"^the source was cancelled$"):
            await fetch_all(source(), processes=2, retries=0)

    asyncio.run(main())


def test_a_suspended_process_does_not_keep_the_others_waiting() -> None:
    stopped = threading.Event()
    pids: list[int] = []

    def stop_one(conn: Connection, asked: Asked) -> None:
        if not stopped.is_set() and asked.path == "/0":
            pids.append(peer(conn))
            os.kill(pids[0], signal.SIGSTOP)
            stopped.set()
        echo(conn, asked)

    async def fetch() -> set[str]:
        seen: set[str] = set()
        async with fetch_iter(hosts.rows(20_000), processes=2, workers=8, resolve=hosts.resolve) as run:
            async for result in run:
                if result.worker is not None and stopped.is_set():
                    seen.add(result.url.split("/")[2])
                    if len([one async for one, _ in aenumerate(run, 3000)]) == 3000:
                        break
        return seen

    async def aenumerate(run: Any, most: int) -> AsyncIterator[tuple[int, Result]]:
        for number in range(most):
            yield number, await anext(run)

    with ScriptServer(stop_one) as server:
        hosts = Hosts(server, 4)
        try:
            assert in_time(lambda: asyncio.run(fetch()), PATIENCE)
        finally:
            for pid in pids:
                with pytest.raises(ProcessLookupError):  # it is gone, suspended or not
                    os.kill(pid, signal.SIGCONT)


# --- what cannot be ---


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"processes": 2, "cookie_jar": "jar.txt"}, "processes: not together with cookie_jar"),
        ({"processes": 2, "per_host_by": "ip"}, "processes: not together with per_host_by=ip"),
    ],
)
def test_what_processes_cannot_share_is_refused(options: dict[str, Any], why: str) -> None:
    with pytest.raises(SettingsError, match=why):
        Settings(**options)


def test_a_client_has_one_process() -> None:
    with pytest.raises(SettingsError, match="processes: "):
        Client(processes=2, workers=4)


def test_auto_is_a_process_for_each_core() -> None:
    assert Settings(processes="auto", workers=1000).processes == len(os.sched_getaffinity(0))  # type: ignore[arg-type]


def test_a_short_list_needs_no_more_processes_than_it_has_hosts() -> None:
    with ScriptServer(echo) as server:
        results = fetch_all_sync([f"{server.url}/0", f"{server.url}/1"], processes=4)
    assert results.summary.attribution is not None
    assert results.summary.attribution.processes == 1
    assert fetch_all_sync([], processes=2) == []


def test_a_verdict_says_that_one_host_has_most_of_the_rows() -> None:
    with ScriptServer(echo) as server:
        hosts = Hosts(server, 3)
        rows = [f"{hosts.urls[0]}/{n}" for n in range(400)] + hosts.rows(60)
        results = fetch_all_sync(rows, processes=2, workers=8, resolve=hosts.resolve)
    assert results.summary.verdict is not None
    assert f"{hosts.urls[0]} has 91 % of the URLs, and one of the 2 processes to itself" in results.summary.verdict.text

"""A whole run, in each mode: deadline, cancellation, retries, bugs of ours, and where the time goes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from time import perf_counter
from typing import Any

import pytest
from faults.wire import Asked, Connection, head
from support.leaks import calm_loop, nothing_left
from support.modes import concurrent
from support.names import resolve_names
from support.servers import Script, ScriptServer, answer, by_path, closed_port, hang, late, ok, silent_port
from support.tls import Authority
from support.waiting import A_MOMENT, HUNG, PATIENCE, ended, in_time

from fetchq import Cause, Request, Result, Settings, fetch_all, fetch_all_sync, fetch_iter
from fetchq.cli.practice.server import PracticeServer
from fetchq.core.model import PHASES
from fetchq.engines.aiohttp.engine import AiohttpEngine
from fetchq.engines.requests.engine import RequestsEngine
from fetchq.workers.blocking_run import BlockingRun
from fetchq.workers.run import Feed

TICK = 0.01
"""The longest tick in which a kernel counts how long ago something arrived, in seconds."""
SOON = 0.3
"""A deadline, in seconds: time enough for a request or two, even on a busy machine."""


def parts_of(result: Result) -> list[float]:
    """The phases that make up `elapsed`."""
    timing = result.timing
    return [getattr(timing, phase) or 0.0 for phase in PHASES if phase not in ("queued", "held")]


def times(n: int, first: Script, then: Script = ok) -> Script:
    """`first` for the first n requests of each path, `then` for those after."""

    def play(conn: Connection, asked: Asked) -> None:
        (first if conn.server.count(asked.target) <= n else then)(conn, asked)

    return play


def close(conn: Connection, _: Asked) -> None:
    conn.close()


def reset(conn: Connection, _: Asked) -> None:
    conn.reset()


# --- the source ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["threads", "sync"])
def test_a_blocking_run_can_be_stopped_while_its_source_waits(mode: str) -> None:
    def rows() -> Iterator[list[Request]]:
        yield [Request("no URL")]
        waiting.set()
        release.wait(PATIENCE)

    def stop() -> None:
        waiting.wait(PATIENCE)
        taken.wait(PATIENCE)
        run.stop()

    def take() -> list[Result]:
        results = []
        for batch in run.batches():
            results += batch
            taken.set()
        return results

    waiting, taken, release = threading.Event(), threading.Event(), threading.Event()
    run = BlockingRun(Settings(mode=mode, workers=2), Feed(rows(), threaded=True, finite=False))
    stopper = threading.Thread(target=stop)
    stopper.start()
    try:
        (result,) = in_time(take)
    finally:
        release.set()
        stopper.join()
    assert result.cause == Cause.INVALID_URL


# --- deadline --------------------------------------------------------------------------------------------------------


def test_at_the_deadline_every_unfinished_row_of_a_list_is_cancelled_and_the_call_returns(mode: str) -> None:
    with nothing_left(), ScriptServer(by_path({"/hang": hang})) as server:
        rows = [server.url, *[f"{server.url}/hang"] * 5]
        results = in_time(lambda: fetch_all_sync(rows, mode=mode, workers=2, deadline=SOON))
    assert [result.index for result in results] == list(range(6))
    assert [result.cause for result in results] == [None, *[Cause.CANCELLED] * 5]
    begun = 1 if mode == "sync" else 2
    assert [result.attempts for result in results] == [1, *[1] * begun, *[0] * (5 - begun)]
    assert [result.started is None for result in results] == [False, *[False] * begun, *[True] * (5 - begun)]
    assert len(server.log) == 1 + begun


def test_a_deadline_over_a_slow_server_gives_one_result_for_each_of_many_rows_in_order(mode: str) -> None:
    with nothing_left(), ScriptServer(late(0.01)) as server:
        rows = [f"{server.url}/{n}" for n in range(3000)]
        results = in_time(lambda: fetch_all_sync(rows, mode=mode, workers=3, deadline=SOON))
    assert [result.url for result in results] == rows
    causes = [result.cause for result in results]
    assert set(causes) == {None, Cause.CANCELLED}
    assert all((result.attempts == 0) == (result.started is None) for result in results)
    assert causes[-1] is Cause.CANCELLED
    assert results[-1].error == "the run ended first"


async def test_at_the_deadline_an_iterable_of_unknown_length_is_read_no_further(mode: str) -> None:
    pulled = 0

    def rows() -> Iterator[str]:
        nonlocal pulled
        while True:
            pulled += 1
            yield server.url

    async with calm_loop():
        with nothing_left(), ScriptServer(hang) as server:
            async with aclosing(fetch_iter(rows(), mode=mode, workers=2, deadline=SOON)) as results:
                task = asyncio.create_task(_all_of(results))
                assert await ended(task)
            assert {result.cause for result in task.result()} == {Cause.CANCELLED}
    # Of what was read, nothing is lost; all but one row that was just then handed over.
    assert pulled - 1 <= len(task.result()) <= pulled


async def _all_of(results: AsyncIterator[Result]) -> list[Result]:
    return [result async for result in results]


async def test_the_deadline_ends_the_waiting_for_an_async_iterable() -> None:
    async def rows() -> AsyncIterator[str]:
        yield "no URL"
        await asyncio.Event().wait()

    async with calm_loop():
        task = asyncio.create_task(fetch_all(rows(), deadline=SOON))
        assert await ended(task)
        assert [result.cause for result in task.result()] == [Cause.INVALID_URL]


def test_a_deadline_that_is_not_reached_changes_nothing(mode: str) -> None:
    with nothing_left(), ScriptServer() as server:
        results = in_time(lambda: fetch_all_sync([server.url] * 3, mode=mode, deadline=600))
    assert [result.ok for result in results] == [True] * 3


@pytest.mark.usefixtures("no_jitter")
def test_the_deadline_cancels_what_waits_for_a_retry(mode: str) -> None:
    with nothing_left(), ScriptServer(answer(status=b"500 Sorry")) as server:
        began = perf_counter()
        (result,) = in_time(lambda: fetch_all_sync([server.url], mode=mode, deadline=SOON, retry_wait=100))
        took = perf_counter() - began
    assert (result.cause, result.attempts) == (Cause.CANCELLED, 1)
    assert 0 < result.timing.held <= took, "it was not held for as long as that"


def test_a_body_that_the_deadline_cuts_off_is_never_ok(mode: str) -> None:
    # Without a length, the end of the connection is the end of the body; but it was us who ended it.
    def endless(conn: Connection, _: Asked) -> None:
        conn.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
        conn.hang()

    with ScriptServer(endless) as server:
        (result,) = in_time(lambda: fetch_all_sync([server.url], mode=mode, deadline=SOON))
    assert (result.ok, result.cause) == (False, Cause.CANCELLED)
    assert (result.body, result.sha256) == (b"", None)


def test_the_deadline_ends_a_tls_handshake_that_stalls(mode: str) -> None:
    with nothing_left(), silent_port() as address:
        url = f"https://{address}/"
        options: dict[str, Any] = {"deadline": SOON, "connect_timeout": HUNG + PATIENCE, "retries": 0}
        (result,) = in_time(lambda: fetch_all_sync([url], mode=mode, **options))
    assert result.cause is Cause.CANCELLED


# --- cancellation ----------------------------------------------------------------------------------------------------


async def test_cancelling_the_task_that_awaits_raises_cancellederror_promptly(mode: str) -> None:
    async with calm_loop():
        with nothing_left(), ScriptServer(hang) as server:
            task = asyncio.create_task(fetch_all([server.url] * 5, mode=mode, workers=2, timeout=600, read_timeout=600))
            await server.got(1 if mode == "sync" else 2)
            task.cancel("enough")
            assert await ended(task)
            assert task.cancelled()


async def test_cancelling_before_the_first_step_raises_cancellederror_and_fetches_nothing(mode: str) -> None:
    async with calm_loop():
        with nothing_left(), ScriptServer() as server:
            task = asyncio.create_task(fetch_all([server.url], mode=mode))
            task.cancel()
            assert await ended(task)
            assert task.cancelled()
            assert server.log == []


async def test_cancelling_while_a_retry_is_waited_for_raises_cancellederror_promptly(mode: str) -> None:
    async with calm_loop():
        with nothing_left(), ScriptServer(answer(b"", b"Retry-After: 100", status=b"429 Too Many Requests")) as server:
            held = asyncio.Event()
            loop = asyncio.get_running_loop()

            def on_start(request: Request, _: int) -> None:
                if request.index == 1:  # its turn comes when the first one, and its host, is held
                    loop.call_soon_threadsafe(held.set)

            urls = [server.url, server.url.replace("127.0.0.1", "localhost")]
            task = asyncio.create_task(fetch_all(urls, mode=mode, workers=1, on_start=on_start))
            await held.wait()
            await server.got(2)
            task.cancel()
            assert await ended(task)
            assert task.cancelled()


async def test_a_cancellation_at_the_moment_of_the_deadline_is_not_swallowed(mode: str) -> None:
    async with calm_loop():
        with nothing_left(), ScriptServer(hang) as server:
            async with asyncio.timeout(PATIENCE):
                for delay in (0.0, 0.001, 0.002, 0.004, 0.008):
                    task = asyncio.create_task(fetch_all([server.url] * 2, mode=mode, deadline=0.02))
                    loop = asyncio.get_running_loop()
                    loop.call_later(0.02 - 0.004 + delay, task.cancel)
                    await asyncio.wait([task])
                    # Either it had returned before, or it says that it was cancelled: nothing else, and never late.
                    assert task.cancelled() or [one.cause for one in task.result()] == [Cause.CANCELLED] * 2


async def test_a_timeout_around_the_call_is_obeyed(mode: str) -> None:
    async with calm_loop():
        with nothing_left(), ScriptServer(hang) as server:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(SOON):
                    await fetch_all([server.url], mode=mode, timeout=600, read_timeout=600)
            task = asyncio.current_task()
            assert task is not None
            assert task.cancelling() == 0


# --- retries ---------------------------------------------------------------------------------------------------------


def test_a_url_that_gets_better_is_ok_at_last_and_its_attempts_are_counted(mode: str, practice: PracticeServer) -> None:
    url = f"{practice.url}/flaky/2?key=better-{mode}"
    (result,) = fetch_all_sync([url], mode=mode, retries=3, retry_wait=0.05)
    assert (result.ok, result.status, result.attempts) == (True, 200, 3)
    assert result.timing.held > 0


def test_a_url_that_stays_bad_has_as_many_attempts_as_are_allowed(mode: str, practice: PracticeServer) -> None:
    url = f"{practice.url}/flaky/9?key=bad-{mode}"
    (result,) = fetch_all_sync([url], mode=mode, retries=3, retry_wait=0)
    assert (result.cause, result.status, result.attempts) == (Cause.STATUS, 503, 4)
    (last,) = fetch_all_sync([url], mode=mode, retries=0)
    assert last.attempts == 1
    with ScriptServer(answer(status=b"503 Sorry")) as server:
        fetch_all_sync([server.url], mode=mode, retries=2, retry_wait=0)
        assert len(server.log) == 3


@pytest.mark.usefixtures("no_jitter")
def test_a_request_that_waits_for_its_retry_holds_no_worker(mode: str) -> None:
    # With a single worker: while /a waits, /b and /c are fetched.
    with ScriptServer(by_path({"/a": times(1, answer(status=b"500 Sorry"))})) as server:
        urls = [f"{server.url}/{path}" for path in "abc"]
        results = fetch_all_sync(urls, mode=mode, workers=1, retry_wait=0.3)
        assert server.seen == ["/a", "/b", "/c", "/a"]
    assert [result.attempts for result in results] == [2, 1, 1]
    assert 0.299 <= results[0].timing.held < 1
    assert results[0].ok


@pytest.mark.parametrize(
    ("asked", "settings", "bound"),
    [
        (86400, {"deadline": "4s"}, "--max-retry-after is 120 s"),
        (60, {"deadline": "30s"}, "--deadline is 30 s"),
        (86400, {}, "--max-retry-after is 120 s"),
        (2, {"max_retry_after": "1s"}, "--max-retry-after is 1 s"),
    ],
)
def test_a_wait_beyond_what_the_run_allows_ends_the_row_at_once_and_is_in_the_error(
    mode: str, asked: int, settings: dict[str, Any], bound: str
) -> None:
    unavailable = answer(b"later", b"Retry-After: %d" % asked, status=b"503 Service Unavailable")
    with nothing_left(), ScriptServer(unavailable) as server:
        (result,) = in_time(lambda: fetch_all_sync([server.url], mode=mode, **settings))
        assert len(server.log) == 1
    assert (result.cause, result.status, result.attempts, result.body) == (Cause.STATUS, 503, 1, b"later")
    assert result.error == f"503 Service Unavailable; Retry-After asks for {asked} s, {bound}"
    assert result.timing.held == 0


def test_a_host_that_asks_for_a_day_again_and_again_is_given_up_and_its_other_rows_are_not_asked(mode: str) -> None:
    unavailable = answer(b"", b"Retry-After: 86400", status=b"429 Too Many Requests")
    with ScriptServer(unavailable) as server:
        urls = [f"{server.url}/{n}" for n in range(200)]
        results = in_time(lambda: fetch_all_sync(urls, mode=mode, workers=2, retry_wait=0))
        assert len(server.log) <= 6, "five in a row, and what was under way"
    assert {result.cause for result in results} == {Cause.STATUS}
    assert {result.status for result in results} == {429, None}
    assert results[-1].attempts == 0
    assert results[-1].error == (
        f"{server.url} was given up after answering 429 each time; Retry-After asks for 86400 s, "
        "longer than the run waits"
    )


def test_a_success_in_retry_on_is_tried_again_and_is_not_ok_in_the_end(mode: str) -> None:
    pending = answer(b"not yet", b"Retry-After: 0", status=b"202 Accepted")
    with ScriptServer(by_path({"/soon": times(2, pending), "/never": pending})) as server:
        urls = [f"{server.url}/soon", f"{server.url}/never"]
        soon, never = fetch_all_sync(urls, mode=mode, retry_on="+202", retry_wait=0)
        assert (soon.ok, soon.status, soon.attempts) == (True, 200, 3)
        assert (never.cause, never.status, never.attempts) == (Cause.STATUS, 202, 3)
        assert (never.error, never.body) == ("202 Accepted, which is in --retry-on", b"not yet")
        (posted,) = fetch_all_sync([f"{server.url}/never"], mode=mode, retry_on="+202", method="POST")
        assert (posted.ok, posted.status, posted.attempts) == (True, 202, 1), "it was processed, and is not sent twice"
        (accepted,) = fetch_all_sync([f"{server.url}/never"], mode=mode)
        assert (accepted.ok, accepted.attempts) == (True, 1)


def test_retry_after_is_obeyed(mode: str, practice: PracticeServer) -> None:
    # The server counts the second itself, and turns away who comes too early.
    (result,) = fetch_all_sync([f"{practice.url}/retry-after/1?key={mode}"], mode=mode, retries=1, retry_wait=0)
    assert (result.ok, result.attempts) == (True, 2)
    assert result.timing.held >= 1


def test_a_retry_after_of_zero_waits_for_nothing(mode: str, practice: PracticeServer) -> None:
    url = f"{practice.url}/retry-after/0?key=zero-{mode}"
    (result,) = fetch_all_sync([url], mode=mode, retries=1, retry_wait=0)
    assert (result.ok, result.attempts, result.timing.held) == (True, 2, 0)


def test_only_the_statuses_of_retry_on_are_tried_again(mode: str) -> None:
    with ScriptServer(
        by_path({"/404": answer(status=b"404 Not Found"), "/503": answer(status=b"503 Sorry")})
    ) as server:
        urls = [f"{server.url}/404", f"{server.url}/503"]
        results = fetch_all_sync(urls, mode=mode, retry_on="404", retries=1, retry_wait=0)
    assert [result.attempts for result in results] == [2, 1]


def test_an_accepted_status_is_not_tried_again(mode: str) -> None:
    with ScriptServer(answer(status=b"503 Sorry")) as server:
        (result,) = fetch_all_sync([server.url], mode=mode, accept="503", retry_wait=0)
    assert (result.ok, result.attempts) == (True, 1)


@pytest.mark.parametrize("fault", [close, reset], ids=["close", "reset"])
def test_a_server_that_hangs_up_sees_one_request_and_no_more_than_the_retries(mode: str, fault: Script) -> None:
    for retries in (0, 1, 3):
        with ScriptServer(fault) as server:
            (result,) = fetch_all_sync([server.url], mode=mode, retries=retries, retry_wait=0)
            assert len(server.log) == 1 + retries
        assert (result.cause, result.attempts) == (Cause.CONNECT, 1 + retries)


@pytest.mark.parametrize("fault", [close, reset], ids=["close", "reset"])
def test_a_post_whose_connection_breaks_is_not_sent_again(mode: str, fault: Script) -> None:
    with ScriptServer(fault) as server:
        request = Request(server.url, method="POST", body=b"buy one")
        (result,) = fetch_all_sync([request], mode=mode, retries=3, retry_wait=0)
        assert [asked.body for asked in server.log] == [b"buy one"]
    assert (result.cause, result.attempts) == (Cause.CONNECT, 1)


def test_a_post_that_reached_no_server_is_tried_again(mode: str) -> None:
    with closed_port() as url:
        (result,) = fetch_all_sync([Request(url, method="POST", body=b"x")], mode=mode, retries=2, retry_wait=0)
    assert (result.cause, result.attempts) == (Cause.CONNECT, 3)


def test_the_time_of_all_attempts_is_counted(mode: str) -> None:
    with ScriptServer(times(2, late_503(0.05), late(0.05))) as server:
        (result,) = fetch_all_sync([server.url], mode=mode, retries=2, retry_wait=0)
    assert result.attempts == 3
    assert result.timing.wait >= 2.5 * 0.05
    assert result.elapsed == pytest.approx(sum(parts_of(result)), abs=0.001)


def late_503(seconds: float) -> Script:
    def play(conn: Connection, asked: Asked) -> None:
        conn.pause(seconds)
        answer(status=b"503 Sorry")(conn, asked)

    return play


# --- bugs of ours ----------------------------------------------------------------------------------------------------


def break_engines(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """Make the engines raise at the attempt of that number."""
    lock, made = threading.Lock(), 0

    def count() -> None:
        nonlocal made
        with lock:
            made += 1
            if made == at:
                raise RuntimeError("a bug of ours")

    of_loop, of_thread = AiohttpEngine.attempt, RequestsEngine.attempt

    async def in_loop(self: Any, *args: Any) -> Any:
        count()
        return await of_loop(self, *args)

    def in_thread(self: Any, *args: Any) -> Any:
        count()
        return of_thread(self, *args)

    monkeypatch.setattr(AiohttpEngine, "attempt", in_loop)
    monkeypatch.setattr(RequestsEngine, "attempt", in_thread)


async def test_a_bug_stops_the_run_with_its_own_exception_and_what_was_yielded_stays(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_engines(monkeypatch, at=4)
    done: list[int] = []

    async def run() -> None:
        with ScriptServer() as server:
            async with aclosing(fetch_iter([server.url] * 9, mode=mode, workers=1)) as results:
                async for result in results:
                    done.append(result.index)  # noqa: PERF401  # an extend would lose what came before the bug

    async with calm_loop():
        with nothing_left():
            task = asyncio.create_task(run())
            assert await ended(task)
            with pytest.raises(RuntimeError, match="a bug of ours"):
                task.result()
            del task
    assert done == [0, 1, 2]


@pytest.mark.parametrize("function", [fetch_all, fetch_all_sync])
async def test_a_bug_stops_the_run_though_the_other_workers_hang(
    mode: str, function: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    break_engines(monkeypatch, at=1 if mode == "sync" else 3)

    async def run() -> None:
        with ScriptServer(hang) as server:
            options: dict[str, Any] = {"mode": mode, "workers": 3, "timeout": 600, "read_timeout": 600}
            urls = [server.url] * 9
            if function is fetch_all:
                await fetch_all(urls, **options)
            else:
                await asyncio.to_thread(in_time, lambda: fetch_all_sync(urls, **options))

    async with calm_loop():
        with nothing_left():
            task = asyncio.create_task(run())
            assert await ended(task)
            with pytest.raises(RuntimeError, match="a bug of ours"):
                task.result()
            del task


def test_a_library_that_raises_what_nobody_expected_costs_its_own_url_only(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hostile server may find an exception that nobody thought of; it must not stop the run.

    The connection is to be closed, since otherwise aiohttp's reader would have no part in the response.
    """
    import h11
    from aiohttp import StreamReader

    of_loop, of_thread = StreamReader.readany, h11.Connection.receive_data

    async def in_loop(self: Any) -> bytes:
        data = await of_loop(self)
        if data == b"odd":
            raise KeyError("nobody expected this")
        return data

    def in_thread(self: Any, data: bytes) -> None:
        if b"X-Odd" in data:
            raise KeyError("nobody expected this")
        of_thread(self, data)

    monkeypatch.setattr(StreamReader, "readany", in_loop)
    monkeypatch.setattr(h11.Connection, "receive_data", in_thread)
    with ScriptServer(by_path({"/odd": answer(b"odd", b"X-Odd: 1", b"Connection: close")})) as server:
        before, odd, after = fetch_all_sync(
            [f"{server.url}/{name}" for name in ("a", "odd", "b")], mode=mode, workers=1
        )
    assert (before.ok, after.ok) == (True, True)
    assert (odd.cause, odd.attempts) == (Cause.PROTOCOL, 1)
    assert "nobody expected this" in str(odd.error)


# --- where the time goes ---------------------------------------------------------------------------------------------


def test_the_phases_but_queued_and_held_add_up_to_elapsed(
    mode: str, practice: PracticeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve_names(monkeypatch, {"no-such-name.test": []})
    with closed_port() as closed:
        urls = [
            *(f"{practice.url}{path}" for path in ("/bytes/0", "/bytes/500000", "/gzip", "/redirect/3", "/status/404")),
            f"{practice.url}/delay/0.05",
            f"{practice.url}/flaky/1?key=sum-{mode}",
            practice.url.replace("127.0.0.1", "localhost") + "/json",
            "http://no-such-name.test/",
            closed,
            "no URL",
        ]
        began = perf_counter()
        results = fetch_all_sync(urls, mode=mode, workers=3, retries=1, retry_wait=0.01)
        took = perf_counter() - began
    for result in results:
        assert result.elapsed == pytest.approx(sum(parts_of(result)), abs=0.001), result.url
        assert all(seconds >= 0 for seconds in (*parts_of(result), result.timing.queued, result.timing.held))
        assert result.elapsed + result.timing.queued + result.timing.held <= took
    assert results[-1].elapsed == 0


def test_elapsed_is_the_time_between_the_callbacks(mode: str) -> None:
    began: dict[int, float] = {}
    took: dict[int, float] = {}

    def on_start(request: Request, _: int) -> None:
        began[request.index] = perf_counter()

    def on_result(result: Result) -> None:
        took[result.index] = perf_counter() - began[result.index]

    with ScriptServer(late(0.05)) as server:
        results = fetch_all_sync([server.url] * 4, mode=mode, workers=1, on_start=on_start, on_result=on_result)
    for result in results:
        assert 0.05 <= result.elapsed <= took[result.index]


def test_the_wait_is_no_shorter_than_the_server_took(mode: str, practice: PracticeServer) -> None:
    (result,) = fetch_all_sync([f"{practice.url}/delay/0.15"], mode=mode)
    assert 0.15 - TICK <= result.timing.wait <= result.elapsed


def test_a_body_that_comes_slowly_is_receive_and_not_wait(mode: str, practice: PracticeServer) -> None:
    (result,) = fetch_all_sync([f"{practice.url}/stream/4?interval=0.05"], mode=mode)
    assert result.timing.receive >= 2.5 * 0.05
    assert result.timing.receive > result.timing.wait


def test_only_the_first_request_on_a_connection_pays_for_the_name_and_the_connecting(mode: str) -> None:
    with ScriptServer(late(0.05)) as server:
        first, second = fetch_all_sync([server.at("localhost")] * 2, mode=mode, workers=1)
        assert server.connections == [1, 1]
    assert first.timing.dns > 0
    assert first.timing.connect > 0
    assert (second.timing.dns, second.timing.connect) == (0, 0)


@concurrent
def test_a_url_that_waited_for_a_worker_was_queued_for_as_long_as_those_before_it_took(mode: str) -> None:
    with ScriptServer(late(0.05)) as server:
        results = fetch_all_sync([server.url] * 3, mode=mode, workers=1)
    for n, result in enumerate(results):
        before = sum(one.elapsed for one in results[:n])
        assert before * 0.9 <= result.timing.queued
    assert results[0].timing.queued < results[1].timing.queued < results[2].timing.queued


@pytest.mark.usefixtures("no_jitter")
def test_what_waits_for_a_retry_is_held_and_not_queued(mode: str) -> None:
    with ScriptServer(times(1, answer(status=b"500 Sorry"))) as server:
        (result,) = fetch_all_sync([server.url], mode=mode, retry_wait=0.2)
    assert result.timing.held == pytest.approx(0.2)
    assert result.timing.queued < result.timing.held


def test_tls_is_told_apart_from_connect(mode: str, tmp_path: Any) -> None:
    authority = Authority(tmp_path)
    slow = 0.1
    with ScriptServer(tls=authority.server(), handshake=slow) as server:
        first, second = fetch_all_sync([server.url] * 2, mode=mode, workers=1, cacert=authority.cacert)
        assert server.connections == [1, 1]
    assert (first.ok, second.ok) == (True, True), first.error
    assert first.timing.tls is not None
    assert first.timing.connect < slow - TICK <= first.timing.tls
    # On the connection that is there already, neither is paid again.
    assert (second.timing.connect, second.timing.tls) == (0.0, None)
    for result in (first, second):
        assert result.elapsed == pytest.approx(sum(parts_of(result)), abs=0.001)


def test_tls_is_null_where_there_was_none(mode: str) -> None:
    with ScriptServer() as server:
        (result,) = fetch_all_sync([server.url], mode=mode)
    assert result.timing.tls is None


def test_started_is_when_a_worker_first_took_it(mode: str) -> None:
    with ScriptServer(late(A_MOMENT)) as server:
        first, second, bad = fetch_all_sync([server.url, server.url, "no URL"], mode=mode, workers=1)
    assert first.started is not None
    assert second.started is not None
    assert bad.started is not None
    assert (second.started - first.started).total_seconds() >= A_MOMENT * 0.9
    assert first.started.utcoffset() is not None


# --- what the engines have in common ---


def test_headers_are_spelled_as_the_server_spells_them(mode: str) -> None:
    lines = [b"content-length: 2", b'ETag: "1"', b"WWW-Authenticate: Basic", b"x-own: caf\xe9", b"X-Own: b"]
    with ScriptServer(lambda conn, _: conn.send(head(*lines) + b"ok")) as server:
        (result,) = fetch_all_sync([server.url], mode=mode)
    assert [f"{name}: {value}".encode("utf-8", "surrogateescape") for name, value in result.headers.items()] == lines


def test_a_part_is_good_where_the_user_has_asked_for_it(mode: str) -> None:
    part = answer(b"part", b"Content-Range: bytes 0-3/9", status=b"206 Partial Content")
    with ScriptServer(part) as server:
        rows = [Request(server.url), Request(server.url, headers=(("range", "bytes=0-3"),))]
        whole, asked = fetch_all_sync(rows, mode=mode, retries=0)
    assert (whole.cause, whole.error) == (Cause.PROTOCOL, "a part (206) of what was asked for whole")
    assert (asked.ok, asked.body) == (True, b"part")

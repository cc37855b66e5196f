"""However a run ends, nothing of it remains: no task, thread, socket, warning, or exception that nobody retrieved."""

from __future__ import annotations

import asyncio
import gc
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import pytest
from faults.wire import Asked, Connection, head, length
from support.leaks import calm_loop, nothing_left, settled
from support.modes import concurrent
from support.names import resolve_names
from support.servers import ScriptServer, answer, by_path, closed_port, hang
from support.tls import Authority
from support.waiting import HUNG, ended

from fetchq import Cause, Request, Result, SettingsError, fetch_all, fetch_all_sync, fetch_iter
from fetchq.cli.practice.server import PracticeServer

TAKEN = 100


def endless(url: str) -> Iterator[str]:
    while True:
        yield url


async def endless_async(url: str) -> AsyncIterator[str]:
    while True:
        yield url
        await asyncio.sleep(0)


# --- leaving in the middle -------------------------------------------------------------------------------------------


class LeftError(Exception):
    pass


async def by_break(results: AsyncIterator[Result], take: int) -> None:
    taken = 0
    async for _ in results:
        taken += 1
        if taken == take:
            break


async def by_aclose(results: Any, take: int) -> None:
    for _ in range(take):
        await anext(results)
    await results.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(results)


async def by_exception(results: Any, take: int) -> None:
    async def consume() -> None:
        async with aclosing(results):
            taken = 0
            async for _ in results:
                taken += 1
                if taken == take:
                    raise LeftError

    with pytest.raises(LeftError):
        await consume()


async def by_exception_without_aclosing(results: Any, take: int) -> None:
    async def consume() -> None:
        taken = 0
        async for _ in results:
            taken += 1
            if taken == take:
                raise LeftError

    with pytest.raises(LeftError):
        await consume()


async def by_async_with(results: Any, take: int) -> None:
    async with results as run:
        assert run is results
        await by_break(run, take)
    with pytest.raises(StopAsyncIteration):
        await anext(results)
    assert results.summary.total >= take


async def by_cancellation(results: Any, take: int) -> None:
    enough = asyncio.Event()

    async def consume() -> None:
        async with aclosing(results):
            taken = 0
            async for _ in results:
                taken += 1
                if taken == take:
                    enough.set()
                    await asyncio.Event().wait()

    task = asyncio.create_task(consume())
    await enough.wait()
    task.cancel()
    assert await ended(task)
    assert task.cancelled()


WAYS = [by_break, by_aclose, by_exception, by_exception_without_aclosing, by_async_with, by_cancellation]


@pytest.mark.parametrize("way", WAYS)
async def test_leaving_an_endless_run_in_the_middle_leaves_nothing(
    mode: str, way: Callable[[Any, int], Coroutine[Any, Any, None]]
) -> None:
    async with calm_loop():
        with nothing_left(), ScriptServer() as server:
            await way(fetch_iter(endless(server.url), mode=mode, workers=5), TAKEN)
            if way in (by_break, by_exception_without_aclosing):
                await settled()  # Python closes it for us, a little later
            assert asyncio.all_tasks() == {asyncio.current_task()}
            assert len(server.log) >= TAKEN


@pytest.mark.parametrize("way", WAYS)
async def test_leaving_an_endless_async_iterable_in_the_middle_leaves_nothing(
    way: Callable[[Any, int], Coroutine[Any, Any, None]],
) -> None:
    async with calm_loop():
        with nothing_left(), ScriptServer() as server:
            await way(fetch_iter(endless_async(server.url), workers=5), TAKEN)
            await settled()  # the iterable is the user's, who may go on with it; it goes when nobody has it any more
            assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize("way", WAYS)
async def test_leaving_while_bodies_come_over_tls_leaves_nothing(
    mode: str, way: Callable[[Any, int], Coroutine[Any, Any, None]], tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    async with calm_loop():
        with nothing_left(), ScriptServer(answer(bytes(300_000)), tls=authority.server()) as server:
            await way(fetch_iter(endless(server.url), mode=mode, workers=3, cacert=authority.cacert), 5)
            await settled()
            assert asyncio.all_tasks() == {asyncio.current_task()}


# --- leaving before anything came ------------------------------------------------------------------------------------


async def test_a_run_that_is_never_begun_leaves_nothing(mode: str) -> None:
    async with calm_loop():
        with nothing_left():
            never = fetch_iter(endless("http://127.0.0.1:1/"), mode=mode)
            await never.aclose()
            dropped = fetch_iter(endless("http://127.0.0.1:1/"), mode=mode)
            del dropped
            await settled()


@pytest.mark.parametrize("how", ["cancelled", "timed out"])
async def test_leaving_before_the_first_result_leaves_nothing(mode: str, how: str) -> None:
    async with calm_loop():
        with nothing_left(), ScriptServer(hang) as server:
            results = fetch_iter(endless(server.url), mode=mode, workers=3, timeout=600, read_timeout=600)
            first = asyncio.create_task(asyncio.wait_for(anext(results), None if how == "cancelled" else 0.2))
            await server.got(1 if mode == "sync" else 3)
            if how == "cancelled":
                first.cancel()
            assert await ended(first)
            assert first.cancelled() if how == "cancelled" else isinstance(first.exception(), TimeoutError)
            # A generator that was interrupted has ended; there is nothing left to close.
            await results.aclose()
            assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_run_that_is_dropped_in_the_middle_ends_without_a_collection(mode: str) -> None:
    async with calm_loop():
        with nothing_left(), ScriptServer() as server:
            gc.disable()
            try:
                run = fetch_iter(endless(server.url), mode=mode, workers=3)
                await anext(run)
                del run
                await asyncio.sleep(0)  # Python has the loop close it
                await asyncio.sleep(0)
                await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()}, timeout=HUNG)
                assert asyncio.all_tasks() == {asyncio.current_task()}
            finally:
                gc.enable()


async def test_leaving_while_connecting_leaves_nothing(mode: str) -> None:
    async with calm_loop():
        with nothing_left(), closed_port() as url:
            async with aclosing(fetch_iter(endless(url), mode=mode, workers=5, retry_wait=0)) as results:
                await anext(results)
            assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_leaving_while_names_are_looked_up_leaves_nothing(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if mode != "async":  # where a lookup under way cannot be ended, it must be a short one
        resolve_names(monkeypatch, {f"{n}.no-such-name.test": [] for n in range(1000)})
    async with calm_loop():
        with nothing_left():
            urls = ["no URL", *(f"http://{n}.no-such-name.test/" for n in range(1000))]
            async with aclosing(fetch_iter(urls, mode=mode, workers=5, retries=0)) as results:
                await anext(results)
            assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_leaving_while_retries_are_waited_for_leaves_nothing(mode: str) -> None:
    unavailable = answer(b"", b"Retry-After: 100", status=b"503 Service Unavailable")
    async with calm_loop():
        with nothing_left(), ScriptServer(by_path({"/503": unavailable})) as server:
            other = server.url.replace("127.0.0.1", "localhost")  # the first one is held as a whole
            urls = [*[f"{server.url}/503"] * 5, f"{other}/ok", *[f"{server.url}/503"] * 5]
            async with aclosing(fetch_iter(urls, mode=mode, workers=2)) as results:
                assert (await anext(results)).ok
            assert asyncio.all_tasks() == {asyncio.current_task()}


def stalled(conn: Connection, _: Asked) -> None:
    """Some of a body, and then no word, not even the end of TLS; the event tells when the client has hung up."""
    conn.send(head(length(1_000_000)) + b"begun")
    with suppress(OSError):
        while socket.socket.recv(conn._sock, 65536):
            pass
    conn.close()
    conn.mark("gone")


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
async def test_a_connection_that_is_given_up_is_closed_at_once_though_the_server_stalls(
    mode: str, tls: bool, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    with ScriptServer(stalled, tls=authority.server() if tls else None) as server:
        options: dict[str, Any] = {"mode": mode, "cacert": authority.cacert, "read_timeout": 0.2, "retries": 0}
        (result,) = await fetch_all([server.url], **options)
        assert result.cause is Cause.TIMEOUT
        assert await asyncio.to_thread(server.event("gone").wait, HUNG), "it is still open"


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_fetch_all_sync_leaves_nothing_of_a_connection_that_it_gave_up(mode: str, tls: bool, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with nothing_left(), ScriptServer(stalled, tls=authority.server() if tls else None) as server:
        options: dict[str, Any] = {"mode": mode, "cacert": authority.cacert, "read_timeout": 0.2, "retries": 0}
        (result,) = fetch_all_sync([server.url], **options)
        assert result.cause is Cause.TIMEOUT


async def test_a_second_cancellation_while_the_first_is_dealt_with_leaves_nothing(mode: str) -> None:
    async with calm_loop():
        with nothing_left(), ScriptServer(hang) as server:
            task = asyncio.create_task(fetch_all([server.url] * 9, mode=mode, workers=3, read_timeout=600))
            await server.got(1 if mode == "sync" else 3)
            task.cancel()
            await asyncio.sleep(0)
            task.cancel()
            assert await ended(task)
            assert task.cancelled()
            # Who cancels twice is not kept waiting for the threads, which have been told to end.
            for thread in threading.enumerate():
                if thread.name.startswith(("fetchq-run", "fetchq-source", "fetchq-worker", "fetchq-heartbeat")):
                    thread.join(HUNG)
            await settled()


# --- a run that cannot even begin ------------------------------------------------------------------------------------


async def test_a_certificate_file_that_cannot_be_used_is_a_wrong_setting_and_leaves_nothing(
    mode: str, tmp_path: Path
) -> None:
    garbage = tmp_path / "ca.pem"
    garbage.write_text("no certificate")
    async with calm_loop():
        with nothing_left():
            for name in ("cacert", "cert"):
                with pytest.raises(SettingsError, match=name):
                    await fetch_all(["http://127.0.0.1:1/"], mode=mode, **{name: str(garbage)})
                with pytest.raises(SettingsError, match=name):
                    fetch_all_sync(["http://127.0.0.1:1/"], mode=mode, **{name: str(garbage)})


def test_a_thread_that_cannot_be_started_is_raised_and_the_others_end(monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start

    def start_some(self: threading.Thread) -> None:
        if self.name == "fetchq-worker-3":
            raise RuntimeError("can't start new thread")
        start(self)

    with nothing_left():
        monkeypatch.setattr(threading.Thread, "start", start_some)
        try:
            with pytest.raises(RuntimeError, match="can't start new thread"):
                fetch_all_sync(["http://127.0.0.1:1/"] * 9, mode="threads", workers=5)
        finally:
            monkeypatch.undo()


# --- a run that ends as it should ------------------------------------------------------------------------------------


def mixture(server: ScriptServer, closed: str) -> list[str | Request]:
    return [
        server.url,
        f"{server.url}/404",
        f"{server.url}/hang",
        f"{server.url}/big",
        server.at("localhost"),
        Request(server.url, method="POST", body=b"x" * 100_000),
        closed,
        "http://no-such-name.test/",
        "no URL",
    ]


SCRIPTS = {"/404": answer(status=b"404 Not Found"), "/hang": hang, "/big": answer(bytes(1_000_000))}


async def test_a_run_of_everything_leaves_nothing(mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_names(monkeypatch, {"no-such-name.test": []})
    authority = Authority(tmp_path)
    async with calm_loop():
        with nothing_left(), closed_port() as closed:
            for tls in (None, authority.server()):
                with ScriptServer(by_path(SCRIPTS), tls=tls) as server:
                    options: dict[str, Any] = {"mode": mode, "cacert": authority.cacert, "read_timeout": 0.2}
                    results = await fetch_all(mixture(server, closed), workers=4, retries=1, retry_wait=0, **options)
                    assert len(results) == 9
                    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_fetch_all_sync_leaves_nothing(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_names(monkeypatch, {"no-such-name.test": []})
    with nothing_left(), closed_port() as closed, ScriptServer(by_path(SCRIPTS)) as server:
        results = fetch_all_sync(mixture(server, closed), mode=mode, workers=4, retries=0, read_timeout=0.2)
        assert len(results) == 9


def test_the_connections_are_closed_when_the_call_returns_and_not_when_something_is_collected(mode: str) -> None:
    gc.collect()
    gc.disable()
    try:
        with ScriptServer() as server:
            fetch_all_sync([server.url] * 20, mode=mode, workers=4)
            # A thread of the server ends when its client has hung up.
            serving = [thread for thread, _ in server._handlers]
            for thread in serving:
                thread.join(HUNG)
            assert [thread.name for thread in serving if thread.is_alive()] == []
    finally:
        gc.enable()


def garbage_of(work: Callable[[], object]) -> set[str]:
    """The types of fetchq's objects that only the garbage collector frees after `work`."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        work()
        gc.collect()
        types = {type(one) for one in gc.garbage}
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    return {one.__name__ for one in types if one.__module__.startswith("fetchq.")}


def test_the_body_of_a_page_is_freed_without_the_garbage_collector(mode: str) -> None:
    with ScriptServer() as server:
        garbage = garbage_of(lambda: fetch_all_sync([server.url] * 5, mode=mode, workers=2))
    assert garbage.isdisjoint({"Attempt", "Exchange", "ReceivedBody", "Result", "WireResponse"})


@pytest.mark.parametrize("mode", ["threads", "sync"])
def test_a_run_that_has_ended_is_freed_without_the_garbage_collector(mode: str) -> None:
    with ScriptServer() as server:
        assert garbage_of(lambda: fetch_all_sync([server.url] * 5, mode=mode, workers=2)) == set()


def test_many_requests_leave_no_more_open_than_few(mode: str, practice: PracticeServer) -> None:
    with nothing_left():
        seen: list[int] = []

        def on_result(result: Result) -> None:
            if result.index in (50, 499):
                seen.append(threading.active_count())

        urls = [f"{practice.url}/bytes/100?{n}" for n in range(500)]
        results = fetch_all_sync(urls, mode=mode, workers=8, on_result=on_result)
        assert all(result.ok for result in results)
    assert len(seen) == 2
    assert max(seen) - min(seen) <= 9  # the workers, and the heartbeat, at most


# --- out of descriptors ----------------------------------------------------------------------------------------------

STARVED = """
import resource, sys
from fetchq import fetch_all_sync
from fetchq.cli.practice.server import PracticeServer
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
url, mode = sys.argv[1:]
fetch_all_sync([url], mode=mode)  # whatever has to be read first
resource.setrlimit(resource.RLIMIT_NOFILE, (40, hard))
results = fetch_all_sync([f"{url}?seed={n}&delay=0.05" for n in range(200)], mode=mode, workers=60, retries=0)
wrong = [result for result in results if not result.ok]
assert not wrong, (len(wrong), wrong[0])
assert len(results) == 200
"""


@concurrent
def test_a_run_that_is_out_of_descriptors_backs_off_and_finishes(mode: str, practice: PracticeServer) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", STARVED, f"{practice.url}/bytes/10", mode],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")

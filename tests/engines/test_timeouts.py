"""The watchdog interrupts what is out of time, says why, and never takes somebody else's cancellation for its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import StrEnum
from itertools import count
from typing import Any

import pytest
from faults.wire import Asked, Connection
from support.factories import Clock
from support.leaks import calm_loop
from support.modes import each_engine
from support.servers import Script, ScriptServer, hang, late, ok
from support.waiting import HUNG, ended

from fetchq import Cause, Request, fetch_all, fetch_all_sync
from fetchq.core.settings import Settings
from fetchq.engines.aiohttp import timeouts as module
from fetchq.engines.aiohttp.engine import AiohttpEngine
from fetchq.engines.aiohttp.timeouts import Watchdog
from fetchq.http.attempt import Attempt
from fetchq.http.failure import AttemptFailed
from fetchq.http.lost_time import LostTime
from fetchq.http.url import parse_url


class FakeAttempt:
    """What the watchdog looks at in an attempt."""

    def __init__(self, until: float) -> None:
        self.until = until

    def time_left(self, now: float) -> tuple[float, str]:
        return self.until - now, "too long"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "perf_counter", clock)
    return clock


async def for_ever() -> None:
    await asyncio.Event().wait()


def watched(watchdog: Watchdog, until: float) -> tuple[Any, asyncio.Task[None]]:
    attempt: Any = FakeAttempt(until)
    task = asyncio.create_task(for_ever())
    watchdog.watched[attempt] = task
    if not watchdog.armed:
        watchdog.arm()
    return attempt, task


def forget(watchdog: Watchdog, attempt: Any) -> AttemptFailed | None:
    """What the engine does with an attempt that has ended; returns why its task was cancelled, if it was."""
    del watchdog.watched[attempt]
    return watchdog.interrupted.pop(attempt, None)


# --- by itself -------------------------------------------------------------------------------------------------------


async def test_only_what_is_out_of_time_is_interrupted_and_told_why(clock: Clock) -> None:
    watchdog = Watchdog(Settings())
    late, late_task = watched(watchdog, clock.now + 1)
    early, early_task = watched(watchdog, clock.now + 100)
    clock.now += 2
    watchdog._check()
    await asyncio.wait([late_task], timeout=HUNG)
    assert late_task.cancelled()
    failed = watchdog.interrupted.get(late)
    assert failed is not None
    assert (failed.cause, failed.message) == (Cause.TIMEOUT, "too long")
    assert watchdog.interrupted.get(early) is None
    assert early_task.cancelling() == 0
    forget(watchdog, late)
    forget(watchdog, early)
    watchdog.close()
    early_task.cancel()


async def test_it_looks_by_itself_and_soon_enough() -> None:
    watchdog = Watchdog(Settings(timeout=0.01))
    attempt, task = watched(watchdog, 0.0)
    async with asyncio.timeout(HUNG):
        with suppress(asyncio.CancelledError):
            await task
    assert watchdog.interrupted.get(attempt) is not None
    forget(watchdog, attempt)
    watchdog.close()


async def test_an_attempt_is_interrupted_once_only(clock: Clock) -> None:
    watchdog = Watchdog(Settings())
    attempt, task = watched(watchdog, clock.now - 1)
    for _ in range(3):
        watchdog._check()
    watchdog.interrupt("the run ended first")
    assert task.cancelling() == 1
    failed = watchdog.interrupted.get(attempt)
    assert failed is not None
    assert failed.cause is Cause.TIMEOUT
    forget(watchdog, attempt)
    watchdog.close()
    await asyncio.wait([task])


async def test_what_is_forgotten_is_left_alone(clock: Clock) -> None:
    watchdog = Watchdog(Settings())
    attempt, task = watched(watchdog, clock.now - 1)
    assert forget(watchdog, attempt) is None
    watchdog._check()
    watchdog.interrupt("the run ended first")
    assert task.cancelling() == 0
    assert watchdog.interrupted.get(attempt) is None
    task.cancel()
    watchdog.close()


async def test_interrupting_all_says_why_to_each() -> None:
    watchdog = Watchdog(Settings())
    attempts = [watched(watchdog, float("inf")) for _ in range(3)]
    watchdog.interrupt("the run ended first")
    await asyncio.wait([task for _, task in attempts], timeout=HUNG)
    assert [task.cancelled() for _, task in attempts] == [True] * 3
    failures = [forget(watchdog, one) for one, _ in attempts]
    assert {(failed.cause, failed.message) for failed in failures if failed is not None} == {
        (Cause.CANCELLED, "the run ended first")
    }
    assert None not in failures
    watchdog.close()


@pytest.mark.parametrize(("shortest", "at_most"), [(60, 0.25), (1, 0.05), (0.001, 0.01)])
async def test_it_is_late_by_a_small_part_of_the_shortest_timeout(shortest: float, at_most: float) -> None:
    for name in ("timeout", "connect_timeout", "read_timeout"):
        options: dict[str, Any] = {"timeout": 60, "connect_timeout": 60, "read_timeout": 60, name: shortest}
        assert 0 < LostTime(Settings(**options)).interval <= at_most


async def test_without_attempts_it_rests_and_with_the_next_one_it_looks_again(clock: Clock) -> None:
    watchdog = Watchdog(Settings())
    first, first_task = watched(watchdog, clock.now + 1)
    forget(watchdog, first)
    watchdog._check()
    assert not watchdog.armed
    second, second_task = watched(watchdog, clock.now + 1)
    assert watchdog.armed
    forget(watchdog, second)
    watchdog.close()
    watchdog.close()
    for task in (first_task, second_task):
        task.cancel()


# --- with the engine -------------------------------------------------------------------------------------------------


class Warm(StrEnum):
    """The way of an attempt: on a connection that has served before it takes the fast path."""

    NO = "new connection"
    YES = "fast path"


both_ways = pytest.mark.parametrize("warm", Warm)


class AttemptUnderWay:
    """An attempt under way at a server that does not answer."""

    def __init__(self, engine: AiohttpEngine, server: ScriptServer) -> None:
        self.engine = engine
        self.server = server
        self.url = server.url
        self.still_cancelling = -1
        self.task = asyncio.create_task(self._make())

    async def _make(self) -> Attempt:
        attempt = await self.engine.attempt(Request(self.url), parse_url(self.url))
        task = asyncio.current_task()
        assert task is not None
        self.still_cancelling = task.cancelling()
        await asyncio.sleep(0)  # a cancellation that was left over would strike here
        return attempt

    def time_out(self, clock: Clock) -> None:
        """As the timer does, when the time is up."""
        clock.now += 1e6
        self.engine._watchdog.lost_time.pause()  # the timer was not late: nobody has set it
        self.engine._watchdog._check()


def hang_at(*numbers: int) -> Script:
    """Answers all but the requests with these numbers, from 1."""
    asked = count(1)

    def play(conn: Connection, request: Asked) -> None:
        (hang if next(asked) in numbers else ok)(conn, request)

    return play


@asynccontextmanager
async def under_way(warm: Warm) -> AsyncIterator[AttemptUnderWay]:
    first = 2 if warm is Warm.YES else 1
    with ScriptServer(hang_at(first, first + 1)) as server:
        engine = AiohttpEngine(Settings(timeout=3600, read_timeout=3600))
        if warm is Warm.YES:
            assert (await engine.attempt(Request(server.url), parse_url(server.url))).cause is None
        made = AttemptUnderWay(engine, server)
        await server.got(first)
        assert bool(engine._watchdog.watched) is (warm is Warm.NO)
        try:
            yield made
        finally:
            made.task.cancel()
            await asyncio.wait([made.task])
            await engine.close()


@pytest.fixture
def real_clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Begins with the true time, of which the attempts take their own."""
    from time import perf_counter

    clock = Clock(perf_counter())
    monkeypatch.setattr(module, "perf_counter", clock)
    return clock


@both_ways
async def test_a_timed_out_attempt_is_a_timeout_and_leaves_its_task_uncancelled(real_clock: Clock, warm: Warm) -> None:
    async with under_way(warm) as made:
        made.time_out(real_clock)
        assert await ended(made.task)
        assert made.task.result().cause is Cause.TIMEOUT
        assert made.still_cancelling == 0


@both_ways
@pytest.mark.parametrize("order", ["timeout first", "cancellation first"])
async def test_a_cancellation_at_the_moment_of_a_timeout_is_a_cancellation(
    real_clock: Clock, order: str, warm: Warm
) -> None:
    async with under_way(warm) as made:
        if order == "timeout first":
            made.time_out(real_clock)
            made.task.cancel()
        else:
            made.task.cancel()
            made.time_out(real_clock)
        assert await ended(made.task)
        assert made.task.cancelled()


@both_ways
async def test_a_cancellation_right_after_a_timeout_was_dealt_with_is_a_cancellation(
    real_clock: Clock, warm: Warm
) -> None:
    async with under_way(warm) as made:
        made.time_out(real_clock)
        await asyncio.sleep(0)
        made.task.cancel()
        assert await ended(made.task)
        assert made.task.cancelled()


@both_ways
@pytest.mark.parametrize("order", ["outer first", "inner first"])
async def test_an_outer_timeout_at_the_moment_of_an_inner_one_strikes_and_leaves_no_cancellation_over(
    real_clock: Clock, order: str, warm: Warm
) -> None:
    outer: list[asyncio.Timeout] = []

    async def run(made: AttemptUnderWay) -> tuple[bool, int]:
        task = asyncio.current_task()
        assert task is not None
        struck = False
        try:
            async with asyncio.timeout(3600) as timeout:
                outer.append(timeout)
                await made.engine.attempt(Request(made.url), parse_url(made.url))
        except TimeoutError:
            struck = True
        return struck, task.cancelling()

    async with under_way(warm) as made:
        task = asyncio.create_task(run(made))
        await made.server.got(2 if warm is Warm.NO else 3)
        loop = asyncio.get_running_loop()
        strikes = [lambda: outer[0].reschedule(0), lambda: loop.call_soon(made.time_out, real_clock)]
        for strike in strikes if order == "outer first" else reversed(strikes):
            strike()
        assert await ended(task)
        assert task.result() == (True, 0)


@both_ways
async def test_an_abort_is_cancelled_and_not_a_timeout(warm: Warm) -> None:
    async with under_way(warm) as made:
        made.engine.abort()
        assert await ended(made.task)
        attempt = made.task.result()
        assert (attempt.cause, attempt.error) == (Cause.CANCELLED, "the run ended first")
        assert made.still_cancelling == 0


@both_ways
async def test_an_abort_after_a_timeout_changes_nothing(real_clock: Clock, warm: Warm) -> None:
    async with under_way(warm) as made:
        made.time_out(real_clock)
        made.engine.abort()
        assert await ended(made.task)
        assert made.task.result().cause is Cause.TIMEOUT
        assert made.still_cancelling == 0


async def test_a_worker_whose_attempts_time_out_goes_on_with_no_cancellation_left() -> None:
    cancelling: list[int] = []

    def on_start(*_: object) -> None:
        task = asyncio.current_task()
        assert task is not None
        cancelling.append(task.cancelling())

    async with calm_loop():
        with ScriptServer(hang) as server:
            options: dict[str, Any] = {"workers": 1, "timeout": 0.05, "retries": 1, "retry_wait": 0}
            results = await fetch_all([server.url] * 2, on_start=on_start, **options)
    assert [(result.cause, result.attempts) for result in results] == [(Cause.TIMEOUT, 2)] * 2
    assert cancelling == [0] * 4


# --- no limit --------------------------------------------------------------------------------------------------------


@each_engine
def test_a_timeout_of_none_lets_a_server_take_its_time(mode: str) -> None:
    with ScriptServer(late(0.05)) as server:
        settings = Settings(mode=mode, timeout=None, connect_timeout="none", retries=0, min_speed=0)
        (result,) = fetch_all_sync([f"{server.url}/"], settings=settings)
    assert (result.status, result.error) == (200, None)

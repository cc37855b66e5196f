"""The async pool, with an engine that needs no network: who gets which job, and how it is stopped."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.factories import make_attempt, respond
from support.leaks import calm_loop, nothing_left
from support.waiting import HUNG, PATIENCE, ended

from fetchq.core.model import Cause, OnStart, Request, Result
from fetchq.core.settings import Settings
from fetchq.http.attempt import Attempt
from fetchq.http.failure import AttemptFailed
from fetchq.workers.async_pool import AsyncPool
from fetchq.workers.run import Run

Play = Callable[[Request], Awaitable[AttemptFailed | None]]


class FakeEngine:
    """Its attempts come out as `play` says; those under way are cancelled by `abort`."""

    def __init__(self, play: Play) -> None:
        self._play = play
        self._running: set[asyncio.Task[Any]] = set()
        self._aborted = False
        self._more = asyncio.Event()
        self.begun: list[int] = []
        self.most_at_once = 0
        self.cancelled: list[Attempt] = []

    async def until(self, n: int) -> None:
        """Wait until so many attempts were begun."""
        async with asyncio.timeout(HUNG):
            while len(self.begun) < n:
                self._more.clear()
                await self._more.wait()

    async def attempt(self, request: Request, *_: object) -> Attempt:
        attempt = make_attempt()
        respond(attempt, 200, [("Content-Length", "0")])
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        self.begun.append(request.index)
        self._more.set()
        self.most_at_once = max(self.most_at_once, len(self._running))
        try:
            failed = await self._play(request)
        except asyncio.CancelledError:
            if not self._aborted:
                raise
            task.uncancel()
            failed = AttemptFailed(Cause.CANCELLED, "the run ended first")
        finally:
            self._running.remove(task)
        if failed is None:
            attempt.on_end()
        attempt.finish(failed)
        return attempt

    def abort(self) -> None:
        self._aborted = True
        for task in self._running:
            task.cancel()

    def cancel(self, unwanted: Callable[[Request], bool]) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        pass


async def at_once(_: Request) -> None:
    await asyncio.sleep(0)


async def never(_: Request) -> None:
    await asyncio.Event().wait()


def batches(n: int, size: int = 1) -> list[list[Request]]:
    requests = [Request(f"http://h/{index}", index) for index in range(n)]
    return [requests[start : start + size] for start in range(0, n, size)]


def make_pool(settings: Settings, engine: FakeEngine, on_start: OnStart | None = None) -> AsyncPool:
    return AsyncPool(Run(settings), engine, on_start)


async def results_of(pool: AsyncPool, source: Any, *, threaded: bool = False) -> list[Result]:
    task = asyncio.create_task(pool.run(source, threaded=threaded))
    results: list[Result] = []
    while batch := await pool.results.take():
        results += batch
    await task
    return results


def indexes(results: Iterable[Result]) -> list[int]:
    return [result.index for result in results]


# --- every request, once ---------------------------------------------------------------------------------------------

outcomes = st.lists(
    st.lists(st.sampled_from([Cause.CONNECT, Cause.TIMEOUT, Cause.PROTOCOL, None]), min_size=1, max_size=4), max_size=30
)


@given(outcomes, st.integers(1, 6), st.integers(0, 3), st.integers(1, 7), st.booleans())
@settings(max_examples=25, deadline=None)
def test_whatever_the_attempts_come_to_every_request_gets_one_result(
    fates: list[list[Cause | None]], workers: int, retries: int, size: int, threaded: bool
) -> None:
    left = {index: list(fate) for index, fate in enumerate(fates)}

    async def play(request: Request) -> AttemptFailed | None:
        await asyncio.sleep(0)
        causes = left[request.index]
        cause = causes.pop(0) if len(causes) > 1 else causes[0]
        return None if cause is None else AttemptFailed(cause, "so it is")

    async def run() -> list[Result]:
        chosen = Settings(workers=workers, retries=retries, retry_wait=0)
        async with calm_loop():
            return await results_of(make_pool(chosen, FakeEngine(play)), batches(len(fates), size), threaded=threaded)

    results = asyncio.run(run())
    assert sorted(indexes(results)) == list(range(len(fates)))
    for result in results:
        fate = (fates[result.index] + [fates[result.index][-1]] * 4)[: retries + 1]
        final = next((n for n, cause in enumerate(fate) if cause in (None, Cause.PROTOCOL)), retries)
        assert (result.cause, result.attempts) == (fate[final], final + 1)


@pytest.mark.parametrize("threaded", [False, True])
async def test_as_many_requests_are_under_way_as_there_are_workers_and_never_more(threaded: bool) -> None:
    workers = 7
    together = asyncio.Barrier(workers)

    async def play(_: Request) -> None:
        await together.wait()

    engine = FakeEngine(play)
    pool = make_pool(Settings(workers=workers), engine)
    async with asyncio.timeout(PATIENCE), calm_loop():
        results = await results_of(pool, batches(3 * workers), threaded=threaded)
    assert len(results) == 3 * workers
    assert engine.most_at_once == workers


async def test_the_first_requests_go_on_before_all_of_many_workers_have_begun() -> None:
    begun: list[int] = []

    async def play(_: Request) -> None:
        await asyncio.sleep(0)
        begun.append(len(engine.begun))

    engine = FakeEngine(play)
    async with asyncio.timeout(PATIENCE), calm_loop():
        results = await results_of(make_pool(Settings(workers=200), engine), batches(200, 200))
    assert len(results) == 200
    assert begun[0] < 100


async def test_each_worker_has_a_number_from_one_and_a_clock_that_counts_its_attempts() -> None:
    async def play(request: Request) -> AttemptFailed | None:
        await asyncio.sleep(0.001)
        return AttemptFailed(Cause.CONNECT, "no") if request.index == 0 else None

    run = Run(Settings(workers=3, retries=1, retry_wait=0))
    results = await results_of(AsyncPool(run, FakeEngine(play)), batches(9))
    assert [clock.number for clock in run.clocks] == [1, 2, 3]
    assert sum(clock.fetched for clock in run.clocks) == 10
    assert all(clock.busy >= clock.fetched * 0.001 for clock in run.clocks)
    last = Counter(result.worker for result in results)
    assert all(last[clock.number] <= clock.fetched for clock in run.clocks)


async def test_an_unusable_row_makes_no_attempt_and_calls_no_on_start() -> None:
    started: list[int] = []
    engine = FakeEngine(at_once)
    pool = make_pool(Settings(workers=1), engine, lambda request, _: started.append(request.index))
    source = [[Request("no URL", 0)], [Request("http://h/", 1)], [Request("http://h/", 2, problem="a bad line")]]
    results = await results_of(pool, source)
    assert [(result.cause, result.attempts) for result in sorted(results, key=lambda one: one.index)] == [
        (Cause.INVALID_URL, 0),
        (None, 1),
        (Cause.INVALID_URL, 0),
    ]
    assert started == engine.begun == [1]


async def test_a_machine_without_descriptors_costs_a_request_time_but_no_attempt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fetchq.http.retry.LOCAL_LIMIT_WAIT", 0.001)
    starving = 5

    async def play(_: Request) -> AttemptFailed | None:
        nonlocal starving
        starving -= 1
        return AttemptFailed(Cause.CONNECT, "no descriptors", local_limit=True) if starving >= 0 else None

    (result,) = await results_of(make_pool(Settings(retries=0), FakeEngine(play)), batches(1))
    assert (result.ok, result.attempts) == (True, 1)
    assert result.timing.held == pytest.approx(0.005)


# --- the source ------------------------------------------------------------------------------------------------------


async def test_an_async_source_is_read_while_requests_are_under_way() -> None:
    began = asyncio.Event()

    async def source() -> AsyncIterator[Request]:
        yield Request("http://h/", 0)
        await began.wait()
        yield Request("http://h/", 1)

    async def play(_: Request) -> None:
        began.set()

    async with asyncio.timeout(PATIENCE):
        assert len(await results_of(make_pool(Settings(), FakeEngine(play)), source())) == 2


async def test_a_source_that_never_pauses_leaves_the_loop_time_for_others() -> None:
    others = 0

    async def other() -> None:
        nonlocal others
        while True:
            await asyncio.sleep(0)
            others += 1

    task = asyncio.create_task(other())
    await results_of(make_pool(Settings(), FakeEngine(at_once)), batches(2000))
    task.cancel()
    assert others > 10


async def test_a_source_that_blocks_is_read_in_a_thread_and_blocks_nobody() -> None:
    first_is_done = threading.Event()

    def source() -> Iterator[list[Request]]:
        yield [Request("http://h/", 0)]
        assert first_is_done.wait(PATIENCE)
        yield [Request("http://h/", 1)]

    async def play(_: Request) -> None:
        first_is_done.set()

    async with calm_loop():
        with nothing_left():
            assert len(await results_of(make_pool(Settings(), FakeEngine(play)), source(), threaded=True)) == 2


@pytest.mark.parametrize("threaded", [False, True])
async def test_an_exception_of_the_source_is_raised_as_itself_and_not_in_a_group(threaded: bool) -> None:
    def source() -> Iterator[list[Request]]:
        yield [Request("http://h/", 0)]
        raise LookupError("no more")

    async with calm_loop():
        with nothing_left(), pytest.raises(LookupError, match="no more"):
            await results_of(make_pool(Settings(), FakeEngine(never)), source(), threaded=threaded)


async def test_a_source_that_hangs_in_its_thread_does_not_keep_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fetchq.workers.source_feed._STOP_TIMEOUT", 0.05)
    hangs, release = threading.Event(), threading.Event()

    def source() -> Iterator[list[Request]]:
        yield [Request("http://h/", 0)]
        hangs.set()
        release.wait()

    async with calm_loop():
        with nothing_left():
            pool = make_pool(Settings(), FakeEngine(at_once))
            task = asyncio.create_task(results_of(pool, source(), threaded=True))
            assert await asyncio.to_thread(hangs.wait, PATIENCE)
            pool.control.stop()
            try:
                assert await ended(task)
                assert indexes(task.result()) == [0]
            finally:
                release.set()
                for thread in threading.enumerate():
                    if thread.name == "fetchq-source":
                        await asyncio.to_thread(thread.join, HUNG)


# --- stopping --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threaded", [False, True])
async def test_stop_lets_what_is_under_way_finish_and_cancels_what_waits(threaded: bool) -> None:
    release = asyncio.Event()

    async def play(_: Request) -> None:
        await release.wait()

    engine = FakeEngine(play)
    pool = make_pool(Settings(workers=2), engine)
    async with calm_loop():
        task = asyncio.create_task(results_of(pool, batches(10), threaded=threaded))
        await engine.until(2)
        pool.control.stop(end_source=False)
        release.set()
        assert await ended(task)
    results = sorted(task.result(), key=lambda result: result.index)
    assert indexes(results) == list(range(10))
    assert [result.cause for result in results] == [None, None, *[Cause.CANCELLED] * 8]
    assert [result.attempts for result in results] == [1, 1, *[0] * 8]
    assert engine.begun == [0, 1]


@pytest.mark.parametrize("threaded", [False, True])
async def test_abort_cancels_what_is_under_way_as_well(threaded: bool) -> None:
    engine = FakeEngine(never)
    pool = make_pool(Settings(workers=2), engine)
    async with calm_loop():
        task = asyncio.create_task(results_of(pool, batches(10), threaded=threaded))
        await engine.until(2)
        pool.control.abort(end_source=False)
        assert await ended(task)
    results = sorted(task.result(), key=lambda result: result.index)
    assert [result.cause for result in results] == [Cause.CANCELLED] * 10
    assert [result.attempts for result in results] == [1, 1, *[0] * 8]
    assert all(result.error == "the run ended first" for result in results)


async def test_stop_reads_an_endless_source_no_further() -> None:
    pulled = 0

    async def source() -> AsyncIterator[Request]:
        nonlocal pulled
        while True:
            yield Request("http://h/", pulled)
            pulled += 1
            await asyncio.sleep(0)

    release = asyncio.Event()

    async def play(request: Request) -> None:
        if request.index >= 5:
            await release.wait()

    engine = FakeEngine(play)
    pool = make_pool(Settings(workers=1), engine)
    async with calm_loop():
        task = asyncio.create_task(results_of(pool, source()))
        await engine.until(6)
        pool.control.stop()
        before = pulled
        release.set()
        assert await ended(task)
    assert pulled == before
    assert [result.cause for result in task.result()[:6]] == [None] * 6
    assert {result.cause for result in task.result()[6:]} <= {Cause.CANCELLED}


@pytest.mark.parametrize("threaded", [False, True])
async def test_stop_without_the_end_of_the_source_answers_every_row_that_is_still_to_come(threaded: bool) -> None:
    release = asyncio.Event()

    async def play(_: Request) -> None:
        await release.wait()

    engine = FakeEngine(play)
    pool = make_pool(Settings(workers=1), engine)
    rows = 2500  # more than are read ahead
    async with calm_loop():
        task = asyncio.create_task(results_of(pool, batches(rows, 10), threaded=threaded))
        await engine.until(1)
        pool.control.stop(end_source=False)
        release.set()
        assert await ended(task)
    results = sorted(task.result(), key=lambda result: result.index)
    assert indexes(results) == list(range(rows))
    assert [result.cause for result in results] == [None, *[Cause.CANCELLED] * (rows - 1)]


@pytest.mark.parametrize("threaded", [False, True])
async def test_a_run_that_was_stopped_before_it_began_reads_no_source(threaded: bool) -> None:
    pulled: list[int] = []

    def source() -> Iterator[list[Request]]:
        pulled.append(0)
        yield [Request("http://h/", 0)]

    engine = FakeEngine(at_once)
    run = Run(Settings())
    run.stop()
    async with calm_loop():
        with nothing_left():
            assert await results_of(AsyncPool(run, engine), source(), threaded=threaded) == []
    assert (pulled, engine.begun) == ([], [])


async def test_what_fails_while_the_run_is_stopping_is_not_tried_again() -> None:
    release = asyncio.Event()

    async def play(_: Request) -> AttemptFailed:
        await release.wait()
        return AttemptFailed(Cause.CONNECT, "no")

    engine = FakeEngine(play)
    pool = make_pool(Settings(workers=1, retries=5, retry_wait=0), engine)
    task = asyncio.create_task(results_of(pool, batches(1)))
    await engine.until(1)
    pool.control.stop()
    release.set()
    assert await ended(task)
    assert [(result.cause, result.attempts) for result in task.result()] == [(Cause.CANCELLED, 1)]


@pytest.mark.usefixtures("no_jitter")
async def test_stop_answers_what_waits_for_a_retry() -> None:
    async def play(_: Request) -> AttemptFailed:
        return AttemptFailed(Cause.CONNECT, "no")

    engine = FakeEngine(play)
    pool = make_pool(Settings(workers=1, retry_wait=1e6), engine)
    async with calm_loop():
        task = asyncio.create_task(results_of(pool, batches(3)))
        await engine.until(3)
        pool.control.stop()
        pool.control.stop()
        assert await ended(task)
    assert sorted(indexes(task.result())) == [0, 1, 2]
    assert {result.cause for result in task.result()} == {Cause.CANCELLED}
    assert {result.attempts for result in task.result()} == {1}


# --- bugs ------------------------------------------------------------------------------------------------------------


async def test_a_bug_of_the_engine_is_raised_as_itself_and_ends_every_task() -> None:
    async def play(request: Request) -> None:
        if request.index == 3:
            raise RuntimeError("a bug")
        if request.index > 3:
            await asyncio.Event().wait()

    async with calm_loop():
        pool = make_pool(Settings(workers=1), FakeEngine(play))
        task = asyncio.create_task(pool.run(batches(9), threaded=False))
        came: list[Result] = []
        while batch := await pool.results.take():
            came += batch
        with pytest.raises(RuntimeError, match="a bug"):
            await task
        del task
    assert indexes(came) == [0, 1, 2]


async def test_cancelling_the_run_cancels_its_workers_and_is_not_swallowed() -> None:
    cancelled = 0

    async def play(_: Request) -> None:
        nonlocal cancelled
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled += 1
            raise

    engine = FakeEngine(play)
    pool = make_pool(Settings(workers=3), engine)
    async with calm_loop():
        task = asyncio.create_task(pool.run(batches(9), threaded=False))
        await engine.until(3)
        task.cancel()
        assert await ended(task)
        assert task.cancelled()
    assert cancelled == 3

"""The pools without a loop, with engines that need no network: who gets which job, and how they are stopped."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from time import perf_counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.factories import make_attempt, respond
from support.leaks import nothing_left
from support.waiting import A_MOMENT, HUNG, PATIENCE, in_time

from fetchq.core.model import Cause, Request, Result
from fetchq.core.settings import Settings
from fetchq.http.attempt import Attempt
from fetchq.http.failure import AttemptFailed
from fetchq.scheduling.schedule import Schedule
from fetchq.workers.blocking_pool import BlockingPool
from fetchq.workers.result_buffer import MOST_BYTES, MOST_RESULTS
from fetchq.workers.run import Run
from fetchq.workers.serial_pool import SerialPool
from fetchq.workers.thread_pool import LEAST_LINGER, ThreadPool

Play = Callable[["FakeEngine", Request], AttemptFailed | None]
POOLS = [ThreadPool, SerialPool]
every_pool = pytest.mark.parametrize("make_pool", POOLS, ids=["threads", "sync"])

CANCELLED = AttemptFailed(Cause.CANCELLED, "the run ended first")


class FakeEngines:
    """Makes the fake engines of a pool, and counts their attempts, whose outcomes `play` decides."""

    def __init__(self, play: Play, body: bytes = b"") -> None:
        self.play = play
        self.body = body
        self.begun: list[tuple[int, int]] = []
        """The number of the engine and the index of the request."""
        self.running = 0
        self.most_at_once = 0
        self.changed = threading.Condition()

    def engines(self, n: int) -> list[Any]:
        return [FakeEngine(self, number) for number in range(1, n + 1)]

    def until(self, n: int) -> None:
        """Wait until so many attempts were begun."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.begun) >= n, HUNG)


class FakeEngine:
    """An engine whose attempts end as `play` says."""

    def __init__(self, fakes: FakeEngines, number: int) -> None:
        self._fakes = fakes
        self._number = number
        self.aborted = threading.Event()

    def attempt(self, request: Request, *_: object) -> Attempt:
        fakes = self._fakes
        attempt = make_attempt()
        respond(attempt, 200, [("Content-Length", str(len(fakes.body)))])
        with fakes.changed:
            fakes.begun.append((self._number, request.index))
            fakes.running += 1
            fakes.most_at_once = max(fakes.most_at_once, fakes.running)
            fakes.changed.notify_all()
        try:
            failed = fakes.play(self, request)
        finally:
            with fakes.changed:
                fakes.running -= 1
        if failed is None:
            if fakes.body:
                attempt.on_data(fakes.body)
            attempt.on_end()
        attempt.finish(failed)
        return attempt

    def abort(self) -> None:
        self.aborted.set()

    def close(self) -> None:
        pass


def at_once(*_: object) -> None:
    return None


def until_aborted(engine: FakeEngine, _: Request) -> AttemptFailed:
    engine.aborted.wait(PATIENCE)
    return CANCELLED


def batches(n: int, size: int = 1) -> list[list[Request]]:
    requests = [Request(f"http://h/{index}", index) for index in range(n)]
    return [requests[start : start + size] for start in range(0, n, size)]


def results_of(pool: BlockingPool, source: Iterable[list[Request]]) -> list[Result]:
    return [result for batch in pool.batches(source) for result in batch]


def in_order(results: Iterable[Result]) -> list[Result]:
    return sorted(results, key=lambda result: result.index)


def test_the_reader_of_threads_waits_for_more_than_one_result() -> None:
    """It needs the GIL for each time that it wakes up, and the workers wait meanwhile."""
    pool = ThreadPool(Run(Settings(workers=4)), FakeEngines(at_once).engines(4))
    began = perf_counter()
    found = [len(batch) for batch in pool.batches(batches(2000, size=100))]
    assert sum(found) == 2000
    # One batch ends sooner than that when there are many Results, and the last when the run ends.
    assert sum(size < MOST_RESULTS // 2 for size in found) <= (perf_counter() - began) / LEAST_LINGER + 1


class Running:
    """A pool that runs in a thread of its own, so that a test can stop it."""

    def __init__(self, pool: BlockingPool, source: Iterable[list[Request]]) -> None:
        self._came: list[list[Result]] = []
        self._thread = threading.Thread(target=lambda: self._came.append(results_of(pool, source)), name="running")
        self._thread.start()

    def results(self) -> list[Result]:
        self._thread.join(HUNG)
        assert not self._thread.is_alive(), "it hangs"
        return in_order(self._came[0])


# --- every request, once ---------------------------------------------------------------------------------------------

outcomes = st.lists(
    st.lists(st.sampled_from([Cause.CONNECT, Cause.TIMEOUT, Cause.PROTOCOL, None]), min_size=1, max_size=4), max_size=30
)


@every_pool
@given(fates=outcomes, workers=st.integers(1, 6), retries=st.integers(0, 3), size=st.integers(1, 7))
@settings(max_examples=25, deadline=None)
def test_whatever_the_attempts_come_to_every_request_gets_one_result(
    make_pool: type[BlockingPool], fates: list[list[Cause | None]], workers: int, retries: int, size: int
) -> None:
    left = {index: list(fate) for index, fate in enumerate(fates)}

    def play(_: FakeEngine, request: Request) -> AttemptFailed | None:
        causes = left[request.index]
        cause = causes.pop(0) if len(causes) > 1 else causes[0]
        return None if cause is None else AttemptFailed(cause, "so it is")

    pool = make_pool(Run(Settings(workers=workers, retries=retries, retry_wait=0)), FakeEngines(play).engines(workers))
    with nothing_left():
        results = in_time(lambda: results_of(pool, batches(len(fates), size)))
    assert [result.index for result in in_order(results)] == list(range(len(fates)))
    for result in results:
        fate = (fates[result.index] + [fates[result.index][-1]] * 4)[: retries + 1]
        final = next((n for n, cause in enumerate(fate) if cause in (None, Cause.PROTOCOL)), retries)
        assert (result.cause, result.attempts) == (fate[final], final + 1)


@every_pool
def test_an_unusable_row_makes_no_attempt_and_calls_no_on_start(make_pool: type[BlockingPool]) -> None:
    started: list[int] = []
    fakes = FakeEngines(at_once)
    pool = make_pool(Run(Settings(workers=1)), fakes.engines(1), lambda request, _: started.append(request.index))
    source = [[Request("no URL", 0)], [Request("http://h/", 1)], [Request("http://h/", 2, problem="a bad line")]]
    results = in_time(lambda: results_of(pool, source))
    assert [(result.cause, result.attempts) for result in in_order(results)] == [
        (Cause.INVALID_URL, 0),
        (None, 1),
        (Cause.INVALID_URL, 0),
    ]
    assert started == [1]
    assert fakes.begun == [(1, 1)]


@every_pool
def test_a_machine_without_descriptors_costs_a_request_time_but_no_attempt(
    make_pool: type[BlockingPool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fetchq.http.retry.LOCAL_LIMIT_WAIT", 0.001)
    starving = 5

    def play(*_: object) -> AttemptFailed | None:
        nonlocal starving
        starving -= 1
        return AttemptFailed(Cause.CONNECT, "no descriptors", local_limit=True) if starving >= 0 else None

    pool = make_pool(Run(Settings(retries=0, workers=1)), FakeEngines(play).engines(1))
    (result,) = in_time(lambda: results_of(pool, batches(1)))
    assert (result.ok, result.attempts) == (True, 1)
    assert result.timing.held == pytest.approx(0.005)


@every_pool
@pytest.mark.usefixtures("no_jitter")
def test_a_request_that_waits_for_its_retry_lets_the_others_pass(make_pool: type[BlockingPool]) -> None:
    failed = [0]

    def play(_: FakeEngine, request: Request) -> AttemptFailed | None:
        return AttemptFailed(Cause.CONNECT, "no") if request.index in failed and failed.pop() == 0 else None

    fakes = FakeEngines(play)
    pool = make_pool(Run(Settings(workers=1, retry_wait=A_MOMENT)), fakes.engines(1))
    results = in_time(lambda: results_of(pool, batches(4)))
    assert [index for _, index in fakes.begun] == [0, 1, 2, 3, 0]
    assert in_order(results)[0].timing.held == pytest.approx(A_MOMENT)


@every_pool
def test_each_worker_has_a_clock_that_counts_its_attempts(make_pool: type[BlockingPool]) -> None:
    def play(engine: FakeEngine, _: Request) -> None:
        engine.aborted.wait(0.001)

    fakes = FakeEngines(play)
    run = Run(Settings(workers=3))
    in_time(lambda: results_of(make_pool(run, fakes.engines(3)), batches(12)))
    made = Counter(number for number, _ in fakes.begun)
    assert [(clock.number, clock.fetched) for clock in run.clocks] == [(n, made[n]) for n in (1, 2, 3)]
    assert all(clock.busy >= clock.fetched * 0.001 for clock in run.clocks)


# --- turns and threads -----------------------------------------------------------------------------------------------


def test_in_the_serial_pool_the_workers_take_turns_one_request_each() -> None:
    fakes = FakeEngines(at_once)
    results = results_of(SerialPool(Run(Settings(workers=3)), fakes.engines(3)), batches(8, 3))
    assert fakes.begun == [(1, 0), (2, 1), (3, 2), (1, 3), (2, 4), (3, 5), (1, 6), (2, 7)]
    assert [result.worker for result in results] == [1, 2, 3, 1, 2, 3, 1, 2]
    assert fakes.most_at_once == 1


def test_the_serial_pool_yields_each_result_before_it_begins_the_next_request() -> None:
    fakes = FakeEngines(at_once)
    for n, batch in enumerate(SerialPool(Run(Settings(workers=2)), fakes.engines(2)).batches(batches(5))):
        assert [result.index for result in batch] == [n]
        assert len(fakes.begun) == n + 1


def test_the_serial_pool_starts_no_thread() -> None:
    before = set(threading.enumerate())
    fakes = FakeEngines(
        lambda *_: None if set(threading.enumerate()) == before else AttemptFailed(Cause.PROTOCOL, "threads")
    )
    assert all(result.ok for result in results_of(SerialPool(Run(Settings(workers=3)), fakes.engines(3)), batches(5)))


@pytest.mark.parametrize("workers", [1, 2, 50])
def test_in_the_thread_pool_every_worker_is_under_way_at_once(workers: int) -> None:
    together = threading.Barrier(workers)

    def play(*_: object) -> None:
        together.wait(PATIENCE)

    fakes = FakeEngines(play)
    with nothing_left():
        pool = ThreadPool(Run(Settings(workers=workers)), fakes.engines(workers))
        results = in_time(lambda: results_of(pool, batches(4 * workers, 7)))
    assert sorted(result.index for result in results) == list(range(4 * workers))
    assert fakes.most_at_once == workers
    # Each round of the barrier has every engine in it once.
    assert Counter(number for number, _ in fakes.begun) == dict.fromkeys(range(1, workers + 1), 4)


def test_fifty_threads_lose_nothing_of_many_requests_that_fail_and_are_tried_again() -> None:
    def play(engine: FakeEngine, request: Request) -> AttemptFailed | None:
        return AttemptFailed(Cause.CONNECT, "no") if request.index % 3 == 0 else None

    with nothing_left():
        pool = ThreadPool(Run(Settings(workers=50, retries=1, retry_wait=0)), FakeEngines(play).engines(50))
        results = in_time(lambda: results_of(pool, batches(3000, 100)), most=60)
    assert [result.index for result in in_order(results)] == list(range(3000))
    assert all(result.attempts == (2 if result.index % 3 == 0 else 1) for result in results)


def test_threads_that_have_nothing_to_do_do_not_all_look_at_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0
    release = Schedule.release

    def counted(schedule: Schedule, now: float) -> None:
        nonlocal looks
        looks += 1
        release(schedule, now)

    monkeypatch.setattr(Schedule, "release", counted)
    rows, workers = 20, 50
    with nothing_left():
        pool = ThreadPool(Run(Settings(workers=workers, host_interval=0.01)), FakeEngines(at_once).engines(workers))
        results = in_time(lambda: results_of(pool, batches(rows)))
    assert len(results) == rows
    assert looks < workers + 10 * rows, "and not all of them for each row"


# --- the source ------------------------------------------------------------------------------------------------------


@every_pool
def test_an_exception_of_the_source_is_raised_to_who_iterates(make_pool: type[BlockingPool]) -> None:
    def source() -> Iterator[list[Request]]:
        yield [Request("http://h/", 0)]
        raise LookupError("no more")

    with nothing_left():
        pool = make_pool(Run(Settings(workers=2)), FakeEngines(at_once).engines(2))
        with pytest.raises(LookupError, match="no more"):
            in_time(lambda: results_of(pool, source()))


@every_pool
def test_a_bug_is_raised_to_who_iterates_after_what_had_been_done(make_pool: type[BlockingPool]) -> None:
    def play(_: FakeEngine, request: Request) -> None:
        if request.index == 3:
            raise RuntimeError("a bug")

    came: list[int] = []

    def run() -> None:
        pool = make_pool(Run(Settings(workers=1)), FakeEngines(play).engines(1))
        for batch in pool.batches(batches(9)):
            came.extend(result.index for result in batch)

    with nothing_left(), pytest.raises(RuntimeError, match="a bug"):
        in_time(run)
    assert came == [0, 1, 2]


def test_a_bug_in_one_thread_ends_the_attempts_of_the_others() -> None:
    def play(engine: FakeEngine, request: Request) -> AttemptFailed:
        if request.index == 3:
            fakes.until(4)
            raise RuntimeError("a bug")
        return until_aborted(engine, request)

    fakes = FakeEngines(play)
    with nothing_left(), pytest.raises(RuntimeError, match="a bug"):
        in_time(lambda: results_of(ThreadPool(Run(Settings(workers=4)), fakes.engines(4)), batches(9)))
    assert len(fakes.begun) == 4


# --- bounded ---------------------------------------------------------------------------------------------------------


def test_the_threads_wait_when_nobody_takes_their_bodies() -> None:
    size, workers = 4_000_000, 3
    fakes = FakeEngines(at_once, bytes(size))
    fit = MOST_BYTES // size
    results = ThreadPool(Run(Settings(workers=workers)), fakes.engines(workers)).batches(batches(100))
    with nothing_left():
        first = len(next(results))
        fakes.until(first + fit + workers)
        with fakes.changed:
            assert not fakes.changed.wait_for(lambda: len(fakes.begun) > 2 * fit + workers + first, A_MOMENT)
        rest = sum(len(batch) for batch in results)
    assert first + rest == 100


def test_the_phases_of_the_attempts_are_added_up_also_while_the_reader_is_the_slowest() -> None:
    rows, workers, taken = 5 * MOST_RESULTS, 3, 0
    fakes, run = FakeEngines(at_once), Run(Settings(workers=workers))
    for batch in ThreadPool(run, fakes.engines(workers)).batches(batches(rows, 100)):
        taken += len(batch)
        fakes.until(min(rows, taken + MOST_RESULTS))  # the next batch is there before it is asked for
        assert len(run.phases.pending) < 3 * MOST_RESULTS
    assert taken == rows


# --- stopping --------------------------------------------------------------------------------------------------------


@every_pool
def test_stop_lets_what_is_under_way_finish_and_cancels_what_waits(make_pool: type[BlockingPool]) -> None:
    release = threading.Event()

    def play(*_: object) -> None:
        release.wait(PATIENCE)

    fakes = FakeEngines(play)
    pool = make_pool(Run(Settings(workers=2)), fakes.engines(2))
    begun = 1 if make_pool is SerialPool else 2
    with nothing_left():
        running = Running(pool, batches(2500, 10))
        fakes.until(begun)
        pool.control.stop(end_source=False)
        release.set()
        results = running.results()
    assert [result.index for result in results] == list(range(2500))
    assert [result.cause for result in results] == [*[None] * begun, *[Cause.CANCELLED] * (2500 - begun)]
    assert len(fakes.begun) == begun


@every_pool
def test_abort_interrupts_what_is_under_way(make_pool: type[BlockingPool]) -> None:
    fakes = FakeEngines(until_aborted)
    pool = make_pool(Run(Settings(workers=2)), fakes.engines(2))
    with nothing_left():
        running = Running(pool, batches(10))
        fakes.until(1 if make_pool is SerialPool else 2)
        pool.control.abort(end_source=False)
        results = running.results()
    assert [result.cause for result in results] == [Cause.CANCELLED] * 10


@every_pool
def test_stop_reads_an_endless_source_no_further(make_pool: type[BlockingPool]) -> None:
    pulled = 0

    def source() -> Iterator[list[Request]]:
        nonlocal pulled
        while True:
            yield [Request("http://h/", pulled)]
            pulled += 1

    fakes = FakeEngines(at_once)
    pool = make_pool(Run(Settings(workers=2)), fakes.engines(2))
    with nothing_left():
        running = Running(pool, source())
        fakes.until(20)
        pool.control.stop()
        results = running.results()
    assert [result.index for result in results] == list(range(len(results)))
    assert pulled <= len(results) + 1


@every_pool
def test_a_run_that_was_stopped_before_it_began_makes_no_attempt(make_pool: type[BlockingPool]) -> None:
    fakes, run = FakeEngines(at_once), Run(Settings(workers=2))
    run.stop()
    with nothing_left():
        assert in_time(lambda: results_of(make_pool(run, fakes.engines(2)), batches(9))) == []
    assert fakes.begun == []


@every_pool
@pytest.mark.usefixtures("no_jitter")
def test_stop_wakes_a_pool_that_waits_for_a_retry(make_pool: type[BlockingPool]) -> None:
    unavailable = AttemptFailed(Cause.CONNECT, "no")
    fakes = FakeEngines(lambda *_: unavailable)
    pool = make_pool(Run(Settings(workers=2, retry_wait=1e6)), fakes.engines(2))
    with nothing_left():
        running = Running(pool, batches(3))
        fakes.until(3)
        pool.control.stop()
        pool.control.stop()
        results = running.results()
    assert [result.index for result in results] == [0, 1, 2]
    assert {result.attempts for result in results} == {1}


@every_pool
def test_closing_the_iterator_ends_the_attempts_and_the_threads(make_pool: type[BlockingPool]) -> None:
    fakes = FakeEngines(lambda engine, request: None if request.index == 0 else until_aborted(engine, request))
    with nothing_left():
        results = make_pool(Run(Settings(workers=3)), fakes.engines(3)).batches(batches(9))
        assert [result.index for result in next(results)] == [0]
        in_time(results.close)  # type: ignore[attr-defined]  # a generator


@every_pool
def test_what_on_start_raises_is_raised_to_who_iterates(make_pool: type[BlockingPool]) -> None:
    def on_start(request: Request, worker: int) -> None:
        assert worker in (1, 2)
        if request.index == 2:
            raise ZeroDivisionError("in the callback")

    fakes = FakeEngines(at_once)
    with nothing_left(), pytest.raises(ZeroDivisionError):
        in_time(lambda: results_of(make_pool(Run(Settings(workers=2)), fakes.engines(2), on_start), batches(9)))
    assert 2 not in [index for _, index in fakes.begun]

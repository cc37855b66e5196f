"""Runs the workers of mode `async`, each as a task."""

from __future__ import annotations

import asyncio
from functools import partial
from inspect import isawaitable
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar

from fetchq.http.robots_txt import Rules, rules_if_refused
from fetchq.http.url import Refused
from fetchq.scheduling.job import JobKind
from fetchq.workers.request_queue import RequestQueue
from fetchq.workers.result_buffer import ResultQueue
from fetchq.workers.run import WORKER_START_DELAY
from fetchq.workers.run_state import RunState
from fetchq.workers.settle import Retry
from fetchq.workers.source_feed import feed_queue, no_stray_cancellation

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Awaitable, Iterable

    from fetchq.core.model import OnStart, Request, Result
    from fetchq.engines.base import AsyncEngine
    from fetchq.inputs.lines import SourceError
    from fetchq.scheduling.job import Job
    from fetchq.workers.run import Run
    from fetchq.workers.worker_clock import WorkerClock

__all__ = ["AsyncPool"]

T = TypeVar("T")

_ROW = JobKind.ROW  # read once: for each row, a lookup in an Enum is slow in Python 3.11
_PARSED_IN_LOOP = 8_192
"""A robots.txt of up to this many bytes is parsed in the event loop, which takes a millisecond or two."""

_STARTED_AT_ONCE = 16
"""How many workers start in one turn of the event loop: if all did, no request would leave before all had dialled."""


class AsyncPool:
    """The workers of a run, as tasks of the running event loop. `run` fetches, and puts the Results into `results`."""

    def __init__(
        self, run: Run, engine: AsyncEngine, on_start: OnStart | None = None, results: ResultQueue | None = None
    ) -> None:
        """`results`: the queue for the Results, if it is not a new one."""
        self._run = run
        self.control = run.control
        self._settler = run.settler
        self._engine = engine
        self.on_start = on_start
        """What is called before each attempt from now on; None if nothing is."""
        self.queue = RequestQueue(run.schedule)
        """The jobs that wait, to which others may be added while the source has not ended."""
        self._feeder: asyncio.Task[SourceError | None] | None = None
        self._cancelled_at_abort: set[asyncio.Future[Any]] = set()
        """Callbacks and address lookups under way, which an abort cancels; the engine aborts its attempts itself."""
        self.results = ResultQueue(run.linger) if results is None else results
        self._idle = run.idle
        self.control.listen(self._on_change)

    async def run(
        self,
        source: Iterable[list[Request]] | AsyncIterable[Request],
        *,
        threaded: bool,
        start_delay: float = WORKER_START_DELAY,
    ) -> None:
        """Fetch all of `source`. `threaded`: whether it may block, and so is read in a thread.

        The workers start when it has ended, or after `start_delay` seconds.

        A bug in fetchq, or an exception of the source or of `on_start`, ends the run and is raised.
        """
        try:
            async with asyncio.TaskGroup() as group:
                self._feeder = feeder = group.create_task(
                    feed_queue(source, self.queue, threaded=threaded), name="fetchq-source"
                )
                feeder.add_done_callback(lambda _: self._idle.input_ended(perf_counter()))
                if not self.control.reads_source:
                    feeder.cancel()
                await asyncio.wait([feeder], timeout=start_delay)
                self._idle.changed(perf_counter())
                workers = []
                for clock in self._run.clocks:
                    workers.append(self._begin_worker(group, clock))
                    if clock.number % _STARTED_AT_ONCE == 0:
                        await asyncio.sleep(0)
                await asyncio.wait([feeder])
                await self.queue.join()
                for worker in workers:
                    worker.cancel()
            if not feeder.cancelled() and (problem := feeder.result()) is not None:
                raise problem
        except BaseExceptionGroup as problems:
            raise _first(problems) from None
        finally:
            self.control.end()
            self.queue.close()
            self.results.close()
            for attempt in self._engine.cancelled:
                self._run.phases.pending.append(attempt.phases)
                self._run.clocks[0].limit_rate += attempt.held  # only the sum over the workers is of interest

    def on_beat(self, now: float) -> None:
        """Sample what the idle workers wait for. To be called every few milliseconds."""
        self._idle.sample(now)
        self._run.phases.add_up()

    def _on_change(self) -> None:
        """React to a stop, an abort or the end of the run."""
        if self.control.state is RunState.ENDED:
            self._idle.end(perf_counter())
            return
        if self._feeder is not None and not self.control.reads_source:
            self._feeder.cancel()
        self.queue.drain()
        if self.control.state is RunState.ABORTING:
            self._engine.abort()
            for waiting in self._cancelled_at_abort:
                waiting.cancel()

    def _begin_worker(self, group: asyncio.TaskGroup, clock: WorkerClock) -> asyncio.Task[None]:
        worker = group.create_task(self._work(clock), name=f"fetchq-worker-{clock.number}")
        worker.add_done_callback(lambda _: self._idle.enter(clock, perf_counter(), ended=True))
        return worker

    async def _work(self, clock: WorkerClock) -> None:
        """Do one job after another, until cancelled."""
        queue, settler, backlog = self.queue, self._settler, self.queue.backlog
        counts_starts = self._run.schedule.counts_starts
        with no_stray_cancellation():
            while True:
                try:
                    job = queue.get_nowait() if backlog.waiting else None
                except asyncio.QueueEmpty:
                    job = None
                if job is None:  # not in the handler: a worker that waits would hold the exception and its frames
                    job = await self._wait_for_job(clock)
                elif clock.is_idle:  # at first
                    self._idle.leave(clock, perf_counter())
                if job.kind is not _ROW:
                    await self._do_internal(job, clock)
                    queue.task_done()
                    continue
                try:
                    target = settler.begin(job)
                    if self.on_start is not None:
                        await self._call_back(self.on_start, job, clock)
                        settler.check_running()
                except Refused as refused:
                    queue.done(job, None)
                    outcome: Result | Retry = settler.refuse(job, refused, clock.number)
                else:
                    job.attempts += 1
                    clock.timer.start()
                    try:
                        on_sent = partial(queue.sent, job) if counts_starts else None
                        attempt = await self._engine.attempt(job.request, target, job.partial, on_sent)
                    finally:
                        clock.busy += clock.timer.stop()
                    queue.done(job, attempt)
                    outcome = settler.settle(job, attempt, clock)
                if isinstance(outcome, Retry):
                    queue.hold(job, outcome.after)
                elif not self.results.offer(outcome):
                    await self._wait_for_room(outcome, clock)
                queue.task_done()

    # --- what a worker waits for ---

    async def _wait_for_job(self, clock: WorkerClock) -> Job:
        self._idle.enter(clock, perf_counter())
        job = await self.queue.get()
        self._idle.leave(clock, perf_counter())
        return job

    async def _call_back(self, on_start: OnStart, job: Job, clock: WorkerClock) -> None:
        began = perf_counter()
        try:
            if isawaitable(waiting := on_start(job.request, clock.number)):
                await self._unless_aborted(waiting)
        finally:
            clock.callback += perf_counter() - began

    async def _wait_for_room(self, result: Result, clock: WorkerClock) -> None:
        began = perf_counter()
        try:
            await self.results.put(result)
        finally:
            clock.output += perf_counter() - began

    # --- internal requests ---

    async def _do_internal(self, job: Job, clock: WorkerClock) -> None:
        """Do an internal job, and tell the schedule its result."""
        if job.kind is JobKind.ADDRESS:
            address = None
            if self.control.state is RunState.RUNNING:
                began = perf_counter()
                try:
                    address = await self._unless_aborted(self._engine.address_of(job.request.url))
                finally:
                    self._run.phases.add("dns", perf_counter() - began)
            self.queue.done(job, None)
            self.queue.learn_address(job, address)
        elif isinstance(outcome := await self._fetch_robots(job, clock), Retry):
            self.queue.hold(job, outcome.after)
        else:
            self.queue.learn_robots(job, outcome)

    async def _fetch_robots(self, job: Job, clock: WorkerClock) -> Rules | Retry:
        try:
            target = self._settler.begin(job)
        except Refused as refused:
            self.queue.done(job, None)
            return rules_if_refused(refused)
        job.attempts += 1
        clock.timer.start()
        try:
            on_sent = partial(self.queue.sent, job)
            attempt = await self._engine.attempt(job.request, target, job.partial, on_sent)
        finally:
            clock.busy += clock.timer.stop()
        self.queue.done(job, attempt)
        if attempt.body.size > _PARSED_IN_LOOP:
            return await asyncio.to_thread(self._settler.settle_robots, job, attempt, clock)
        return self._settler.settle_robots(job, attempt, clock)

    async def _unless_aborted(self, awaitable: Awaitable[T]) -> T | None:
        """The result of `awaitable`; None if the run is aborted first, which cancels the awaitable."""
        waiting = asyncio.ensure_future(awaitable)
        self._cancelled_at_abort.add(waiting)
        try:
            await asyncio.wait([waiting])
            if waiting.cancelled() and self.control.state is RunState.ABORTING:
                return None
            return waiting.result()
        finally:
            self._cancelled_at_abort.discard(waiting)
            waiting.cancel()
            await asyncio.wait([waiting])


def _first(problems: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first exception of a group, so that the caller gets the exception of their own code, not the group."""
    found: BaseException = problems
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found

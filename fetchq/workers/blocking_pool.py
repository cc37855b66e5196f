"""Defines the common part of the pools without an event loop, `thread_pool` and `serial_pool`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from time import perf_counter, time
from typing import TYPE_CHECKING

from fetchq.http.robots_txt import Rules, rules_if_refused
from fetchq.http.url import Refused
from fetchq.scheduling.job import JobKind
from fetchq.workers.run_state import RunState
from fetchq.workers.settle import Retry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from fetchq.core.model import OnStart, Request, Result
    from fetchq.engines.base import BlockingEngine
    from fetchq.http.attempt import Attempt
    from fetchq.http.target import Target
    from fetchq.scheduling.job import Job
    from fetchq.workers.run import Run
    from fetchq.workers.worker_clock import WorkerClock

__all__ = ["BlockingPool"]


class BlockingPool(ABC):
    """The workers of a run without an event loop. Iterating `batches` runs them."""

    def __init__(
        self,
        run: Run,
        engines: list[BlockingEngine],
        on_start: OnStart | None = None,
        on_abort: Callable[[], None] | None = None,
    ) -> None:
        """`engines`: one for each worker. `on_abort` is called when the attempts under way are interrupted."""
        self._run = run
        self._first_worker = run.clocks[0].number
        self.control = run.control
        self._settler = run.settler
        self._schedule = run.schedule
        self._engines = engines
        self._on_start = on_start
        self._on_abort = on_abort
        self._lock: AbstractContextManager[object] = nullcontext()
        """Held while the schedule is told the result of an internal job."""

    @abstractmethod
    def batches(self, source: Iterable[list[Request]]) -> Iterator[list[Result]]:
        """The Results of all of `source`, in batches, as they finish.

        A bug in fetchq, or an exception of the source or of `on_start`, ends the run and is raised.
        """

    @abstractmethod
    def _wake(self) -> None:
        """Wake all waiting threads, so that they see that the state of the run has changed."""

    def _on_change(self) -> None:
        """React to a stop, an abort or the end of the run."""
        self._wake()
        if self.control.state in (RunState.ABORTING, RunState.ENDED):
            if self._on_abort is not None:
                self._on_abort()
            for engine in self._engines:
                engine.abort()

    def _sent(self, job: Job) -> None:
        """Note that the request of a job was sent."""
        self._schedule.sent(job, perf_counter())

    def _fetch(self, job: Job, clock: WorkerClock) -> tuple[Result | Retry, Attempt | None]:
        """Make an attempt at a row, unless it is refused, and settle it."""
        try:
            target = self._settler.begin(job)
            if self._on_start is not None:
                self._call_back(self._on_start, job, clock)
                self._settler.check_running()
        except Refused as refused:
            return self._settler.refuse(job, refused, clock.number), None
        attempt = self._attempt(job, target, clock)
        return self._settler.settle(job, attempt, clock), attempt

    def _call_back(self, on_start: OnStart, job: Job, clock: WorkerClock) -> None:
        began = perf_counter()
        try:
            on_start(job.request, clock.number)
        finally:
            clock.callback += perf_counter() - began

    def _attempt(self, job: Job, target: Target, clock: WorkerClock) -> Attempt:
        job.attempts += 1
        clock.timer.start()
        clock.attempt_began = perf_counter()
        try:
            on_sent = partial(self._sent, job) if self._schedule.counts_starts else None
            return self._engines[clock.number - self._first_worker].attempt(job.request, target, job.partial, on_sent)
        finally:
            clock.attempt_began = None
            clock.busy += clock.timer.stop()

    def _do_internal(self, job: Job, clock: WorkerClock) -> None:
        """Do an internal job, and tell the schedule its result."""
        schedule = self._schedule
        if job.kind is JobKind.ADDRESS:
            address = None
            if self.control.state is RunState.RUNNING:
                clock.attempt_began = began = perf_counter()
                address = self._engines[clock.number - self._first_worker].address_of(job.request.url)
                clock.attempt_began = None
                self._run.phases.add("dns", perf_counter() - began)
            with self._lock:
                schedule.done(job, None, perf_counter(), time())
                schedule.learn_address(job, address, perf_counter())
            return
        outcome, attempt = self._fetch_robots(job, clock)
        with self._lock:
            schedule.done(job, attempt, perf_counter(), time())
            if isinstance(outcome, Retry):
                schedule.hold(job, perf_counter(), outcome.after)
            else:
                schedule.learn_robots(job, outcome, perf_counter())

    def _fetch_robots(self, job: Job, clock: WorkerClock) -> tuple[Rules | Retry, Attempt | None]:
        try:
            target = self._settler.begin(job)
        except Refused as refused:
            return rules_if_refused(refused), None
        attempt = self._attempt(job, target, clock)
        return self._settler.settle_robots(job, attempt, clock), attempt

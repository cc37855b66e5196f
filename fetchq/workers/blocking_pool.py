"""What the pools without an event loop have in common: `thread_pool`, and `serial_pool` for one request at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from time import perf_counter, time
from typing import TYPE_CHECKING

from fetchq.http.robots_txt import Rules
from fetchq.http.url import Refused
from fetchq.scheduling.job import JobKind
from fetchq.workers.run_state import RunState
from fetchq.workers.settle import Retry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from fetchq.core.model import OnStart, Request, Result
    from fetchq.engines.base import BlockingEngine
    from fetchq.http.attempt import Attempt
    from fetchq.http.url import Target
    from fetchq.scheduling.job import Job
    from fetchq.workers.run import Run
    from fetchq.workers.worker_clock import WorkerClock

__all__ = ["BlockingPool"]


class BlockingPool(ABC):
    """The workers of a run, without an event loop. `batches` fetches, in the thread that iterates it."""

    def __init__(
        self,
        run: Run,
        engines: list[BlockingEngine],
        on_start: OnStart | None = None,
        on_abort: Callable[[], None] | None = None,
    ) -> None:
        """`engines`: one for each worker. `on_abort` is called when attempts under way are to be interrupted."""
        self._run = run
        self.control = run.control
        self._settler = run.settler
        self._schedule = run.schedule
        self._engines = engines
        self._on_start = on_start
        self._on_abort = on_abort
        self._lock: AbstractContextManager[object] = nullcontext()
        """Held while the schedule is told what an internal request has brought."""

    @abstractmethod
    def batches(self, source: Iterable[list[Request]]) -> Iterator[list[Result]]:
        """The results of all of `source`, as they come.

        A bug of ours, or an exception of the source or of `on_start`, ends the run and is raised.
        """

    @abstractmethod
    def _wake(self) -> None:
        """Wake all threads that wait, to see that the state of the run has changed."""

    def _on_change(self) -> None:
        """The run has been stopped or aborted, or it has ended."""
        self._wake()
        if self.control.state in (RunState.ABORTING, RunState.ENDED):
            if self._on_abort is not None:
                self._on_abort()
            for engine in self._engines:
                engine.abort()

    def _sent(self, job: Job) -> None:
        """The request of a job is on its way to the server."""
        self._schedule.sent(job, perf_counter())

    def _fetch(self, job: Job, clock: WorkerClock) -> tuple[Result | Retry, Attempt | None]:
        """Make an attempt at a row, if one is to be made, and settle it."""
        try:
            target = self._settler.begin(job)
            if self._on_start is not None:
                self._on_start(job.request, clock.number)
                self._settler.check_running()
        except Refused as refused:
            return self._settler.refuse(job, refused, clock.number), None
        attempt = self._attempt(job, target, clock)
        return self._settler.settle(job, attempt, clock), attempt

    def _attempt(self, job: Job, target: Target, clock: WorkerClock) -> Attempt:
        job.attempts += 1
        clock.timer.start()
        try:
            on_sent = partial(self._sent, job) if self._schedule.counts_starts else None
            return self._engines[clock.number - 1].attempt(job.request, target, job.partial, on_sent)
        finally:
            clock.busy += clock.timer.stop()

    def _do_internal(self, job: Job, clock: WorkerClock) -> None:
        """Make an internal request, and tell the schedule what it has brought."""
        schedule = self._schedule
        if job.kind is JobKind.ADDRESS:
            address = None
            if self.control.state is RunState.RUNNING:
                address = self._engines[clock.number - 1].address_of(job.request.url)
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
            return Rules(unavailable=refused.message), None
        attempt = self._attempt(job, target, clock)
        return self._settler.settle_robots(job, attempt, clock), attempt

"""Runs the workers of mode `sync`, which take turns in one thread."""

from __future__ import annotations

import threading
from itertools import cycle
from time import perf_counter, time
from typing import TYPE_CHECKING, Any

from fetchq.inputs.lines import SourceError
from fetchq.scheduling.backlog import READ_AHEAD
from fetchq.scheduling.job import Job, JobKind
from fetchq.workers.blocking_pool import BlockingPool
from fetchq.workers.idle_time import Idle
from fetchq.workers.run_state import RunState
from fetchq.workers.settle import Retry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fetchq.core.model import Request, Result
    from fetchq.workers.worker_clock import WorkerClock

__all__ = ["SerialPool"]


class SerialPool(BlockingPool):
    """A pool that makes one request at a time: worker 1 makes the first one, then worker 2, and so on in turn."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._changed = threading.Event()
        """Set once the run has been stopped, to end a wait for the next job."""
        self._source_problem: SourceError | None = None
        """The exception that ended the source; raised when the rows before it are done."""
        self.control.listen(self._on_change)

    def batches(self, source: Iterable[list[Request]]) -> Iterator[list[Result]]:
        schedule, control, idle = self._schedule, self.control, self._run.idle
        turns = cycle(self._run.clocks)
        unread: Iterator[list[Request]] | None = iter(source)
        results: list[Result] = []
        try:
            while True:
                now = perf_counter()
                if control.state is not RunState.RUNNING:
                    schedule.end(now)
                schedule.release(now)
                if schedule:
                    idle.one_works(now)
                    results += self._do_next(next(turns))
                    self._run.phases.add_up(at_least=100)
                    if results and not (len(results) < READ_AHEAD and schedule.unfetchable):
                        idle.all_wait(perf_counter(), Idle.OUTPUT)
                        yield results  # now, since the next attempt may take long
                        results = []
                elif unread is not None and control.reads_source and schedule.backlog.low():
                    idle.all_wait(now, Idle.INPUT)
                    if not self._read(unread):
                        unread = None
                        idle.input_ended(perf_counter())
                elif (due := schedule.next_due()) is not None:
                    idle.all_wait(now)
                    self._changed.wait(max(0.0, due - perf_counter()))
                elif self._source_problem is not None:
                    raise self._source_problem
                else:
                    return
        finally:
            idle.end(perf_counter())
            control.end()

    def _do_next(self, clock: WorkerClock) -> tuple[Result, ...]:
        """Do the next job. Returns its Result, unless it is internal or is retried."""
        schedule = self._schedule
        job = schedule.take(perf_counter())
        if job.kind is not JobKind.ROW:
            self._do_internal(job, clock)
            return ()
        outcome, attempt = self._fetch(job, clock)
        schedule.done(job, attempt, perf_counter(), time())
        if isinstance(outcome, Retry):
            schedule.hold(job, perf_counter(), outcome.after)
            return ()
        return (outcome,)

    def _read(self, unread: Iterator[list[Request]]) -> bool:
        """Put the next batch into the schedule. Returns False if the source has ended."""
        try:
            batch = next(unread, None)
        except SourceError as problem:
            self._source_problem = problem
            return False
        if batch is None:
            return False
        now = perf_counter()
        self._schedule.backlog.looked_at(batch)
        for request in batch:
            self._schedule.add(Job(request, now), now)
        return True

    def _wake(self) -> None:
        self._changed.set()

"""Runs the workers of mode `threads`, each in a thread, and reads the source in another one."""

from __future__ import annotations

import threading
from math import inf
from time import perf_counter, time
from typing import TYPE_CHECKING, Any

from fetchq.inputs.lines import SourceError
from fetchq.scheduling.job import Job, JobKind
from fetchq.workers.blocking_pool import BlockingPool
from fetchq.workers.result_buffer import ResultBuffer
from fetchq.workers.run import WORKER_START_DELAY
from fetchq.workers.run_state import RunState
from fetchq.workers.settle import Retry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from fetchq.core.model import Request, Result
    from fetchq.http.attempt import Attempt
    from fetchq.workers.worker_clock import WorkerClock

__all__ = ["LEAST_LINGER", "ThreadPool"]

_MOST_AT_ONCE = 64
"""The most rows for which the lock is held at a time to put them into the schedule."""
LEAST_LINGER = 0.002
"""Seconds for which Results are collected at least: to wake up for each one, the reader would take the GIL from the
workers."""
_SAMPLE_INTERVAL = 0.025
"""Seconds from one sample of what the idle workers wait for to the next."""
_JOIN_TIMEOUT = 5.0
"""Seconds that the threads have to end. One that waits for a resolver cannot be interrupted: it is left as a daemon."""


class ThreadPool(BlockingPool):
    """A pool of worker threads that share one schedule under one lock."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        # One lock, and a condition for each of the four reasons to wait.
        self._lock = lock = threading.RLock()
        self._job_ready = threading.Condition(lock)
        self._source_wanted = threading.Condition(lock)
        self._result_ready = threading.Condition(lock)
        self._buffer_free = threading.Condition(lock)
        self._buffer = ResultBuffer(self._run.linger)
        self._gathering = False
        """Whether the reader has a Result, and waits for more, so that it is not woken for each."""
        self._idle = self._run.idle
        self._watched = inf
        """When the one worker that watches the clock wakes up; inf if none does. Before it does something else, it
        wakes another worker to watch the clock."""
        self._unfinished = 1
        """Rows without a Result, internal jobs under way, and 1 for the source until it ends. At 0 the run ends."""
        self._reading = True
        """Whether the source is still counted in `_unfinished`."""
        self._problem: BaseException | None = None
        """The exception of a thread that ended the run."""
        self._source_problem: SourceError | None = None
        """The exception that ended the source; raised when the rows before it are done."""
        self.control.listen(self._on_change)

    def batches(self, source: Iterable[list[Request]]) -> Iterator[list[Result]]:
        feeder = self._thread("fetchq-source", self._feed, source)
        threads = [self._thread(f"fetchq-worker-{clock.number}", self._work, clock) for clock in self._run.clocks]
        try:
            feeder.start()
            feeder.join(WORKER_START_DELAY)
            with self._lock:
                self._idle.changed(perf_counter())
            for thread in threads:
                thread.start()
            while results := self._take():
                yield results
            if (problem := self._problem or self._source_problem) is not None:
                raise problem
        finally:
            self.control.end()
            until = perf_counter() + _JOIN_TIMEOUT
            for thread in (*threads, feeder):
                if thread.ident is not None:  # otherwise it could not be started
                    thread.join(max(0.0, until - perf_counter()))

    def _wake(self) -> None:
        with self._lock:
            if self.control.state is RunState.ENDED:
                self._idle.end(perf_counter())
            if not self.control.reads_source:
                self._source_ended()
            self._schedule.end(perf_counter())
            for condition in (self._job_ready, self._source_wanted, self._result_ready, self._buffer_free):
                condition.notify_all()

    def _thread(self, name: str, work: Callable[[Any], None], argument: object) -> threading.Thread:
        """A thread whose exception, if it raises one, ends the run."""

        def run() -> None:
            try:
                work(argument)
            except BaseException as problem:  # noqa: BLE001  # raised in the thread that iterates
                with self._lock:
                    self._problem = self._problem or problem
                self.control.end()

        return threading.Thread(target=run, name=name, daemon=True)

    def _finish_one(self) -> None:
        self._unfinished -= 1
        if self._unfinished == 0:
            self.control.end()

    # --- the source ---

    def _feed(self, source: Iterable[list[Request]]) -> None:
        try:
            for batch in source:
                self._schedule.backlog.looked_at(batch)
                for first in range(0, len(batch), _MOST_AT_ONCE):
                    with self._lock:
                        for request in batch[first : first + _MOST_AT_ONCE]:
                            while self._schedule.backlog.full() and self.control.reads_source:
                                self._source_wanted.wait()
                            if not self.control.reads_source:
                                return
                            self._unfinished += 1
                            now = perf_counter()
                            self._schedule.add(Job(request, now), now)
                            self._job_ready.notify()
        except SourceError as problem:
            self._source_problem = problem
        with self._lock:
            self._source_ended()

    def _source_ended(self) -> None:
        """Note that the source has no more rows, or that the run reads no more of them."""
        if self._reading:
            self._reading = False
            self._idle.input_ended(perf_counter())
            self._finish_one()

    # --- the workers ---

    def _work(self, clock: WorkerClock) -> None:
        try:
            job = self._next(clock)
            while job is not None:
                outcome: Result | Retry | None = None
                attempt: Attempt | None = None
                if job.kind is JobKind.ROW:
                    outcome, attempt = self._fetch(job, clock)
                else:
                    self._do_internal(job, clock)
                with self._lock:  # once for each row, since the workers wait for it, and for the GIL after that
                    self._done(job, outcome, attempt, clock)
                    job = self._next(clock)
        finally:
            with self._lock:
                self._idle.enter(clock, perf_counter(), ended=True)

    def _done(self, job: Job, outcome: Result | Retry | None, attempt: Attempt | None, clock: WorkerClock) -> None:
        """Note the outcome of a job; None if it is internal."""
        if outcome is not None:
            self._schedule.done(job, attempt, perf_counter(), time())
        if isinstance(outcome, Retry):
            self._schedule.hold(job, perf_counter(), outcome.after)
            self._job_ready.notify()  # a worker has to watch the clock for this job
            return
        if outcome is None:
            self._job_ready.notify()  # a worker has to watch the clock for jobs that are held now
        else:
            self._deliver(outcome, clock)
        self._finish_one()

    def _sent(self, job: Job) -> None:
        with self._lock:
            super()._sent(job)
            self._job_ready.notify()

    def _next(self, clock: WorkerClock) -> Job | None:
        """Wait for the next job, and return it; None if the run has ended."""
        schedule = self._schedule
        with self._lock:
            while self.control.state is not RunState.ENDED:
                now = perf_counter()
                schedule.release(now)
                job = schedule.take(now) if schedule else None
                if schedule.backlog.low():
                    self._source_wanted.notify()
                if job is not None:
                    if job.kind is not JobKind.ROW:
                        self._unfinished += 1
                    if schedule or schedule.next_due() is not None:
                        self._job_ready.notify()
                    if clock.is_idle:
                        self._idle.leave(clock, now)
                    return job
                self._idle.enter(clock, now)
                self._wait_for(schedule.next_due())
            return None

    def _wait_for(self, due: float | None) -> None:
        """Wait until something changes, or until `due` (`time.perf_counter`). Only one worker watches the clock.

        If all did, hundreds of threads would wake up for one request, and slow each other down.
        """
        if due is None or due >= self._watched:
            self._job_ready.wait()
        else:
            self._watched = due
            self._job_ready.wait(max(0.0, due - perf_counter()))
            if self._watched == due:
                self._watched = inf

    # --- the results ---

    def _deliver(self, result: Result, clock: WorkerClock) -> None:
        while not self._buffer.add(result):
            if self.control.state is RunState.ENDED:
                return  # nobody reads Results any more
            self._job_ready.notify()  # another worker may have to watch the clock meanwhile
            began = perf_counter()
            self._buffer_free.wait()
            clock.output += perf_counter() - began
        if not self._gathering or self._buffer.ample:
            self._result_ready.notify()

    def _take(self) -> list[Result]:
        """Wait for a Result, and return all there are; an empty list if the run has ended."""
        control, buffer = self.control, self._buffer
        with self._lock:
            while not buffer and control.state is not RunState.ENDED:
                self._result_ready.wait(_SAMPLE_INTERVAL)
                self._sample()
            self._gathering = True
            until = perf_counter() + max(self._run.linger, LEAST_LINGER)
            while not buffer.ample and control.state is not RunState.ENDED:
                if (left := until - perf_counter()) <= 0:
                    break
                self._result_ready.wait(min(left, _SAMPLE_INTERVAL))
                self._sample()
            self._gathering = False
            results = buffer.take_all()
            self._buffer_free.notify_all()
            self._run.phases.add_up(at_least=100)  # a reader slower than the workers never waits above
            return results

    def _sample(self) -> None:
        """Sample what the idle workers wait for; they only do so themselves when they begin to wait."""
        self._idle.sample(perf_counter())
        self._run.phases.add_up()

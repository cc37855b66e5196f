"""The pool of mode `threads`: a thread for each worker."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from math import inf
from time import perf_counter, time
from typing import TYPE_CHECKING, Any

from fetchq.inputs.lines import SourceError
from fetchq.scheduling.job import Job, JobKind
from fetchq.workers.blocking_pool import BlockingPool
from fetchq.workers.settle import HEAD_START

if TYPE_CHECKING:
    from fetchq.core.model import Request, Result

__all__ = ["ThreadPool"]

_JOIN = 5.0
"""Seconds a thread gets to end; one that waits for a resolver cannot be interrupted, and does not keep the process."""


class ThreadPool(BlockingPool):
    """A thread for each worker, and one that reads the source."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        # Four reasons to wait, one lock.
        self._lock = threading.RLock()
        self._ready = threading.Condition(self._lock)
        self._wanted = threading.Condition(self._lock)
        self._written = threading.Condition(self._lock)
        self._space = threading.Condition(self._lock)
        self._watched = inf
        """When a worker that waits will look for what is due by then; who goes on to something else wakes another."""
        self._open = 0
        self._source_ended = False
        self._abandoned = False
        self._problem: BaseException | None = None
        self._source_problem: SourceError | None = None

    def batches(self, source: Iterable[list[Request]]) -> Iterator[list[Result]]:
        threads = [
            threading.Thread(
                target=self._guarded, args=(self._work, number), name=f"fetchq-worker-{number}", daemon=True
            )
            for number in range(1, len(self._engines) + 1)
        ]
        feeder = threading.Thread(target=self._guarded, args=(self._feed, source), name="fetchq-source", daemon=True)
        threads.append(feeder)
        try:
            feeder.start()
            feeder.join(HEAD_START)
            for thread in threads[:-1]:
                thread.start()
            while results := self._take():
                yield results
            if self._problem is not None:
                raise self._problem
            if self._source_problem is not None:
                raise self._source_problem
        finally:
            self._abandon()
            until = perf_counter() + _JOIN
            for thread in threads:
                if thread.ident is not None:  # else it could not be started
                    thread.join(max(0.0, until - perf_counter()))

    def stop(self, *, end_source: bool = True) -> None:
        with self._lock:
            self.desk.stopping = True
            if end_source:
                self._source_ended = True
            self._schedule.end(perf_counter())
            self._wake_all()

    def _abandon(self) -> None:
        """Nobody wants the results any more."""
        with self._lock:
            self._abandoned = True
            finished = self._finished
        if not finished:
            self.abort()
        with self._lock:
            self._wake_all()

    @property
    def _finished(self) -> bool:
        return self._source_ended and self._open == 0 and not self._schedule.asking

    def _wake_all(self) -> None:
        for condition in (self._ready, self._wanted, self._written, self._space):
            condition.notify_all()

    def _guarded(self, work: Callable[..., None], *args: object) -> None:
        try:
            work(*args)
        except BaseException as problem:  # noqa: BLE001  # it is raised in the thread that iterates
            with self._lock:
                self._problem = self._problem or problem
                self._wake_all()

    def _feed(self, source: Iterable[list[Request]]) -> None:
        try:
            self._feed_all(source)
        except SourceError as problem:
            self._source_problem = problem  # raised when what was read before is done
        with self._lock:
            self._source_ended = True
            if self._finished:
                self._wake_all()

    def _feed_all(self, source: Iterable[list[Request]]) -> None:
        for batch in source:
            for request in batch:
                with self._lock:
                    while self._schedule.full() and not self._ending:
                        self._wanted.wait()
                    if self._ending:
                        return
                    self._open += 1
                    now = perf_counter()
                    self._schedule.add(Job(request, now), now)
                    self._ready.notify()

    @property
    def _ending(self) -> bool:
        return self._source_ended or self._abandoned or self._problem is not None

    def _work(self, number: int) -> None:
        timer = self.desk.timer()
        while (job := self._next()) is not None:
            if job.kind is not JobKind.ROW:
                self._do_internal(job, number, timer, self._lock)
                with self._lock:
                    self._ready.notify()  # somebody must wait for what is due now
                    if self._finished:
                        self._wake_all()
                continue
            settled, attempt = self._answer(job, number, timer)
            with self._lock:
                self._schedule.done(job, attempt, perf_counter(), time())
                if isinstance(settled, float):
                    self._schedule.hold(job, perf_counter(), settled)
                    self._ready.notify()  # somebody must wait for this one now
                else:
                    self._deliver(settled)

    def _went_out(self, job: Job) -> None:
        with self._lock:
            super()._went_out(job)
            self._ready.notify()

    def _next(self) -> Job | None:
        """The next job, waiting for one; None when there will be none."""
        with self._lock:
            while not (self._finished or self._abandoned or self._problem is not None):
                now = perf_counter()
                self._schedule.release(now)
                if self._schedule:
                    job = self._schedule.take(now)
                    if self._schedule.hungry():
                        self._wanted.notify()
                    if self._schedule or self._schedule.next_due() is not None:
                        self._ready.notify()
                    return job
                if self._schedule.hungry():
                    self._wanted.notify()
                self._wait_for(self._schedule.next_due())
            return None

    def _wait_for(self, due: float | None) -> None:
        """Wait until something changes, or it is that late; but only one worker looks at the clock.

        If all did, hundreds would wake up for one request, and keep each other from sending it.
        """
        if due is None or due >= self._watched:
            self._ready.wait()
        else:
            self._watched = due
            self._ready.wait(max(0.0, due - perf_counter()))
            if self._watched == due:
                self._watched = inf

    def _deliver(self, result: Result) -> None:
        while self._backlog.full() and not self._abandoned:
            self._ready.notify()  # somebody else may have to look at the clock meanwhile
            self._space.wait()
        self._backlog.add(result)
        self._open -= 1
        self._written.notify()
        if self._finished:
            self._wake_all()

    def _take(self) -> list[Result]:
        with self._lock:
            while not self._backlog and not self._finished and self._problem is None:
                self._written.wait()
            until = perf_counter() + self._linger
            while not (self._backlog.ample() or self._finished or self._abandoned or self._problem is not None):
                if (left := until - perf_counter()) <= 0:
                    break
                self._written.wait(left)
            results = self._backlog.take_all()
            self._space.notify_all()
            return results

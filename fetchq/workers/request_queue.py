"""Adapts a schedule to the interface of asyncio.Queue, for the asyncio workers."""

from __future__ import annotations

import asyncio
from itertools import islice
from math import inf
from time import perf_counter, time
from typing import TYPE_CHECKING

from fetchq.scheduling.backlog import long_size
from fetchq.scheduling.job import Job, JobKind
from fetchq.workers.release_timer import ReleaseTimer

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Iterator, Sequence

    from fetchq.core.model import Request
    from fetchq.http.attempt import Attempt
    from fetchq.http.robots_txt import Rules
    from fetchq.scheduling.schedule import Schedule

__all__ = ["RequestQueue"]

_ROW = JobKind.ROW  # read once: for each row, a lookup in an Enum is slow in Python 3.11


class RequestQueue(asyncio.Queue[Job]):
    """Gives out the jobs that may go now; the others wait in the queue, without occupying a worker.

    It is used like any asyncio.Queue: workers call `task_done` after each `get`, and `join` waits until all jobs are
    done. `put` waits while the schedule is full. It differs in two ways: `put_nowait` never raises QueueFull, and
    `shutdown` is not supported.
    """

    # Attributes of asyncio.Queue, which `put_nowait` and `get_nowait` update here as well.
    _getters: deque[asyncio.Future[None]]
    _putters: deque[asyncio.Future[None]]
    _unfinished_tasks: int
    _finished: asyncio.Event

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self.backlog = schedule.backlog
        self._delayed = schedule.delayed.heap  # always the same list
        self._timer = ReleaseTimer(schedule, self.notify)
        super().__init__()

    def _init(self, maxsize: int) -> None:
        self._queue = self._schedule  # used by `empty`, `qsize` and `get`

    def full(self) -> bool:
        """Whether as many jobs wait as may be read ahead of the workers."""
        return self.backlog.full()

    def put_nowait(self, item: Job) -> None:
        """Add a job, even if the queue is full."""
        if not self._unfinished_tasks:
            self._finished.clear()
        self._unfinished_tasks += 1
        self._schedule.add(item, perf_counter())
        self.notify()

    async def put_all(self, batch: Sequence[Request]) -> None:
        """Add a job for each request of a batch, waiting whenever the queue is full; faster than a `put` for each."""
        left = iter(self.backlog.looked_at(batch))
        while True:
            if not self.put_ready(left):  # the queue is full, or there are no more
                if (request := next(left, None)) is None:
                    return
                await self.put(Job(request, perf_counter()))

    def put_ready(self, requests: Iterator[Request], until: float = inf, *, look: bool = False) -> int:
        """Add jobs for the next of `requests` for which there is room now, or until a time. Returns how many.

        `look`: whether the backlog is to know which are long rows; if not, it has `looked_at` their batch.
        """
        schedule, backlog, added = self._schedule, self.backlog, 0
        room = backlog.room()
        try:
            for request in islice(requests, max(room, 0)):
                now = perf_counter()
                if look and not backlog.weighs and long_size(request):
                    backlog.weighs = True
                schedule.add(Job(request, now), now)
                added += 1
                if now > until:
                    break
        finally:  # the next request may raise
            if added:
                if not self._unfinished_tasks:
                    self._finished.clear()
                self._unfinished_tasks += added
                if self._getters or self._delayed or schedule.rate_limited:
                    self.notify()
        return added

    def get_nowait(self) -> Job:
        """Remove and return the next job. Raises `asyncio.QueueEmpty` if none may go now."""
        schedule = self._schedule
        try:
            job = schedule.take(perf_counter())
        except IndexError:
            self.notify()
            raise asyncio.QueueEmpty from None
        if job.kind is not _ROW:
            self._unfinished_tasks += 1  # the schedule has made this job; it was never `put`
        if self._getters or self._delayed or schedule.rate_limited:
            self.notify()
        elif self._putters and self.backlog.low():
            _wake_one(self._putters)
        return job

    def done(self, job: Job, attempt: Attempt | None) -> None:
        """Note that the attempt at a job is over; None if none was made. The next job of its host may go now.

        This does not wake a waiting `put`, since the worker gets another job next, and that does.
        """
        schedule = self._schedule
        schedule.done(job, attempt, perf_counter(), time())
        if self._getters or self._delayed or schedule.rate_limited:
            self.notify()

    def hold(self, job: Job, delay: float) -> None:
        """Put a job back, which is given out again in `delay` seconds at the earliest."""
        if job.kind is _ROW:
            self._unfinished_tasks += 1
        self._schedule.hold(job, perf_counter(), delay)
        self.notify()

    def sent(self, job: Job) -> None:
        """Note that the request of a job was sent. To be called if the schedule `counts_starts`."""
        self._schedule.sent(job, perf_counter())
        self.notify()

    def learn_robots(self, job: Job, rules: Rules) -> None:
        """Take the rules that a job has fetched, after its `done`."""
        self._schedule.learn_robots(job, rules, perf_counter())
        self.notify()

    def learn_address(self, job: Job, address: str | None) -> None:
        """Take the address that a job has looked up, after its `done`; None if there is none."""
        self._schedule.learn_address(job, address, perf_counter())
        self.notify()

    def drain(self) -> None:
        """Hold no job back any more: all are given out at once, so that they end as `cancelled`."""
        self._schedule.end(perf_counter())
        self.notify()
        self.close()

    def close(self) -> None:
        """Stop the timer."""
        self._timer.cancel()

    def notify(self) -> None:
        """Wake a worker if a job may go, wake a waiting `put` if there is room again, and arm the timer."""
        schedule = self._schedule
        if self._getters and self.backlog.waiting and schedule:
            _wake_one(self._getters)  # which wakes the next one when it takes its job
        if self._putters and self.backlog.low():
            _wake_one(self._putters)
        if schedule.timed:
            self._timer.arm()


def _wake_one(waiters: deque[asyncio.Future[None]]) -> None:
    while waiters:
        waiter = waiters.popleft()
        if not waiter.done():
            waiter.set_result(None)
            return

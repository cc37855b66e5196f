"""The queue of the async pool: an asyncio.Queue over the Schedule.

It brings its own put_nowait and get_nowait, and not only what they call: those of asyncio ask three times whether there
is anything, and count for `join`, which nobody calls here.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from math import inf
from time import perf_counter, time
from typing import TYPE_CHECKING

from fetchq.scheduling.job import Job
from fetchq.scheduling.robots_gate import schedule_for
from fetchq.workers.result_buffer import ResultBuffer

if TYPE_CHECKING:
    from fetchq.core.model import Result
    from fetchq.core.settings import Settings
    from fetchq.http.attempt import Attempt
    from fetchq.http.robots_txt import RobotsCache, Rules
    from fetchq.scheduling.congestion import HostNote

__all__ = ["RequestQueue", "ResultQueue"]

_TICK = 0.001
"""Seconds: what the loop's timers can tell apart."""


class RequestQueue(asyncio.Queue[Job]):
    """What may go now comes out, in the order of the schedule; the rest waits inside, and costs no worker."""

    def __init__(self, settings: Settings, book: RobotsCache | None = None, most: float = inf) -> None:
        """`book`: the rules of hosts, where robots.txt is obeyed. `most`: attempts that this machine bears at once."""
        self._schedule = schedule_for(settings, book, most)
        super().__init__()

    def _init(self, maxsize: int) -> None:
        self._queue = self._schedule  # asyncio.Queue asks it whether there is something to get
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._armed_for = inf
        self._room: asyncio.Future[None] | None = None
        self._waiters: deque[asyncio.Future[None]] = deque()

    def put_nowait(self, item: Job) -> None:
        """A job waits from now on. There is always room: `sated` and `room` are what the source has to heed."""
        self._schedule.add(item, perf_counter())
        self._changed()

    async def get(self) -> Job:
        """What may go next, waiting for it: also for the time to come, which asyncio's own would not notice."""
        while True:
            with suppress(asyncio.QueueEmpty):
                return self.get_nowait()
            waiter = self._loop.create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if not waiter.cancelled():
                    self._wake()  # another one, to take what this one was woken for
                raise

    def get_nowait(self) -> Job:
        """What may go next. Raises `asyncio.QueueEmpty` when there is nothing."""
        try:
            job = self._schedule.take(perf_counter())
        except IndexError:
            raise asyncio.QueueEmpty from None
        self._changed()
        return job

    def done(self, job: Job, attempt: Attempt | None) -> None:
        """A job that was got goes no further, or will be held: what became of the attempt, where one was made."""
        self._schedule.done(job, attempt, perf_counter(), time())
        self._changed()

    @property
    def asking(self) -> int:
        """Hosts whose robots.txt is on its way."""
        return self._schedule.asking

    def learn_robots(self, job: Job, rules: Rules) -> None:
        """The rules that a job for a robots.txt, which is done, has brought."""
        self._schedule.learn_robots(job, rules, perf_counter())
        self._changed()

    def learn_address(self, job: Job, address: str | None) -> None:
        """The address that a job for one has brought; None: nobody knows it."""
        self._schedule.learn_address(job, address, perf_counter())
        self._changed()

    @property
    def counts_starts(self) -> bool:
        """It wants to be told when attempts go out."""
        return self._schedule.counts_starts

    def went_out(self, job: Job) -> None:
        """The attempt at a job that was got is on its way to the server."""
        self._schedule.went_out(job, perf_counter())
        self._changed()

    def hold(self, job: Job, delay: float) -> None:
        """Give `job` out again, but not within the next `delay` seconds."""
        self._schedule.hold(job, perf_counter(), delay)
        self._arm()

    def end(self) -> None:
        """Hold nothing back any more."""
        self._schedule.end(perf_counter())
        self._changed()
        self.close()

    def notes(self) -> list[HostNote]:
        """What was done about which hosts."""
        return self._schedule.notes()

    def close(self) -> None:
        """Stop the timer, and let the source go on."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._armed_for = inf
        self._open_room()

    # --- the source ---

    def sated(self) -> bool:
        """Enough was read from the source."""
        return self._schedule.full()

    async def room(self) -> None:
        """Wait until the queue, being sated, wants more from the source. For one caller at a time."""
        self._room = self._loop.create_future()
        await self._room

    def _open_room(self) -> None:
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    # --- the workers ---

    def _changed(self) -> None:
        """Whoever waits for what has changed is woken: a worker, the source, the timer."""
        if self._waiters and self._schedule:
            self._wake()  # who wakes the next one, when it has got a job
        if self._room is not None and self._schedule.hungry():
            self._open_room()
        if self._schedule.timed:
            self._arm()

    def _wake(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def _arm(self) -> None:
        due = self._schedule.next_due()
        if due is None or due >= self._armed_for:
            return  # a timer that comes too early arms the next one
        if self._timer is not None:
            self._timer.cancel()
        self._armed_for = due
        self._timer = self._loop.call_later(max(_TICK, due - perf_counter()), self._release)

    def _release(self) -> None:
        self._timer = None
        self._armed_for = inf
        self._schedule.release(perf_counter())
        self._changed()


class ResultQueue:
    """The Results on their way to the one writer, which waits for them; and those who bring them wait for space."""

    def __init__(self) -> None:
        self._backlog = ResultBuffer()
        self._closed = self._gathering = False
        self._taker: asyncio.Future[None] | None = None
        self._putters: list[asyncio.Future[None]] = []
        self._loop = asyncio.get_running_loop()

    async def put(self, result: Result) -> None:
        """Hand over a result; wait while the writer has too much to write already."""
        while not self.offer(result):
            putter = self._loop.create_future()
            self._putters.append(putter)
            await putter

    def offer(self, result: Result) -> bool:
        """`put` without waiting. False when there is no space."""
        if self._backlog.full():
            return False
        self._backlog.add(result)
        if self._taker is not None and (not self._gathering or self._backlog.ample()):
            self._wake_taker()
        return True

    def close(self) -> None:
        """No more results come."""
        self._closed = True
        self._wake_taker()

    async def take(self, linger: float = 0.0) -> list[Result]:
        """All results there are, waiting for the first; an empty list when no more come. For one caller.

        After the first one more may gather for `linger` seconds, unless there are enough to be worth while before.
        """
        while not self._backlog and not self._closed:
            await self._woken()
        if linger > 0 and not self._closed and not self._backlog.ample():
            self._gathering = True
            timer = self._loop.call_later(linger, self._wake_taker)
            try:
                await self._woken()
            finally:
                timer.cancel()
                self._gathering = False
        results = self._backlog.take_all()
        putters, self._putters = self._putters, []
        for putter in putters:
            if not putter.done():
                putter.set_result(None)
        return results

    async def _woken(self) -> None:
        self._taker = self._loop.create_future()
        await self._taker

    def _wake_taker(self) -> None:
        taker, self._taker = self._taker, None
        if taker is not None and not taker.done():
            taker.set_result(None)

"""The queue of the async pool: an asyncio.Queue over the Schedule, made in the way that asyncio documents."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import TYPE_CHECKING

from fetchq.backlog import Backlog
from fetchq.schedule import Job, Schedule

if TYPE_CHECKING:
    from fetchq.model import Result

__all__ = ["Outbox", "RequestQueue"]


class RequestQueue(asyncio.Queue[Job]):
    """Ready jobs come out in order; held ones wait inside until they are due, and cost no worker."""

    def _init(self, maxsize: int) -> None:
        self._queue = self._schedule = Schedule()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._room: asyncio.Future[None] | None = None

    def _put(self, item: Job) -> None:
        self._schedule.add(item)

    def _get(self) -> Job:
        job = self._schedule.take()
        if self._room is not None and self._schedule.hungry():
            self._open_room()
        return job

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

    def hold(self, job: Job, delay: float) -> None:
        """Give `job` out again, but not within the next `delay` seconds."""
        self._schedule.hold(job, perf_counter(), delay)
        self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        due = self._schedule.next_due()
        self._timer = None if due is None else self._loop.call_later(max(0.0, due - perf_counter()), self._release)

    def _release(self) -> None:
        for job in self._schedule.release(perf_counter()):
            self.put_nowait(job)
        self._arm()

    def empty_out(self) -> list[Job]:
        """All jobs that wait, ready or held."""
        jobs = self._schedule.drain(perf_counter())
        self.close()
        return jobs

    def close(self) -> None:
        """Stop the timer, and let the source go on."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._open_room()


class Outbox:
    """The Results on their way to the one writer, which waits for them; and those who bring them wait for space."""

    def __init__(self) -> None:
        self._backlog = Backlog()
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
        if not self._gathering or self._backlog.ample():
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

"""One call of a Client: its rows, on their way into the shared run and back as Results."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from fetchq.scheduling.backlog import MOST_BYTES, READ_AHEAD, long_size
from fetchq.workers.call_rows import CallRows
from fetchq.workers.result_buffer import ResultBuffer
from fetchq.workers.shared_run import CALL_BITS, cancelled

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Iterable

    from fetchq.core.model import OnStart, Request, Result
    from fetchq.inputs.iterables import Row
    from fetchq.scheduling.job import Job
    from fetchq.workers.shared_run import SharedRun

__all__ = ["Call"]

_MOST_HELD = 10_000
"""The most rows of one call that wait or are under way, while hosts hold back most of them."""
_CANCELLED_AT_ONCE = 100
"""How many rows that were never put into the queue get their Results at a time."""


class Call:
    """The rows of one call. After `begin`, `take` gives the Results; `end` must be called whatever happens."""

    def __init__(
        self,
        run: SharedRun,
        urls: Iterable[Row] | AsyncIterable[Row],
        deadline: float | None = None,
        on_start: OnStart | None = None,
    ) -> None:
        """`deadline`: seconds from `begin` until the rows that are left are cancelled. Raises TypeError."""
        self._run = run
        self.on_start = on_start
        self._deadline = deadline
        self._rows = CallRows(urls, run.settings.params)
        self._number = 0
        self._jobs: dict[int, Job] = {}
        """The rows that wait or are under way, by their index."""
        self._long_bytes = 0
        """The bytes of the long rows among them."""
        self._buffer = ResultBuffer()
        self._surplus: list[Result] = []
        """Results of attempts that were under way when the buffer became full."""
        self._parked: list[Job] = []
        """Rows that were taken out of the queue, since the buffer is full."""
        self.stopped = False
        """Whether its rows are cancelled: at the deadline, since the Client closes, or since the call has ended."""
        self._problem: BaseException | None = None
        self._reader: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._callbacks: set[asyncio.Future[Any]] = set()
        """What `on_start` has returned, and is waited for."""

    def begin(self) -> None:
        """Put the first rows into the queue. Raises RuntimeError where the Client cannot fetch, and TypeError."""
        self._run.check()
        self._number = self._run.add(self)
        if self._deadline is not None:
            self._timer = asyncio.get_running_loop().call_later(self._deadline, self.stop)
        self._rows.begin(self, self._number << CALL_BITS)

    async def take(self) -> list[Result]:
        """Wait for a Result, and return all there are; an empty list at the end.

        Raises the exception of the caller's iterable or callback, if one has ended the call, and bugs.
        """
        while not self._buffer and self._problem is None:
            if not self._jobs and (self._rows.all_read or self.stopped):
                unread = self._rows.unread(_CANCELLED_AT_ONCE)
                return [self._run.numbered(self._run.refuse(job)) for job in unread]
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        if self._problem is not None:
            raise self._problem
        results = self._buffer.take_all()
        if self._surplus:
            results += self._surplus
            self._surplus = []
        if self._parked:
            parked, self._parked = self._parked, []
            for job in parked:
                self._run.pool.queue.put_nowait(job)
        self._rows.make_room()
        return results

    def put(self, index: int, job: Job) -> None:
        """Put the next row into the queue."""
        self._long_bytes += long_size(job.request)
        self._jobs[index] = job
        self._run.pool.queue.put_nowait(job)

    def is_full(self) -> bool:
        """Whether no more rows should be read for now."""
        if self._parked or self._surplus or self._buffer.ample or self._long_bytes >= MOST_BYTES:
            return True
        count = len(self._jobs)
        return count >= READ_AHEAD and (self._run.schedule.backlog.full() or count >= _MOST_HELD)

    def deliver(self, result: Result) -> None:
        """Take a Result from the run."""
        job = self._jobs.pop(result.index)
        if self._long_bytes:
            self._long_bytes = max(0, self._long_bytes - long_size(job.request))
        if self._buffer.add(result):
            self._rows.make_room()
        else:
            self._surplus.append(result)
            if not self.stopped:  # nobody takes the Results that are there: the rows that wait are held back
                self._parked += self._run.withdraw(self._jobs.values())
        self.wake()

    def stop(self) -> None:
        """Cancel the rows that are left: each gets the Result `cancelled`, as far as the end of the rows is known."""
        if self.stopped:
            return
        self.stopped = True
        self._rows.stop()
        waiting = [*self._run.withdraw(self._jobs.values()), *self._parked]
        self._parked = []
        for job in waiting:
            self._run.deliver(self._run.refuse(job))
        for job in self._jobs.values():
            job.refused = cancelled()  # so that it is not tried again
        self._run.cancel_attempts()
        for callback in self._callbacks:
            callback.cancel()
        self.wake()

    def fail(self, problem: BaseException) -> None:
        """End the call: `take` raises `problem`."""
        if self._problem is None:
            self._problem = problem
            self.stop()
            self.wake()

    def end(self) -> None:
        """Forget the call: take its rows out of the queue, and cancel those under way."""
        if self._timer is not None:
            self._timer.cancel()
        self._run.remove(self._number)
        if self._jobs or not self._rows.all_read:
            self.stop()

    async def ended(self) -> None:
        """Wait until the caller's iterable is not read any more. To be awaited after `end`."""
        await self._rows.wait()

    async def started(self, request: Request, worker: int) -> None:
        """Call the caller's `on_start`. Raises `Refused` if the row is not to be fetched any more."""
        assert self.on_start is not None, "it is asked before"
        try:
            asked = replace(request, index=request.index - (self._number << CALL_BITS))
            if isawaitable(awaitable := self.on_start(asked, worker)):
                await self._unless_stopped(asyncio.ensure_future(awaitable))
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) is None or task.cancelling():
                raise
            self.fail(RuntimeError("a callback was cancelled"))
        except Exception as problem:  # noqa: BLE001  # raised in the caller's task, by `take`
            self.fail(problem)
        if self.stopped:
            raise cancelled()

    def wake(self) -> None:
        """Let `take` look whether there is something new."""
        reader, self._reader = self._reader, None
        if reader is not None and not reader.done():
            reader.set_result(None)

    async def _unless_stopped(self, waiting: asyncio.Future[Any]) -> None:
        self._callbacks.add(waiting)
        try:
            await asyncio.wait([waiting])
            if not waiting.cancelled():
                waiting.result()
            elif not self.stopped:
                raise RuntimeError("a callback was cancelled")
        finally:
            self._callbacks.discard(waiting)
            if not waiting.done():
                waiting.cancel()
                await asyncio.wait([waiting])

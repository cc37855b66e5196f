"""Runs the rows of many calls together, with one engine and one schedule, in one event loop.

A row's index in the run has the number of its call in the high bits, and the row's index within the call in the others.
"""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import TYPE_CHECKING, Protocol

from fetchq.core.model import Cause
from fetchq.engines import async_engine
from fetchq.http.failure import RUN_ENDED
from fetchq.http.url import Refused
from fetchq.scheduling.withdrawal import withdraw
from fetchq.workers.async_pool import AsyncPool
from fetchq.workers.result_buffer import ResultQueue
from fetchq.workers.run import Run

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable

    from fetchq.core.model import OnStart, Request, Result
    from fetchq.core.settings import Settings
    from fetchq.scheduling.job import Job

__all__ = ["CALL_BITS", "SharedRun"]

CALL_BITS = 40
"""The bits of a row's index in the run that are its index within the call. Calls have numbers from 1."""
_INDEX = (1 << CALL_BITS) - 1


class CallOfRun(Protocol):
    """One call, whose rows are fetched in the run."""

    on_start: OnStart | None
    """What is called before each attempt, through `started`; None if nothing is."""
    stopped: bool
    """Whether the attempts at its rows are to end."""

    async def started(self, request: Request, worker: int) -> None:
        """Call `on_start`. Raises `Refused` if the row is not to be fetched any more."""

    def deliver(self, result: Result) -> None:
        """Take a Result."""

    def stop(self) -> None:
        """Cancel the rows that are left."""

    def fail(self, problem: BaseException) -> None:
        """End the call with this exception."""


class SharedRun(Run):
    """A run of mode `async` that fetches the rows of all calls, from `start` to `close`."""

    def __init__(self, settings: Settings, on_result: Callable[[Result], None]) -> None:
        """`on_result` is called with each Result of each call. Raises `SettingsError`."""
        super().__init__(settings)
        self.calls: dict[int, CallOfRun] = {}
        """The calls under way, by their numbers."""
        self._last_call = 0
        self._watching = 0
        """How many of the calls have an `on_start`: asking each row's call takes time."""
        self._on_result = on_result
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._problem: BaseException | None = None
        """The exception that has ended the run, a bug in fetchq."""

    def start(self) -> None:
        """Begin to wait for calls, which belong to the running event loop from now on. Raises RuntimeError."""
        if self._loop is not None:
            raise RuntimeError("a Client is entered once")
        self._loop = loop = asyncio.get_running_loop()
        self._engine = async_engine(self.settings, self.robots, self.proxies, self.cookies)
        self.pool = AsyncPool(self, self._engine, None, _CallResults(self))
        self.begin()
        running = self.pool.run(_no_rows(), threaded=False, start_delay=0)
        self._task = loop.create_task(running, name="fetchq-run")
        self._task.add_done_callback(self._ended)

    def check(self) -> None:
        """Raise RuntimeError unless a call may begin in the running event loop."""
        if self._loop is None:
            raise RuntimeError("a Client fetches inside `async with` alone")
        if self._problem is not None:
            raise RuntimeError("the Client has failed") from self._problem
        if self._closed:
            raise RuntimeError("the Client is closed")
        if asyncio.get_running_loop() is not self._loop:
            raise RuntimeError("a Client belongs to the event loop in which it was entered")

    def add(self, call: CallOfRun) -> int:
        """Note a call that begins. Returns its number."""
        self._last_call += 1
        self.calls[self._last_call] = call
        if call.on_start is not None:
            self._watching += 1
            self.pool.on_start = self._on_start
        return self._last_call

    def remove(self, number: int) -> None:
        """Forget a call that ends, if it has begun."""
        call = self.calls.pop(number, None)
        if call is not None and call.on_start is not None:
            self._watching -= 1
            if not self._watching:
                self.pool.on_start = None

    def deliver(self, result: Result) -> None:
        """Pass a Result to its call, if that still waits for it."""
        self.phases.add_up(at_least=100)
        if (call := self.calls.get(result.index >> CALL_BITS)) is not None:
            call.deliver(self.numbered(result))

    def numbered(self, result: Result) -> Result:
        """Give a Result its index within its call, and count it."""
        object.__setattr__(result, "index", result.index & _INDEX)  # nobody else has it yet
        self._on_result(result)
        return result

    def withdraw(self, jobs: Iterable[Job]) -> list[Job]:
        """Take those of `jobs` that wait out of the queue, and return them."""
        removed = withdraw(self.schedule, jobs, perf_counter())
        for _ in removed:
            self.pool.queue.task_done()
        if removed:
            self.pool.queue.notify()
        return removed

    def refuse(self, job: Job) -> Result:
        """The Result of a row that will not be fetched: `cancelled`."""
        return self.settler.refuse(job, cancelled(), 0)

    def cancel_attempts(self) -> None:
        """End the attempts under way for calls that have ended, or are past their deadlines."""
        self._engine.cancel(self._is_unwanted)

    async def close(self) -> None:
        """Cancel all calls, whose rows that are left get the Result `cancelled`, and wait for the end of the run."""
        if self._loop is None or self._closed:
            return
        self._closed = True
        for call in list(self.calls.values()):
            call.stop()
        self.abort()
        try:
            await asyncio.wait([self._task])
        finally:
            self._task.cancel()
            await asyncio.wait([self._task])
            await self._engine.close()
            if self.cookies is not None:
                await asyncio.to_thread(self.save_cookies)

    def _is_unwanted(self, request: Request) -> bool:
        number = request.index >> CALL_BITS
        call = self.calls.get(number)
        return number > 0 and (call is None or call.stopped)

    def _on_start(self, request: Request, worker: int) -> object:
        call = self.calls.get(request.index >> CALL_BITS)
        if call is None:
            raise cancelled()
        return None if call.on_start is None else call.started(request, worker)

    def _ended(self, task: asyncio.Task[None]) -> None:
        problem = asyncio.CancelledError() if task.cancelled() else task.exception()
        if problem is not None:
            self._problem = problem
            for call in list(self.calls.values()):
                call.fail(RuntimeError("the Client's run was cancelled") if task.cancelled() else problem)


class _CallResults(ResultQueue):
    """Passes each Result to its call, at once. A call bounds what waits for its reader, so there is always room."""

    def __init__(self, run: SharedRun) -> None:
        super().__init__()
        self._run = run

    def offer(self, result: Result) -> bool:
        self._run.deliver(result)
        return True


async def _no_rows() -> AsyncGenerator[Request]:
    """The source of the run, which ends when the run is aborted. The calls put their rows into the queue themselves."""
    await asyncio.Event().wait()
    none: tuple[Request, ...] = ()
    for request in none:
        yield request


def cancelled() -> Refused:
    """Why a row is not fetched whose call has ended."""
    return Refused(Cause.CANCELLED, RUN_ENDED)

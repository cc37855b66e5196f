"""Runs a list in any mode, iterated in an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from functools import partial
from inspect import isawaitable
from time import perf_counter
from typing import TYPE_CHECKING

from fetchq.engines import async_engine
from fetchq.workers.run import ListRun

if TYPE_CHECKING:
    from fetchq.core.model import OnStart, Request, Result
    from fetchq.engines.base import AsyncEngine

__all__ = ["AsyncRun"]


class AsyncRun(ListRun):
    """A run in any mode, for an event loop, in which `stop` and `abort` must be called. `batches` is iterated once."""

    def batches(self) -> AsyncGenerator[Sequence[Result]]:
        """The Results in batches, as they finish. Closing the iterator ends the run."""
        return self._in_loop() if self.settings.mode == "async" else self._in_threads()

    async def _in_loop(self) -> AsyncGenerator[Sequence[Result]]:
        from fetchq.workers.async_pool import AsyncPool
        from fetchq.workers.loop_monitor import LoopMonitor

        loop = asyncio.get_running_loop()
        engine = async_engine(self.settings, self.robots, self.proxies, self.cookies)
        pool = AsyncPool(self, engine, self._on_start)
        deadline: asyncio.TimerHandle | None = None
        if self.settings.deadline is not None:
            abort = partial(self.control.abort, end_source=not self._feed.finite)
            deadline = loop.call_later(self.settings.deadline, abort)
            self.control.deadline = perf_counter() + self.settings.deadline
        self.begin()
        self.monitor = monitor = LoopMonitor(pool.on_beat)
        monitor.start()
        task = loop.create_task(pool.run(self._feed.requests, threaded=self._feed.threaded), name="fetchq-run")
        try:
            while batch := await pool.results.take():
                yield batch
            await task
        finally:
            if deadline is not None:
                deadline.cancel()
            try:
                await _close(task, engine)
            finally:
                monitor.stop()
            if self.cookies is not None:
                await asyncio.to_thread(self.save_cookies)

    def _blocking(self, on_start: OnStart | None, on_abort: Callable[[], None] | None) -> Generator[Sequence[Result]]:
        """The batches of a blocking run. `on_abort`: see `run_blocking`."""
        from fetchq.workers.blocking_run import run_blocking

        return run_blocking(self, self._feed, on_start, on_abort)

    async def _in_threads(self) -> AsyncGenerator[Sequence[Result]]:
        """The Results of a blocking run, for whose batches a thread waits."""
        loop = asyncio.get_running_loop()
        on_start: OnStart | None = None
        on_abort: Callable[[], None] | None = None
        if self._on_start is not None:
            callback = _LoopCallback(self._on_start, loop)
            on_start, on_abort = callback, callback.end
        batches = self._blocking(on_start, on_abort)
        waiting: asyncio.Future[Sequence[Result] | None] | None = None
        thread = ThreadPoolExecutor(1, "fetchq-run")  # the loop's threads may all wait for this run
        try:
            while True:
                waiting = loop.run_in_executor(thread, next, batches, None)
                batch = await asyncio.shield(waiting)
                if batch is None:
                    return
                yield batch
        finally:
            self.control.abort()
            try:
                if waiting is not None:
                    await asyncio.wait([waiting])
                    if not waiting.cancelled():
                        waiting.exception()
                await loop.run_in_executor(thread, batches.close)
            finally:
                thread.shutdown(wait=waiting is None or waiting.done())


def preload(mode: str) -> None:
    """Import what a run in this mode imports as it begins."""
    if mode == "async":
        import fetchq.engines.aiohttp.engine
        import fetchq.workers.async_pool
        import fetchq.workers.loop_monitor
        import fetchq.workers.process

        fetchq.workers.process.loop_factory()
    else:
        import fetchq.engines.requests.engine  # as above


async def _close(task: asyncio.Task[None], engine: AsyncEngine) -> None:
    """Cancel the task, and then close the engine."""
    loop_ends = False
    try:
        await _cancel(task)
    except GeneratorExit:  # the loop is closing, so nothing can be awaited any more
        loop_ends = True
        raise
    finally:
        if not loop_ends:
            await engine.close()


async def _cancel(task: asyncio.Task[None]) -> None:
    """Cancel `task` and wait for its end. An exception that it raises was raised before, or no longer matters."""
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()


class _LoopCallback:
    """Calls `on_start` for worker threads: it runs in the loop, and the worker waits for it."""

    def __init__(self, on_start: OnStart, loop: asyncio.AbstractEventLoop) -> None:
        self._on_start = on_start
        self._loop = loop
        self._waiting: set[Future[None]] = set()
        self._ended = False

    def __call__(self, request: Request, worker: int) -> None:
        waiting = asyncio.run_coroutine_threadsafe(self._in_loop(request, worker), self._loop)
        self._waiting.add(waiting)
        try:
            if self._ended:
                waiting.cancel()
            waiting.result()
        except CancelledError:
            if not self._ended:
                raise RuntimeError("a callback was cancelled") from None
        finally:
            self._waiting.discard(waiting)

    async def _in_loop(self, request: Request, worker: int) -> None:
        if isawaitable(waiting := self._on_start(request, worker)):
            await waiting

    def end(self) -> None:
        """Cancel the callbacks, because the run is aborted, so that no worker waits for one any longer."""
        self._ended = True
        for waiting in list(self._waiting):
            waiting.cancel()

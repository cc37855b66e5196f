"""Reads the source of an async run into its queue, in the event loop or in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from time import perf_counter
from typing import TYPE_CHECKING

from fetchq.inputs.lines import SourceError
from fetchq.scheduling.job import Job

if TYPE_CHECKING:
    from fetchq.core.model import Request
    from fetchq.workers.request_queue import RequestQueue

__all__ = ["feed_queue", "no_stray_cancellation"]

_MAX_BLOCKING = 0.001
"""Seconds for which reading the source may block the event loop at a time."""
_STOP_TIMEOUT = 1.0
"""Seconds that the reading thread has to end; it may be waiting for a pipe."""


async def feed_queue(
    source: Iterable[list[Request]] | AsyncIterable[Request], queue: RequestQueue, *, threaded: bool
) -> SourceError | None:
    """Put all requests of `source` into `queue`, waiting whenever it is full.

    `threaded`: whether `source` may block, and so is read in a thread. Returns the SourceError that ended the source,
    if one did; it is to be raised once the rows before it are done. Raises other exceptions of the source.
    """
    with no_stray_cancellation():
        try:
            if isinstance(source, AsyncIterable):
                await _feed_async(source, queue)
            elif threaded:
                await _feed_from_thread(source, queue)
            else:
                await _feed(source, queue)
        except SourceError as problem:
            return problem
    return None


@contextmanager
def no_stray_cancellation() -> Iterator[None]:
    """Turn a CancelledError that the user's code raises into a RuntimeError.

    A TaskGroup would take it for the normal end of a task, whose row would never get a Result.
    """
    try:
        yield
    except asyncio.CancelledError as problem:
        task = asyncio.current_task()
        if task is not None and not task.cancelling():
            raise RuntimeError("a callback, or the source, was cancelled") from problem
        raise


async def _feed(source: Iterable[list[Request]], queue: RequestQueue) -> None:
    requests = chain.from_iterable(source)
    until = perf_counter() + _MAX_BLOCKING
    while True:
        added = queue.put_ready(requests, until, look=True)
        if perf_counter() > until:
            await asyncio.sleep(0)
            until = perf_counter() + _MAX_BLOCKING
        elif not added:  # the queue is full, or the source has ended
            if (request := next(requests, None)) is None:
                return
            await queue.put(Job(request, perf_counter()))


async def _feed_async(source: AsyncIterable[Request], queue: RequestQueue) -> None:
    until = perf_counter() + _MAX_BLOCKING
    async for request in source:
        await queue.put_all((request,))
        if perf_counter() > until:  # the source may never wait for anything
            await asyncio.sleep(0)
            until = perf_counter() + _MAX_BLOCKING


async def _feed_from_thread(source: Iterable[list[Request]], queue: RequestQueue) -> None:
    reader = _ThreadedReader(source, queue)
    try:
        await asyncio.shield(reader.ended)
    except asyncio.CancelledError:
        reader.stop()
        await asyncio.wait([reader.ended], timeout=_STOP_TIMEOUT)
        raise
    finally:
        reader.join()


class _ThreadedReader:
    """A thread that reads the source, batch by batch; a task in the event loop waits for room in the queue."""

    def __init__(self, source: Iterable[list[Request]], queue: RequestQueue) -> None:
        self._source = source
        self._queue = queue
        self._loop = asyncio.get_running_loop()
        self._stopped = False
        self._putting: asyncio.Task[None] | None = None
        self.ended: asyncio.Future[None] = self._loop.create_future()
        """Done at the end of the source, with the exception that it raised, if any."""
        self._thread = threading.Thread(target=self._read, name="fetchq-source", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Put no more rows into the queue, and end after the batch that is being read."""
        self._stopped = True
        if self._putting is not None:
            self._putting.cancel()

    def join(self) -> None:
        """Wait for the thread if it has finished reading. A thread that is blocked in a read is left behind."""
        if self.ended.done():
            self._thread.join()
            with suppress(BaseException):
                self.ended.exception()  # otherwise asyncio would log an exception that was never retrieved

    def _read(self) -> None:
        problem: BaseException | None = None
        try:
            for batch in self._source:
                if self._stopped:
                    break
                asyncio.run_coroutine_threadsafe(self._put(batch), self._loop).result()
        except BaseException as found:  # noqa: BLE001  # raised in the task of the run
            problem = found
        with suppress(RuntimeError):  # the loop is closed if a read took too long
            self._loop.call_soon_threadsafe(self._end, problem)

    async def _put(self, batch: list[Request]) -> None:
        if not self._stopped:
            self._putting = asyncio.current_task()
            await self._queue.put_all(batch)

    def _end(self, problem: BaseException | None) -> None:
        if self.ended.done():
            return
        if problem is None:
            self.ended.set_result(None)
        else:
            self.ended.set_exception(problem)

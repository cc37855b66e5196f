"""Collects Results until the one reader of a run takes them, within the same bounds in every pool.

Threads share a `ResultBuffer` under a lock of their own; asyncio workers put into a `ResultQueue`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fetchq.core.model import Result

__all__ = ["MOST_BYTES", "MOST_RESULTS", "ResultBuffer", "ResultQueue"]

MOST_RESULTS = 1024
MOST_BYTES = 16_000_000
"""Of bodies and headers."""


class ResultBuffer:
    """A list of Results, bounded in number and in bytes."""

    __slots__ = ("_bytes", "_results")

    def __init__(self) -> None:
        self._results: list[Result] = []
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._results)

    def add(self, result: Result) -> bool:
        """Take `result`; False when there is no room. The last one may exceed the bound in bytes by its own size."""
        if len(self._results) >= MOST_RESULTS or self._bytes >= MOST_BYTES:
            return False
        self._results.append(result)
        headers = result.headers
        if result.spool is not None:
            self._bytes += result.spool.in_memory
        self._bytes += len(result.body) + sum(map(len, headers.keys())) + sum(map(len, headers.values()))
        return True

    def is_ample(self) -> bool:
        """There are enough that the reader should not wait for more."""
        return len(self._results) >= MOST_RESULTS // 2 or self._bytes >= MOST_BYTES // 2

    def take_all(self) -> list[Result]:
        """The results, in the order in which they came; none is left."""
        results, self._results, self._bytes = self._results, [], 0
        return results


class ResultQueue:
    """A bounded queue: the reader waits for Results, and workers wait for room."""

    def __init__(self) -> None:
        self._buffer = ResultBuffer()
        self._closed = self._gathering = False
        self._reader: asyncio.Future[None] | None = None
        self._putters: list[asyncio.Future[None]] = []
        self._loop = asyncio.get_running_loop()

    async def put(self, result: Result) -> None:
        """Hand over a result, waiting while there is no room."""
        while not self.offer(result):
            putter = self._loop.create_future()
            self._putters.append(putter)
            await putter

    def offer(self, result: Result) -> bool:
        """Hand over a result without waiting; False when there is no room."""
        if not self._buffer.add(result):
            return False
        if self._reader is not None and (not self._gathering or self._buffer.is_ample()):
            self._wake_reader()
        return True

    def close(self) -> None:
        """No more results come."""
        self._closed = True
        self._wake_reader()

    async def take(self, linger: float = 0.0) -> list[Result]:
        """All results there are, waiting for the first; an empty list when no more come. For one reader.

        After the first one it waits for more, for `linger` seconds or until there are many.
        """
        while not self._buffer and not self._closed:
            await self._until_woken()
        if linger > 0 and not self._closed and not self._buffer.is_ample():
            self._gathering = True
            timer = self._loop.call_later(linger, self._wake_reader)
            try:
                await self._until_woken()
            finally:
                timer.cancel()
                self._gathering = False
        results = self._buffer.take_all()
        putters, self._putters = self._putters, []
        for putter in putters:
            if not putter.done():
                putter.set_result(None)
        return results

    async def _until_woken(self) -> None:
        self._reader = self._loop.create_future()
        await self._reader

    def _wake_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None and not reader.done():
            reader.set_result(None)

"""Collects Results until the reader of a run takes them, within the same bounds in every pool.

The thread pool shares a `ResultBuffer` under its lock; asyncio workers put Results into a `ResultQueue`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fetchq.core.kept_bytes import LONG_URL, kept_bytes
from fetchq.core.model import kept_headers, kept_passed

if TYPE_CHECKING:
    from fetchq.core.model import Result

__all__ = ["DURABLE_LINGER", "MOST_BYTES", "MOST_DURABLE_RESULTS", "MOST_RESULTS", "ResultBuffer", "ResultQueue"]

DURABLE_LINGER = 0.25
"""Seconds for which a durable run collects Results before it writes them, since each write waits for the disk."""
MOST_RESULTS = 128
"""The most Results in a buffer. So many, with small bodies and all else that belongs to them, still are in the CPU's
cache when they are written: with 300 workers, a bound of 1,024 takes a fifth more time."""
MOST_DURABLE_RESULTS = 1024
"""The most of a run that collects them for `DURABLE_LINGER`: fewer would wait for the disk more often."""
MOST_BYTES = 8_000_000
"""The most bytes that the Results in a buffer take (`kept_bytes`)."""


class ResultBuffer:
    """A list of Results, bounded in number and in bytes."""

    __slots__ = ("_bytes", "_most", "_results", "ample")

    def __init__(self, linger: float = 0.0) -> None:
        """`linger`: the seconds for which its reader waits for more Results than one."""
        self._most = MOST_RESULTS if linger < DURABLE_LINGER else MOST_DURABLE_RESULTS
        self._results: list[Result] = []
        self._bytes = 0
        self.ample = False
        """Whether there are so many that the reader should not wait for more."""

    def __len__(self) -> int:
        return len(self._results)

    def add(self, result: Result) -> bool:
        """Add a Result. Returns False if there is no room. The last Result may exceed the bound in bytes."""
        if len(self._results) >= self._most or self._bytes >= MOST_BYTES:
            return False
        self._results.append(result)
        kept = kept_headers(result)
        plain = result.label is None and not result.hops and kept_passed(result) is None
        if plain and isinstance(kept, bytes) and len(result.url) <= LONG_URL:
            self._bytes += len(kept) + len(result.body) + (0 if result._spool is None else result._spool.in_memory)
        else:
            self._bytes += kept_bytes(result)
        self.ample = len(self._results) >= self._most // 2 or self._bytes >= MOST_BYTES // 2
        return True

    def take_all(self) -> list[Result]:
        """Remove and return all Results, in the order in which they were added."""
        results, self._results, self._bytes, self.ample = self._results, [], 0, False
        return results


class ResultQueue:
    """A bounded queue in which the one reader waits for Results, and workers wait for room."""

    def __init__(self, linger: float = 0.0) -> None:
        """`linger`: the seconds for which the reader waits for more Results than one."""
        self._linger = linger
        self._buffer = ResultBuffer(linger)
        self._closed = self._gathering = False
        self._reader: asyncio.Future[None] | None = None
        self._putters: list[asyncio.Future[None]] = []
        self._loop = asyncio.get_running_loop()

    async def put(self, result: Result) -> None:
        """Add a Result, waiting while there is no room."""
        while not self.offer(result):
            putter = self._loop.create_future()
            self._putters.append(putter)
            await putter

    def offer(self, result: Result) -> bool:
        """Add a Result without waiting. Returns False if there is no room."""
        if not self._buffer.add(result):
            return False
        if self._reader is not None and (not self._gathering or self._buffer.ample):
            self._wake_reader()
        return True

    def close(self) -> None:
        """Note that no more Results will be added."""
        self._closed = True
        self._wake_reader()

    async def take(self) -> list[Result]:
        """Wait for a Result, and return all there are; an empty list once the queue is closed and empty.

        After the first Result it waits for more, until the seconds to linger have passed or there are many.
        """
        while not self._buffer and not self._closed:
            await self._until_woken()
        if self._linger > 0 and not self._closed and not self._buffer.ample:
            self._gathering = True
            timer = self._loop.call_later(self._linger, self._wake_reader)
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

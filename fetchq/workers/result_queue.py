"""Carries Results from asyncio workers to the one reader of the run, which takes all there are at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fetchq.workers.result_buffer import ResultBuffer

if TYPE_CHECKING:
    from fetchq.core.model import Result

__all__ = ["ResultQueue"]


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

"""Reads the rows of one call of a Client, from the caller's iterable, as the call has room for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Sized
from dataclasses import replace
from itertools import islice
from time import perf_counter
from typing import TYPE_CHECKING, Protocol

from fetchq.core.model import make_request
from fetchq.inputs.iterables import check_urls, read_row
from fetchq.scheduling.job import Job

if TYPE_CHECKING:
    from fetchq.inputs.iterables import Row

__all__ = ["CallRows"]

_AT_ONCE = 16
"""The rows of so short a list are put into the queue when the call begins, without a task that reads it."""
_MAX_BLOCKING = 0.001
"""Seconds for which reading the rows may block the event loop at a time."""


class RowTaker(Protocol):
    """The call, which takes the rows."""

    stopped: bool

    def put(self, index: int, job: Job) -> None:
        """Take the next row."""

    def is_full(self) -> bool:
        """Whether no more rows should be read for now; `make_room` is called when that may have changed."""

    def fail(self, problem: BaseException) -> None:
        """End the call because the caller's iterable has raised `problem`."""

    def wake(self) -> None:
        """Note that all rows were read."""


class CallRows:
    """The caller's iterable, and how far it was read."""

    def __init__(self, urls: Iterable[Row] | AsyncIterable[Row], params: str | None = None) -> None:
        """`params`: what is added to the query of each URL. Raises TypeError for a single URL."""
        self._params = params
        self._rows: Iterator[Row] | AsyncIterator[Row]
        if type(urls) is list:  # as nearly always; the checks of abstract classes take longer than the rest
            self._finite, self._few, self._rows = True, len(urls) <= _AT_ONCE, iter(urls)
        else:
            self._finite = isinstance(urls, Sized)
            self._few = isinstance(urls, Sized) and len(urls) <= _AT_ONCE
            self._rows = aiter(urls) if isinstance(urls, AsyncIterable) else iter(check_urls(urls))
        self._first = 0
        self._read = 0
        self.all_read = False
        self._task: asyncio.Task[None] | None = None
        self._room: asyncio.Future[None] | None = None

    def begin(self, taker: RowTaker, first: int) -> None:
        """Begin to read. `first`: the index of the first row in the run. Raises what a short list does."""
        self._first = first
        if self._few and not isinstance(self._rows, AsyncIterator):
            for row in self._rows:
                taker.put(self._read, self._job(row))
            self.all_read = True
        else:
            self._task = asyncio.get_running_loop().create_task(self._feed(taker), name="fetchq-source")

    def stop(self) -> None:
        """Read no further."""
        if self._task is not None:
            self._task.cancel()

    async def wait(self) -> None:
        """Wait until nothing is read any more. To be awaited after `stop`."""
        if self._task is not None and not self._task.done():
            await asyncio.wait([self._task])

    def make_room(self) -> None:
        """Read on, since the taker may not be full any more."""
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    def unread(self, most: int) -> list[Job]:
        """The next rows that were not read, at most so many; none if nobody knows whether they ever end."""
        if not self._finite or not isinstance(self._rows, Iterator):
            return []
        return [self._job(row) for row in islice(self._rows, most)]

    async def _feed(self, taker: RowTaker) -> None:
        try:
            if isinstance(self._rows, AsyncIterator):
                await self._feed_async(self._rows, taker)
            else:
                await self._feed_in_steps(self._rows, taker)
            self.all_read = True
        except asyncio.CancelledError:
            if taker.stopped:
                raise
            taker.fail(RuntimeError("the source was cancelled"))
        except Exception as problem:  # noqa: BLE001  # raised in the caller's task
            taker.fail(problem)
        taker.wake()

    async def _feed_in_steps(self, rows: Iterator[Row], taker: RowTaker) -> None:
        until = perf_counter() + _MAX_BLOCKING
        for row in rows:
            taker.put(self._read, self._job(row))
            await self._until_room(taker)
            if perf_counter() > until:
                await asyncio.sleep(0)
                until = perf_counter() + _MAX_BLOCKING

    async def _feed_async(self, rows: AsyncIterator[Row], taker: RowTaker) -> None:
        until = perf_counter() + _MAX_BLOCKING
        async for row in rows:
            taker.put(self._read, self._job(row))
            await self._until_room(taker)
            if perf_counter() > until:  # the iterable may never wait for anything
                await asyncio.sleep(0)
                until = perf_counter() + _MAX_BLOCKING

    async def _until_room(self, taker: RowTaker) -> None:
        while taker.is_full():
            self._room = asyncio.get_running_loop().create_future()
            await self._room

    def _job(self, row: Row) -> Job:
        index, in_run = self._read, self._first + self._read
        if isinstance(row, str) and self._params is None:
            request = make_request(row, in_run)
        else:
            request = replace(read_row(row, index, self._params), index=in_run)
        self._read += 1
        return Job(request, perf_counter())

"""Reads an async iterable of requests in its event loop, for a thread that distributes them."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Iterator

    from fetchq.core.model import Request

__all__ = ["AsyncRows"]

_MOST_WAITING = 1000
"""The most requests that wait for the thread."""


class AsyncRows:
    """The requests of an async iterable, in batches. It is read from when it is made, in the loop, on."""

    def __init__(self, requests: AsyncIterable[Request], loop: asyncio.AbstractEventLoop) -> None:
        self._requests = requests
        self._loop = loop
        self._changed = threading.Condition()
        self._waiting: list[Request] = []
        self._ended = False
        self._problem: BaseException | None = None
        self._room = asyncio.Event()
        self._task = loop.create_task(self._read(), name="fetchq-source")

    def batches(self) -> Iterator[list[Request]]:
        """The requests, as they come. It blocks. Raises what the iterable raises."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._ended)
                batch, self._waiting = self._waiting, []
            if not batch:
                if self._problem is not None:
                    raise self._problem
                return
            with suppress(RuntimeError):  # the loop has closed
                self._loop.call_soon_threadsafe(self._room.set)
            yield batch

    def end(self) -> None:
        """Read no more. Any thread may call it."""
        with suppress(RuntimeError):  # the loop has closed
            self._loop.call_soon_threadsafe(self._task.cancel)

    async def _read(self) -> None:
        try:
            async for request in self._requests:
                with self._changed:
                    self._waiting.append(request)
                    self._changed.notify_all()
                    full = len(self._waiting) >= _MOST_WAITING
                if full:
                    self._room.clear()
                    await self._room.wait()
        except Exception as problem:  # noqa: BLE001  # raised in the thread
            self._problem = problem
        except BaseException as problem:
            self._problem = RuntimeError("the source was cancelled")  # which nobody sees after `end`
            self._problem.__cause__ = problem
            raise
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

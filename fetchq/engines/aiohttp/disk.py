"""Does disk work in threads, so that the event loop never waits for a disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from math import inf
from time import perf_counter
from typing import TYPE_CHECKING, TypeVar

from fetchq.http.phases import STORE

if TYPE_CHECKING:
    from fetchq.http.attempt import Attempt

__all__ = ["DiskThreads"]

T = TypeVar("T")

_THREADS = 4


class DiskThreads:
    """The threads for the disk work of one event loop. They are started when there is some."""

    def __init__(self) -> None:
        self._executor: ThreadPoolExecutor | None = None

    def close(self) -> None:
        """Wait for the work under way."""
        if self._executor is not None:
            self._executor.shutdown()

    def run(self, work: Callable[..., T], *given: object) -> asyncio.Future[T]:
        """Do the work, and get what it returns."""
        if self._executor is None:
            self._executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="fetchq-disk")
        return asyncio.get_running_loop().run_in_executor(self._executor, work, *given)

    async def run_timed(self, attempt: Attempt, work: Callable[..., None], *given: object) -> None:
        """Do the work; its time counts as the attempt's `store`."""
        attempt.lap_received()
        done = inf

        def timed() -> None:
            nonlocal done
            try:
                work(*given)
            finally:
                done = perf_counter()

        try:
            await self.run(timed)
        finally:
            attempt.laps((STORE, done))

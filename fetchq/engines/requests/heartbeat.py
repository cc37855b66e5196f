"""Watches in a thread whether the process runs, for the engines of all workers."""

from __future__ import annotations

import threading
from contextlib import suppress
from time import perf_counter
from typing import TYPE_CHECKING

from fetchq.http.lost_time import LostTime

if TYPE_CHECKING:
    from fetchq.core.settings import Settings

__all__ = ["Heartbeat"]


class Heartbeat:
    """A thread that counts the lost time, from `start` until the last of its users has released it."""

    def __init__(self, settings: Settings, users: int) -> None:
        self.lost_time = LostTime(settings)
        self._users = users
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._beat, name="fetchq-heartbeat", daemon=True)

    def start(self) -> None:
        """Start the thread, once nothing can fail any more before its users release it."""
        with suppress(RuntimeError):  # without another thread the run goes on, and a stop of the process counts
            self._thread.start()

    def end(self) -> None:
        """Let the thread end: the run is aborted, so that nothing times out any more."""
        self._ended.set()

    def release(self) -> None:
        """Note that one of the users has ended. After the last one, wait for the end of the thread."""
        with self._lock:
            self._users -= 1
            last = self._users == 0
        if last:
            self.end()
            if self._thread.ident is not None:
                self._thread.join()

    def _beat(self) -> None:
        lost_time = self.lost_time
        lost_time.beat(perf_counter())
        while not self._ended.wait(lost_time.interval):
            lost_time.beat(perf_counter())

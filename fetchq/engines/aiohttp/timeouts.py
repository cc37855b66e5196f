"""One timer for all attempts of an event loop: a timer for each would cost more than the request's own bookkeeping."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import TYPE_CHECKING

from fetchq.core.model import Cause
from fetchq.http.failure import AttemptFailed

if TYPE_CHECKING:
    from fetchq.core.settings import Settings
    from fetchq.http.attempt import Attempt

__all__ = ["Watchdog"]


class Watchdog:
    """Interrupts attempts that run out of time, at most `interval` seconds late."""

    def __init__(self, settings: Settings) -> None:
        shortest = min(settings.timeout, settings.connect_timeout, settings.read_timeout)
        self.interval = max(0.005, min(0.25, shortest / 20))
        self._watched: dict[Attempt, asyncio.Task[object]] = {}
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, attempt: Attempt, task: asyncio.Task[object]) -> None:
        """Cancel `task` when `attempt` is out of time; `attempt.expired` then says why."""
        self._watched[attempt] = task
        if self._timer is None:
            self._timer = self._loop.call_later(self.interval, self._look)

    def forget(self, attempt: Attempt) -> None:
        del self._watched[attempt]

    def interrupt_all(self, why: str) -> None:
        """Cancel the tasks of all attempts."""
        for attempt, task in self._watched.items():
            if attempt.expired is None:
                attempt.expired = AttemptFailed(Cause.CANCELLED, why)
                task.cancel()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        now = perf_counter()
        for attempt, task in self._watched.items():
            if attempt.expired is None:
                left, what = attempt.time_left(now)
                if left <= 0:
                    attempt.expired = AttemptFailed(Cause.TIMEOUT, what)
                    task.cancel()
        self._timer = self._loop.call_later(self.interval, self._look) if self._watched else None

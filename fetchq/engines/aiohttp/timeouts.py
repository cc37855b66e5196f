"""Interrupts the attempts of an event loop that are out of time, by one timer: one for each would cost far more."""

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
    """Cancels the tasks of attempts that are out of time, at most `interval` seconds late."""

    def __init__(self, settings: Settings) -> None:
        shortest = min(settings.timeout, settings.connect_timeout, settings.read_timeout)
        self.interval = max(0.005, min(0.25, shortest / 20))
        self._watched: dict[Attempt, asyncio.Task[object]] = {}
        self._interrupted: dict[Attempt, AttemptFailed] = {}
        """Those of the watched attempts whose task was cancelled, and why."""
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, attempt: Attempt, task: asyncio.Task[object]) -> None:
        """Cancel `task` when `attempt` is out of time; `failure` then says why."""
        self._watched[attempt] = task
        if self._timer is None:
            self._timer = self._loop.call_later(self.interval, self._look)

    def failure(self, attempt: Attempt) -> AttemptFailed | None:
        """Why the attempt's task was cancelled by this Watchdog; None where it was not."""
        return self._interrupted.get(attempt)

    def forget(self, attempt: Attempt) -> AttemptFailed | None:
        """Watch the attempt no longer. Returns its `failure`."""
        del self._watched[attempt]
        return self._interrupted.pop(attempt, None)

    def interrupt_all(self, why: str) -> None:
        """Cancel the tasks of all attempts."""
        for attempt, task in self._watched.items():
            if attempt not in self._interrupted:
                self._interrupted[attempt] = AttemptFailed(Cause.CANCELLED, why)
                task.cancel()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        now = perf_counter()
        for attempt, task in self._watched.items():
            if attempt not in self._interrupted:
                left, what = attempt.time_left(now)
                if left <= 0:
                    self._interrupted[attempt] = AttemptFailed(Cause.TIMEOUT, what)
                    task.cancel()
        self._timer = self._loop.call_later(self.interval, self._look) if self._watched else None

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
        self.watched: dict[Attempt, asyncio.Task[object]] = {}
        """The attempts under way with their tasks. Whoever adds one calls `arm` unless it is `armed`."""
        self.interrupted: dict[Attempt, AttemptFailed] = {}
        """Those of them whose task was cancelled, and why. Whoever removes an attempt removes it here, too."""
        self.armed = False
        """The timer runs. It does until it finds no attempt to watch."""
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def arm(self) -> None:
        """Look at the attempts in `interval` seconds."""
        self._timer = self._loop.call_later(self.interval, self._look)
        self.armed = True

    def interrupt_all(self, why: str) -> None:
        """Cancel the tasks of all attempts."""
        for attempt, task in self.watched.items():
            if attempt not in self.interrupted:
                self.interrupted[attempt] = AttemptFailed(Cause.CANCELLED, why)
                task.cancel()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        now = perf_counter()
        for attempt, task in self.watched.items():
            if attempt not in self.interrupted:
                left, what = attempt.time_left(now)
                if left <= 0:
                    self.interrupted[attempt] = AttemptFailed(Cause.TIMEOUT, what)
                    task.cancel()
        self.armed = False
        if self.watched:
            self.arm()

"""Interrupts attempts that have timed out, with one timer for all attempts of an event loop."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import TYPE_CHECKING

from fetchq.core.model import Cause
from fetchq.http.failure import AttemptFailed
from fetchq.http.lost_time import LostTime

if TYPE_CHECKING:
    from collections.abc import Callable

    from fetchq.core.model import Request
    from fetchq.core.settings import Settings
    from fetchq.engines.aiohttp.connection import Connection
    from fetchq.http.attempt import Attempt

__all__ = ["Watchdog"]


class Watchdog:
    """Cancels the tasks of attempts that have timed out, at most `lost_time.interval` seconds late.

    One timer for each attempt would cost far more. The timer is also the beat that shows when the loop is late.
    """

    def __init__(self, settings: Settings) -> None:
        self.lost_time = LostTime(settings)
        self.watched: dict[Attempt, asyncio.Task[object]] = {}
        """The attempts under way, with their tasks. Whoever adds one calls `arm` unless the watchdog is `armed`."""
        self.connections: set[Connection] = set()
        """Connections on whose fast path there may be attempts, which are watched as well."""
        self.interrupted: dict[Attempt, AttemptFailed] = {}
        """The attempts whose tasks were cancelled, and why. One that leaves `watched` must be removed here, too."""
        self.armed = False
        """Whether the timer runs; it stops when there is no attempt to watch."""
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def arm(self) -> None:
        """Start the timer, which checks the attempts soon."""
        self.lost_time.beat(perf_counter())
        self._timer = self._loop.call_later(self.lost_time.interval, self._check)
        self.armed = True

    def interrupt(self, why: str, unwanted: Callable[[Request], bool] | None = None) -> None:
        """Cancel the tasks of all attempts, or of those whose requests are `unwanted`."""
        for attempt, task in self.watched.items():
            if attempt not in self.interrupted and (unwanted is None or unwanted(attempt.request)):
                self.interrupted[attempt] = AttemptFailed(Cause.CANCELLED, why)
                task.cancel()
        for connection in self.connections:
            attempt_or_none = connection.fast_path.attempt
            if attempt_or_none is not None and (unwanted is None or unwanted(attempt_or_none.request)):
                connection.fast_path.fail(AttemptFailed(Cause.CANCELLED, why))

    def close(self) -> None:
        self.connections.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _check(self) -> None:
        now = perf_counter()
        self.lost_time.beat(now)
        for attempt, task in self.watched.items():
            if attempt not in self.interrupted:
                left, what = attempt.time_left(now)
                if left <= 0:
                    self.interrupted[attempt] = AttemptFailed(Cause.TIMEOUT, what)
                    task.cancel()
        self.armed = False
        if self._check_fast_paths(now) or self.watched:
            self.arm()
        else:
            self.lost_time.pause()

    def _check_fast_paths(self, now: float) -> bool:
        """Fail the attempts there that have timed out. Returns whether there are any attempts."""
        busy = False
        for connection in list(self.connections):
            if (attempt := connection.fast_path.attempt) is not None:
                busy = True
                left, what = attempt.time_left(now)
                if left <= 0:
                    connection.fast_path.fail(AttemptFailed(Cause.TIMEOUT, what))
            elif not connection.is_connected():
                self.connections.discard(connection)
        return busy

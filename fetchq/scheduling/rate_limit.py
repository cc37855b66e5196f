"""The rate limit of the whole run: how many attempts may start in a second."""

from __future__ import annotations

from collections import deque
from math import inf

from fetchq.scheduling.stopwatch import Stopwatch

__all__ = ["RateLimiter", "StartRate"]

_CATCH_UP = 0.02
"""Seconds by which a late start may hurry those after it: timers are late, and would slow the run down for good."""


class StartRate:
    """A token bucket that is as good as empty: starts are spread evenly.

    An attempt that starts is sent a little later, when there is a connection. No second has more than `rate` that are
    sent (whole ones; where the rate is below 1, at most one in the time for one), wherever that second begins: so those
    that are still to be sent count as if they were sent now.
    """

    __slots__ = ("_gap", "_latest", "_most", "_not_before", "_seconds", "_unsent")

    def __init__(self, rate: float) -> None:
        """`rate`: starts a second, above 0."""
        self._most = max(1, int(rate))
        self._gap = 1.0 / rate
        self._seconds = max(1.0, self._most / rate)
        self._latest: deque[float] = deque(maxlen=self._most)
        """When the latest were sent."""
        self._unsent = 0
        """Attempts that have started and are still to be sent."""
        self._not_before = -inf

    def next_at(self) -> float:
        """When the next attempt may start; `inf`: not before another one is sent."""
        first = len(self._latest) + self._unsent - self._most
        if first < 0:
            return self._not_before
        if first >= len(self._latest):
            return inf
        return max(self._not_before, self._latest[first] + self._seconds)

    def start(self, now: float) -> None:
        """An attempt starts now."""
        self._not_before = max(self._not_before, now - _CATCH_UP) + self._gap
        self._unsent += 1

    def sent(self, now: float) -> None:
        """An attempt that has started is sent now, or never will be."""
        self._unsent -= 1
        self._latest.append(now)


class RateLimiter:
    """Tells whether the rate lets an attempt start now, and for how long in all it has let none."""

    __slots__ = ("_clock", "_rate", "limiting")

    def __init__(self, rate: float | None) -> None:
        """`rate`: starts a second; None: there is no limit."""
        self._rate = None if rate is None else StartRate(rate)
        self._clock = Stopwatch()
        self.limiting = False
        """No attempt may start now."""

    def limited_for(self, now: float) -> float:
        """Seconds for which no attempt could start, so far."""
        return self._clock.read(now)

    def next_at(self) -> float:
        """When an attempt may start again; `inf` where one may start now, or another one must be sent first."""
        return self._rate.next_at() if self.limiting and self._rate is not None else inf

    def update(self, now: float) -> None:
        """Find out whether an attempt may start by now."""
        if self._rate is None:
            return
        self.limiting = self._rate.next_at() > now
        if self.limiting:
            self._clock.start(now)
        else:
            self._clock.stop(now)

    def start(self, now: float) -> None:
        """An attempt starts."""
        if self._rate is not None:
            self._rate.start(now)
            self.update(now)

    def sent(self, now: float) -> None:
        """An attempt that has started is sent, or never will be."""
        if self._rate is not None:
            self._rate.sent(now)
            self.update(now)

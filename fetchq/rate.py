"""How many starts in a second: pure, the clock is handed in."""

from __future__ import annotations

from collections import deque

__all__ = ["StartRate"]

_CATCH_UP = 0.02
"""Seconds by which a late start may hurry those after it: timers are late, and would slow the run down for good."""


class StartRate:
    """A token bucket that is as good as empty: starts are spread evenly.

    No second has more than `rate` of them, whole ones that is (at most one where the rate is below 1), wherever that
    second begins.
    """

    __slots__ = ("_due", "_gap", "_latest", "_seconds")

    def __init__(self, rate: float) -> None:
        """`rate`: starts a second, above 0."""
        most = max(1, int(rate))
        self._gap = 1.0 / rate
        self._seconds = max(1.0, most / rate)
        self._latest: deque[float] = deque(maxlen=most)
        self._due = float("-inf")

    def next_at(self) -> float:
        """When the next start may be."""
        latest = self._latest
        if len(latest) == latest.maxlen:
            return max(self._due, latest[0] + self._seconds)
        return self._due

    def start(self, now: float) -> None:
        """Something starts now."""
        self._due = max(self._due, now - _CATCH_UP) + self._gap
        self._latest.append(now)

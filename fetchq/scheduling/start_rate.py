"""How many starts in a second: pure, the clock is handed in."""

from __future__ import annotations

from collections import deque
from math import inf

__all__ = ["RateGate", "StartRate"]

_CATCH_UP = 0.02
"""Seconds by which a late start may hurry those after it: timers are late, and would slow the run down for good."""


class StartRate:
    """A token bucket that is as good as empty: starts are spread evenly.

    What starts goes out a little later, when there is a connection. No second has more than `rate` that go out (whole
    ones; where the rate is below 1, at most one in the time for one), wherever that second begins: so those that are
    still to go out count as if it were now.
    """

    __slots__ = ("_coming", "_due", "_gap", "_latest", "_most", "_seconds")

    def __init__(self, rate: float) -> None:
        """`rate`: starts a second, above 0."""
        self._most = max(1, int(rate))
        self._gap = 1.0 / rate
        self._seconds = max(1.0, self._most / rate)
        self._latest: deque[float] = deque(maxlen=self._most)
        """When the latest went out."""
        self._coming = 0
        """Those that have started and are still to go out."""
        self._due = -inf

    def next_at(self) -> float:
        """When the next start may be; `inf`: not before something else goes out."""
        first = len(self._latest) + self._coming - self._most
        if first < 0:
            return self._due
        if first >= len(self._latest):
            return inf
        return max(self._due, self._latest[first] + self._seconds)

    def start(self, now: float) -> None:
        """Something starts now."""
        self._due = max(self._due, now - _CATCH_UP) + self._gap
        self._coming += 1

    def went_out(self, now: float) -> None:
        """Something that has started goes out now, or never."""
        self._coming -= 1
        self._latest.append(now)


class RateGate:
    """Open while a rate lets something start, and the clock of the time for which it was shut."""

    __slots__ = ("_clock", "_rate", "_since", "shut")

    def __init__(self, rate: float | None) -> None:
        """`rate`: starts a second; None: it is never shut."""
        self._rate = None if rate is None else StartRate(rate)
        self.shut = False
        self._since = 0.0
        self._clock = 0.0

    def clock(self, now: float) -> float:
        """Seconds for which it was shut so far."""
        return self._clock + max(0.0, now - self._since) if self.shut else self._clock

    def next_at(self) -> float:
        """When it opens; `inf`: not before something goes out, or it is open."""
        return self._rate.next_at() if self.shut and self._rate is not None else inf

    def look(self, now: float) -> None:
        """Open or shut it, as it should be by now."""
        if self._rate is None:
            return
        shut = self._rate.next_at() > now
        if shut != self.shut:
            self._clock = self.clock(now)
            self._since, self.shut = now, shut

    def start(self, now: float) -> None:
        """Something starts."""
        if self._rate is not None:
            self._rate.start(now)
            self.look(now)

    def went_out(self, now: float) -> None:
        """Something that has started goes out, or never will."""
        if self._rate is not None:
            self._rate.went_out(now)
            self.look(now)

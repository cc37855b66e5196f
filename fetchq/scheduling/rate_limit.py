"""Limits how many attempts of the whole run may start per second (`--rate`)."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING

from fetchq.scheduling.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["RateLimiter", "StartRate"]

_CATCH_UP = 0.02
"""The starts after a late one may catch up by this many seconds: late timers would otherwise slow the run down."""


class StartRate:
    """A token bucket with room for next to no tokens, so that starts are spread evenly.

    The request of an attempt that starts is sent a little later, when there is a connection. In no period of a second,
    wherever it begins, are more than `rate` requests sent (rounded down; for a rate below 1, at most one in each period
    of 1/rate seconds). So requests that are still to be sent count as if they were sent now.
    """

    __slots__ = ("_gap", "_latest", "_most", "_not_before", "_seconds", "_unsent")

    def __init__(self, rate: float) -> None:
        """`rate`: starts per second, above 0."""
        self._latest: deque[float] = deque()
        """When the latest requests were sent."""
        self.change(rate)
        self._unsent = 0
        """Attempts that have started, and whose requests are still to be sent."""
        self._not_before = -inf

    def change(self, rate: float) -> None:
        """Have this rate from now on. Requests that were sent before still count."""
        self._most = max(1, int(rate))
        self._gap = 1.0 / rate
        self._seconds = max(1.0, self._most / rate)
        self._latest = deque(self._latest, maxlen=self._most)

    def next_at(self) -> float:
        """When the next attempt may start; `inf` if another request must be sent first."""
        first = len(self._latest) + self._unsent - self._most
        if first < 0:
            return self._not_before
        if first >= len(self._latest):
            return inf
        return max(self._not_before, self._latest[first] + self._seconds)

    def fits(self, rate: float) -> bool:
        """Whether attempts that have started have no more requests to send than a rate allows in its period."""
        return self._unsent <= max(1, int(rate))

    def start(self, now: float) -> None:
        """Note that an attempt starts now."""
        self._not_before = max(self._not_before, now - _CATCH_UP) + self._gap
        self._unsent += 1

    def sent(self, now: float) -> None:
        """Note that the request of a started attempt was sent now, or never will be."""
        self._unsent -= 1
        self._latest.append(now)


class RateLimiter:
    """Tells whether an attempt may start now, and for how long in total none could start."""

    __slots__ = ("_changed", "_clock", "_rate", "_waiting", "limiting")

    def __init__(self, rate: float | None) -> None:
        """`rate`: starts per second; None for no limit."""
        self._rate = None if rate is None else StartRate(rate)
        self._changed: float | None = None
        """The rate from the next start on; None if it stays."""
        self._waiting: deque[tuple[float, Callable[[], None]]] = deque()
        """Rates that were changed to, and what is to be called when they hold."""
        self._clock = Stopwatch()
        self.limiting = False
        """Whether no attempt may start now."""

    def change(self, rate: float, on_hold: Callable[[], None] = lambda: None) -> None:
        """Have this rate from the next start on, if there is one at all. Any thread may call it.

        `on_hold` is called, once, when it holds for all requests that are sent from then on: until that, attempts that
        have started at a higher rate may still be connecting.
        """
        self._changed = rate
        self._waiting.append((rate, on_hold))
        self._tell_who_waits()

    def _tell_who_waits(self) -> None:
        with suppress(IndexError):  # another thread has told it
            if self._rate is None or self._rate.fits(self._waiting[0][0]):
                self._waiting.popleft()[1]()

    def limited_for(self, now: float) -> float:
        """Seconds so far for which no attempt could start."""
        return self._clock.read(now)

    def next_at(self) -> float:
        """When an attempt may start again; `inf` if one may start now, or if another request must be sent first."""
        return self._rate.next_at() if self.limiting and self._rate is not None else inf

    def update(self, now: float) -> None:
        """Update `limiting`."""
        if self._rate is None:
            return
        if (changed := self._changed) is not None:
            self._changed = None
            self._rate.change(changed)
        self.limiting = self._rate.next_at() > now
        if self.limiting:
            self._clock.start(now)
        else:
            self._clock.stop(now)

    def start(self, now: float) -> None:
        """Note that an attempt starts."""
        if self._rate is not None:
            self._rate.start(now)
            self.update(now)

    def sent(self, now: float) -> None:
        """Note that the request of a started attempt was sent, or never will be."""
        if self._rate is not None:
            self._rate.sent(now)
            if self._waiting:
                self._tell_who_waits()
            self.update(now)

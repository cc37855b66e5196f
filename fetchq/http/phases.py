"""The clock of an attempt: in which phase its time went, and how much of it is left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fetchq.core.settings import Settings

__all__ = ["CONNECT", "DECODE", "DNS", "RECEIVE", "STORE", "TLS", "WAIT", "AttemptClock"]

DNS, CONNECT, TLS, WAIT, RECEIVE, DECODE, STORE = range(7)
"""The phases of an attempt: indexes into `AttemptClock.phases`."""


class AttemptClock:
    """What an attempt knows of time. Seconds come from `time.perf_counter`."""

    # fmt: off
    __slots__ = (
        "_last", "_on_hold", "_window_start", "began", "connecting_since", "held", "phases", "progress_at", "settings",
    )
    # fmt: on

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.phases = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
        self.held = 0.0
        """Seconds of waiting because of a limit of ours; they are in no phase."""
        self._on_hold = False
        self._last = self.began = perf_counter()
        """`began`: or later, by what has been held; the timeout counts from here."""
        self.connecting_since: float | None = None
        self.progress_at = 0.0
        self._window_start = 0.0
        """Since when the speed is measured."""

    def lap(self, phase: int) -> float:
        """Count the time since the last lap to `phase`. Returns now."""
        now = perf_counter()
        self.phases[phase] += now - self._last
        self._last = now
        return now

    def lap_at(self, phase: int, when: float) -> None:
        """Count the time from the last lap until `when` to `phase`; nothing where `when` lies before it."""
        if when > self._last:
            self.phases[phase] += when - self._last
            self._last = when

    @contextmanager
    def on_hold(self) -> Iterator[None]:
        """Inside, we wait because of a limit of ours: that is held against nobody, and nothing times out."""
        since = self.lap(RECEIVE)
        self._on_hold = True
        try:
            yield
        finally:
            self._on_hold = False
            self._last = self.progress_at = perf_counter()
            waited = self._last - since
            self.held += waited
            self.began += waited
            self._window_start += waited

    def time_left(self, now: float) -> tuple[float, str]:
        """Seconds until something times out, and what it then was. Negative when that is past."""
        if self._on_hold:
            return inf, ""
        settings = self.settings
        limit, what = self.began + settings.timeout, f"no complete answer in {settings.timeout:g} s (timeout)"
        if self.connecting_since is not None:
            if (until := self.connecting_since + settings.connect_timeout) < limit:
                limit, what = until, f"no connection in {settings.connect_timeout:g} s (connect timeout)"
        elif (until := self.progress_at + settings.read_timeout) < limit:
            limit, what = until, f"no byte in {settings.read_timeout:g} s (read timeout)"
        return limit - now, what

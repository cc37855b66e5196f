"""Keeps the clock of an attempt, which counts its time in phases, and knows when it times out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from time import perf_counter
from typing import TYPE_CHECKING

from fetchq.core.model import Cause
from fetchq.core.quantities import NO_LIMIT
from fetchq.http.failure import AttemptFailed
from fetchq.http.phases import CONNECT, LAG, RECEIVE, WAIT

if TYPE_CHECKING:
    from fetchq.core.settings import Settings
    from fetchq.http.lost_time import LostTime

__all__ = ["AttemptClock"]


class AttemptClock:
    """The clock of one attempt. Times are those of `time.perf_counter`."""

    # fmt: off
    __slots__ = (
        "_lost", "_lost_time", "_on_hold", "_received_before", "_window_bytes", "_window_start", "began",
        "connecting_phase", "connecting_since", "first_byte_at", "held", "last_byte_at", "last_lap", "phases",
        "progress_at", "settings",
    )
    # fmt: on

    def __init__(self, settings: Settings, lost_time: LostTime) -> None:
        """`lost_time`: that of the run."""
        self.settings = settings
        self._lost_time, self._lost = lost_time, lost_time.seconds
        self.phases = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
        """Seconds spent in each phase."""
        self.held = 0.0
        """Seconds spent waiting because of the run's `limit_rate`; they count in no phase."""
        self._on_hold = False
        self.last_lap = self.began = perf_counter()
        """`last_lap`: until when the phases have been counted. `began`: when the timeout started; time spent waiting
        for `limit_rate` is added to it."""
        self.connecting_since: float | None = None
        """When the engine began to look for a connection; None once there is one."""
        self.connecting_phase = CONNECT
        """The phase that grows meanwhile: `TLS` during the handshake."""
        self.progress_at = 0.0
        """When the last byte arrived, or the network took the last piece of the request; starts the read timeout."""
        self.first_byte_at = 0.0
        """When the first byte of the hop's response arrived, once it has."""
        self.last_byte_at = inf
        """When the last byte of the response arrived; infinite until then. Afterwards, waiting is lag."""
        self._received_before = 0.0  # of `receive`, the seconds of earlier hops
        # The window over which the speed is measured: when it began, and the bytes received since then.
        self._window_start = 0.0
        self._window_bytes = 0

    def lap(self, phase: int) -> float:
        """Add the time since the last lap to `phase`. Returns the current time."""
        now = perf_counter()
        self.phases[phase] += now - self.last_lap
        self.last_lap = now
        return now

    def laps(self, *ends: tuple[int, float]) -> None:
        """Divide the time since the last lap: each phase lasts until the time beside it, and the rest is lag.

        A time before the end of the phase before it, or in the future, is taken for the nearest possible one.
        """
        phases, began, now = self.phases, self.last_lap, perf_counter()
        for phase, end in (*ends, (LAG, now)):
            end = min(max(end, began), now)
            phases[phase] += end - began
            began = end
        self.last_lap = now

    def shorten_receive(self, arrived: float) -> None:
        """Note when the last byte arrived. Time that was counted as `receive` since then was lag."""
        late = min(self.last_lap - arrived, self.phases[RECEIVE] - self._received_before)
        if late > 0:
            self.phases[RECEIVE] -= late
            self.phases[LAG] += late

    def note_last_byte(self, arrived: float) -> None:
        """Note when the last byte of the response arrived, once it is known to be the last one."""
        if self.last_byte_at == inf:
            if arrived < self.last_lap:
                self.shorten_receive(arrived)
            self.last_byte_at = arrived

    def lap_own(self) -> float:
        """Add the time since the last lap to `lag`: bytes were left in the meantime. Returns the current time.

        It counts neither for the read timeout nor for the speed of the server.
        """
        began = self.last_lap
        now = self.progress_at = self.lap(LAG)
        self._window_start += now - began
        return now

    def lap_received(self) -> float:
        """Add the time since the last lap to `receive`, as far as bytes were missing. Returns the current time."""
        self.laps((RECEIVE, self.last_byte_at))
        return self.last_lap

    @contextmanager
    def on_hold(self, phase: int | None = None) -> Iterator[None]:
        """Wrap a wait because of `limit_rate`: meanwhile the attempt cannot time out, and no phase grows.

        `phase`: the phase that grows, for a wait that has another reason.
        """
        since = self.lap_received()
        self._on_hold = True
        try:
            yield
        finally:
            self._on_hold = False
            self.last_lap = self.progress_at = perf_counter()
            waited = self.last_lap - since
            if phase is None:
                self.held += waited
            else:
                self.phases[phase] += waited
            self.began += waited
            self._window_start += waited

    def keep_response(self) -> None:
        """Note that the response is whole, so that the attempt cannot time out any more."""
        self._on_hold = True

    def _end_phases(self, now: float, *, responded: bool) -> None:
        """Add the rest of the attempt's time, which ends `now`."""
        began, last = self.last_lap, self.last_byte_at
        if not responded:
            phase = WAIT if self.connecting_since is None else self.connecting_phase
        elif last > now:
            phase = RECEIVE
        else:
            phase = LAG
            if last > began:
                self.phases[RECEIVE] += last - began
                began = last
        self.phases[phase] += now - began
        self.last_lap = now

    def time_left(self, now: float) -> tuple[float, str]:
        """Seconds until the earliest timeout, negative once it has passed, and the error message for it."""
        if self._on_hold:
            return inf, ""
        settings = self.settings
        seconds, what = settings.timeout or NO_LIMIT, "no complete answer in %g s (timeout)"
        limit = self.began + seconds
        if self.connecting_since is not None:
            connect_timeout = settings.connect_timeout or NO_LIMIT
            if (until := self.connecting_since + connect_timeout) < limit:
                limit, seconds, what = until, connect_timeout, "no connection in %g s (connect timeout)"
        else:
            read_timeout = settings.read_timeout or NO_LIMIT
            if (until := self.progress_at + read_timeout) < limit:
                limit, seconds, what = until, read_timeout, "no byte in %g s (read timeout)"
        if limit <= now and self._allow_for_lost_time(now):
            return self.time_left(now)
        return limit - now, what % seconds

    def _allow_for_lost_time(self, now: float) -> bool:
        """Let all timeouts end later by what was lost since the last call. Returns whether that is anything."""
        before, self._lost = self._lost, self._lost_time.until(now)
        if (lost := self._lost - before) <= 0:
            return False
        self.began += lost
        self.progress_at += lost
        self._window_start += lost
        if self.connecting_since is not None:
            self.connecting_since += lost
        return True

    def _check_speed(self, now: float) -> None:
        """Raise `AttemptFailed` (`too_slow`) if the window that ends now was too slow; otherwise begin the next one.

        One in which time was lost goes on for as long.
        """
        seconds = now - self._window_start
        if self._window_bytes < self.settings.min_speed * seconds:
            if self._allow_for_lost_time(now):
                return
            speed = self._window_bytes / seconds
            raise AttemptFailed(Cause.TOO_SLOW, f"{speed:.0f} bytes/s over {seconds:.0f} s")
        self._window_start, self._window_bytes = now, 0

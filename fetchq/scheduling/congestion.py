"""How much one host bears, as its answers show: pure, the clock is handed in.

Concurrency goes as in TCP (RFC 5681): a window that is cut in half at a sign of trouble, grows by one with each good
answer up to the half of what it was, and then by one with each round of them. A host that refuses by 429, or says
Retry-After, is also given a pace: as many starts a second as it has borne, the time counted in that it wants to be
left alone. After long enough the pace is raised, by little first; and where that was too much, it goes back, and waits
twice as long before it tries again.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

__all__ = ["GIVEN_UP_FOR", "CongestionControl", "HostNote"]

_TROUBLED = 0.1
"""The smoothed share of failures from which on they are a sign of trouble, and not a matter of single URLs."""
_SMOOTH = 0.05
_SLOWED = 3.0
"""Times its usual, and a second: an answer that takes longer is late."""
_FAILURES = 5
"""Connection failures in a row after which a host is set aside."""
_PAUSES = 4
"""Times that a host is set aside, for 2, 4, 8 and 16 times the first wait, before it is given up."""
GIVEN_UP_FOR = 300.0
"""Seconds after which a host that was given up gets another chance."""
_PROBE_AFTER = 10.0
"""Seconds of good answers after which the pace is raised, at first."""
_LONGEST_PROBE = 160.0
_LONG = 3.0
"""Seconds at a pace after which a refusal says that it was only just too quick."""
_STEP = 0.05
"""By how much it is raised, at first; doubled each time."""
_NO_PACE = 5000.0
"""Starts a second beyond which a pace means nothing."""
_LONGEST_HOLD = 10.0
"""Times the first wait, where the server does not say how long."""


@dataclass(frozen=True, slots=True)
class HostNote:
    """What was done about a host that refused, failed or grew slow."""

    host: str
    refusals: int = 0
    """Answers that said this is too much."""
    least_window: float = inf
    """The fewest attempts that were allowed at a time."""
    pace: float = inf
    """Starts a second, in the end."""
    pauses: int = 0
    """Times that it was set aside."""
    given_up: bool = False


class CongestionControl:
    """One host's. `window`: how many attempts at a time; `pace`: how many starts a second."""

    # fmt: off
    __slots__ = (
        "_accepted", "_adapts", "_base", "_before_probe", "_cut_at", "_enough", "_epoch", "_in_row", "_pauses_in_row",
        "_period", "_probe_at", "_refusals_in_row", "_share", "_smoothed", "_step", "_threshold", "_wait", "at_ease",
        "given_up", "least_window", "pace", "pauses", "refusals", "window",
    )
    # fmt: on

    def __init__(self, now: float, *, enough: int, wait: float, adapts: bool = True) -> None:
        """`enough`: a window of so many is no limit. `wait`: seconds, half of the first pause.

        Unless it `adapts`, only a refusal has consequences.
        """
        self._wait = wait
        self._adapts = adapts
        self.window = self._threshold = self.pace = self.least_window = inf
        self._enough = enough
        self._epoch = now
        """Since when `_accepted` counts."""
        self._accepted = 0
        self.at_ease = True
        """Nothing that a good answer could make better."""
        self._cut_at = -inf
        """What began before this has had its consequences."""
        self._share = 0.0
        self._smoothed = -1.0
        self._base = inf
        self._in_row = self._pauses_in_row = self._refusals_in_row = 0
        self.pauses = self.refusals = 0
        """How often it was set aside, and how often it refused."""
        self.given_up = False
        self._probe_at = inf
        self._period = _PROBE_AFTER
        self._step = _STEP
        self._before_probe = 0.0

    def note(self, host: str) -> HostNote | None:
        """What was done about this host, which is `host`; None where nothing was."""
        if not self.refusals and not self.pauses and self.least_window == inf:
            return None
        return HostNote(host, self.refusals, self.least_window, self.pace, self.pauses, self.given_up)

    # --- what comes back ---

    def good(self, now: float, started: float, wait: float, active: int) -> None:
        """An answer that is no sign of trouble, which began after `wait` seconds; `active` more are under way."""
        self._accepted += 1
        if not self.at_ease:
            self._recover(now)
        before = self._smoothed
        smoothed = self._smoothed = wait if before < 0 else before + (wait - before) * 0.1
        if smoothed < self._base:
            self._base = smoothed
        elif smoothed > _SLOWED * self._base + 1.0:
            self._base = smoothed / 2  # what is usual may change
            self._cut(now, started, active)

    def _recover(self, now: float) -> None:
        self.answered()
        self._refusals_in_row = 0
        self._share = self._share * (1 - _SMOOTH) if self._share > _SMOOTH / 10 else 0.0
        if self.window != inf:
            self._widen()
        if now >= self._probe_at:
            self._probe(now)
        self.at_ease = not self._share and self.window == inf and self.pace == inf

    def answered(self) -> None:
        """The host is there, whatever it says."""
        self._in_row = self._pauses_in_row = 0
        self.given_up = False

    def refused(self, now: float, started: float, asked: float | None, active: int) -> float:
        """It said that this is too much. Returns the seconds in which it is to be left alone.

        `asked`: those that it wants itself.
        """
        self.refusals += 1
        if asked == 0:  # it may be asked again at once
            self.failed(now, started, active)
            return 0.0
        self.answered()
        if started < self._cut_at:
            return asked or 0.0
        self.at_ease = False
        self._refusals_in_row += 1
        hold = asked or self._wait * min(2.0 ** min(self._refusals_in_row, 10), _LONGEST_HOLD)
        if self._adapts:
            self._slow_down(now, hold)
            self._threshold = max(1.0, min(self.window, active + 1) / 2)
        self._cut_at = now
        self._restart()
        self._epoch, self._accepted = now + hold, 0
        return hold

    def failed(self, now: float, started: float, active: int) -> None:
        """An overloaded host would have done this: 503 without Retry-After, a connection that broke."""
        self.answered()
        self.at_ease = False
        self._share += (1 - self._share) * _SMOOTH
        if self._share > _TROUBLED:
            self._cut(now, started, active)

    def down(self, now: float, started: float, *, permanent: bool) -> float:
        """No connection. Returns the seconds for which it is set aside; it may be given up then.

        `permanent`: another try would come to the same.
        """
        if started < self._cut_at or not self._adapts:
            return 0.0
        self.at_ease = False
        self._in_row += 1
        if self._in_row < _FAILURES and not self._pauses_in_row:
            return 0.0
        self._cut_at = now
        self._restart()
        if permanent or self._pauses_in_row >= _PAUSES:
            self.given_up = True
            return 0.0
        self.pauses += 1
        self._pauses_in_row += 1
        return self._wait * 2.0**self._pauses_in_row

    # --- what follows ---

    def _cut(self, now: float, started: float, active: int) -> None:
        if started < self._cut_at or not self._adapts:
            return
        self._cut_at = now
        self.at_ease = False
        self.window = self._threshold = max(1.0, min(self.window, active + 1) / 2)
        self.least_window = min(self.least_window, self.window)

    def _restart(self) -> None:
        """After it was left alone it is approached one at a time, without a burst."""
        self.window = self.least_window = 1.0

    def _widen(self) -> None:
        self.window += 1.0 if self.window < self._threshold else 1.0 / self.window
        if self.window >= self._enough:
            self.window = self._threshold = inf

    def _slow_down(self, now: float, hold: float) -> None:
        if self._before_probe:
            self.pace = self._before_probe * 0.98
            self._period = min(self._period * 2, _LONGEST_PROBE)
        elif self.pace == inf:
            self.pace = 0.96 * max(self._accepted, 1) / max(now - self._epoch + hold, 0.001)
        else:
            self.pace *= 0.95 if now - self._epoch > _LONG else 0.7
        self._before_probe, self._step = 0.0, _STEP
        self._probe_at = now + hold + self._period

    def _probe(self, now: float) -> None:
        self._before_probe = self.pace
        self.pace *= 1 + self._step
        self._step = min(self._step * 2, 1.0)
        self._probe_at = now + self._period
        if self.pace > _NO_PACE:
            self.pace = self._probe_at = inf
            self._before_probe = 0.0

"""Finds the rate of starts that a host accepts, from its refusals and its good answers.

After the first refusal, the rate is what the host has accepted on average, counting the time for which it is held.
After a while without a refusal it is raised (a probe), first a little and then more. If the host refuses again, the
rate goes back, and the next probe waits twice as long.
"""

from __future__ import annotations

from math import inf

__all__ = ["HostRate"]

_PROBE_AFTER = 10.0
"""Seconds after which the rate limit is raised for the first time, if the answers are good."""
_LONGEST_PROBE = 160.0
"""The most seconds until the next probe."""
_STABLE_AFTER = 3.0
"""After this many seconds at one rate, a refusal means that the rate was only a little too high."""
_PROBE_STEP = 0.05
"""The share by which the first probe raises the rate limit; each further probe doubles it."""
_NO_LIMIT = 5000.0
"""Starts per second above which the rate limit is removed."""


class HostRate:
    """The rate limit of a host that has refused: `limit`, in starts per second; `inf` once it is removed."""

    __slots__ = ("_before_probe", "_probe_after", "_probe_at", "_probe_step", "limit")

    def __init__(self) -> None:
        self.limit = inf
        self._before_probe = 0.0
        """The limit before the last probe; 0 if there was no probe since the last refusal."""
        self._probe_after = _PROBE_AFTER
        self._probe_at = inf
        """When the limit is to be raised next."""
        self._probe_step = _PROBE_STEP

    def refused(self, now: float, hold: float, accepted: int, seconds: float) -> None:
        """Lower the limit after a refusal, for which the host is held for `hold` seconds.

        `accepted`: good answers since the last refusal, which was `seconds` ago.
        """
        if self._before_probe:
            self.limit = self._before_probe * 0.98
            self._probe_after = min(self._probe_after * 2, _LONGEST_PROBE)
        elif self.limit == inf:
            self.limit = 0.96 * max(accepted, 1) / max(seconds + hold, 0.001)
        else:
            self.limit *= 0.95 if seconds > _STABLE_AFTER else 0.7
        self._before_probe, self._probe_step = 0.0, _PROBE_STEP
        self._probe_at = now + hold + self._probe_after

    def answered(self, now: float) -> None:
        """Raise the limit after a good answer, if a probe is due."""
        if now < self._probe_at:
            return
        self._before_probe = self.limit
        self.limit *= 1 + self._probe_step
        self._probe_step = min(self._probe_step * 2, 1.0)
        self._probe_at = now + self._probe_after
        if self.limit > _NO_LIMIT:
            self.limit = self._probe_at = inf
            self._before_probe = 0.0

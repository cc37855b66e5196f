"""Tracks whether a host can be connected to: its outages, the pauses after failures, and when it is given up.

An outage begins with a connection failure, and ends with an answer to an attempt that started after the last failure. A
host that has answered before is waited for longer than one that never has, since it is probably only restarting.
"""

from __future__ import annotations

__all__ = ["GIVEN_UP_FOR", "Reachability"]

_FAILURES = 5
"""After this many connection failures in a row, a host is paused."""
_PAUSES = 4
"""Pauses, of 2, 4, 8 and 16 times the first retry wait, before a host that has never answered is given up."""
GIVEN_UP_FOR = 300.0
"""Seconds after which a host that was given up is tried again."""
_MIN_OUTAGE = 60.0
"""Seconds for which an outage must last before a host that has answered is given up."""
_MIN_RETRY_WAIT = 0.5
"""For a host that has answered, the first retry wait counts as at least this many seconds."""
_LONGEST_PAUSE = 16.0
"""The longest pause, in seconds, of a host that has answered."""


class Reachability:
    """Whether one host can be connected to."""

    __slots__ = (
        "_down_since",
        "_failed_at",
        "_failures_in_row",
        "_pauses_in_row",
        "_retry_wait",
        "given_up",
        "has_answered",
        "outages",
        "pauses",
    )

    def __init__(self, retry_wait: float) -> None:
        """`retry_wait`: half of the first pause, in seconds."""
        self._retry_wait = retry_wait
        self._failures_in_row = self._pauses_in_row = 0
        self._down_since = self._failed_at = 0.0
        """When the first and the last of the failures in a row happened."""
        self.has_answered = False
        """Whether the host has ever answered, as far as `answered` was called."""
        self.given_up = False
        self.pauses = 0
        """How often the host was paused."""
        self.outages = 0
        """How many outages have ended."""

    def answered(self, started: float) -> None:
        """Note an answer of any kind, to an attempt that started at `started`: the host is up."""
        self.has_answered = True
        if self._failures_in_row:
            if started > self._failed_at:  # otherwise the host may have gone down since
                self.outages += 1
            self._failures_in_row = self._pauses_in_row = 0
        self.given_up = False

    def failed(self, now: float, *, permanent: bool) -> float | None:
        """Note a connection failure. Returns the seconds for which the host is to be paused; None for no pause.

        If the host has been down for too long, sets `given_up` and returns 0. `permanent`: whether another attempt
        would fail in the same way.
        """
        if not self._failures_in_row:
            self._down_since = now
        self._failures_in_row += 1
        self._failed_at = now
        if self._failures_in_row < _FAILURES and not self._pauses_in_row:
            return None
        if permanent or self._is_down_for_too_long(now):
            self.given_up = True
            return 0.0
        self.pauses += 1
        self._pauses_in_row += 1
        if not self.has_answered:
            return self._retry_wait * 2.0**self._pauses_in_row
        base = max(self._retry_wait, _MIN_RETRY_WAIT)
        return min(base * 2.0 ** min(self._pauses_in_row, 10), max(base, _LONGEST_PAUSE))

    def _is_down_for_too_long(self, now: float) -> bool:
        if self._pauses_in_row < _PAUSES:
            return False
        # No host that has answered is given up sooner than one that never has.
        patience = max(_MIN_OUTAGE, self._retry_wait * (2.0 ** (_PAUSES + 1) - 2.0))
        return not self.has_answered or now - self._down_since >= patience

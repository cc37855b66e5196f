"""Congestion control for one host: how many attempts it bears at a time, and in a second, as its answers show.

Concurrency goes as in TCP (RFC 5681): a window is halved at a sign of congestion, grows by one with each good answer
up to half of what it was, and then by one with each round of them. A host that refuses with 429, or sends Retry-After,
also gets a rate limit: as many starts a second as it has accepted, the time for which it is left alone included. After
long enough the limit is raised, by little at first; where that was too much, it goes back, and the next probe comes
twice as late.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

__all__ = ["GIVEN_UP_FOR", "CongestionControl", "HostBackoff"]

_CONGESTED = 0.1
"""The smoothed share of failures above which they are a sign of congestion, and not a matter of single URLs."""
_SMOOTHING = 0.05
"""The weight of the latest attempt in that share."""
_LATENCY_SMOOTHING = 0.1
"""The weight of the latest answer in the smoothed latency."""
_SLOWED = 3.0
"""A smoothed latency of more than this many times the usual one, and a second, is a sign of congestion."""
_FAILURES = 5
"""Connection failures in a row after which a host is paused."""
_PAUSES = 4
"""Pauses, of 2, 4, 8 and 16 times the first retry wait, before a host is given up."""
GIVEN_UP_FOR = 300.0
"""Seconds after which a host that was given up gets another chance."""
_PROBE_AFTER = 10.0
"""Seconds of good answers after which the rate limit is raised for the first time."""
_LONGEST_PROBE = 160.0
"""Seconds beyond which the time until the next probe grows no further."""
_LONG = 3.0
"""Seconds at one rate after which a refusal means that it was only just too high."""
_STEP = 0.05
"""The share by which the rate limit is raised at first; it is doubled each time."""
_NO_LIMIT = 5000.0
"""Starts a second above which a rate limit is dropped."""
_LONGEST_HOLD = 10.0
"""Times the first retry wait: the longest hold of a host that does not say how long."""


@dataclass(frozen=True, slots=True)
class HostBackoff:
    """How far requests to a host that refused, failed or grew slow were held back."""

    host: str
    refusals: int = 0
    """Answers that said there were too many requests."""
    least_window: float = inf
    """The fewest attempts that were allowed at a time."""
    rate: float = inf
    """Starts a second that were allowed in the end."""
    pauses: int = 0
    """Times that it was paused after connection failures."""
    given_up: bool = False


class CongestionControl:
    """One host's. `window`: attempts that are allowed at a time; `rate`: starts that are allowed in a second."""

    # fmt: off
    __slots__ = (
        "_accepted", "_accepted_since", "_adapts", "_cut_at", "_failure_share", "_failures_in_row", "_latency",
        "_pauses_in_row", "_probe_after", "_probe_at", "_probe_step", "_rate_before_probe", "_refusals_in_row",
        "_retry_wait", "_threshold", "_usual_latency", "_workers", "given_up", "least_window", "pauses", "rate",
        "refusals", "unrestricted", "window",
    )
    # fmt: on

    def __init__(self, now: float, *, workers: int, retry_wait: float, adapts: bool = True) -> None:
        """A window of `workers` is no limit. `retry_wait`: seconds, half of the first pause.

        Unless it `adapts`, only a refusal has consequences.
        """
        self._workers = workers
        self._retry_wait = retry_wait
        self._adapts = adapts
        self.window = self.rate = self.least_window = inf
        self._threshold = inf
        """The window up to which it grows quickly (ssthresh in RFC 5681)."""
        self.unrestricted = True
        """There is no window and no rate limit, and no failure that good answers would have to make up for."""
        self._accepted = 0
        """Good answers since `_accepted_since`."""
        self._accepted_since = now
        self._cut_at = -inf
        """Signs of congestion in attempts that started before this are ignored: it has been reacted to."""
        self._failure_share = 0.0
        self._latency = -1.0
        """Smoothed seconds to the first byte of an answer; negative before the first."""
        self._usual_latency = inf
        self._failures_in_row = self._pauses_in_row = self._refusals_in_row = 0
        self.pauses = self.refusals = 0
        """How often it was paused, and how often it refused."""
        self.given_up = False
        self._probe_at = inf
        """When the rate limit is raised next."""
        self._probe_after = _PROBE_AFTER
        self._probe_step = _STEP
        self._rate_before_probe = 0.0
        """The rate limit that the last probe has raised; 0 where it has not been raised since a refusal."""

    def backoff(self, host: str) -> HostBackoff | None:
        """How far requests to this host, whose key is `host`, were held back; None where they were not."""
        if not self.refusals and not self.pauses and self.least_window == inf:
            return None
        return HostBackoff(host, self.refusals, self.least_window, self.rate, self.pauses, self.given_up)

    # --- outcomes of attempts; `started` is when the attempt was taken, `in_flight` how many others there are ---

    def succeeded(self, now: float, started: float, wait: float, in_flight: int) -> None:
        """An answer that is no sign of congestion, of which the first byte came after `wait` seconds."""
        self._accepted += 1
        if not self.unrestricted:
            self._recover(now)
        before = self._latency
        latency = self._latency = wait if before < 0 else before + (wait - before) * _LATENCY_SMOOTHING
        if latency < self._usual_latency:
            self._usual_latency = latency
        elif latency > _SLOWED * self._usual_latency + 1.0:
            self._usual_latency = latency / 2  # what is usual may change
            self._cut(now, started, in_flight)

    def _recover(self, now: float) -> None:
        self.answered()
        self._refusals_in_row = 0
        share = self._failure_share
        self._failure_share = share * (1 - _SMOOTHING) if share > _SMOOTHING / 10 else 0.0
        if self.window != inf:
            self._widen()
        if now >= self._probe_at:
            self._probe(now)
        self.unrestricted = not self._failure_share and self.window == inf and self.rate == inf

    def answered(self) -> None:
        """An answer of any kind: the host is there."""
        self._failures_in_row = self._pauses_in_row = 0
        self.given_up = False

    def refused(self, now: float, started: float, retry_after: float | None, in_flight: int) -> float:
        """A refusal: too many requests. Returns the seconds for which the host is to be left alone.

        `retry_after`: the seconds for which it asks itself.
        """
        self.refusals += 1
        if retry_after == 0:  # it may be asked again at once
            self.failed(now, started, in_flight)
            return 0.0
        self.answered()
        if started < self._cut_at:
            return retry_after or 0.0
        self.unrestricted = False
        self._refusals_in_row += 1
        hold = retry_after or self._retry_wait * min(2.0 ** min(self._refusals_in_row, 10), _LONGEST_HOLD)
        if self._adapts:
            self._limit_rate(now, hold)
            self._threshold = max(1.0, min(self.window, in_flight + 1) / 2)
        self._cut_at = now
        self._restart()
        self._accepted_since, self._accepted = now + hold, 0
        return hold

    def failed(self, now: float, started: float, in_flight: int) -> None:
        """What an overloaded host would have done: 503 without Retry-After, or a connection that broke."""
        self.answered()
        self.unrestricted = False
        self._failure_share += (1 - self._failure_share) * _SMOOTHING
        if self._failure_share > _CONGESTED:
            self._cut(now, started, in_flight)

    def unreachable(self, now: float, started: float, *, permanent: bool) -> float:
        """No connection. Returns the seconds for which the host is paused; it may be given up instead.

        `permanent`: another attempt would fail in the same way.
        """
        if started < self._cut_at or not self._adapts:
            return 0.0
        self.unrestricted = False
        self._failures_in_row += 1
        if self._failures_in_row < _FAILURES and not self._pauses_in_row:
            return 0.0
        self._cut_at = now
        self._restart()
        if permanent or self._pauses_in_row >= _PAUSES:
            self.given_up = True
            return 0.0
        self.pauses += 1
        self._pauses_in_row += 1
        return self._retry_wait * 2.0**self._pauses_in_row

    # --- consequences ---

    def _cut(self, now: float, started: float, in_flight: int) -> None:
        if started < self._cut_at or not self._adapts:
            return
        self._cut_at = now
        self.unrestricted = False
        self.window = self._threshold = max(1.0, min(self.window, in_flight + 1) / 2)
        self.least_window = min(self.least_window, self.window)

    def _restart(self) -> None:
        """After the host was left alone, begin with one attempt at a time, without a burst."""
        self.window = self.least_window = 1.0

    def _widen(self) -> None:
        self.window += 1.0 if self.window < self._threshold else 1.0 / self.window
        if self.window >= self._workers:
            self.window = self._threshold = inf

    def _limit_rate(self, now: float, hold: float) -> None:
        if self._rate_before_probe:
            self.rate = self._rate_before_probe * 0.98
            self._probe_after = min(self._probe_after * 2, _LONGEST_PROBE)
        elif self.rate == inf:
            self.rate = 0.96 * max(self._accepted, 1) / max(now - self._accepted_since + hold, 0.001)
        else:
            self.rate *= 0.95 if now - self._accepted_since > _LONG else 0.7
        self._rate_before_probe, self._probe_step = 0.0, _STEP
        self._probe_at = now + hold + self._probe_after

    def _probe(self, now: float) -> None:
        self._rate_before_probe = self.rate
        self.rate *= 1 + self._probe_step
        self._probe_step = min(self._probe_step * 2, 1.0)
        self._probe_at = now + self._probe_after
        if self.rate > _NO_LIMIT:
            self.rate = self._probe_at = inf
            self._rate_before_probe = 0.0

"""Controls congestion at one host: how many attempts it gets at a time, and per second, according to its answers.

Concurrency is limited as in TCP (RFC 5681): a window is halved at a sign of congestion. After a hold it begins at one,
grows by one with each good answer up to half its former size, and then by one with each window of good answers. A host
that refuses with 429, or sends Retry-After, also gets a rate limit: as many starts per second as it has accepted on
average, counting the time for which it is held. After a while the limit is raised (a probe), first a little and then
more. If the host refuses again, the limit goes back, and the next probe waits twice as long.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

__all__ = ["GIVEN_UP_FOR", "CongestionControl", "HostBackoff"]

_CONGESTED = 0.1
"""Above this smoothed share, failures are a sign of congestion; below, they are a matter of single URLs."""
_SMOOTHING = 0.05
"""The weight of the latest attempt in the smoothed share of failures."""
_LATENCY_SMOOTHING = 0.1
"""The weight of the latest answer in the smoothed latency."""
_SLOWDOWN = 3.0
"""A smoothed latency of more than this many times the usual one, plus a second, is a sign of congestion."""
_FAILURES = 5
"""After this many connection failures in a row, a host is paused."""
_PAUSES = 4
"""Pauses, of 2, 4, 8 and 16 times the first retry wait, before a host is given up."""
GIVEN_UP_FOR = 300.0
"""Seconds after which a host that was given up is tried again."""
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
_LONGEST_HOLD = 10.0
"""The longest hold of a host that does not say how long, as a multiple of the first retry wait."""


@dataclass(frozen=True, slots=True)
class HostBackoff:
    """How far the requests to a host were held back, because it refused, failed or grew slow."""

    host: str
    refusals: int = 0
    """How many answers said that there were too many requests."""
    least_window: float = inf
    """The smallest window: attempts that were allowed at a time."""
    rate: float = inf
    """The last rate limit: starts that were allowed per second."""
    pauses: int = 0
    """How often it was paused after connection failures."""
    given_up: bool = False


class CongestionControl:
    """The congestion control of one host. `window`: attempts allowed at a time; `rate`: starts allowed per second."""

    # fmt: off
    __slots__ = (
        "_accepted", "_accepted_since", "_adapts", "_cut_at", "_failure_share", "_failures_in_row", "_latency",
        "_pauses_in_row", "_probe_after", "_probe_at", "_probe_step", "_rate_before_probe", "_refusals_in_row",
        "_retry_wait", "_threshold", "_usual_latency", "_workers", "given_up", "least_window", "pauses", "rate",
        "refusals", "unrestricted", "window",
    )
    # fmt: on

    def __init__(self, now: float, *, workers: int, retry_wait: float, adapts: bool = True) -> None:
        """`workers`: a window of this size is no limit. `retry_wait`: half of the first pause, in seconds.

        `adapts`: whether failures and slow answers have consequences; a refusal always holds the host.
        """
        self._workers = workers
        self._retry_wait = retry_wait
        self._adapts = adapts
        self.window = self.rate = self.least_window = inf
        self._threshold = inf
        """The window up to which it grows quickly (ssthresh in RFC 5681)."""
        self.unrestricted = True
        """Whether there is no window, no rate limit, and no recent failure."""
        self._accepted = 0
        """Good answers since `_accepted_since`."""
        self._accepted_since = now
        self._cut_at = -inf
        """When the last reaction was. Signs of congestion in attempts that started before it are ignored."""
        self._failure_share = 0.0
        self._latency = -1.0
        """Smoothed seconds to the first byte of an answer; negative before the first."""
        self._usual_latency = inf
        self._failures_in_row = self._pauses_in_row = self._refusals_in_row = 0
        self.pauses = self.refusals = 0
        """How often the host was paused, and how often it refused."""
        self.given_up = False
        self._probe_at = inf
        """When the rate limit is to be raised next."""
        self._probe_after = _PROBE_AFTER
        self._probe_step = _PROBE_STEP
        self._rate_before_probe = 0.0
        """The rate limit before the last probe; 0 if there was no probe since the last refusal."""

    def backoff(self, host: str) -> HostBackoff | None:
        """How far requests to this host, whose key is `host`, were held back; None if they were not."""
        if not self.refusals and not self.pauses and self.least_window == inf:
            return None
        return HostBackoff(host, self.refusals, self.least_window, self.rate, self.pauses, self.given_up)

    # --- outcomes of attempts; `started`: when a worker took the job; `in_flight`: how many others are under way ---

    def succeeded(self, now: float, started: float, wait: float, in_flight: int) -> None:
        """Note a good answer, whose first byte came after `wait` seconds."""
        self._accepted += 1
        if not self.unrestricted:
            self._recover(now)
        before = self._latency
        latency = self._latency = wait if before < 0 else before + (wait - before) * _LATENCY_SMOOTHING
        if latency < self._usual_latency:
            self._usual_latency = latency
        elif latency > _SLOWDOWN * self._usual_latency + 1.0:
            self._usual_latency = latency / 2  # the usual latency may change
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
        """Note an answer of any kind: the host is up."""
        self._failures_in_row = self._pauses_in_row = 0
        self.given_up = False

    def refused(self, now: float, started: float, retry_after: float | None, in_flight: int) -> float:
        """Note a refusal because of too many requests. Returns the seconds for which the host gets no requests.

        `retry_after`: the seconds that the host itself asks for, if any.
        """
        self.refusals += 1
        if retry_after == 0:  # the host allows another request at once
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
        """Note a failure that is typical of an overloaded host: 503 without Retry-After, or a broken connection."""
        self.answered()
        self.unrestricted = False
        self._failure_share += (1 - self._failure_share) * _SMOOTHING
        if self._failure_share > _CONGESTED:
            self._cut(now, started, in_flight)

    def unreachable(self, now: float, started: float, *, permanent: bool) -> float:
        """Note a connection failure. Returns the seconds for which the host is paused; it may be given up instead.

        `permanent`: whether another attempt would fail in the same way.
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
        """After a hold or a pause, begin with one attempt at a time, without a burst."""
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
            self.rate *= 0.95 if now - self._accepted_since > _STABLE_AFTER else 0.7
        self._rate_before_probe, self._probe_step = 0.0, _PROBE_STEP
        self._probe_at = now + hold + self._probe_after

    def _probe(self, now: float) -> None:
        self._rate_before_probe = self.rate
        self.rate *= 1 + self._probe_step
        self._probe_step = min(self._probe_step * 2, 1.0)
        self._probe_at = now + self._probe_after
        if self.rate > _NO_LIMIT:
            self.rate = self._probe_at = inf
            self._rate_before_probe = 0.0

"""Controls congestion at one host: how many attempts it gets at a time, and per second, according to its answers.

Concurrency is limited as in TCP (RFC 5681): a window is halved at a sign of congestion. After a hold it begins at one,
grows by one with each good answer up to half its former size, and then by one with each window of good answers. A host
that refuses with 429, or sends Retry-After, also gets a rate limit (`HostRate`). One that cannot be connected to is
paused, and may be given up (`Reachability`).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from fetchq.scheduling.host_rate import HostRate
from fetchq.scheduling.reachability import Reachability

__all__ = ["CongestionControl", "HostBackoff"]

_CONGESTED = 0.1
"""Above this smoothed share, failures are a sign of congestion; below, they are a matter of single URLs."""
_SMOOTHING = 0.05
"""The weight of the latest attempt in the smoothed share of failures."""
_LATENCY_SMOOTHING = 0.1
"""The weight of the latest answer in the smoothed latency."""
_SLOWDOWN = 3.0
"""A smoothed latency of more than this many times the usual one, plus a second, is a sign of congestion."""
_REFUSALS = 5
"""After this many refusals in a row, a host that asks for a longer wait than the run allows is given up."""
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
    """Whether its rows fail without an attempt, since it was down, or asked for a longer wait than the run allows."""
    slowed_by: tuple[str, ...] = ()
    """The signs of congestion for which its window was cut, such as "timeout", "503" and "slow answers"."""


class CongestionControl:
    """The congestion control of one host. `window`: attempts allowed at a time; `rate`: starts allowed per second."""

    # fmt: off
    __slots__ = (
        "_accepted", "_accepted_since", "_adapts", "_asks_too_long", "_cut_at", "_failure_share", "_latency",
        "_rate_limit", "_refusals_in_row", "_retry_wait", "_threshold", "_usual_latency", "_workers", "least_window",
        "rate", "reachability", "refusals", "slowed_by", "unrestricted", "window",
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
        self.reachability = Reachability(retry_wait)
        """Whether the host can be connected to."""
        self._refusals_in_row = self.refusals = 0
        """How often the host refused."""
        self._asks_too_long = False
        """Whether the host refuses again and again, and asks for a longer wait than the run allows."""
        self.slowed_by: tuple[str, ...] = ()
        """The signs of congestion for which the window was cut, each once."""
        self._rate_limit: HostRate | None = None
        """The rate limit, whose current value is `rate`; None before the first refusal."""

    @property
    def waits_while_down(self) -> bool:
        """Whether the host, which has answered before, is waited for while it is down, at no cost of retries."""
        return self._adapts and (self._latency >= 0 or self.reachability.has_answered)

    @property
    def given_up(self) -> bool:
        """Whether no more attempts are to be made at the host."""
        return self.reachability.given_up or self._asks_too_long

    def backoff(self, host: str) -> HostBackoff | None:
        """How far requests to this host, whose key is `host`, were held back; None if they were not."""
        if not self.refusals and not self.reachability.pauses and self.least_window == inf:
            return None
        pauses = self.reachability.pauses
        return HostBackoff(host, self.refusals, self.least_window, self.rate, pauses, self.given_up, self.slowed_by)

    # --- outcomes of attempts; `started`: when a worker took the job; `in_flight`: how many others are under way ---

    def succeeded(self, now: float, started: float, wait: float, in_flight: int) -> None:
        """Note a good answer, whose first byte came after `wait` seconds."""
        self._accepted += 1
        if not self.unrestricted:
            self._recover(now, started)
        before = self._latency
        latency = self._latency = wait if before < 0 else before + (wait - before) * _LATENCY_SMOOTHING
        if latency < self._usual_latency:
            self._usual_latency = latency
        elif latency > _SLOWDOWN * self._usual_latency + 1.0:
            self._usual_latency = latency / 2  # the usual latency may change
            self._cut(now, started, in_flight, "slow answers")

    def redirected(self, now: float, started: float) -> None:
        """Note a redirect: the host is up. The outcome of later hops shows nothing about it."""
        if self.unrestricted:
            self.reachability.has_answered = True
        else:
            self._recover(now, started)

    def _recover(self, now: float, started: float) -> None:
        self.answered(started)
        self._refusals_in_row = 0
        share = self._failure_share
        self._failure_share = share * (1 - _SMOOTHING) if share > _SMOOTHING / 10 else 0.0
        if self.window != inf:
            self._widen()
        if self._rate_limit is not None:
            self._rate_limit.answered(now)
            self.rate = self._rate_limit.limit
        self.unrestricted = not self._failure_share and self.window == inf and self.rate == inf

    def answered(self, started: float) -> None:
        """Note an answer of any kind: the host is up."""
        self.reachability.answered(started)
        self._asks_too_long = False

    def refused(self, now: float, started: float, retry_after: float | None, in_flight: int) -> float:
        """Note a refusal because of too many requests. Returns the seconds for which the host gets no requests.

        `retry_after`: the seconds that the host itself asks for, if any.
        """
        self.refusals += 1
        if retry_after == 0:  # the host allows another request at once
            self.failed(now, started, in_flight, "429")
            return 0.0
        self.answered(started)
        if started < self._cut_at:
            return retry_after or 0.0
        self.unrestricted = False
        self._refusals_in_row += 1
        hold = retry_after or self._retry_wait * min(2.0 ** min(self._refusals_in_row, 10), _LONGEST_HOLD)
        if self._adapts:
            limit = self._rate_limit = self._rate_limit or HostRate()
            limit.refused(now, hold, self._accepted, now - self._accepted_since)
            self.rate = limit.limit
            self._threshold = max(1.0, min(self.window, in_flight + 1) / 2)
        self._cut_at = now
        self._restart()
        self._accepted_since, self._accepted = now + hold, 0
        return hold

    def asked_too_long(self, now: float, started: float, in_flight: int) -> float:
        """Note a refusal by a host that asks for a longer wait than the run allows. It may be given up.

        Returns the seconds for which it gets no requests otherwise: those of a refusal that asks for no time, since the
        wait may be meant for one URL alone.
        """
        hold = self.refused(now, started, None, in_flight)
        self._asks_too_long = self._refusals_in_row >= _REFUSALS
        return hold

    def failed(self, now: float, started: float, in_flight: int, sign: str = "failures") -> None:
        """Note a failure that is typical of an overloaded host: 503 without Retry-After, or a broken connection.

        `sign`: what it was, in a word.
        """
        self.answered(started)
        self.unrestricted = False
        self._failure_share += (1 - self._failure_share) * _SMOOTHING
        if self._failure_share > _CONGESTED:
            self._cut(now, started, in_flight, sign)

    def unreachable(self, now: float, started: float, *, permanent: bool) -> float:
        """Note a connection failure. Returns the seconds for which the host is paused; it may be given up instead.

        `permanent`: whether another attempt would fail in the same way.
        """
        if started < self._cut_at or not self._adapts:
            return 0.0
        self.unrestricted = False
        self.reachability.has_answered = self.waits_while_down
        pause = self.reachability.failed(now, permanent=permanent)
        if pause is None:
            return 0.0
        self._cut_at = now
        self._restart()
        return pause

    # --- consequences ---

    def _cut(self, now: float, started: float, in_flight: int, sign: str) -> None:
        if started < self._cut_at or not self._adapts:
            return
        if sign not in self.slowed_by:
            self.slowed_by += (sign,)
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

"""The queue of one host, and the limits that say when its next job may go: what Scrapy calls a slot."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from fetchq.core.model import Cause
from fetchq.http.attempt import WAIT
from fetchq.http.retry import Signal
from fetchq.http.url import Refused
from fetchq.scheduling.congestion import GIVEN_UP_FOR
from fetchq.scheduling.job_queue import JobQueue
from fetchq.scheduling.stopwatch import Stopwatch

if TYPE_CHECKING:
    from fetchq.http.attempt import Attempt
    from fetchq.scheduling.congestion import CongestionControl

__all__ = ["SLOW", "HostQueue"]

SLOW = 0.5
"""Seconds for an answer beyond which a host counts as slow."""
_UNTRIED = 50
"""At most this many queued jobs of an untried host count as ready."""

_CATCH_UP = 0.02
"""Seconds by which a late start may hurry the next ones at a host with a rate limit."""


class HostQueue:
    """One host: its waiting jobs, its limits, and what its answers have shown."""

    # fmt: off
    __slots__ = (
        "_not_before", "_unsent", "blocked", "congestion", "due_at", "hold_clock", "host", "idle", "in_flight",
        "interval", "jobs", "last_answer", "max_in_flight", "rank", "ready", "refused", "refused_until", "slow",
        "steady", "tried", "unlimited",
    )
    # fmt: on

    def __init__(
        self, host: str, congestion: CongestionControl, *, max_in_flight: float = inf, interval: float = 0.0
    ) -> None:
        """`max_in_flight`: attempts at a time; `interval`: seconds from start to start."""
        self.host = host
        self.jobs = JobQueue()
        self.congestion = congestion
        self.max_in_flight = max_in_flight
        self.set_interval(interval)
        self.in_flight = 0
        """Attempts under way."""
        self.blocked = False
        """Nothing may go until an internal job, for its robots.txt or its address, is done."""
        self.refused: Refused | None = None
        """Why the host is given up, and no attempts are made at its jobs."""
        self.refused_until = 0.0
        self.hold_clock = Stopwatch()
        """Runs while jobs wait and none may go; it stands still while the rate limit holds all hosts back."""
        self.last_answer = 0.0
        """When an attempt last came back, or when the first of those in flight started."""
        self.tried = False
        """An attempt has come back, be it with a failure."""
        self.slow = False
        """Its answers take long: its waiting jobs would keep few workers busy."""
        self._unsent = False
        """An attempt has started and was not sent yet; the interval counts from when it is sent."""
        self._not_before = -inf
        """When the next attempt may start, at the earliest."""
        self.ready = 0
        """How many of its jobs count as ready: none of a slow host, and not all of an untried one."""
        self.steady = False
        """A job may go, and as long as any waits the next one may, too: it answers quickly, and nothing limits it."""
        # What follows is for `Hosts`, `HostOrder` and `Schedule`.
        self.idle = False
        """No job waits and no attempt is in flight."""
        self.rank = 0
        """Its rank among the hosts that may be asked now; 0: it is none of them."""
        self.due_at = inf
        """When the schedule is to look at it again."""

    def set_interval(self, interval: float) -> None:
        """From now on there are `interval` seconds from start to start."""
        self.interval = interval
        self.unlimited = self.max_in_flight == inf and not interval
        self.steady = False

    def block(self) -> None:
        """Let nothing go until an internal job, which has just been taken, is done."""
        self.blocked = True
        self.steady = False

    def set_ready(self, waiting: int, now: float, hold_time: float) -> None:
        """One of the `waiting` jobs may go now: count those that are ready, and stop the hold clock.

        `hold_time`: `now`, less the time for which the rate limit has held all hosts back, as the hold clock counts.
        """
        if self.in_flight and now - self.last_answer > SLOW:
            self.slow = True
        if not self.rank:
            self.hold_clock.stop(hold_time)
        if self.slow:
            self.ready = 0
        elif self.tried:
            self.ready = waiting
        else:
            self.ready = min(waiting, _UNTRIED)
        self.steady = self.tried and not self.slow and self.unlimited and self.congestion.unrestricted

    def set_unready(self, waiting: int, hold_time: float) -> None:
        """None of the `waiting` jobs may go now: let the hold clock run if there are any."""
        self.ready = 0
        self.steady = False
        if waiting:
            self.hold_clock.start(hold_time)
        else:
            self.hold_clock.stop(hold_time)

    def read_hold_clock(self, now: float, rate_limited_for: float) -> float:
        """Seconds for which the host was held so far, with those for which the rate limit held all hosts back."""
        return self.hold_clock.read(now - rate_limited_for) + rate_limited_for

    def due(self, now: float) -> float:
        """When the next job may go, as far as time goes; `inf` where another event must come first."""
        if self.refused is not None:
            if now < self.refused_until:
                return -inf
            self.refused = None  # another chance
        if self.blocked or self._unsent or self.in_flight >= self.max_in_flight:
            return inf
        return inf if self.in_flight >= self.congestion.window else self._not_before

    def start(self, now: float) -> None:
        """An attempt starts."""
        if not self.in_flight:
            self.last_answer = now
        self.in_flight += 1
        rate = self.congestion.rate
        if rate != inf:
            self._not_before = max(self._not_before, now - _CATCH_UP) + 1.0 / rate
        if self.interval:
            self._unsent = True

    def sent(self, now: float) -> None:
        """The attempt that has started is sent now, or never will be."""
        self._unsent = False
        if self.interval:
            self._not_before = max(self._not_before, now + self.interval)

    def react(self, signal: Signal, retry_after: float | None, attempt: Attempt, started: float, now: float) -> None:
        """Slow down or recover after an attempt that failed; `signal` and `retry_after` are what `signal_of` gives."""
        congestion = self.congestion
        if signal is Signal.DOWN:
            self._hold(now + congestion.unreachable(now, started, permanent=attempt.permanent))
            if congestion.given_up:
                self.give_up(attempt.cause or Cause.CONNECT, attempt.error or "", now + GIVEN_UP_FOR)
            return
        self.refused = None
        if signal is Signal.GOOD:
            congestion.succeeded(now, started, attempt.phases[WAIT], self.in_flight)
        elif signal is Signal.REFUSED:
            self._hold(now + congestion.refused(now, started, retry_after, self.in_flight))
        elif signal is Signal.FAILED:
            congestion.failed(now, started, self.in_flight)
        else:
            congestion.answered()

    def give_up(self, cause: Cause, why: str, until: float) -> None:
        """Until then no attempts are made: all jobs are refused with `cause`."""
        self.refused = Refused(cause, f"{self.host} was given up after failing again and again: {why}")
        self.refused_until = until
        self.steady = False

    def _hold(self, until: float) -> None:
        self._not_before = max(self._not_before, until)
        self.steady = False

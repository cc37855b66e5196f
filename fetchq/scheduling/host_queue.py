"""Holds the jobs of one host, and the limits that determine when the next one may go (a slot, in Scrapy's terms)."""

from __future__ import annotations

from math import ceil, inf
from typing import TYPE_CHECKING

from fetchq.core.model import Cause
from fetchq.http.head_fallback import falls_back_to_get
from fetchq.http.phases import WAIT
from fetchq.http.retry import Signal, signal_of
from fetchq.http.retry_after import asked_text
from fetchq.http.url import Refused
from fetchq.scheduling.job import JobKind
from fetchq.scheduling.job_queue import JobQueue
from fetchq.scheduling.limit import Limit
from fetchq.scheduling.reachability import GIVEN_UP_FOR
from fetchq.scheduling.stopwatch import Stopwatch

if TYPE_CHECKING:
    from fetchq.core.settings import Settings
    from fetchq.http.attempt import Attempt
    from fetchq.scheduling.congestion import CongestionControl
    from fetchq.scheduling.job import Job

__all__ = ["SLOW", "HostQueue"]

SLOW = 0.5
"""A host whose answers take more seconds than this counts as slow."""
_UNTRIED = 50
"""At most this many queued jobs of an untried host count as ready."""

_CATCH_UP = 0.02
"""At a host with a rate limit, the starts after a late one may catch up by this many seconds."""


class HostQueue:
    """The waiting jobs of one host, its limits, and what its answers have shown."""

    # fmt: off
    __slots__ = (
        "_not_before", "_not_before_for", "_unsent", "attempts", "blocked", "busy_index", "congestion", "due_at",
        "failed_seconds", "hold_clock", "host", "idle", "in_flight", "interval", "jobs", "last_answer",
        "max_in_flight", "rank", "ready", "refused", "refused_until", "seconds", "slow", "steady", "tried",
        "unlimited",
    )
    # fmt: on

    def __init__(
        self, host: str, congestion: CongestionControl, *, max_in_flight: float = inf, interval: float = 0.0
    ) -> None:
        """`max_in_flight`: attempts at a time. `interval`: seconds from one start to the next."""
        self.host = host
        self.jobs = JobQueue()
        self.congestion = congestion
        self.max_in_flight = max_in_flight
        self.set_interval(interval)
        self.in_flight = 0
        """How many attempts are under way."""
        self.blocked: JobKind | None = None
        """The kind of the internal job, for the host's robots.txt or address, until which no job may go, if any."""
        self.refused: Refused | None = None
        """Why the host was given up, so that no attempts are made; None if it was not."""
        self.refused_until = 0.0
        self.hold_clock = Stopwatch()
        """Runs while jobs wait and none may go, except while the run's rate limit holds all hosts back."""
        self.last_answer = 0.0
        """When an attempt last ended, or when the first of those in flight started."""
        self.tried = self.slow = False
        """Whether an attempt has ended, even with a failure; and whether the host's answers take long."""
        self.attempts, self.seconds, self.failed_seconds = 0, 0.0, 0.0
        """How many attempts have ended, how long they took, and how long those of them took that failed."""
        self._unsent = False
        """Whether an attempt has started and its request was not sent yet; the interval counts from then."""
        self._not_before, self._not_before_for = -inf, Limit.BACK_OFF
        """The earliest time at which the next attempt may start, and the limit that it is for."""
        self.ready = 0
        """How many of the jobs count as ready: at a slow host none, and at an untried host not all."""
        self.steady = False
        """Whether a job may go, and each further one, too, since the host answers quickly and has no limit."""
        # The attributes below belong to `Hosts`, `HostOrder` and `Schedule`.
        self.idle, self.busy_index = False, 0
        """Whether no job waits and no attempt is in flight; if it is not idle, its index in `Hosts.busy_queues`."""
        self.rank = 0
        """The rank among the hosts that may get a request now; 0 if this host is not one of them."""
        self.due_at = inf
        """When the schedule is to check this queue again."""

    def set_interval(self, interval: float) -> None:
        """Set the interval, in seconds from one start to the next."""
        self.interval = interval
        self.unlimited = self.max_in_flight == inf and not interval
        self.steady = False

    def block(self, kind: JobKind) -> None:
        """Let no job go until an internal job of this kind, which has just been taken, is done."""
        self.blocked = kind
        self.steady = False

    def set_ready(self, waiting: int, now: float, hold_time: float) -> None:
        """Note that one of the `waiting` jobs may go now: count those that are ready, and stop the hold clock.

        `hold_time`: the time by the hold clock: `now`, less the time for which the run's rate limit has held all hosts
        back.
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
        """Note that none of the `waiting` jobs may go now: start the hold clock if there are any."""
        self.ready = 0
        self.steady = False
        if waiting:
            self.hold_clock.start(hold_time)
        else:
            self.hold_clock.stop(hold_time)

    def read_hold_clock(self, now: float, rate_limited_for: float) -> float:
        """Seconds for which the host was held so far, including those for which the run's rate limit held all hosts."""
        return self.hold_clock.read(now - rate_limited_for) + rate_limited_for

    def due(self, now: float) -> float:
        """When the next job may go; `inf` if another event must come first."""
        if self.refused is not None:
            if now < self.refused_until:
                return -inf
            self.refused = None  # the host is tried again
        if self.blocked is not None or self._unsent or self.in_flight >= self.max_in_flight:
            return inf
        return inf if self.in_flight >= self.congestion.window else self._not_before

    def limit(self, now: float) -> Limit | None:
        """What the next job waits for, as far as `due` knows; None if it may go now."""
        if self.refused is not None:
            return None
        if self.blocked is not None:
            return Limit.ADDRESS if self.blocked is JobKind.ADDRESS else Limit.ROBOTS
        if self._unsent:
            return Limit.HOST_INTERVAL
        if self.in_flight >= self.max_in_flight:
            return Limit.PER_HOST
        if self.in_flight >= self.congestion.window:
            return Limit.BACK_OFF
        return self._not_before_for if now < self._not_before else None

    def room(self) -> tuple[float, Limit]:
        """How many jobs may go one after the other, if one may go now, and what the others wait for."""
        congestion = self.congestion
        if self.refused is not None:
            return inf, Limit.BACK_OFF
        if self.interval:
            return 1, Limit.HOST_INTERVAL
        if congestion.rate != inf:
            return 1, Limit.BACK_OFF
        if self.max_in_flight <= congestion.window:
            return self.max_in_flight - self.in_flight, Limit.PER_HOST
        return ceil(congestion.window - self.in_flight), Limit.BACK_OFF

    def start(self, now: float) -> None:
        """Note that an attempt starts."""
        if not self.in_flight:
            self.last_answer = now
        self.in_flight += 1
        rate = self.congestion.rate
        if rate != inf:
            self._not_before = max(self._not_before, now - _CATCH_UP) + 1.0 / rate
            self._not_before_for = Limit.BACK_OFF
        if self.interval:
            self._unsent = True

    def sent(self, now: float) -> None:
        """Note that the request of the attempt that has started was sent now, or never will be."""
        self._unsent = False
        if self.interval and now + self.interval > self._not_before:
            self._not_before = now + self.interval
            self._not_before_for = Limit.HOST_INTERVAL

    def react(self, attempt: Attempt, settings: Settings, started: float, now: float, wall: float) -> None:
        """Slow down or recover after an attempt that was not a plain success. `wall`: wall-clock seconds."""
        if attempt.cause is not None:
            self.failed_seconds += now - started - attempt.held
        if attempt.local_limit or attempt.cause is Cause.CANCELLED:  # which says nothing about the host
            return
        congestion = self.congestion
        if attempt.redirects:
            congestion.redirected(now, started)
            return
        if falls_back_to_get(attempt, settings):  # the GET will show how the host is
            congestion.answered(started)
            return
        signal, retry_after = signal_of(attempt, settings, wall)
        if signal is Signal.DOWN:
            self._hold(now + congestion.unreachable(now, started, permanent=attempt.permanent), Limit.OUTAGE)
            if congestion.given_up:
                why = f"failing again and again: {attempt.error}"
                self.give_up(attempt.cause or Cause.CONNECT, why, now + GIVEN_UP_FOR)
            return
        self.refused = None
        if signal is Signal.GOOD:
            congestion.succeeded(now, started, attempt.phases[WAIT], self.in_flight)
        elif signal is Signal.REFUSED:
            self._hold(now + congestion.refused(now, started, retry_after, self.in_flight), Limit.RETRY_AFTER)
        elif signal is Signal.WAIT_TOO_LONG and retry_after is not None:
            self._hold(now + congestion.asked_too_long(now, started, self.in_flight), Limit.RETRY_AFTER)
            if congestion.given_up:
                why = f"answering {attempt.status} each time; {asked_text(retry_after)}, longer than the run waits"
                self.give_up(Cause.STATUS, why, now + retry_after)
        elif signal is Signal.FAILED:
            sign = str(attempt.status) if attempt.cause is Cause.STATUS else str(attempt.cause)
            congestion.failed(now, started, self.in_flight, sign)
        else:
            congestion.answered(started)

    def is_same_outage(self, job: Job) -> bool:
        """Note that an attempt at a job has failed in an outage. Returns whether one has failed in it before.

        Always False if the host is not waited for while it is down.
        """
        if not self.congestion.waits_while_down:
            return False
        outage = self.congestion.reachability.outages
        before, job.outage = job.outage, outage
        return before == outage

    def give_up(self, cause: Cause, after: str, until: float) -> None:
        """Make no attempts before the time `until`: all jobs are refused with `cause`. `after`: why, as a clause."""
        self.refused = Refused(cause, f"{self.host} was given up after {after}")
        self.refused_until = until
        self.steady = False

    def _hold(self, until: float, limit: Limit) -> None:
        if until > self._not_before:
            self._not_before, self._not_before_for = until, limit
        self.steady = False

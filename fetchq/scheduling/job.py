"""Defines the job: one request on its way through the schedule and the workers, and the time it has taken so far."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

from fetchq.core.model import Timing, make_timing
from fetchq.http.retry import NONE_UNCOUNTED

if TYPE_CHECKING:
    from fetchq.core.model import Request
    from fetchq.http.attempt import Attempt
    from fetchq.http.range_resume import Partial
    from fetchq.http.url import Refused

__all__ = ["Job", "JobKind"]


class JobKind(Enum):
    """What a job is for, and so what its attempt results in."""

    ROW = "row"
    """A row of the source; its attempts end in a Result."""
    ROBOTS_TXT = "robots_txt"
    """The robots.txt of a host; internal. The worker passes the rules to `Schedule.learn_robots`."""
    ADDRESS = "address"
    """The address of the host in the request's URL; internal. The worker passes it to `Schedule.learn_address`."""


class Job:
    """A request that waits in the schedule, or that a worker has taken; it alternates until it is settled.

    All times are those of `time.perf_counter`, except for `first_taken`.
    """

    # fmt: off
    __slots__ = (
        "attempts",
        "first_taken",
        "held",
        "hold_clock",
        "host_queue",
        "in_flight",
        "kind",
        "outage",
        "partial",
        "phases",
        "queued",
        "refused",
        "request",
        "robots_checked",
        "robots_refusal",
        "taken_at",
        "tls_known",
        "uncounted",
        "unsent",
        "waiting_since",
    )
    # fmt: on

    def __init__(self, request: Request, now: float, kind: JobKind = JobKind.ROW) -> None:
        self.request = request
        self.kind = kind
        self.attempts = 0
        """Attempts made so far, except for those that failed because of a limit of this machine."""
        self.uncounted = NONE_UNCOUNTED
        """The attempts that do not count towards `retries`."""
        self.outage = -1
        """The last outage of the host in which an attempt has failed, by its number; -1 for none."""
        self.queued = 0.0
        """Seconds for which it could have gone, but no worker was free."""
        self.held = 0.0
        """Seconds for which it was not allowed to go."""
        self.phases: list[float] | None = None
        """Seconds in each phase, summed over all attempts but the last one; None before the second."""
        self.tls_known = False
        """Whether an attempt has measured the TLS handshake separately from the TCP connection."""
        self.partial: Partial | None = None
        """The beginning of a body that the next attempt resumes; that attempt owns it as soon as it has begun."""
        self.first_taken: float | None = None
        """Wall-clock seconds at which a worker first took it."""
        # Only the schedule uses the attributes below, except that workers read and set `refused`.
        self.host_queue: Any = None
        """The HostQueue of its host, whose type would make a circular import; None before the job is in a queue."""
        self.waiting_since = now
        self.hold_clock = 0.0
        """Reading of the host's hold clock when the job was queued."""
        self.taken_at = 0.0
        """When a worker last took it."""
        self.refused: Refused | None = None
        """Why no attempt may be made: its host was given up, or robots.txt or the guard disallows it; else None."""
        self.robots_checked = kind is not JobKind.ROW
        """Whether robots.txt was checked, or does not matter for this job."""
        self.robots_refusal: Refused | None = None
        """Why robots.txt disallows it; None if it does not."""
        self.in_flight = False
        """Whether it counts as an attempt at its host: taken, and not done yet."""
        self.unsent = False
        """Whether its attempt has started, but its request was not sent yet."""

    def note_outage(self) -> None:
        """Note that an attempt could not connect. It does not count if one has failed in the same outage before."""
        if self.host_queue is not None and self.host_queue.is_same_outage(self):
            self.uncounted = self.uncounted._replace(repeated_outage=self.uncounted.repeated_outage + 1)

    def add(self, attempt: Attempt) -> None:
        """Add the phases of an attempt that is not the last one."""
        self.phases = self.total(attempt)
        self.held += attempt.held
        self.tls_known = self.tls_known or attempt.tls_known

    def total(self, attempt: Attempt) -> list[float]:
        """Seconds in each phase, `attempt` included."""
        if self.phases is None:
            return attempt.phases
        return [before + now for before, now in zip(self.phases, attempt.phases, strict=True)]

    def timing(self, attempt: Attempt | None) -> tuple[Timing, float]:
        """The Timing and the elapsed seconds, `attempt` included."""
        phases, held, tls_known = self.phases, self.held, self.tls_known
        if attempt is not None:
            phases = attempt.phases if phases is None else self.total(attempt)
            held += attempt.held
            tls_known = tls_known or attempt.tls_known
        if phases is None:
            return Timing(self.queued, held), 0.0
        dns, connect, tls, wait, receive, lag, decode, store = phases
        tls_or_none = tls if tls_known else None
        timing = make_timing(self.queued, held, dns, connect, tls_or_none, wait, receive, lag, decode, store)
        return timing, sum(phases)

    def count_wait(self, now: float, hold_clock: float) -> None:
        """Divide the time since it was queued: add it to `held` as far as the host was held, and the rest to `queued`.

        `hold_clock`: the current reading of the host's hold clock.
        """
        waited = max(0.0, now - self.waiting_since)
        held = min(waited, max(0.0, hold_clock - self.hold_clock))
        self.held += held
        self.queued += waited - held
        self.waiting_since = now

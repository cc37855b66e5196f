"""A request on its way through the queue, and what its attempts have cost so far."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

from fetchq.core.model import Timing, make_timing

if TYPE_CHECKING:
    from fetchq.core.model import Request
    from fetchq.http.attempt import Attempt
    from fetchq.http.range_resume import Partial
    from fetchq.http.url import Refused

__all__ = ["Job", "JobKind"]


class JobKind(Enum):
    """What a job is for, and so what its attempt brings."""

    ROW = "row"
    """A row of the source; its attempts end in a Result."""
    ROBOTS_TXT = "robots_txt"
    """The robots.txt of a host; internal, and told to the schedule by `learn_robots`."""
    ADDRESS = "address"
    """The address of the host in the request's URL; internal, and told to the schedule by `learn_address`."""


class Job:
    """All seconds are of `time.perf_counter`, unless they are the wall's."""

    # fmt: off
    __slots__ = (
        "attempts",
        "coming",
        "disallowed",
        "first_taken",
        "held",
        "judged",
        "kind",
        "lane",
        "mark",
        "partial",
        "phases",
        "queued",
        "refused",
        "request",
        "since",
        "starved",
        "taken_at",
        "tls_known",
        "under_way",
    )
    # fmt: on

    def __init__(self, request: Request, now: float, kind: JobKind = JobKind.ROW) -> None:
        self.request = request
        self.kind = kind
        self.since = now
        """Since when it has been waiting."""
        self.mark = 0.0
        """What the clock of its lane, which runs while the lane is held, said then."""
        self.lane: Any = None
        """Its host's, for the schedule; none where it has no host."""
        self.attempts = 0
        self.starved = 0
        self.queued = 0.0
        self.held = 0.0
        self.phases: list[float] | None = None
        """The sums over the attempts before the last one."""
        self.tls_known = False
        self.partial: Partial | None = None
        """What the next attempt goes on with. It is no longer the job's once that has begun."""
        self.refused: Refused | None = None
        """Why no attempt is made, where the queue has decided that."""
        self.judged = False
        """It is known whether the host's robots.txt allows it."""
        self.disallowed: Refused | None = None
        """Why not, where it does not."""
        self.under_way = False
        """It counts as an attempt at its host."""
        self.coming = False
        """Its attempt has not gone out yet."""
        self.taken_at = 0.0
        self.first_taken: float | None = None
        """Wall-clock seconds at which a worker first took it."""

    def add(self, attempt: Attempt) -> None:
        """Count an attempt's phases in."""
        self.phases = self.total(attempt)
        self.held += attempt.held
        self.tls_known = self.tls_known or attempt.tls_known

    def total(self, attempt: Attempt) -> list[float]:
        if self.phases is None:
            return attempt.phases
        return [before + now for before, now in zip(self.phases, attempt.phases, strict=True)]

    def timing(self, attempt: Attempt | None) -> tuple[Timing, float]:
        """The Timing, `attempt` counted in, and the elapsed seconds."""
        phases, held, tls_known = self.phases, self.held, self.tls_known
        if attempt is not None:
            phases = attempt.phases if phases is None else self.total(attempt)
            held += attempt.held
            tls_known = tls_known or attempt.tls_known
        if phases is None:
            return Timing(self.queued, held), 0.0
        dns, connect, tls, wait, receive, decode, store = phases
        tls_or_none = tls if tls_known else None
        timing = make_timing(self.queued, held, dns, connect, tls_or_none, wait, receive, decode, store)
        return timing, sum(phases)

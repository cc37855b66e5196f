"""Which request may go now: pure, with the clock handed in, so that all pools share it and a test can own the time."""

from __future__ import annotations

import heapq
from collections import deque
from itertools import count
from typing import TYPE_CHECKING

from fetchq.model import Timing, make_timing

if TYPE_CHECKING:
    from fetchq.engines.attempt import Attempt
    from fetchq.engines.partial import Partial
    from fetchq.model import Request

__all__ = ["Job", "Schedule"]

LOOKAHEAD = 1000
"""Ready requests that are read from the source ahead of the workers."""
MOST_HELD = 20_000
"""Requests waiting for a retry beyond which no more are read."""


class Job:
    """A request on its way, and what its attempts have cost so far. Seconds of `time.perf_counter`."""

    # fmt: off
    __slots__ = (
        "attempts", "due", "first_taken", "held", "partial", "phases", "queued", "request", "starved", "tls_known",
    )
    # fmt: on

    def __init__(self, request: Request, now: float) -> None:
        self.request = request
        self.due = now
        """Since when it is ready, or when it will be."""
        self.attempts = 0
        self.starved = 0
        self.queued = 0.0
        self.held = 0.0
        self.phases: list[float] | None = None
        """The sums over the attempts before the last one."""
        self.tls_known = False
        self.partial: Partial | None = None
        """What the next attempt goes on with. It is no longer the job's once that has begun."""
        self.first_taken: float | None = None
        """Wall-clock seconds at which a worker first took it."""

    def taken(self, now: float, wall: float) -> None:
        self.queued += max(0.0, now - self.due)
        if self.first_taken is None:
            self.first_taken = wall

    def add(self, attempt: Attempt) -> None:
        """Count an attempt's phases in."""
        self.phases = self.total(attempt)
        self.tls_known = self.tls_known or attempt.tls_known

    def total(self, attempt: Attempt) -> list[float]:
        if self.phases is None:
            return attempt.phases
        return [before + now for before, now in zip(self.phases, attempt.phases, strict=True)]

    def timing(self, attempt: Attempt | None) -> tuple[Timing, float]:
        """The Timing, `attempt` counted in, and the elapsed seconds."""
        phases = self.phases if attempt is None else self.total(attempt)
        if phases is None:
            return Timing(self.queued, self.held), 0.0
        dns, connect, tls, wait, receive, decode, store = phases
        known = self.tls_known or (attempt is not None and attempt.tls_known)
        tls_or_none = tls if known else None
        timing = make_timing(self.queued, self.held, dns, connect, tls_or_none, wait, receive, decode, store)
        return timing, sum(phases)


class Schedule:
    """The jobs that wait: ready ones in order of arrival, held ones until they are due."""

    def __init__(self) -> None:
        self._ready: deque[Job] = deque()
        self._held: list[tuple[float, int, Job]] = []
        self._number = count()

    def __len__(self) -> int:
        """How many are ready."""
        return len(self._ready)

    def full(self) -> bool:
        """Enough was read from the source."""
        return len(self._ready) >= LOOKAHEAD or len(self._held) >= MOST_HELD

    def hungry(self) -> bool:
        """It is time to read more: late enough to read many at a time, early enough to keep every worker busy."""
        return len(self._ready) <= LOOKAHEAD // 2 and len(self._held) < MOST_HELD

    def add(self, job: Job) -> None:
        self._ready.append(job)

    def hold(self, job: Job, now: float, delay: float) -> None:
        """`job` may go again `delay` seconds from now."""
        job.held += delay
        job.due = now + delay
        heapq.heappush(self._held, (job.due, next(self._number), job))

    def next_is_hopeless(self) -> bool:
        """The next ready job is one that no attempt can be made at, and will take no time."""
        return bool(self._ready) and self._ready[0].request.problem is not None

    def take(self) -> Job:
        """The next ready job. Raises IndexError when there is none."""
        return self._ready.popleft()

    def release(self, now: float) -> list[Job]:
        """The held jobs that are due; they are no longer held, and not ready until added."""
        due = []
        while self._held and self._held[0][0] <= now:
            due.append(heapq.heappop(self._held)[2])
        return due

    def next_due(self) -> float | None:
        """When the next held job is due."""
        return self._held[0][0] if self._held else None

    def drain(self, now: float) -> list[Job]:
        """All that wait, ready or held; none is left."""
        held = [job for _, _, job in sorted(self._held)]
        for job in held:
            job.held -= max(0.0, job.due - now)
            job.due = min(job.due, now)
        jobs = [*self._ready, *held]
        self._ready.clear()
        self._held.clear()
        return jobs

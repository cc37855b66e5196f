"""The requests that wait for one host, and whether one of them may go: pure, the clock is handed in."""

from __future__ import annotations

import heapq
from collections import deque
from itertools import count
from math import inf
from typing import TYPE_CHECKING

from fetchq.http.url import Refused
from fetchq.scheduling.congestion import CongestionControl
from fetchq.scheduling.job import JobKind

if TYPE_CHECKING:
    from fetchq.core.model import Cause
    from fetchq.scheduling.job import Job

__all__ = ["HostQueue"]

_ROW = JobKind.ROW  # read once: for each row, a look-up in an Enum is slow in Python 3.11
_CATCH_UP = 0.02
"""Seconds by which a late start may hurry the next ones at a host with a pace."""


class HostQueue:
    """One host. Its requests go by priority, and then in order of arrival."""

    # fmt: off
    __slots__ = (
        "_coming",
        "_due",
        "_errand",
        "_held_since",
        "_jobs",
        "_number",
        "_ranked",
        "active",
        "asking",
        "congestion",
        "counted",
        "due_at",
        "free",
        "heard",
        "held_for",
        "host",
        "interval",
        "known",
        "most",
        "refused",
        "refused_until",
        "slow",
        "turn",
    )
    # fmt: on

    def __init__(self, host: str, congestion: CongestionControl, *, most: float = inf, interval: float = 0.0) -> None:
        """At most `most` attempts at a time, and `interval` seconds from start to start."""
        self.host = host
        self.congestion = congestion
        self.free = most == inf and not interval
        """As long as its congestion are at ease, all of its jobs may go."""
        self.most = most
        self.interval = interval
        self.active = 0
        """Attempts under way."""
        self.heard = 0.0
        """When an attempt last came back."""
        self.known = False
        """An attempt has come back, be it with a failure."""
        self.slow = False
        """Its answers take long: what waits for it keeps nobody busy."""
        self.refused: Refused | None = None
        """Why nothing more is asked of it."""
        self.refused_until = 0.0
        self.asking = False
        """Its robots.txt is on its way, and nothing else goes."""
        self._errand: Job | None = None
        """The job for that, while it waits for another attempt."""
        self._jobs: deque[Job] = deque()
        self._ranked: list[tuple[int, int, Job]] = []
        """Those with a priority, as a heap."""
        self._number = count()
        self._coming = False
        """One has started and is still to go out; the next one has to know when that was."""
        self._due = -inf
        """Nothing starts before this."""
        self.held_for = 0.0
        """Seconds for which jobs have been waiting and none could go, until it was last held."""
        self._held_since: float | None = None
        # What follows is the schedule's own.
        self.turn = 0
        """In which of the two rotations it is; 0: in none."""
        self.counted = 0
        """Of its jobs, those that count as ready."""
        self.due_at = inf
        """When the schedule is to look at it again."""

    def __len__(self) -> int:
        return len(self._jobs) + len(self._ranked) + (self._errand is not None)

    # --- the jobs ---

    def put(self, job: Job, *, first: bool) -> None:
        """Take a job in; `first`: before others of the same priority."""
        if job.kind is not _ROW:
            self._errand = job
        elif rank := -job.request.priority:
            number = next(self._number)
            heapq.heappush(self._ranked, (rank, -number if first else number, job))
        elif first:
            self._jobs.appendleft(job)
        else:
            self._jobs.append(job)

    def pop(self) -> Job:
        """The next job. Raises IndexError where there is none."""
        if self._errand is not None:
            internal, self._errand = self._errand, None
            return internal
        if self._ranked and self._ranked_first:
            return heapq.heappop(self._ranked)[2]
        return self._jobs.popleft()

    def head(self) -> Job:
        """The job that `pop` would give. Raises IndexError where there is none."""
        if self._errand is not None:
            return self._errand
        return self._ranked[0][2] if self._ranked_first else self._jobs[0]

    @property
    def _ranked_first(self) -> bool:
        ranked = self._ranked
        return bool(ranked) and (ranked[0][0] < 0 or not self._jobs)

    def drain(self) -> list[Job]:
        """All jobs, in order; none is left."""
        jobs = []
        while self:
            jobs.append(self.pop())
        return jobs

    # --- its robots.txt ---

    def ask(self) -> None:
        """Nothing goes until it is there, but for the job that fetches it."""
        self.asking, self.free = True, False

    def obey(self, interval: float) -> None:
        """It is there, and allows a start every so many seconds."""
        self.asking, self.interval = False, interval
        self.free = self.most == inf and not interval

    # --- may one go ---

    def due(self, now: float) -> float:
        """When the next may start, as far as time goes; `inf` while too many are under way."""
        if self.refused is not None:
            if now < self.refused_until:
                return -inf
            self.refused = None  # another chance
        if self.asking and self._errand is None:
            return inf
        if self._coming or self.active >= self.most or self.active >= self.congestion.window:
            return inf
        return self._due

    def start(self, now: float) -> None:
        """One goes."""
        if not self.active:
            self.heard = now
        self.active += 1
        pace = self.congestion.pace
        if pace != inf:
            self._due = max(self._due, now - _CATCH_UP) + 1.0 / pace
        if self.interval:
            self._coming = True

    def went_out(self, now: float) -> None:
        """One that has started goes out now, or never: it is from here that the interval counts."""
        self._coming = False
        if self.interval:
            self._due = max(self._due, now + self.interval)

    def hold(self, until: float) -> None:
        """Nothing starts before this."""
        self._due = max(self._due, until)

    def refuse(self, cause: Cause, why: str, until: float) -> None:
        """The host is given up until then: no attempts are made, and all that comes is answered with `cause`."""
        self.refused = Refused(cause, f"{self.host} was given up after failing again and again: {why}")
        self.refused_until = until

    # --- the clock of what is held ---

    def clock(self, now: float, shut: float) -> float:
        """Seconds for which the lane was held so far; `shut`: those for which all lanes were, counted in."""
        if self._held_since is None:
            return self.held_for + shut
        return self.held_for + shut + max(0.0, now - shut - self._held_since)

    def mark_held(self, now: float, shut: float, *, held: bool) -> None:
        """From now on its jobs wait for the host, or do not."""
        if held:
            if self._held_since is None:
                self._held_since = now - shut
        elif self._held_since is not None:
            self.held_for += max(0.0, now - shut - self._held_since)
            self._held_since = None

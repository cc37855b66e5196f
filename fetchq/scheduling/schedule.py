"""Which request may go now: pure, with the clock handed in, so that all pools share it and a test can own the time.

Each host has a lane. A lane of which a request may go takes part in a round_robin; one that must wait, because its host
is at a limit or wants to be left alone, does not, and is looked at again when it is due or when an attempt comes back.
Hosts that have less than their share of the workers go before those that have more, and before all those that may keep
many of them for long.
"""

from __future__ import annotations

import heapq
from collections import deque
from itertools import count
from math import inf
from typing import TYPE_CHECKING

from fetchq.core.model import Cause
from fetchq.http.attempt import WAIT
from fetchq.http.retry import Signal, signal_of
from fetchq.scheduling.congestion import GIVEN_UP_FOR, HostNote
from fetchq.scheduling.host_key import key_for
from fetchq.scheduling.host_queue import HostQueue
from fetchq.scheduling.hosts import Hosts
from fetchq.scheduling.job import JobKind
from fetchq.scheduling.round_robin import LAST, LATER, SOON, RoundRobin
from fetchq.scheduling.start_rate import RateGate

if TYPE_CHECKING:
    from fetchq.core.settings import Settings
    from fetchq.http.attempt import Attempt
    from fetchq.http.robots_txt import Rules
    from fetchq.scheduling.job import Job

__all__ = ["READ_AHEAD", "Schedule"]

READ_AHEAD = 1000
"""Ready requests that are read from the source ahead of the workers."""
_UNKNOWN = 50
"""Jobs that count of a host that has not answered yet: they may keep nobody busy, and the next may be another's."""
_SLOW = 0.5
"""Seconds for an answer beyond which a host counts as slow."""
_FEW = 16
"""One worker in so many goes to a host that is slow, or has not answered yet, while others have something to do."""
_TRIAL = 0.05
"""Seconds that these few have for the first answer of a host before others follow them, where there are other hosts."""


class Schedule:
    """The jobs that wait, and which of them goes next. After each `take`, a `done`."""

    def __init__(self, settings: Settings, most: float = inf) -> None:
        """`most`: attempts that this machine bears at a time, where those are fewer than the workers."""
        self._settings = settings
        lookahead = settings.lookahead
        self._lookahead = lookahead
        self._key = key_for(settings)
        self._most = most
        self._active = 0
        """Attempts under way."""
        self._gate = RateGate(settings.rate)
        self._paced = settings.rate is not None
        self.counts_starts = settings.rate is not None or settings.host_interval > 0
        """It wants to be told when attempts go out."""
        self._hosts = Hosts(settings)
        self._round_robin = RoundRobin()
        self._workers = min(settings.workers, most)
        self._few = max(1, self._workers // _FEW)
        self._on_trial: set[HostQueue] = set()
        """Lanes that are held and of which nobody knows yet whether they answer."""
        self._hopeless: deque[Job] = deque()
        """Jobs that no attempt is made at; they need not wait for anything."""
        self._ended = False
        self._held: list[tuple[float, int, Job | HostQueue]] = []
        """What is looked at again later, as a heap."""
        self._number = count()
        self._waiting = 0
        """All jobs that wait."""
        self._ready = 0
        """Those of them that may go now, slow hosts apart."""
        self.asking = 0
        """Hosts whose robots.txt is on its way."""

    def __bool__(self) -> bool:
        """A job may go."""
        may = not self._gate.shut and self._active < self._most
        return bool(self._hopeless or (may and self._round_robin))

    def __len__(self) -> int:
        """How many wait, whether they may go or not."""
        return self._waiting

    def full(self) -> bool:
        """Enough was read from the source."""
        return self._ready + len(self._hopeless) >= READ_AHEAD or self._waiting >= self._lookahead

    def hungry(self) -> bool:
        """It is time to read more: late enough to read many at a time, early enough to keep every worker busy."""
        if self._ready > READ_AHEAD // 2:
            return False
        room = min(self._lookahead, READ_AHEAD) // 2
        return self._waiting <= self._lookahead - room and self._ready + len(self._hopeless) <= READ_AHEAD // 2

    def next_is_hopeless(self) -> bool:
        """The next job is one that no attempt can be made at, and will take no time."""
        return bool(self._hopeless)

    # --- jobs come and go ---

    def add(self, job: Job, now: float, *, first: bool = False) -> None:
        """A job waits from now on; `first`: before the others of its host."""
        self._waiting += 1
        job.since = now
        request = job.request
        if request.problem is not None or request.duplicate_of is not None or self._ended:
            self._hopeless.append(job)
            return
        lane: HostQueue | None = job.lane
        if lane is None:
            lane = job.lane = self._lane(job, now)
        elif job.kind is JobKind.ROW:
            lane = job.lane = self._hosts.wake(lane)
        lane.put(job, first=first)
        if lane.turn and lane.counted and lane.known:
            lane.counted += 1
            self._ready += 1
        else:
            self._place(lane, now)
        job.mark = lane.held_for if lane.turn and not self._paced else lane.clock(now, self._gate.clock(now))

    def hold(self, job: Job, now: float, delay: float) -> None:
        """`job` may go again `delay` seconds from now."""
        if self._ended:
            self.add(job, now)
            return
        self._waiting += 1
        job.since = now
        heapq.heappush(self._held, (now + delay, next(self._number), job))

    def take(self, now: float) -> Job:
        """The next job that may go. Raises IndexError when there is none. To be followed by `done`."""
        if self._hopeless:
            self._waiting -= 1
            job = self._hopeless.popleft()
            job.queued += max(0.0, now - job.since)
            return job
        lane = self._round_robin.first()
        if lane is None or self._gate.shut or self._active >= self._most:
            raise IndexError("nothing may go")
        job = self._pop(lane, now)
        self._waiting -= 1
        if job.mark == lane.held_for and now >= job.since and not self._paced:
            job.queued += now - job.since
        else:
            self._count_wait(job, lane, now)
        job.taken_at = now
        job.refused = lane.refused or job.disallowed
        if job.refused is None:
            if self._paced:
                self._gate.start(now)
            lane.start(now)
            self._active += 1
            job.under_way = job.coming = True
        if lane.counted > 1 and lane.known and lane.free and lane.congestion.at_ease and now - lane.heard < _SLOW:
            lane.counted -= 1
            self._ready -= 1
            if self._hosts.busy > 1 or lane.turn != SOON:
                self._round_robin.place(lane, self._rank(lane))
                self._round_robin.rotate(lane)
        else:
            self._place(lane, now)
            if lane.turn:
                self._round_robin.rotate(lane)
        return job

    def went_out(self, job: Job, now: float) -> None:
        """The attempt at a job that was taken is on its way: starts count from here, or else from when it is `done`."""
        if not job.coming:
            return
        job.coming = False
        lane: HostQueue = job.lane
        lane.went_out(now)
        self._gate.went_out(now)
        self._place(lane, now)

    def done(self, job: Job, attempt: Attempt | None, now: float, wall: float) -> None:
        """What became of a job that was taken; None: no attempt was made. `wall`: as the clock on the wall has it."""
        if not job.under_way:
            return
        job.under_way = False
        lane: HostQueue = job.lane
        if self.counts_starts:
            self.went_out(job, now)
        lane.active -= 1
        self._active -= 1
        if attempt is None:  # which says nothing of the host
            self._place(lane, now)
            return
        if attempt.cause is None and not attempt.redirects:
            lane.refused = None
            lane.congestion.good(now, job.taken_at, attempt.phases[WAIT], lane.active)
        elif not attempt.redirects and not attempt.starved:
            self._heed(lane, job, attempt, now, wall)
        lane.slow = now - job.taken_at - attempt.held > _SLOW
        lane.heard = now
        easy = lane.known and lane.counted and lane.free and lane.congestion.at_ease and not lane.slow
        if easy and lane.due(now) <= now:
            if self._hosts.busy > 1 or lane.turn != SOON:
                self._round_robin.place(lane, self._rank(lane))
        else:
            lane.known = True
            self._on_trial.discard(lane)
            self._place(lane, now)

    def learn_robots(self, job: Job, rules: Rules, now: float) -> None:
        """The rules that a job for a robots.txt has brought, after its `done`."""
        raise RuntimeError(f"this schedule gives out no jobs for a robots.txt: {job.request.url}")

    def learn_address(self, job: Job, address: str | None, now: float) -> None:
        """The address that a job for one has brought, after its `done`; None: nobody knows it."""
        raise RuntimeError(f"this schedule gives out no jobs for an address: {job.request.url}")

    def release(self, now: float) -> None:
        """Let go what is due by now."""
        held = self._held
        jobs = []
        while held and held[0][0] <= now:
            due, _, one = heapq.heappop(held)
            if not isinstance(one, HostQueue):
                jobs.append((due, one))
            elif one.due_at == due:
                one.due_at = inf
                self._place(one, now)
        for due, job in reversed(jobs):  # each before the others of its host: in the end the first due is the first
            self._waiting -= 1
            job.held += max(0.0, due - job.since)
            self.add(job, now, first=True)
            job.since = due
        self._gate.look(now)

    @property
    def timed(self) -> bool:
        """There may be something to release in time."""
        return bool(self._held) or self._gate.shut

    def next_due(self) -> float | None:
        """When there is something to release; None: not before another call."""
        due = self._held[0][0] if self._held else inf
        if self._round_robin:
            due = min(due, self._gate.next_at())
        return None if due == inf else due

    def end(self, now: float) -> None:
        """Hold nothing back any more: no attempts are made at what waits, or comes yet."""
        if self._ended:
            return
        self._ended = True
        for lane in self._hosts:
            while lane:
                job = lane.pop()
                self._count_wait(job, lane, now)
                self._hopeless.append(job)
            self._place(lane, now)
        for _, _, one in sorted(self._held):
            if not isinstance(one, HostQueue):
                one.held += max(0.0, now - one.since)
                one.since = now
                self._hopeless.append(one)
        self._held.clear()

    def notes(self) -> list[HostNote]:
        """What was done about which hosts, those that refused most first."""
        return self._hosts.notes()

    def _count_wait(self, job: Job, lane: HostQueue, now: float) -> None:
        """Tell the time in which no worker was free from that in which the job was not to go."""
        waited = max(0.0, now - job.since)
        held = min(waited, max(0.0, lane.clock(now, self._gate.clock(now)) - job.mark))
        job.held += held
        job.queued += waited - held
        job.since = now

    # --- lanes ---

    def _pop(self, lane: HostQueue, now: float) -> Job:
        """The job of a lane whose turn it is."""
        return lane.pop()

    def _lane(self, job: Job, now: float) -> HostQueue:
        return self._hosts.lane(self._key(job.request.url), now)

    def _place(self, lane: HostQueue, now: float) -> None:
        """Put a lane where it belongs now: into the round_robin, among what is held, or nowhere."""
        waiting = len(lane)
        due = self._due(lane, now) if waiting else inf
        if due > now:
            self._round_robin.remove(lane)
            self._ready -= lane.counted
            lane.counted = 0
            lane.mark_held(now, self._gate.clock(now), held=waiting > 0)
            if due != inf and not lane.known:
                self._on_trial.add(lane)
            if due != inf and due < lane.due_at:
                lane.due_at = due
                heapq.heappush(self._held, (due, next(self._number), lane))
            elif not waiting and not lane.active:
                self._rest(lane, now)
            return
        if lane.active and now - lane.heard > _SLOW:
            lane.slow = True
        if not lane.turn:
            lane.mark_held(now, self._gate.clock(now), held=False)
        self._round_robin.place(lane, self._rank(lane))
        counted = 0 if lane.slow else waiting if lane.known else min(waiting, _UNKNOWN)
        self._ready += counted - lane.counted
        lane.counted = counted

    def _rest(self, lane: HostQueue, now: float) -> None:
        """Nothing is asked of this host for now."""
        self._hosts.rest(lane)
        if self._hosts.busy == 1 and self._on_trial:  # there is no other host any more that the workers could go to
            lanes, self._on_trial = self._on_trial, set()
            for one in lanes:
                self._place(one, now)

    def _due(self, lane: HostQueue, now: float) -> float:
        """When a job of a lane may go; not after `now`, if it may go now."""
        due = lane.due(now)
        if not lane.known and lane.active >= self._few and self._hosts.busy > 1:
            due = max(due, lane.heard + _TRIAL)
        return due

    def _rank(self, lane: HostQueue) -> int:
        """Whether a lane of which a job may go comes before others."""
        keeps = lane.slow or not lane.known
        if lane.active * self._hosts.busy < self._workers and not (keeps and lane.active >= self._few):
            return SOON
        return LAST if keeps else LATER

    def _heed(self, lane: HostQueue, job: Job, attempt: Attempt, now: float, wall: float) -> None:
        """See what an attempt that failed says of its host."""
        congestion, began = lane.congestion, job.taken_at
        signal, asked = signal_of(attempt, self._settings, wall)
        if signal is Signal.DOWN:
            lane.hold(now + congestion.down(now, began, permanent=attempt.permanent))
            if congestion.given_up:
                lane.refuse(attempt.cause or Cause.CONNECT, attempt.error or "", now + GIVEN_UP_FOR)
            return
        lane.refused = None
        if signal is Signal.GOOD:
            congestion.good(now, began, attempt.phases[WAIT], lane.active)
        elif signal is Signal.REFUSED:
            lane.hold(now + congestion.refused(now, began, asked, lane.active))
        elif signal is Signal.FAILED:
            congestion.failed(now, began, lane.active)
        else:
            congestion.answered()

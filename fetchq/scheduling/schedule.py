"""Decides which job may go now, without I/O. The clock is a parameter, so all pools share it, and tests set the time.

Each host has a queue (`HostQueue`) with its limits. A queue from which a job may go is in the order of hosts
(`HostOrder`; change that file for another order). A queue that must wait, because of a limit or a back-off, is in the
delay queue until it is due, or until an attempt at its host is done; so is a job that is retried after a delay. The
gates (`AddressGate`, `RobotsGate`) may put an internal job before the rows of a host.
"""

from __future__ import annotations

from collections import deque
from math import inf
from typing import TYPE_CHECKING

from fetchq.http.phases import WAIT
from fetchq.scheduling.address_gate import AddressGate
from fetchq.scheduling.backlog import Backlog
from fetchq.scheduling.delay_queue import DelayQueue
from fetchq.scheduling.host_key import key_for
from fetchq.scheduling.host_order import FIRST, HostOrder
from fetchq.scheduling.host_queue import SLOW, HostQueue
from fetchq.scheduling.hosts import Hosts
from fetchq.scheduling.job import Job, JobKind
from fetchq.scheduling.rate_limit import RateLimiter
from fetchq.scheduling.robots_gate import RobotsGate

if TYPE_CHECKING:
    from fetchq.core.settings import Settings
    from fetchq.http.attempt import Attempt
    from fetchq.http.robots_txt import RobotsCache, Rules
    from fetchq.scheduling.gate import Gate

__all__ = ["Schedule"]

_ROW, _ADDRESS = JobKind.ROW, JobKind.ADDRESS  # read once: a lookup in an Enum is slow in Python 3.11


class Schedule:
    """Holds the jobs that wait, and hands out the one that goes next.

    `add` or `hold` puts a job in. A worker takes it with `take`, and reports `sent`, if `counts_starts`, and `done`.
    Then it is either put back with `hold` for another attempt, or settled. The result of an internal job is reported
    with `learn_robots` or `learn_address`.
    """

    def __init__(self, settings: Settings, robots: RobotsCache | None = None, max_in_flight: float = inf) -> None:
        """`robots`: the rules of hosts, if robots.txt is obeyed. `max_in_flight`: attempts this machine can make."""
        self._settings = settings
        self.max_in_flight = max_in_flight
        self.in_flight = 0
        self.rate = RateLimiter(settings.rate)
        self.rate_limited = settings.rate is not None
        self._addresses = AddressGate() if settings.per_host_by == "ip" else None
        self._robots = None if robots is None else RobotsGate(robots)
        self._gates: list[Gate] = [gate for gate in (self._addresses, self._robots) if gate is not None]
        self._key_of = key_for(settings) if self._addresses is None else self._addresses.key_of
        self.counts_starts = self.rate_limited or settings.host_interval > 0 or robots is not None
        """Whether `sent` must be called, which a rate, an interval or a Crawl-delay counts from."""
        self.hosts = Hosts(settings)
        self._order = HostOrder(min(settings.workers, max_in_flight), self.hosts)
        self.delayed: DelayQueue[Job | HostQueue] = DelayQueue()
        self.backlog = Backlog(settings.lookahead)
        self.unfetchable: deque[Job] = deque()
        """Jobs that go at once, and get no attempt: unusable rows, duplicates, and all jobs after `end`."""
        self._ended = False

    def __bool__(self) -> bool:
        """Whether a job may go now."""
        limited = self.rate.limiting or self.in_flight >= self.max_in_flight
        return bool(self.unfetchable or (not limited and self._order))

    def __len__(self) -> int:
        """How many jobs wait, whether they may go now or not."""
        return self.backlog.waiting

    def add(self, job: Job, now: float, *, first: bool = False) -> None:
        """Put a job into the queue of its host; if `first`, before the others of the same priority."""
        backlog, request = self.backlog, job.request
        backlog.enter(request)
        job.waiting_since = now
        if request.problem is not None or request._duplicate_of is not None or self._ended or job.refused is not None:
            self.unfetchable.append(job)
            backlog.ready += 1
            return
        queue: HostQueue | None = job.host_queue
        if queue is None:
            key = self._key_of(request.url)
            queue = self.hosts.queues.get(key)
            job.host_queue = queue = self.hosts.queue_for(key, now) if queue is None or queue.idle else queue
        else:
            queue = job.host_queue = self.hosts.wake(queue)
            if job.kind is not _ROW:
                queue.blocked = None  # it is the internal job that the queue was blocked for
        queue.jobs.put(job, first=first)
        if queue.ready and queue.tried:
            queue.ready += 1
            backlog.ready += 1
        else:
            self.reschedule(queue, now)
        if queue.rank and not self.rate_limited:
            job.hold_clock = queue.hold_clock.total
        else:
            job.hold_clock = queue.read_hold_clock(now, self.rate.limited_for(now))

    def hold(self, job: Job, now: float, delay: float) -> None:
        """Put a job in, which may go `delay` seconds from now at the earliest."""
        if self._ended or job.refused is not None:  # or it was withdrawn while it was under way
            self.add(job, now)
            return
        self.backlog.enter(job.request)
        job.waiting_since = now
        self.delayed.push(now + delay, job)

    def take(self, now: float) -> Job:
        """Remove and return the next job that may go. Raises IndexError if there is none."""
        backlog = self.backlog
        if self.unfetchable:
            backlog.ready -= 1
            job = self.unfetchable.popleft()
            backlog.leave(job.request)
            job.queued += max(0.0, now - job.waiting_since)
            return job
        queue = self._order.first()
        if queue is None or self.rate.limiting or self.in_flight >= self.max_in_flight:
            raise IndexError("no job may go now")
        for gate in self._gates:
            if (needed := gate.job_before(queue, now)) is not None:
                needed.host_queue = queue
                queue.jobs.put(needed)
                backlog.enter(needed.request)
        job = queue.jobs.pop()
        backlog.leave(job.request)
        if job.kind is not _ROW:
            queue.block(job.kind)
        if job.hold_clock == queue.hold_clock.total and now >= job.waiting_since and not self.rate_limited:
            job.queued += now - job.waiting_since
        else:
            job.count_wait(now, queue.read_hold_clock(now, self.rate.limited_for(now)))
        job.taken_at = now
        job.refused = queue.refused or job.robots_refusal
        if job.refused is None and job.kind is not _ADDRESS:  # a lookup counts against no limit of the host
            if self.rate_limited:
                self.rate.start(now)
            queue.start(now)
            self.in_flight += 1
            job.in_flight = job.unsent = True
        if queue.steady and queue.ready > 1 and now - queue.last_answer < SLOW:
            queue.ready -= 1
            backlog.ready -= 1
            if queue.rank != FIRST or self.hosts.busy > 1:  # otherwise it is the only one, and keeps its place
                self._order.place(queue, last=True)
        else:
            self.reschedule(queue, now, last=True)
        return job

    def sent(self, job: Job, now: float) -> None:
        """Note that the request of a taken job was sent now, which the rate and the interval count from."""
        if not job.unsent:
            return
        job.unsent = False
        queue: HostQueue = job.host_queue
        queue.sent(now)
        self.rate.sent(now)
        self.reschedule(queue, now)

    def done(self, job: Job, attempt: Attempt | None, now: float, wall: float) -> None:
        """Note that a taken job is no longer in flight. `attempt`: None if none was made. `wall`: wall-clock time."""
        if not job.in_flight:
            return
        job.in_flight = False
        if self.counts_starts:
            self.sent(job, now)
        queue: HostQueue = job.host_queue
        queue.in_flight -= 1
        self.in_flight -= 1
        if attempt is None:  # nothing was learned about the host
            self.reschedule(queue, now)
            return
        congestion = queue.congestion
        if attempt.cause is None and not attempt.redirects:
            queue.refused = None
            congestion.succeeded(now, job.taken_at, attempt.phases[WAIT], queue.in_flight)
        else:
            queue.react(attempt, self._settings, job.taken_at, now, wall)
        queue.last_answer = now
        queue.attempts += 1
        queue.seconds += (took := now - job.taken_at - attempt.held)
        queue.slow = took > SLOW
        if queue.steady and congestion.unrestricted and not queue.slow:
            if queue.rank != FIRST or self.hosts.busy > 1:
                self._order.place(queue)
        else:
            queue.tried = True
            self._order.awaiting_first_answer.discard(queue)
            self.reschedule(queue, now)

    def learn_robots(self, job: Job, rules: Rules, now: float) -> None:
        """Take the rules that a job has fetched, after its `done`."""
        queue: HostQueue | None = job.host_queue
        if self._robots is None or queue is None:
            raise RuntimeError(f"this schedule gives out no jobs for a robots.txt: {job.request.url}")
        self._robots.learn(job, rules, queue, now)
        queue.blocked = None
        self.reschedule(queue, now)
        self._order.prefer(queue)  # the connection is still warm

    def learn_address(self, job: Job, address: str | None, now: float) -> None:
        """Take the address that a job has looked up, after its `done`; None if there is none."""
        queue: HostQueue | None = job.host_queue
        if self._addresses is None or queue is None:
            raise RuntimeError(f"this schedule gives out no jobs for an address: {job.request.url}")
        self._addresses.learn(queue.host, address)
        queue.blocked = None
        if address is not None:
            hold_clock = queue.read_hold_clock(now, self.rate.limited_for(now))
            for row in queue.jobs.pop_all():
                row.count_wait(now, hold_clock)
                row.host_queue = None
                self.backlog.leave(row.request)
                self.add(row, now)
        self.reschedule(queue, now)

    def release(self, now: float) -> None:
        """Release the jobs and the queues that are due by now."""
        jobs = []
        for due, item in self.delayed.pop_due(now):
            if isinstance(item, Job):
                jobs.append((due, item))
            elif item.due_at == due:
                item.due_at = inf
                self.reschedule(item, now)
        for due, job in reversed(jobs):  # `first` reverses their order, so that the earliest goes first
            self.backlog.leave(job.request)
            job.held += max(0.0, due - job.waiting_since)
            self.add(job, now, first=True)
            job.waiting_since = due
        self.rate.update(now)

    @property
    def timed(self) -> bool:
        """Whether there may be something to `release` later; cheaper than `next_due`."""
        return bool(self.delayed.heap) or self.rate.limiting

    def next_due(self) -> float | None:
        """When there is something to `release` next; None if nothing becomes due by itself."""
        heap = self.delayed.heap
        due = heap[0][0] if heap else inf
        if self.rate.limiting and self._order:
            due = min(due, self.rate.next_at())
        return None if due == inf else due

    def end(self, now: float) -> None:
        """Hold no job back any more: those that wait, or are added later, go at once, without an attempt."""
        if self._ended:
            return
        self._ended = True
        unfetchable = len(self.unfetchable)
        for queue in self.hosts:
            hold_clock = queue.read_hold_clock(now, self.rate.limited_for(now))
            for job in queue.jobs.pop_all():
                job.count_wait(now, hold_clock)
                self.unfetchable.append(job)
            self.reschedule(queue, now)
        for item in self.delayed.pop_all():
            if isinstance(item, Job):
                item.held += max(0.0, now - item.waiting_since)
                item.waiting_since = now
                self.unfetchable.append(item)
        self.backlog.ready += len(self.unfetchable) - unfetchable

    def reschedule(self, queue: HostQueue, now: float, *, last: bool = False) -> None:
        """Move a queue to where it belongs now: into the order of hosts, into the delay queue, or neither.

        `last`: whether its turn is over, so that other hosts of its rank follow.
        """
        waiting = len(queue.jobs)
        due = queue.due(now) if waiting else inf
        if waiting and not queue.tried:
            due = max(due, self._order.first_answer_wait_ends(queue))
        self.backlog.ready -= queue.ready
        hold_time = now - self.rate.limited_for(now) if self.rate_limited else now
        if due <= now:
            queue.set_ready(waiting, now, hold_time)
            self._order.place(queue, last=last)
        else:
            queue.set_unready(waiting, hold_time)
            self._order.remove(queue)
            if due < queue.due_at:
                queue.due_at = due
                self.delayed.push(due, queue)
        self.backlog.ready += queue.ready
        if not waiting and not queue.in_flight:
            self.hosts.set_idle(queue)
            if self.hosts.busy == 1 and self._order.awaiting_first_answer:  # no other host could use the workers
                awaiting_first_answer = list(self._order.awaiting_first_answer)
                self._order.awaiting_first_answer.clear()
                for other in awaiting_first_answer:
                    self.reschedule(other, now)

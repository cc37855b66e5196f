"""Tells what the waiting jobs of a schedule wait for, in bounded time."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from random import random
from typing import TYPE_CHECKING, TypeVar

from fetchq.scheduling.job import Job
from fetchq.scheduling.limit import Limit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fetchq.scheduling.host_queue import HostQueue
    from fetchq.scheduling.schedule import Schedule

__all__ = ["WaitingJobs", "waiting_jobs"]

T = TypeVar("T")

_MOST = 200
"""Where there are many more hosts, or delayed jobs, than this, so many of them are looked at."""
_OF_ATTEMPTS = (Limit.PER_HOST, Limit.HOST_INTERVAL, Limit.BACK_OFF)
"""Limits that a row whose retry is not due does not wait for. For the others it waits together with its host."""


@dataclass(frozen=True, slots=True)
class WaitingJobs:
    """How many jobs wait, and for what. Where the counts are estimated from a sample, they are not whole numbers."""

    ready: float
    """Jobs that may go now, as soon as a worker takes them."""
    held: dict[tuple[Limit, str | None], float]
    """The other jobs, by their limit and its host, which is None for a limit of the whole run."""


def waiting_jobs(schedule: Schedule, now: float) -> WaitingJobs:
    """Count the waiting jobs of a schedule by what they wait for."""
    held: defaultdict[tuple[Limit, str | None], float] = defaultdict(float)
    may_go = 0.0
    queues, weight = _sampled(schedule.hosts.busy_queues)
    for queue in queues:
        if not (waiting := len(queue.jobs)):
            continue
        if not queue.rank and (limit := _limit_of(queue, now)) is not None:
            held[limit, queue.host] += waiting * weight
            continue
        room, next_limit = queue.room()
        may_go += min(waiting, room) * weight
        if waiting > room:
            held[next_limit, queue.host] += (waiting - room) * weight
    entries, weight = _sampled(schedule.delayed.heap)
    for _, _, item in entries:
        if isinstance(item, Job):
            held[_limit_of_retry(item, now)] += weight
    room, run_limit = _room_of_run(schedule)
    if may_go > room:
        held[run_limit, None] += may_go - room
    return WaitingJobs(len(schedule.unfetchable) + min(may_go, room), dict(held))


def _room_of_run(schedule: Schedule) -> tuple[float, Limit]:
    """How many jobs may go now, as far as the run is concerned, and what the others wait for."""
    if schedule.rate_limited:
        return (0 if schedule.rate.limiting else 1), Limit.RATE
    return schedule.max_in_flight - schedule.in_flight, Limit.CONNECTIONS


def _limit_of(queue: HostQueue, now: float) -> Limit | None:
    """What the jobs of a host wait for that is not in the order of hosts; None if it will be as soon as it is due."""
    limit = queue.limit(now)
    return Limit.FIRST_ANSWER if limit is None and queue.in_flight and not queue.tried else limit


def _limit_of_retry(job: Job, now: float) -> tuple[Limit, str | None]:
    queue: HostQueue | None = job.host_queue
    if queue is None:
        return Limit.RETRY_WAIT, None
    limit = queue.limit(now)
    return (Limit.RETRY_WAIT if limit is None or limit in _OF_ATTEMPTS else limit), queue.host


def _sampled(items: Sequence[T]) -> tuple[Sequence[T], float]:
    """Some of these items, and for how many items each of them stands: every k-th, so that there are `_MOST` or more.

    (Systematic sampling, which is ten times as fast as `random.sample`.)
    """
    step = len(items) // _MOST
    if step <= 1:
        return items, 1.0
    some = items[int(random() * step) :: step]  # noqa: S311  # no secret
    return some, len(items) / len(some)

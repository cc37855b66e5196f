"""Takes rows out of a schedule before they have gone."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from fetchq.scheduling.job import Job

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fetchq.scheduling.host_queue import HostQueue
    from fetchq.scheduling.schedule import Schedule

__all__ = ["withdraw"]


def withdraw(schedule: Schedule, jobs: Iterable[Job], now: float) -> list[Job]:
    """Remove from the schedule those of `jobs`, which are rows, that wait there, and return them.

    Takes time in proportion to the jobs that wait for the same hosts, and to those that wait for a retry.
    """
    wanted = set(jobs)
    removed = [job for job in schedule.delayed.remove(wanted) if isinstance(job, Job)]
    for job in removed:
        job.held += max(0.0, now - job.waiting_since)
    if unfetchable := [job for job in schedule.unfetchable if job in wanted]:
        schedule.unfetchable = deque(job for job in schedule.unfetchable if job not in wanted)
        schedule.backlog.ready -= len(unfetchable)
        removed += unfetchable
    queues: set[HostQueue] = {job.host_queue for job in wanted if job.host_queue is not None}
    for queue in queues:
        waiting = queue.jobs.remove(wanted)
        hold_clock = queue.read_hold_clock(now, schedule.rate.limited_for(now))
        for job in waiting:
            job.count_wait(now, hold_clock)
        if waiting:
            schedule.reschedule(queue, now)
            removed += waiting
    for job in removed:
        schedule.backlog.leave(job.request)
    return removed

"""What the schedule asks before a row may go: the gates, each of which looks after one thing that its host needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from fetchq.scheduling.host_queue import HostQueue
    from fetchq.scheduling.job import Job

__all__ = ["Gate"]


class Gate(Protocol):
    """Makes the internal jobs for what a host needs before its rows: its address, or its robots.txt."""

    def job_before(self, queue: HostQueue, now: float) -> Job | None:
        """The internal job that must be done before the next job of `queue`; None where that may go.

        After the schedule has handed it out, the queue is blocked until it is told what the job has brought.
        """

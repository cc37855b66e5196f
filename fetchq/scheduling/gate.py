"""Defines the protocol of gates, which the schedule asks before it hands out a row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from fetchq.scheduling.host_queue import HostQueue
    from fetchq.scheduling.job import Job

__all__ = ["Gate"]


class Gate(Protocol):
    """Makes internal jobs for information that is needed before the rows of a host: its address, or its robots.txt."""

    def job_before(self, queue: HostQueue, now: float) -> Job | None:
        """The internal job that must be done before the next job of `queue`; None if that one may go.

        Once the schedule has handed out that job, the queue is blocked until the schedule gets the job's result.
        """

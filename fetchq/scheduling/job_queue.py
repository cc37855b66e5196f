"""Holds the waiting jobs of one host, in the order in which they go."""

from __future__ import annotations

import heapq
from collections import deque
from itertools import count
from math import inf
from typing import TYPE_CHECKING

from fetchq.scheduling.job import JobKind

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from fetchq.scheduling.job import Job

__all__ = ["JobQueue"]

_ROW = JobKind.ROW  # read once: a lookup in an Enum is slow in Python 3.11
_numbers = count()
"""A number for each job in a heap, in order of arrival. One counter serves all queues, since there may be very many."""


class JobQueue:
    """A queue in which internal jobs go first, then rows with a higher priority, then those that arrived earlier."""

    __slots__ = ("_fifo", "_heap")

    def __init__(self) -> None:
        self._fifo: deque[Job] = deque()
        """The rows of priority 0: nearly always all jobs."""
        self._heap: list[tuple[float, int, Job]] = []
        """The other jobs, by their negated priority."""

    def __len__(self) -> int:
        return len(self._fifo) + len(self._heap)

    def put(self, job: Job, *, first: bool = False) -> None:
        """Add a job; if `first`, before the others of the same priority."""
        rank = -job.request.priority if job.kind is _ROW else -inf
        if rank:
            number = next(_numbers)
            heapq.heappush(self._heap, (rank, -number if first else number, job))
        elif first:
            self._fifo.appendleft(job)
        else:
            self._fifo.append(job)

    def pop(self) -> Job:
        """Remove and return the next job. Raises IndexError if there is none."""
        heap = self._heap
        if heap and (heap[0][0] < 0 or not self._fifo):
            return heapq.heappop(heap)[2]
        return self._fifo.popleft()

    def remove(self, jobs: AbstractSet[Job]) -> list[Job]:
        """Remove those of `jobs` that are in the queue, and return them."""
        removed = [job for job in (*self._fifo, *(one[2] for one in self._heap)) if job in jobs]
        if removed:
            self._fifo = deque(job for job in self._fifo if job not in jobs)
            self._heap = [one for one in self._heap if one[2] not in jobs]
            heapq.heapify(self._heap)
        return removed

    def head(self) -> Job:
        """The job that `pop` would return. Raises IndexError if there is none."""
        heap = self._heap
        return heap[0][2] if heap and (heap[0][0] < 0 or not self._fifo) else self._fifo[0]

    def pop_all(self) -> list[Job]:
        """Remove and return all jobs, in order."""
        return [self.pop() for _ in range(len(self))]

"""Orders hosts: which of those that may get a request gets the next one. To have another order, change this file.

A host with fewer attempts in flight than its fair share (the workers, divided by the busy hosts) comes before one that
has reached its share. A slow or untried host goes last as soon as it has its fair share, or one sixteenth of the
workers, whichever is less. Hosts of the same rank take turns (round robin). The order within one host is that of its
`JobQueue`. Only rows that have been read are ordered (`lookahead`). `HostQueue.rank` is 0 just while a host is not in
the order.
"""

from __future__ import annotations

from collections import OrderedDict
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fetchq.scheduling.host_queue import HostQueue
    from fetchq.scheduling.hosts import Hosts

__all__ = ["FIRST", "HostOrder"]

FIRST, _LATER, _LAST = 1, 2, 3
"""The ranks: below the fair share; at it or above; slow or untried, with its share or its few attempts in flight.

The schedule skips `place` for a host that has the first rank and is the only busy one.
"""
_FEW = 16
"""While others are busy, a slow or untried host gets one worker in this many, and at least one."""
_FIRST_ANSWER_WAIT = 0.05
"""While others are busy, an untried host has this many seconds for its first answer before it gets more attempts."""


class HostOrder:
    """The queues from which a job may go now. Lower ranks go first; queues of the same rank take turns."""

    __slots__ = ("_few", "_hosts", "_ranks", "_workers", "awaiting_first_answer")

    def __init__(self, workers: float, hosts: Hosts) -> None:
        """`workers`: how many attempts may be in flight at all hosts together."""
        self._workers = workers
        self._few = max(1, workers // _FEW)
        self._hosts = hosts
        self._ranks: tuple[OrderedDict[HostQueue, None], ...] = tuple(OrderedDict() for _ in range(_LAST + 1))
        """The queues of each rank. Rank 0 means that a queue is not in the order, so its dict stays empty."""
        self.awaiting_first_answer: set[HostQueue] = set()
        """Queues that get no more attempts until the first answer of their host, as long as there are other hosts."""

    def __bool__(self) -> bool:
        _, first, later, last = self._ranks
        return bool(first or later or last)

    def first(self) -> HostQueue | None:
        """The queue whose turn it is; None if no queue is in the order."""
        _, first, later, last = self._ranks
        return next(iter(first or later or last), None)

    def place(self, queue: HostQueue, *, last: bool = False) -> None:
        """Give a queue its current rank, and the last place there if the rank is new, or if `last`."""
        in_flight = queue.in_flight
        rank = FIRST if in_flight * self._hosts.busy < self._workers else _LATER
        if (queue.slow or not queue.tried) and (rank == _LATER or in_flight >= self._few):
            rank = _LAST
        if queue.rank != rank:
            if queue.rank:
                del self._ranks[queue.rank][queue]
            self._ranks[rank][queue] = None
            queue.rank = rank
        elif last:
            self._ranks[rank].move_to_end(queue)

    def prefer(self, queue: HostQueue) -> None:
        """Move a queue that is in the order to the first place of its rank."""
        if queue.rank:
            self._ranks[queue.rank].move_to_end(queue, last=False)

    def remove(self, queue: HostQueue) -> None:
        """Remove a queue from the order, because none of its jobs may go now."""
        if queue.rank:
            del self._ranks[queue.rank][queue]
            queue.rank = 0

    def first_answer_wait_ends(self, queue: HostQueue) -> float:
        """When another job may go to an untried host that awaits its first answer; `-inf` if one may go now."""
        if queue.tried or queue.in_flight < self._few or self._hosts.busy == 1:
            return -inf
        self.awaiting_first_answer.add(queue)
        return queue.last_answer + _FIRST_ANSWER_WAIT

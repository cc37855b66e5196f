"""The order of hosts: which of those that may be asked now is asked next. To have another order, change this file.

A host with fewer attempts in flight than its fair share (the workers, divided by the busy hosts) comes before one that
has reached it. Last come slow and untried hosts that have reached their share, or a sixteenth of the workers. Hosts of
the same rank take turns (round robin). The order within one host is that of its `JobQueue`.
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
"""The ranks: below the fair share; at it or above; slow or untried, and at that share or at its few attempts.

The schedule does not have a host placed again that is the only busy one and has the first rank.
"""
_FEW = 16
"""The few attempts of a slow or untried host, while others are busy: one worker in this many, and at least one."""
_TRIAL = 0.05
"""Seconds that an untried host gets for its first answer before more attempts follow, while there are other hosts."""


class HostOrder:
    """The queues of which a job may go now. A lower rank goes before a higher one; those of one rank take turns."""

    __slots__ = ("_few", "_hosts", "_ranks", "_workers", "on_trial")

    def __init__(self, workers: float, hosts: Hosts) -> None:
        """`workers`: attempts that may be in flight in all."""
        self._workers = workers
        self._few = max(1, workers // _FEW)
        self._hosts = hosts
        self._ranks: tuple[OrderedDict[HostQueue, None], ...] = tuple(OrderedDict() for _ in range(_LAST + 1))
        """The queues of each rank; 0, which means that a queue is not in the order, has none."""
        self.on_trial: set[HostQueue] = set()
        """Queues that wait for the first answer of their host, because there are other hosts."""

    def __bool__(self) -> bool:
        _, first, later, last = self._ranks
        return bool(first or later or last)

    def first(self) -> HostQueue | None:
        """The queue whose turn it is; None when there is none."""
        _, first, later, last = self._ranks
        return next(iter(first or later or last), None)

    def place(self, queue: HostQueue, *, last: bool = False) -> None:
        """Give a queue of which a job may go its rank as of now, behind all others if the rank is new or if `last`."""
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
        """A queue, if it is in the order, is the next one of its rank."""
        if queue.rank:
            self._ranks[queue.rank].move_to_end(queue, last=False)

    def remove(self, queue: HostQueue) -> None:
        """None of the jobs of a queue may go now."""
        if queue.rank:
            del self._ranks[queue.rank][queue]
            queue.rank = 0

    def trial_ends(self, queue: HostQueue) -> float:
        """When another job may go to an untried host that has its few attempts in flight; `-inf` for other hosts."""
        if queue.tried or queue.in_flight < self._few or self._hosts.busy == 1:
            return -inf
        self.on_trial.add(queue)
        return queue.last_answer + _TRIAL

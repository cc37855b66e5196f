"""Whose turn it is, among the hosts that may be asked now: pure."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fetchq.scheduling.host_queue import HostQueue

__all__ = ["LAST", "LATER", "SOON", "RoundRobin"]

SOON, LATER, LAST = 1, 2, 3
"""The ranks: with less than its share of the workers; with more; and with more of a host that may keep them long."""


class RoundRobin:
    """Lanes of which a job may go. A lower rank goes before a higher one; those of the same rank take turns."""

    __slots__ = ("_last", "_later", "_soon")

    def __init__(self) -> None:
        self._soon: OrderedDict[HostQueue, None] = OrderedDict()
        self._later: OrderedDict[HostQueue, None] = OrderedDict()
        self._last: OrderedDict[HostQueue, None] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._soon or self._later or self._last)

    def first(self) -> HostQueue | None:
        """Whose turn it is."""
        return next(iter(self._soon or self._later or self._last), None)

    def place(self, lane: HostQueue, rank: int) -> None:
        """A lane is of this rank from now on; where it is new there, all others come before it."""
        if lane.turn != rank:
            if lane.turn:
                del self._of(lane.turn)[lane]
            self._of(rank)[lane] = None
            lane.turn = rank

    def rotate(self, lane: HostQueue) -> None:
        """A lane has had its turn."""
        self._of(lane.turn).move_to_end(lane)

    def prefer(self, lane: HostQueue) -> None:
        """A lane is the next one of its rank."""
        self._of(lane.turn).move_to_end(lane, last=False)

    def remove(self, lane: HostQueue) -> None:
        """None of its jobs may go now."""
        if lane.turn:
            del self._of(lane.turn)[lane]
            lane.turn = 0

    def _of(self, rank: int) -> OrderedDict[HostQueue, None]:
        return self._soon if rank == SOON else self._later if rank == LATER else self._last

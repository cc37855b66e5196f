"""How many jobs wait, and so whether more of the source should be read: the back pressure on it."""

from __future__ import annotations

__all__ = ["READ_AHEAD", "Backlog"]

READ_AHEAD = 1000
"""Ready jobs at which the source is read no further."""


class Backlog:
    """The counts of jobs that wait in the schedule, with a high-water mark (`full`) and a low-water mark (`low`)."""

    __slots__ = ("_low_water", "lookahead", "ready", "waiting")

    def __init__(self, lookahead: int) -> None:
        """`lookahead`: how many jobs may wait, whether they may go or not."""
        self.lookahead = lookahead
        self.waiting = 0
        """All jobs that wait."""
        self.ready = 0
        """Those of them that a worker could take now, as far as they count (`HostQueue.ready`)."""
        self._low_water = lookahead - min(lookahead, READ_AHEAD) // 2

    def full(self) -> bool:
        """No more should be read from the source."""
        return self.ready >= READ_AHEAD or self.waiting >= self.lookahead

    def room(self) -> int:
        """How many jobs can be added before `full` may become true; below 1 it is full."""
        return min(READ_AHEAD - self.ready, self.lookahead - self.waiting)

    def low(self) -> bool:
        """It is time to read more: late enough to read many at a time, early enough to keep every worker busy."""
        return self.ready <= READ_AHEAD // 2 and self.waiting <= self._low_water

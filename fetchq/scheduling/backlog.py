"""Counts the jobs that wait, and so tells whether to read more rows from the source (back pressure)."""

from __future__ import annotations

__all__ = ["READ_AHEAD", "Backlog"]

READ_AHEAD = 1000
"""No more rows are read from the source while this many jobs are ready."""


class Backlog:
    """The numbers of waiting jobs in a schedule, with a high-water mark (`full`) and a low-water mark (`low`)."""

    __slots__ = ("_low_water", "lookahead", "ready", "waiting")

    def __init__(self, lookahead: int) -> None:
        """`lookahead`: how many jobs may wait, whether they are ready or not."""
        self.lookahead = lookahead
        self.waiting = 0
        """How many jobs wait."""
        self.ready = 0
        """How many of them a worker could take now, counted as `HostQueue.ready` does."""
        self._low_water = lookahead - min(lookahead, READ_AHEAD) // 2

    def full(self) -> bool:
        """Whether no more rows should be read from the source."""
        return self.ready >= READ_AHEAD or self.waiting >= self.lookahead

    def room(self) -> int:
        """How many jobs can be added before `full` may become true; less than 1 if it is true."""
        return min(READ_AHEAD - self.ready, self.lookahead - self.waiting)

    def low(self) -> bool:
        """Whether to read more rows: late enough to read many at a time, early enough to keep every worker busy."""
        return self.ready <= READ_AHEAD // 2 and self.waiting <= self._low_water

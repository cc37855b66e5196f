"""Counts the jobs that wait, and so tells whether to read more rows from the source (back pressure)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fetchq.core.kept_bytes import request_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fetchq.core.model import Request

__all__ = ["MOST_BYTES", "READ_AHEAD", "Backlog", "long_size"]

READ_AHEAD = 1000
"""No more rows are read from the source while this many jobs are ready."""

MOST_BYTES = 16_000_000
"""No more rows are read while the long ones among those that wait take so many bytes, however few they are."""
_LONG = 1000
"""A row of more bytes is a long one."""
_FEW = 200
"""Of a larger batch only the first row is looked at: a list is read in chunks, which hold few long rows."""


class Backlog:
    """The numbers of waiting jobs in a schedule, with a high-water mark (`full`) and a low-water mark (`low`)."""

    __slots__ = ("_low_water", "bytes", "lookahead", "ready", "waiting", "weighs")

    def __init__(self, lookahead: int) -> None:
        """`lookahead`: how many jobs may wait, whether they are ready or not."""
        self.lookahead = lookahead
        self.waiting = 0
        """How many jobs wait."""
        self.ready = 0
        """How many of them a worker could take now, counted as `HostQueue.ready` does."""
        self.bytes = 0
        """The bytes that the long rows among them take, once one was seen."""
        self.weighs = False
        """Whether a long row was seen. Before that, jobs are only counted, which costs less."""
        self._low_water = lookahead - min(lookahead, READ_AHEAD) // 2

    def full(self) -> bool:
        """Whether no more rows should be read from the source."""
        return self.ready >= READ_AHEAD or self.waiting >= self.lookahead or self.bytes >= MOST_BYTES

    def room(self) -> int:
        """How many jobs can be added before `full` may become true; less than 1 if it is true."""
        return 0 if self.bytes >= MOST_BYTES else min(READ_AHEAD - self.ready, self.lookahead - self.waiting)

    def low(self) -> bool:
        """Whether to read more rows: late enough to read many at a time, early enough to keep every worker busy."""
        few = self.ready <= READ_AHEAD // 2 and self.waiting <= self._low_water
        return few and self.bytes <= MOST_BYTES // 2

    def looked_at(self, batch: Sequence[Request]) -> Sequence[Request]:
        """The same batch, in which long rows were looked for. Its jobs may be added then."""
        if not self.weighs:
            self.weighs = any(map(long_size, batch if len(batch) <= _FEW else batch[:1]))
        return batch

    def enter(self, request: Request) -> None:
        """Count a job that waits from now on."""
        self.waiting += 1
        if self.weighs:
            self.bytes += long_size(request)

    def leave(self, request: Request) -> None:
        """Count a job that waits no longer."""
        self.waiting -= 1
        if self.weighs:  # it may have come before the first row that was weighed
            self.bytes = max(0, self.bytes - long_size(request))


def long_size(request: Request) -> int:
    """The bytes of a long row; 0 for any other."""
    short = request.body is None and request.label is None and request.passed is None and request.filename is None
    if short and not request.headers and len(request.url) <= _LONG:
        return 0
    size = request_bytes(request)
    return size if size > _LONG else 0

"""Ends a run once so many of its rows have failed (`--max-failures`)."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from fetchq.core.model import Cause

if TYPE_CHECKING:
    from collections.abc import Callable

    from fetchq.core.model import Request, Result

__all__ = ["FailureLimit"]


class FailureLimit:
    """Counts the rows of a run that have failed. Any thread may call `count`."""

    def __init__(self, most: int | None = None, end: Callable[[], object] = lambda: None) -> None:
        """`end` is called once `most` rows have failed; None for never."""
        self._most = most
        self._end = end
        self._numbers = count(1)

    def count(self, request: Request | Result, cause: Cause) -> None:
        """Count a row that has failed, but for one that was cancelled, or that gets a copy of another row's Result."""
        if cause is Cause.CANCELLED or request._duplicate_of is not None:
            return
        self.count_one()

    def count_one(self) -> None:
        """Count a row that has failed."""
        if next(self._numbers) == self._most:  # `next` of a count is atomic
            self.reach()

    def reach(self) -> None:
        """End the run, since so many rows have failed, perhaps in another process of the run."""
        self._end()

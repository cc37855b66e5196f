"""The state of a run: whether attempts still begin, and what becomes of those under way."""

from __future__ import annotations

import threading
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["RunControl", "RunState"]


class RunState(IntEnum):
    """How far a run is on its way to its end. A later state is never followed by an earlier one.

        RUNNING --stop()--> DRAINING --abort()--> ABORTING
           |                   |                     |
           +-------------------+-----end()-----------+---> ENDED

    `abort()` also leads from RUNNING to ABORTING.
    """

    RUNNING = 0
    DRAINING = 1
    """No attempt begins any more: rows that wait are answered with `cancelled`, attempts under way may finish."""
    ABORTING = 2
    """Attempts under way are interrupted, too."""
    ENDED = 3
    """Every row has its Result; or the rest gets none, after a bug, or because the results are no longer read."""


class RunControl:
    """Holds the state of one run, changes it, and tells the pool of every change. Any thread may call its methods."""

    def __init__(self) -> None:
        self.state = RunState.RUNNING
        self.reads_source = True
        """Rows are still taken from the source: to be fetched or, once the run drains, to be answered."""
        self._lock = threading.Lock()
        self._listener: Callable[[], None] | None = None

    def listen(self, listener: Callable[[], None]) -> None:
        """Call `listener` after each change of state, in the thread that makes it; and at once if there was one before.

        There is one listener: the pool.
        """
        with self._lock:
            self._listener = listener
            running = self.state is RunState.RUNNING
        if not running:
            listener()

    def stop(self, *, end_source: bool = True) -> None:
        """Begin no more attempts; those under way may finish.

        `end_source`: read no more rows from the source. Otherwise each row that is still to come gets a `cancelled`
        Result.
        """
        self._advance(RunState.DRAINING, end_source=end_source)

    def abort(self, *, end_source: bool = True) -> None:
        """Begin no more attempts, and interrupt those under way. `end_source` is that of `stop`."""
        self._advance(RunState.ABORTING, end_source=end_source)

    def end(self) -> None:
        """The run is over. What is still under way is interrupted, and nobody waits for it."""
        self._advance(RunState.ENDED, end_source=True)

    def _advance(self, state: RunState, *, end_source: bool) -> None:
        with self._lock:
            if self.state is RunState.ENDED:
                return
            self.state = max(self.state, state)
            self.reads_source = self.reads_source and not end_source
            listener = self._listener
        if listener is not None:
            listener()

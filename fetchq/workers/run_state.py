"""Holds the state of a run: whether attempts may still begin, and what happens to those under way."""

from __future__ import annotations

import threading
from enum import IntEnum
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["RunControl", "RunState"]


class RunState(IntEnum):
    """The states of a run, which never goes back to an earlier one.

        RUNNING --stop()--> DRAINING --abort()--> ABORTING
           |                   |                     |
           +-------------------+-----end()-----------+---> ENDED

    `abort()` also leads from RUNNING to ABORTING.
    """

    RUNNING = 0
    DRAINING = 1
    """No more attempts begin: waiting rows end as `cancelled`, but attempts under way may finish."""
    ABORTING = 2
    """Attempts under way are interrupted as well."""
    ENDED = 3
    """Every row has its Result; or the others get none, because of a bug, or because nobody reads the Results."""


class RunControl:
    """Changes the state of one run, and tells the pool about every change. Any thread may call its methods."""

    def __init__(self) -> None:
        self.state = RunState.RUNNING
        self.stopped = False
        """Whether the run was stopped or aborted, so that rows may be `cancelled`, or not even be read."""
        self.deadline = inf
        """When the run is to be aborted (`time.perf_counter`)."""
        self.reads_source = True
        """Whether rows are still read from the source, to be fetched or, while the run drains, to be `cancelled`."""
        self._lock = threading.Lock()
        self._listener: Callable[[], None] | None = None

    def listen(self, listener: Callable[[], None]) -> None:
        """Call `listener` after each change, in the thread that makes it; and now, if the state has changed already.

        There is one listener, the pool.
        """
        with self._lock:
            self._listener = listener
            running = self.state is RunState.RUNNING
        if not running:
            listener()

    def stop(self, *, end_source: bool = True) -> None:
        """Begin no more attempts; those under way may finish.

        `end_source`: whether to read no more rows from the source. Otherwise each further row gets a `cancelled`
        Result.
        """
        self._advance(RunState.DRAINING, end_source=end_source)

    def abort(self, *, end_source: bool = True) -> None:
        """Begin no more attempts, and interrupt those under way. `end_source` is that of `stop`."""
        self._advance(RunState.ABORTING, end_source=end_source)

    def end(self) -> None:
        """End the run. Attempts that are still under way are interrupted, and nothing waits for them."""
        self._advance(RunState.ENDED, end_source=True)

    def _advance(self, state: RunState, *, end_source: bool) -> None:
        with self._lock:
            if self.state is RunState.ENDED:
                return
            self.state = max(self.state, state)
            self.stopped = self.stopped or state is not RunState.ENDED
            self.reads_source = self.reads_source and not end_source
            listener = self._listener
            if state is RunState.ENDED:
                self._listener = None  # otherwise only the garbage collector would free the pool, and its engines
        if listener is not None:
            listener()

"""Counts the time in which a run could not look at what had come: the process was stopped, or its event loop was late.

No timeout counts it: an answer that lies in the socket meanwhile is not late, and a server that could not see that it
was read is not slow. Whoever watches calls `beat` in equal intervals; a beat that is late shows how much was lost.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from fetchq.core.quantities import NO_LIMIT

if TYPE_CHECKING:
    from fetchq.core.settings import Settings

__all__ = ["LostTime"]

_LATE = 0.05
"""Seconds by which a beat may be late: the system has other things to do, too."""


class LostTime:
    """The lost time of a run. Any thread may use it. Times are those of `time.perf_counter`."""

    __slots__ = ("_due", "interval", "seconds")

    def __init__(self, settings: Settings) -> None:
        limits = settings.timeout, settings.connect_timeout, settings.read_timeout
        shortest = min(limit or NO_LIMIT for limit in limits)
        self.interval = max(0.005, min(0.25, shortest / 20))
        """Seconds between two beats."""
        self._due = inf
        self.seconds = 0.0
        """The seconds that were lost until the last beat."""

    def beat(self, now: float) -> None:
        """Note that the run could look at all that had come until `now`, and that the next beat is due after that."""
        self.seconds = self.until(now)
        self._due = now + self.interval  # at last, so that another thread rather counts the loss twice than not at all

    def pause(self) -> None:
        """Note that the next beat is not due before `beat` was called once more."""
        self._due = inf

    def until(self, now: float) -> float:
        """The seconds that were lost until `now`."""
        late = now - self._due
        return self.seconds + late if late > _LATE else self.seconds

"""Measures each worker's share of the work. This is the only module that imports codetiming."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

from codetiming import Timer

__all__ = ["WorkerClock"]


@dataclass(slots=True)
class WorkerClock:
    """The number of attempts that one worker has made, and the seconds that it has spent on them."""

    number: int
    """The worker's number, from 1."""
    fetched: int = 0
    """How many attempts at rows it has made; requests for a robots.txt are not counted."""
    busy: float = 0.0
    """Seconds spent on attempts, without those spent waiting for `limit_rate`."""
    # The timer has no name, since codetiming keeps all measurements of named timers for ever.
    timer: Timer = field(default_factory=partial(Timer, logger=None), repr=False, compare=False)
    """Runs while an attempt is under way."""

"""Measures each worker's share of the work. The only module that imports codetiming."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

from codetiming import Timer

__all__ = ["WorkerClock"]


@dataclass(slots=True)
class WorkerClock:
    """The attempts that one worker has made, and the seconds it has spent in them."""

    number: int
    """From 1."""
    fetched: int = 0
    """Attempts at rows; those at a robots.txt are not counted."""
    busy: float = 0.0
    """Seconds in attempts, without those in which a limit of the run held them up."""
    # It has no name, because codetiming keeps every measurement of a named timer for ever.
    timer: Timer = field(default_factory=partial(Timer, logger=None), repr=False, compare=False)
    """Runs while an attempt is under way."""

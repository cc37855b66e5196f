"""Measures what each worker does. This is the only module that imports codetiming."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

from codetiming import Timer

__all__ = ["WorkerClock"]


@dataclass(slots=True)
class WorkerClock:
    """The number of attempts that one worker has made, and the seconds that it has spent on them and around them."""

    number: int
    """The worker's number, from 1."""
    fetched: int = 0
    """How many attempts at rows it has made; requests for a robots.txt are not counted."""
    busy: float = 0.0
    """Seconds spent on attempts, without those spent waiting for `limit_rate`."""
    limit_rate: float = 0.0
    """Seconds spent waiting for `limit_rate`."""
    callback: float = 0.0
    """Seconds spent waiting for `on_start`."""
    output: float = 0.0
    """Seconds spent waiting for room for a Result."""
    is_idle: bool = True
    """Whether the worker has no job (modes `async` and `threads`)."""
    attempt_began: float | None = None
    """When the attempt under way began (modes `threads` and `sync`); None if none is."""
    # The timer has no name, since codetiming keeps all measurements of named timers for ever.
    timer: Timer = field(default_factory=partial(Timer, logger=None), repr=False, compare=False)
    """Runs while an attempt is under way."""

    def restart(self) -> None:
        """Count from now on. The worker is idle."""
        self.fetched = 0
        self.busy = self.limit_rate = self.callback = self.output = 0.0

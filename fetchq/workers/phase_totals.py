"""Adds up the phases of all attempts of a run, also of those that lead to no Result."""

from __future__ import annotations

from fetchq.core.model import PHASES

__all__ = ["ATTEMPT_PHASES", "PhaseTotals"]

ATTEMPT_PHASES = tuple(name for name in PHASES if name not in ("queued", "held"))
"""The names of the phases of an attempt, in the order of `AttemptClock.phases`."""


class PhaseTotals:
    """Seconds in each phase, summed over the attempts. Any thread may add attempts."""

    __slots__ = ("_seconds", "pending")

    def __init__(self) -> None:
        self._seconds = [0.0] * len(ATTEMPT_PHASES)
        self.pending: list[list[float]] = []
        """The phases of the attempts that have ended since `add_up` was called last, to be appended."""

    def add_up(self, at_least: int = 1) -> None:
        """Add up the attempts that are pending, if there are `at_least` so many: together they take much less time.

        Must be called by one thread at a time.
        """
        count = len(self.pending)
        if count >= at_least:
            columns = zip(*self.pending[:count], strict=True)
            self._seconds = [before + sum(more) for before, more in zip(self._seconds, columns, strict=True)]
            del self.pending[:count]  # a thread may have added more

    def add(self, phase: str, seconds: float) -> None:
        """Count these seconds, which belong to no attempt. Any thread may call it."""
        phases = [0.0] * len(ATTEMPT_PHASES)
        phases[ATTEMPT_PHASES.index(phase)] = seconds
        self.pending.append(phases)

    def restart(self) -> None:
        """Count from now on."""
        self.pending.clear()
        self._seconds = [0.0] * len(ATTEMPT_PHASES)

    def seconds(self) -> dict[str, float]:
        """Seconds in each phase so far, by its name."""
        self.add_up()
        return dict(zip(ATTEMPT_PHASES, self._seconds, strict=True))

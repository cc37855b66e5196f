"""The same list under several modes, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from fetchq.reports.summary import Summary

if TYPE_CHECKING:
    from datetime import datetime

    from fetchq.core.model import Result
    from fetchq.core.settings import Settings

__all__ = ["MOST_SPANS", "ModeRun", "Span", "compare"]

MOST_SPANS = 40
"""URLs up to which each one's place in time is kept, to be drawn."""


@dataclass(frozen=True, slots=True)
class Span:
    """One URL's place in a run: which worker, from when to when. Seconds from the run's first start."""

    index: int
    worker: int
    start: float
    end: float


@dataclass(slots=True)
class ModeRun:
    """What a mode did with the list. `spans` is empty for a list longer than `MOST_SPANS`."""

    mode: str
    summary: Summary = field(default_factory=Summary)
    _results: list[tuple[int, int, datetime, float]] = field(default_factory=list)

    def add(self, results: Iterable[Result]) -> None:
        """Keep the places of these results, while there are few."""
        for result in results:
            if result.worker is not None and result.started is not None and len(self._results) <= MOST_SPANS:
                self._results.append((result.index, result.worker, result.started, result.elapsed))

    @property
    def spans(self) -> list[Span]:
        if not self._results or len(self._results) > MOST_SPANS:
            return []
        first = min(started for _, _, started, _ in self._results)
        offsets = [(index, worker, (started - first).total_seconds(), s) for index, worker, started, s in self._results]
        return [Span(index, worker, offset, offset + seconds) for index, worker, offset, seconds in offsets]


def compare(
    settings: Settings, modes: Sequence[str], fetch: Callable[[Settings, ModeRun], int]
) -> tuple[list[ModeRun], int]:
    """Have `fetch` run the list in each mode. It fills the ModeRun and returns an exit status.

    Returns the runs, and the greatest status; a mode that was interrupted, or could not go on, is the last one.
    """
    runs: list[ModeRun] = []
    worst = 0
    for mode in modes:
        run = ModeRun(mode)
        runs.append(run)
        status = fetch(replace(settings, mode=mode), run)
        worst = max(worst, status)
        if status > 1:
            break
    return runs, worst

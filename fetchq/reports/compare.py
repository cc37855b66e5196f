"""Runs a list of URLs in several modes, one after the other, and records what each worker did when."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from fetchq.reports.summary import Summary

if TYPE_CHECKING:
    from datetime import datetime

    from fetchq.core.model import Result
    from fetchq.core.settings import Settings

__all__ = ["MAX_SPANS", "ModeRun", "Span", "compare"]

MAX_SPANS = 40
"""For more URLs than this, no timeline is drawn."""


@dataclass(frozen=True, slots=True)
class Span:
    """The time in which a worker fetched a URL, in seconds since the first start of the run."""

    index: int
    worker: int
    start: float
    end: float


@dataclass(slots=True)
class ModeRun:
    """The run in one mode: its summary and its spans. `spans` is empty for a list of more than `MAX_SPANS` URLs."""

    mode: str
    summary: Summary = field(default_factory=Summary)
    _results: list[tuple[int, int, datetime, float]] = field(default_factory=list)

    def add(self, results: Iterable[Result]) -> None:
        """Record the spans of these Results, up to `MAX_SPANS`."""
        for result in results:
            if result.worker is not None and result.started is not None and len(self._results) <= MAX_SPANS:
                self._results.append((result.index, result.worker, result.started, result.elapsed))

    @property
    def spans(self) -> list[Span]:
        if not self._results or len(self._results) > MAX_SPANS:
            return []
        first = min(started for _, _, started, _ in self._results)
        offsets = [(index, worker, (started - first).total_seconds(), s) for index, worker, started, s in self._results]
        return [Span(index, worker, offset, offset + seconds) for index, worker, offset, seconds in offsets]


def compare(
    settings: Settings, modes: Sequence[str], fetch: Callable[[Settings, ModeRun], int]
) -> tuple[list[ModeRun], int]:
    """Run the list in each mode with `fetch`, which fills the ModeRun and returns an exit status.

    Returns the runs and the greatest exit status. A status above 1 ends the comparison, since the run was interrupted,
    or could not go on.
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

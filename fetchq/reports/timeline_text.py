"""Draws the timeline of a run as plain text: a row for each worker, with time from left to right."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import TYPE_CHECKING

from fetchq.core.text import printable
from fetchq.reports.summary_text import MAX_WORKER_ROWS
from fetchq.reports.text import seconds_text

if TYPE_CHECKING:
    from fetchq.reports.measurements import MeasuredRun, Measurements, Span

__all__ = ["LEGEND", "timeline_lines", "timelines"]

LEGEND = "A number is a URL's place in the list, and stands where its fetch began; + is several at once."

_MAX_WIDTH, _MIN_WIDTH = 64, 20
"""The most and the fewest columns of a timeline."""


def timelines(comparison: Measurements, *, columns: int = 120) -> list[str]:
    """The best run of each variant and a legend, for a terminal with so many columns; empty for a long list."""
    best = [(variant.name, variant.best) for variant in comparison.variants]
    workers = [span.worker for _, run in best for span in run.spans]
    width = min(_MAX_WIDTH, max(_MIN_WIDTH, columns - len(_margin(max(workers, default=0))) - 1))
    lines = [line for name, run in best for line in timeline_lines(name, run, width=width)]
    return [*lines, *wrap(LEGEND, max(_MIN_WIDTH, columns)), ""] if lines else []


def timeline_lines(name: str, run: MeasuredRun, *, width: int = _MAX_WIDTH) -> list[str]:
    """The timeline of a run: a row for each worker, with time from left to right; empty for a long list of URLs."""
    spans = run.spans
    workers = sorted({span.worker for span in spans})
    if not spans or len(workers) > MAX_WORKER_ROWS:
        return []
    end = max(run.duration, *(span.end for span in spans)) or 1.0
    lines = [f"{printable(name)}: {seconds_text(run.duration)}"]
    digits = len(str(workers[-1]))
    for worker in workers:
        row = _row([span for span in spans if span.worker == worker], end, width)
        lines.append(f"{_margin(worker, digits)}{row}|")
    return [*lines, ""]


def _margin(worker: int, digits: int = 0) -> str:
    return f"  worker {worker:>{max(2, digits)}} |"


def _row(spans: Sequence[Span], end: float, width: int) -> str:
    """The row of a worker: a bar for each span, which begins with its number, or with + if numbers do not fit."""
    bars: list[tuple[int, int, str]] = []
    for span in sorted(spans, key=lambda one: one.start):
        label = str(span.index + 1)
        first = max(0, min(width - len(label), int(span.start / end * width)))
        last = min(width, round(span.end / end * width))
        begin, before, taken = bars[-1] if bars else (-width, 0, "+")
        # Two adjacent numbers would look like one.
        if first < begin + len(taken) + (taken != "+"):
            bars[-1] = (begin, max(before, last), "+")
        else:
            bars.append((first, last, label if len(label) <= width else "+"))
    row = ""
    for (first, last, label), (following, _, _) in zip(bars, [*bars[1:], (width, width, "")], strict=True):
        row = row.ljust(first) + label.ljust(min(last, following) - first, "=")
    return row.ljust(width)

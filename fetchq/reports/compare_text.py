"""Formats the comparison of modes as plain text: a table, and a timeline for each mode."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING

from fetchq.reports.text import MAX_WORKER_ROWS, rate_text, seconds_text, table

if TYPE_CHECKING:
    from fetchq.reports.compare import ModeRun, Span
    from fetchq.reports.summary import Summary

__all__ = ["LEGEND", "compare_lines", "timeline_lines", "timelines"]

LEGEND = "A number is a URL's place in the list, and stands where its fetch began; + is several at once."

_MAX_WIDTH, _MIN_WIDTH = 64, 20
"""The most and the fewest columns of a timeline."""


def compare_lines(runs: Sequence[tuple[str, Summary]]) -> list[str]:
    """A table of the runs, with a column for each mode."""
    slowest = max(summary.duration for _, summary in runs)
    rows = [["mode", *(mode for mode, _ in runs)]]

    def row(name: str, cell: Callable[[Summary], str]) -> None:
        rows.append([name, *(cell(summary) for _, summary in runs)])

    row("elapsed", lambda summary: seconds_text(summary.duration))
    row("sum of fetch times", lambda summary: seconds_text(summary.fetch_time))
    row("URLs at a time", lambda summary: f"{summary.concurrency:.1f}")
    row("URL/s", lambda summary: rate_text(summary.total / max(summary.duration, 1e-9)))
    row("p50", lambda summary: seconds_text(summary.elapsed.percentile(50)))
    row("p99", lambda summary: seconds_text(summary.elapsed.percentile(99)))
    row("ok", lambda summary: str(summary.ok))
    row("failed", lambda summary: str(summary.failed))
    row("times as fast", lambda summary: f"{slowest / max(summary.duration, 1e-9):.1f}")
    return table(rows)


def timelines(runs: Sequence[ModeRun], *, columns: int = 120) -> list[str]:
    """The timelines of all runs and their legend, for a terminal with so many columns; empty for a long list."""
    workers = [span.worker for run in runs for span in run.spans]
    width = min(_MAX_WIDTH, max(_MIN_WIDTH, columns - len(_margin(max(workers, default=0))) - 1))
    lines = [line for run in runs for line in timeline_lines(run, width=width)]
    return [*lines, *wrap(LEGEND, max(_MIN_WIDTH, columns)), ""] if lines else []


def timeline_lines(run: ModeRun, *, width: int = _MAX_WIDTH) -> list[str]:
    """The timeline of a run: a row for each worker, with time from left to right; empty for a long list of URLs."""
    spans = run.spans
    workers = sorted({span.worker for span in spans})
    if not spans or len(workers) > MAX_WORKER_ROWS:
        return []
    end = max(run.summary.duration, *(span.end for span in spans)) or 1.0
    lines = [f"{run.mode}: {seconds_text(run.summary.duration)}"]
    digits = len(str(workers[-1]))
    for worker in workers:
        row = _row([span for span in spans if span.worker == worker], end, width)
        lines.append(f"{_margin(worker, digits)}{row}|")
    return [*lines, ""]


def _margin(worker: int, digits: int = 0) -> str:
    return f"  worker {worker:>{max(2, digits)}} |"


def _row(spans: list[Span], end: float, width: int) -> str:
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

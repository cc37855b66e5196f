"""Several modes side by side, in plain text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from fetchq.views.text import MOST_WORKER_ROWS, rate_text, seconds_text, table

if TYPE_CHECKING:
    from fetchq.compare import ModeRun
    from fetchq.summary import Summary

__all__ = ["compare_lines", "timeline_lines"]


def compare_lines(runs: Sequence[tuple[str, Summary]]) -> list[str]:
    """The runs side by side, a column for each mode."""
    slowest = max(summary.duration for _, summary in runs)
    rows = [["", *(mode for mode, _ in runs)]]

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


def timeline_lines(run: ModeRun, *, width: int = 64) -> list[str]:
    """Who fetched what when: a row for each worker, time from left to right; empty for a long list."""
    spans = run.spans
    if not spans or len({span.worker for span in spans}) > MOST_WORKER_ROWS:
        return []
    end = max(run.summary.duration, *(span.end for span in spans)) or 1.0
    lines = [f"{run.mode}: {seconds_text(run.summary.duration)}"]
    for worker in sorted({span.worker for span in spans}):
        row = [" "] * width
        for span in sorted((one for one in spans if one.worker == worker), key=lambda one: one.start):
            first = min(width - 1, int(span.start / end * width))
            last = max(first + 1, min(width, round(span.end / end * width)))
            bar = f"{span.index + 1}".ljust(last - first, "=")[: last - first]
            row[first:last] = bar
        lines.append(f"  worker {worker:>2} |{''.join(row)}|")
    return [*lines, ""]

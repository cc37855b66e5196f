"""Formats numbers and Results as plain text, for a terminal or a log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from fetchq.core.text import printable
from fetchq.http.url import shown_url

if TYPE_CHECKING:
    from fetchq.core.model import Request, Result

__all__ = [
    "HEADING",
    "Paint",
    "bytes_text",
    "count_text",
    "done_text",
    "percent_text",
    "rate_text",
    "result_line",
    "seconds_text",
    "start_line",
    "table",
]

Paint = Callable[[str, str], str]
"""A function that adds a colour, given by its name, to a text."""

HEADING = f"{'status':>6} {'time':>9} {'size':>9} {'worker':>6}  URL"
"""The heading for the columns of `result_line` and `start_line`."""


def seconds_text(seconds: float) -> str:
    """A duration with two to four digits and a unit: `0.3 ms`, `12 ms`, `1.25 s`."""
    if seconds >= 100:
        return f"{seconds:.0f} s"
    if seconds >= 10:
        return f"{seconds:.1f} s"
    if seconds >= 0.9995:
        return f"{seconds:.2f} s"
    if seconds >= 0.00995:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds * 1000:.1f} ms"


def bytes_text(size: float) -> str:
    """A size with a decimal unit, such as `4 B` or `1.5 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 99.5 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def count_text(number: int, noun: str) -> str:
    """A number with its noun: `1 URL`, `2 URLs`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def rate_text(rate: float) -> str:
    """A number per second, such as `2.5`, without a unit."""
    return f"{rate:.0f}" if rate >= 99.5 else f"{rate:.1f}"


def percent_text(share: float) -> str:
    """A share as `71 %`."""
    return f"{100 * share:.0f} %"


def done_text(rows: int) -> str:
    """How many rows of a durable run are done, as a clause."""
    return "1 row is done" if rows == 1 else f"{rows} rows are done"


def start_line(request: Request, worker: int) -> str:
    """The line for a worker that begins an attempt at a URL."""
    return f"{'':>6} {'start':>9} {'':>9} {worker:>6}  {printable(shown_url(request.url))}"


def result_line(result: Result, paint: Paint | None = None) -> str:
    """The line for a Result: status, time, size, worker, URL, and the cause of a failure. Plain without `paint`."""
    status = f"{result.status or '---':>4}"
    size = bytes_text(result.size) if result.status is not None else "-"
    worker = "-" if result.worker is None else result.worker
    url = result.url if result.url.isascii() and result.url.isprintable() else printable(result.url)
    line = f"{seconds_text(result.elapsed):>9} {size:>9} {worker:>6}  {url}"
    tries = f" after {result.attempts} attempts" if result.attempts > 1 else ""
    if result.cause is None:
        return f"  {paint(status, 'green') if paint else status} {line}{f'  {tries}' if tries else ''}"
    why = f"{result.cause}: {printable(result.error or 'failed')}{tries}"
    return f"  {paint(status, 'red')} {line}  {paint(why, 'red')}" if paint else f"  {status} {line}  {why}"


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows as lines of aligned columns: the first one left-aligned, the others right-aligned."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for first, *others in rows:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    return lines

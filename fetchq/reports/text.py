"""Formats numbers and Results as plain text, for a terminal or a log."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from fetchq.core.model import Cause
from fetchq.core.text import printable, shortened
from fetchq.http.url import shown_url

if TYPE_CHECKING:
    from fetchq.core.model import Request, Result
    from fetchq.workers.retry_event import RetryEvent

__all__ = [
    "HEADING",
    "Paint",
    "bytes_text",
    "causes_text",
    "count_text",
    "done_text",
    "no_urls_text",
    "outcome_text",
    "percent_text",
    "rate_text",
    "result_line",
    "retry_line",
    "retry_text",
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
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def rate_text(rate: float) -> str:
    """A number per second, such as `2.5`, without a unit."""
    return f"{rate:.0f}" if rate >= 99.5 else f"{rate:.1f}"


def percent_text(share: float) -> str:
    """A share as `71 %`."""
    return f"{100 * share:.0f} %"


def done_text(rows: int) -> str:
    """How many rows of a durable run are done, as a clause."""
    return "1 row is done" if rows == 1 else f"{rows:,} rows are done"


def outcome_text(ok: int, failed: int, cut_off: int, not_tried: int, paint: Paint | None = None) -> str:
    """How many rows are ok, failed and, if there are any, unfinished: `260 ok, 0 failed, 5 cut off, 849 not tried`."""
    parts = [(f"{ok:,} ok", "green"), (f"{failed:,} failed", "red" if failed else "")]
    if cut_off:
        parts.append((f"{cut_off:,} cut off", "yellow"))
    if not_tried:
        parts.append((f"{not_tried:,} not tried", "yellow"))
    return ", ".join(paint(text, colour) if paint and colour else text for text, colour in parts)


def causes_text(causes: Mapping[str, int], statuses: Mapping[int, int]) -> str:
    """Why rows failed, the most frequent reason first: `9 x 404, 7 x 500, 3 connect`. Empty if none has.

    `causes`: how many rows failed, by cause. `statuses`: those with the cause `status`, by status.
    """
    reasons = [(times, f"x {status}") for status, times in sorted(statuses.items())]
    reasons += [(times, cause) for cause, times in sorted(causes.items()) if cause != Cause.STATUS]
    if rest := causes.get(Cause.STATUS, 0) - sum(statuses.values()):  # of hosts that were given up
        reasons.append((rest, Cause.STATUS.value))
    return ", ".join(f"{times:,} {reason}" for times, reason in sorted(reasons, key=lambda one: -one[0]))


def start_line(request: Request, worker: int) -> str:
    """The line for a worker that begins an attempt at a URL."""
    return f"{'':>6} {'start':>9} {'':>9} {worker:>6}  {printable(shown_url(request.url))}"


def no_urls_text(sources: Sequence[str]) -> str:
    """The message for lists without URLs."""
    return printable(f"fetchq: no URLs in {', '.join(sources)}")


def retry_line(event: RetryEvent) -> str:
    """The line for a failed attempt that is followed by another one, with why and when."""
    url = printable(shown_url(event.request.url))
    return f"{event.status or '---':>6} {'retry':>9} {'':>9} {event.worker:>6}  {url}  {retry_text(event)}"


def retry_text(event: RetryEvent) -> str:
    """Why there is another attempt, and when: `status: 503 Service Unavailable, attempt 2 follows in 0.52 s`."""
    when = f"in {seconds_text(event.delay)}" if event.delay > 0 else "at once"
    how = ", as a GET" if event.with_get else ""
    return f"{event.cause}: {printable(event.error)}; attempt {event.attempts + 1} follows {when}{how}"


_LONGEST_LABEL = 60
"""The most characters of a label that are shown in a line."""


def result_line(result: Result, paint: Paint | None = None) -> str:
    """The line for a Result: status, time, size, worker, URL, and the cause and label of a failure.

    Plain without `paint`.
    """
    status = f"{result.status or '---':>4}"
    size = bytes_text(result.size) if result.status is not None else "-"
    worker = "-" if result.worker is None else result.worker
    url = result.url if result.url.isascii() and result.url.isprintable() else printable(result.url)
    if result.redirects and result.final_url not in (None, result.url):
        url = f"{url} -> {printable(result.final_url or '')}"
    line = f"{seconds_text(result.elapsed):>9} {size:>9} {worker:>6}  {url}"
    tries = f" after {result.attempts} attempts" if result.attempts > 1 else ""
    if result.cause is None:
        return f"  {paint(status, 'green') if paint else status} {line}{f'  {tries}' if tries else ''}"
    label = "" if result.label is None else f" [{printable(shortened(result.label, _LONGEST_LABEL))}]"
    why = f"{result.cause}: {printable(result.error or 'failed')}{tries}{label}"
    return f"  {paint(status, 'red')} {line}  {paint(why, 'red')}" if paint else f"  {status} {line}  {why}"


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows as lines of aligned columns: the first one left-aligned, the others right-aligned."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for first, *others in rows:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    return lines

"""Formats results and the summary of a run as plain text, for a terminal or a log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from statistics import median
from textwrap import wrap
from typing import TYPE_CHECKING

from fetchq.core.text import printable, redact
from fetchq.reports.attribution_text import attribution_text, percent_text

if TYPE_CHECKING:
    from fetchq.core.model import Request, Result
    from fetchq.reports.summary import Summary
    from fetchq.scheduling.congestion import HostBackoff

__all__ = [
    "HEADING",
    "MAX_WORKER_ROWS",
    "Paint",
    "bytes_text",
    "count_text",
    "done_text",
    "given_up_text",
    "rate_text",
    "result_line",
    "seconds_text",
    "start_line",
    "summary_lines",
    "table",
]

Paint = Callable[[str, str], str]
"""A function that adds a colour, given by its name, to a text."""

MAX_WORKER_ROWS = 16
"""For more workers than this, the summary shows their distribution instead of each worker."""
MAX_HOST_LINES = 10
"""The most hosts that the summary lists."""

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


def done_text(rows: int) -> str:
    """How many rows of a durable run are done, as a clause."""
    return "1 row is done" if rows == 1 else f"{rows} rows are done"


def given_up_text(summary: Summary) -> str | None:
    """How many hosts were given up, as a clause; None if none was."""
    given_up = sum(backoff.given_up for backoff in summary.hosts)
    if not given_up:
        return None
    return f"{count_text(given_up, 'host')} {'was' if given_up == 1 else 'were'} given up"


def start_line(request: Request, worker: int) -> str:
    """The line for a worker that begins an attempt at a URL."""
    return f"{'':>6} {'start':>9} {'':>9} {worker:>6}  {printable(redact(request.url))}"


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


def summary_lines(
    summary: Summary, *, paint: Paint | None = None, insecure: bool = False, columns: int | None = None
) -> list[str]:
    """The lines of the summary; empty for a run without a URL. Sentences are wrapped to so many `columns`, if given."""
    if not summary.total:
        return []
    failed = f"{summary.failed} failed"
    paint = paint or _without_colour
    failed = paint(failed, "red") if summary.failed else failed
    duration = max(summary.duration, 1e-9)
    took, size, wire = seconds_text(summary.duration), bytes_text(summary.size), bytes_text(summary.wire_size)
    fetching, workers = seconds_text(summary.fetch_time), count_text(len(summary.workers), "worker")
    ok = paint(f"{summary.ok} ok", "green")
    lines = [
        f"{count_text(summary.total, 'URL')}: {ok}, {failed}, in {took} ({rate_text(summary.total / duration)} URL/s)",
        f"{size} of bodies, {wire} on the wire, {bytes_text(summary.wire_size / duration)}/s",
        f"fetch times add up to {fetching}: {summary.concurrency:.1f} URLs at a time, with {workers}",
    ]
    if insecure:
        lines.append(paint("TLS certificates were not verified (--insecure)", "yellow"))
    if summary.causes:
        lines.append("failed: " + ", ".join(f"{count} {cause}" for cause, count in summary.causes.most_common()))
    if summary.copied:
        lines.append(f"{count_text(summary.copied, 'row')} asked the same as others, and got a copy")
    if summary.attempts > summary.total - summary.copied:
        lines.append(f"{summary.attempts} attempts were made")
    lines += _host_lines(summary.hosts)
    if summary.elapsed.count:
        lines += ["", *_percentile_lines(summary)]
    if summary.workers:
        lines += ["", *_worker_lines(summary)]
    if concluding := _verdict_lines(summary, columns):
        lines += ["", *concluding]
    return lines


def _without_colour(text: str, colour: str) -> str:
    return text


def rate_text(rate: float) -> str:
    """A number per second."""
    return f"{rate:.0f}" if rate >= 99.5 else f"{rate:.1f}"


def _percentile_lines(summary: Summary) -> list[str]:
    rows = [["time per URL", "p50", "p90", "p99", "max"]]
    for name, histogram in (("total", summary.elapsed), ("wait", summary.wait)):
        values = [histogram.percentile(percent) for percent in (50, 90, 99)]
        rows.append([name, *(seconds_text(value) for value in (*values, histogram.greatest))])
    return table(rows)


def _verdict_lines(summary: Summary, columns: int | None) -> list[str]:
    """The shares of the workers' time, and the verdict; each as one line, or wrapped to so many columns."""
    attribution, verdict = summary.attribution, summary.verdict
    lines = [] if attribution is None or not attribution.total else [attribution_text(attribution)]
    lines += [] if verdict is None else [verdict.text]
    if columns is None:
        return lines
    return [part for line in lines for part in wrap(line, columns, subsequent_indent="  ", break_on_hyphens=False)]


def _host_lines(hosts: Sequence[HostBackoff]) -> list[str]:
    """A line for each host that refused, failed or grew slow, with how far requests to it were held back."""
    lines = []
    for backoff in hosts[:MAX_HOST_LINES]:
        parts = [count_text(backoff.refusals, "refusal")] if backoff.refusals else []
        if backoff.rate != inf:
            parts.append(f"asked {rate_text(backoff.rate)} times a second")
        elif backoff.least_window != inf:
            parts.append(f"down to {backoff.least_window:.0f} at a time")
        if backoff.pauses:
            parts.append(f"set aside {count_text(backoff.pauses, 'time')}")
        if backoff.given_up:
            parts.append("given up")
        lines.append(f"{printable(backoff.host)}: {', '.join(parts)}")
    if len(hosts) > len(lines):
        lines.append(f"and {count_text(len(hosts) - len(lines), 'other host')}")
    return lines


def _worker_lines(summary: Summary) -> list[str]:
    duration = max(summary.duration, 1e-9)
    counted = "URLs" if summary.attempts == summary.total else "attempts"
    if len(summary.workers) <= MAX_WORKER_ROWS:
        rows = [["worker", counted, "busy", "share"]]
        for number, (fetched, busy) in sorted(summary.workers.items()):
            if fetched or busy:
                rows.append([str(number), str(fetched), seconds_text(busy), percent_text(busy / duration)])
        idle = len(summary.workers) - len(rows) + 1
        lines = table(rows) if len(rows) > 1 else []
        return [*lines, f"{count_text(idle, 'worker')} had nothing to do"] if idle else lines
    counts = sorted(fetched for fetched, _ in summary.workers.values())
    times = sorted(busy for _, busy in summary.workers.values())
    spread = [(numbers[0], median(numbers), numbers[-1]) for numbers in (counts, times)]
    rows = [[f"{len(counts)} workers", "least", "median", "most"]]
    rows.append([counted, *(f"{number:.0f}" for number in spread[0])])
    rows.append(["busy", *(seconds_text(seconds) for seconds in spread[1])])
    rows.append(["share", *(percent_text(seconds / duration) for seconds in spread[1])])
    return table(rows)

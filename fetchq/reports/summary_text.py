"""Formats the summary of a run as plain text, for a terminal or a log."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from statistics import median
from textwrap import wrap
from typing import TYPE_CHECKING

from fetchq.core.text import printable
from fetchq.reports.attribution_text import attribution_text
from fetchq.reports.text import (
    Paint,
    bytes_text,
    causes_text,
    count_text,
    outcome_text,
    percent_text,
    rate_text,
    seconds_text,
    table,
)

if TYPE_CHECKING:
    from fetchq.reports.summary import Summary
    from fetchq.scheduling.congestion import HostBackoff

__all__ = ["MAX_WORKER_ROWS", "given_up_text", "summary_lines", "wrapped"]

MAX_WORKER_ROWS = 16
"""For more workers than this, the summary shows their distribution instead of each worker."""
MAX_HOST_LINES = 10
"""The most hosts that the summary lists."""
_INSECURE = "TLS certificates were not verified (--insecure)"
_MOST_FAILED_HOSTS = 5
"""The most hosts that are named where rows failed."""


def given_up_text(summary: Summary) -> str | None:
    """How many hosts were given up, as a clause; None if none was."""
    given_up = sum(backoff.given_up for backoff in summary.hosts)
    if not given_up:
        return None
    return f"{count_text(given_up, 'host')} {'was' if given_up == 1 else 'were'} given up"


def summary_lines(
    summary: Summary, *, paint: Paint | None = None, insecure: bool = False, columns: int | None = None
) -> list[str]:
    """The lines of the summary; empty for a run without a URL. Sentences are wrapped to so many `columns`, if given."""
    if not summary.total:
        return []
    lines = wrapped(_sentences(summary, insecure=insecure), columns)
    if len(lines[0]) == len(_headline(summary)):  # it was not wrapped
        lines[0] = _headline(summary, paint)
    if paint is not None:
        lines = [paint(line, "yellow") if line == _INSECURE else line for line in lines]
    if summary.elapsed.count:
        lines += ["", *_percentile_lines(summary)]
    if summary.workers:
        lines += ["", *_worker_lines(summary)]
    if concluding := _verdict_lines(summary, columns):
        lines += ["", *concluding]
    return lines


def wrapped(sentences: Sequence[str], columns: int | None) -> list[str]:
    """These sentences as lines of at most so many `columns`, if given."""
    if columns is None:
        return list(sentences)
    return [part for line in sentences for part in wrap(line, columns, subsequent_indent="  ", break_on_hyphens=False)]


def _headline(summary: Summary, paint: Paint | None = None) -> str:
    rate = rate_text(summary.done / max(summary.duration, 1e-9))
    took = seconds_text(summary.duration)
    outcome = outcome_text(summary.ok, summary.failed, summary.cut_off, summary.not_tried, paint)
    return f"{count_text(summary.total, 'URL')}: {outcome}, in {took} ({rate} URL/s)"


def _sentences(summary: Summary, *, insecure: bool) -> list[str]:
    """What was done, how much it was, what failed and why."""
    size, wire = bytes_text(summary.size), bytes_text(summary.wire_size)
    speed = bytes_text(summary.wire_size / max(summary.duration, 1e-9))
    fetching, workers = seconds_text(summary.fetch_time), count_text(len(summary.workers), "worker")
    lines = [
        _headline(summary),
        f"{size} of bodies, {wire} on the wire, {speed}/s",
        f"fetch times add up to {fetching}: {summary.concurrency:.1f} URLs at a time, with {workers}",
    ]
    if insecure:
        lines.append(_INSECURE)
    if summary.causes:
        lines.append(f"failed: {causes_text(summary.causes, summary.statuses)}")
        lines += _failed_host_lines(summary)
    if summary.copied:
        lines.append(f"{count_text(summary.copied, 'row')} asked the same as others, and got a copy")
    if summary.attempts > summary.total - summary.not_tried - summary.copied:
        lines.append(f"{summary.attempts:,} attempts were made")
    return lines + _host_lines(summary.hosts)


def _failed_host_lines(summary: Summary) -> list[str]:
    """Where rows failed, if the run had several hosts."""
    hosts = summary.failed_hosts.most_common()
    if not hosts or max(len(hosts), len(summary.loads)) == 1:
        return []
    named = [f"{printable(host)} {times:,}" for host, times in hosts[:_MOST_FAILED_HOSTS]]
    if len(hosts) > len(named):
        named.append(f"and {count_text(len(hosts) - len(named), 'other host')}")
    return [f"failed at: {', '.join(named)}"]


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
    return wrapped(lines, columns)


def _host_lines(hosts: Sequence[HostBackoff]) -> list[str]:
    """A line for each host that refused, failed or grew slow, with how far requests to it were held back."""
    lines = []
    for backoff in hosts[:MAX_HOST_LINES]:
        parts = [count_text(backoff.refusals, "refusal")] if backoff.refusals else []
        if backoff.rate != inf:
            parts.append(f"asked {rate_text(backoff.rate)} times a second")
        elif backoff.least_window != inf:
            parts.append(f"down to {backoff.least_window:.0f} at a time{_slowed_text(backoff)}")
        if backoff.pauses:
            parts.append(f"set aside {count_text(backoff.pauses, 'time')} (no connection)")
        if backoff.given_up:
            parts.append("given up")
        lines.append(f"{printable(backoff.host)}: {', '.join(parts)}")
    if len(hosts) > len(lines):
        lines.append(f"and {count_text(len(hosts) - len(lines), 'other host')}")
    if any(one.slowed_by or one.pauses or one.rate != inf for one in hosts):
        lines.append("hosts that refuse, fail or grow slow are asked less; --no-adapt heeds only 429 and Retry-After")
    return lines


def _slowed_text(backoff: HostBackoff) -> str:
    return f" ({', '.join(backoff.slowed_by)})" if backoff.slowed_by else ""


def _worker_lines(summary: Summary) -> list[str]:
    duration = max(summary.duration, 1e-9)
    counted = "URLs" if summary.attempts == summary.total - summary.not_tried else "attempts"
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

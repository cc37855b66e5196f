"""Builds the report of a run, from its Results as they pass and from its Summary, in memory that does not grow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from operator import attrgetter
from typing import TYPE_CHECKING

from fetchq.core.cause import Cause
from fetchq.core.text import printable
from fetchq.http.url import host_of
from fetchq.reports.histogram import Histogram
from fetchq.reports.html.blocks import Bars, Block, Cell, Column, Fact, Section, Series, Share, Table
from fetchq.reports.html.hosts import HostTable
from fetchq.reports.html.meanings import LIMITS, PARTS
from fetchq.reports.html.page import page
from fetchq.reports.html.rows import KeptRows
from fetchq.reports.html.timeline import Timeline
from fetchq.reports.summary import never_tried
from fetchq.reports.text import bytes_text, count_text, seconds_text
from fetchq.workers.phase_totals import ATTEMPT_PHASES

if TYPE_CHECKING:
    from fetchq.core.model import Result
    from fetchq.reports.attribution import Attribution
    from fetchq.reports.summary import Summary

__all__ = ["RunReport"]

_spent = attrgetter(*ATTEMPT_PHASES)
"""The values of the phases that make up `Result.elapsed`, in the order in which they follow one another."""
_PERCENTILES = (50, 90, 95, 99)
_PER_BAR = 5
"""How many buckets of a `Histogram`, each 2 % wide, are one bar."""


class RunReport:
    """The report of a run. `add` takes its Results in any order; `page` is called at the end."""

    def __init__(self) -> None:
        self._timeline = Timeline(ATTEMPT_PHASES)
        self._hosts = HostTable()
        self._rows = KeptRows()
        self._statuses: Counter[int] = Counter()
        self._phases = {name: Histogram() for name in ATTEMPT_PHASES}

    def add(self, result: Result, began: float | None) -> None:
        """Add a Result. `began`: when a worker took it, in seconds since the run began; None for never.

        A row that was never tried is only in the Summary. One that was cut off has not failed.
        """
        if never_tried(result):
            return
        self._rows.add(result)
        if result.status is not None:
            self._statuses[result.status] += 1
        attempted = result.attempts > 0
        copied = result._duplicate_of is not None
        elapsed = result.elapsed if attempted and not copied else None
        if attempted:
            self._hosts.add(
                host_of(result.url),
                ok=result.ok or result.cause is Cause.CANCELLED,
                size=result.size,
                elapsed=elapsed,
                wait=result.timing.wait,
            )
        if copied or began is None:
            return
        ended = began
        if attempted:
            spent = [seconds or 0.0 for seconds in _spent(result.timing)]
            for histogram, seconds in zip(self._phases.values(), spent, strict=True):
                if seconds:
                    histogram.add((seconds,))
            if result.worker is not None:
                ended = self._timeline.add(result.index, result.worker, began, spent)
        self._timeline.count(ended, None if result.cause is None else result.cause.value, result.wire_size)

    def page(
        self,
        summary: Summary,
        *,
        subtitle: str,
        workers: int,
        unknown: str = "",
        breaks: Sequence[float] = (),
        sessions: Table | None = None,
    ) -> bytes:
        """The page. `unknown`: why there is no verdict. `breaks`: when later `sessions` began, in seconds."""
        verdict = summary.verdict
        lead = verdict.text if verdict is not None else f"What limited this run is not known: {unknown}"
        sections = [
            *self._where(summary, sessions),
            *self._over_time(summary, breaks),
            *self._latency(summary),
            *self._outcomes(summary),
            *self._tables(),
        ]
        return page("fetchq report", lead, sections, facts=_facts(summary, workers), subtitle=subtitle)

    def _where(self, summary: Summary, sessions: Table | None) -> list[Section]:
        blocks: list[Block] = []
        note = ""
        if summary.attribution is not None:
            blocks += _attribution(summary.attribution)
        else:
            parts = [(name, seconds, PARTS[name]) for name, seconds in summary.phases.items() if name in ATTEMPT_PHASES]
            blocks.append(Share("Time of the URLs by phase", "seconds", [part for part in parts if part[1]]))
            note = "What the workers did while they fetched nothing was not kept, so these are the phases alone."
        if sessions is not None:
            blocks.append(sessions)
        return [Section("Where the time went", blocks, note)] if summary.total else []

    def _over_time(self, summary: Summary, breaks: Sequence[float]) -> list[Section]:
        if not summary.attempts:
            return []
        causes = [cause for cause, _ in summary.causes.most_common()]
        blocks: list[Block] = [
            self._timeline.block("What each worker did", summary.duration, breaks),
            self._timeline.concurrency("Concurrency, by phase"),
            self._timeline.throughput("Throughput"),
            self._timeline.bandwidth("Bandwidth"),
        ]
        if causes:
            blocks.append(self._timeline.failures("Failures, by cause", causes))
        retried = "" if summary.attempts <= summary.total - summary.not_tried else _RETRIED
        return [Section("Over time", blocks, retried)]

    def _latency(self, summary: Summary) -> list[Section]:
        if not summary.elapsed.count:
            return []
        named = {"total": summary.elapsed, **{name: one for name, one in self._phases.items() if one.count}}
        columns = (
            Column("Phase"),
            Column("URLs", "count"),
            *(Column(f"p{percent}", "seconds") for percent in _PERCENTILES),
            Column("Longest", "seconds"),
            Column("Meaning"),
        )
        rows: list[Sequence[Cell]] = [
            (name, one.count, *map(one.percentile, _PERCENTILES), one.greatest, PARTS.get(name, _TOTAL))
            for name, one in named.items()
        ]
        chart = _histogram({name: named[name] for name in ("total", "wait") if name in named})
        note = "The percentiles of a phase are those of the URLs that had it."
        return [Section("Latency", [chart, Table("Percentiles by phase", columns, rows, note)])]

    def _outcomes(self, summary: Summary) -> list[Section]:
        blocks: list[Block] = []
        if summary.causes:
            rows = [(cause, times, times / max(summary.done, 1)) for cause, times in summary.causes.most_common()]
            blocks.append(Table("Causes", (Column("Cause"), Column("URLs", "count"), Column("Share", "share")), rows))
            blocks.append(self._rows.errors())
        if self._statuses:
            statuses = [(status, times, times / max(summary.done, 1)) for status, times in self._statuses.most_common()]
            columns = (Column("Status", "status"), Column("URLs", "count"), Column("Share", "share"))
            blocks.append(Table("Statuses", columns, statuses))
        return [Section("Outcomes", blocks)] if blocks else []

    def _tables(self) -> list[Section]:
        hosts = self._hosts.table("By host")
        sections = [Section("Hosts", [hosts])] if hosts.rows else []
        tables = self._rows.tables()
        return [*sections, Section("URLs", tables)] if tables else sections


_RETRIED = (
    "A URL with several attempts is drawn as one, from when a worker first took it; the waits between its attempts are "
    "left out."
)
_TOTAL = "All phases of a URL together."


def _attribution(attribution: Attribution) -> list[Block]:
    parts = [(name, seconds, PARTS[name]) for name, seconds in attribution.parts().items() if seconds > 0]
    blocks: list[Block] = [Share("The time of the workers", "seconds", parts)]
    if attribution.held:
        columns = (Column("Limit"), Column("Host"), Column("Time", "seconds"), Column("Meaning"))
        rows = [
            (one.limit.value, "all" if one.host is None else printable(one.host), one.seconds, LIMITS[one.limit])
            for one in attribution.held
        ]
        blocks.append(Table("Held back by", columns, rows))
    if attribution.blocked:
        functions = [(printable(one.where), one.seconds) for one in attribution.blocked]
        blocks.append(
            Table("The event loop was blocked by", (Column("Function"), Column("Time", "seconds")), functions)
        )
    return blocks


def _histogram(named: dict[str, Histogram]) -> Bars:
    """The numbers of URLs by their durations, in bars that are each about 10 % wider than the one before."""
    used = [bucket // _PER_BAR for one in named.values() for bucket in one.buckets]
    bars = range(min(used), max(used) + 1)
    series = []
    for name, one in named.items():
        counts: Counter[int] = Counter()
        for bucket, times in one.buckets.items():
            counts[bucket // _PER_BAR] += times
        series.append(Series(name, [counts[bar] for bar in bars], "" if name == "total" else name))
    names = [seconds_text(Histogram.edge((bar + 1) * _PER_BAR)) for bar in bars]
    return Bars("How long the URLs took", "URLs", "up to", names, series)


def _facts(summary: Summary, workers: int) -> list[Fact]:
    duration = max(summary.duration, 1e-9)
    p50, p99 = summary.elapsed.percentile(50), summary.elapsed.percentile(99)
    copies = f"{summary.copied:,} copied from others" if summary.copied else ""
    retries = summary.attempts - (summary.total - summary.not_tried - summary.copied)
    cut_off = f"{summary.cut_off:,} more were cut off" if summary.cut_off else "the run ended first"
    not_tried = [Fact("not tried", f"{summary.not_tried:,}", cut_off)] if summary.unfinished else []
    return [
        Fact("URLs", f"{summary.total:,}", copies),
        Fact("ok", f"{summary.ok:,}", f"{100 * summary.ok / max(summary.total, 1):.4g} %"),
        Fact("failed", f"{summary.failed:,}", f"{retries:,} more attempts" if retries > 0 else ""),
        *not_tried,
        Fact("took", seconds_text(summary.duration), f"{_rate(summary.done / duration)} URLs per second"),
        Fact("per URL", seconds_text(p50), f"median; 99 % within {seconds_text(p99)}"),
        Fact("at a time", _rate(summary.concurrency), f"of {count_text(workers, 'worker')}"),
        Fact("bodies", bytes_text(summary.size), f"{bytes_text(summary.wire_size)} on the wire"),
    ]


def _rate(number: float) -> str:
    return f"{number:,.0f}" if number >= 99.5 else f"{number:.1f}"

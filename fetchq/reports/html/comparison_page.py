"""Builds the page of a comparison: its figures, who fetched what when, and where the time of each variant went."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fetchq.core.text import printable
from fetchq.reports.compare_text import heading
from fetchq.reports.conclusion import conclusions
from fetchq.reports.html.blocks import Block, Column, Fact, Intervals, Section, Share, Table, TimelineBlock
from fetchq.reports.html.meanings import PARTS
from fetchq.reports.html.page import page
from fetchq.reports.text import seconds_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fetchq.reports.measurements import Measurements, RowDifference, Variant

__all__ = ["comparison_page"]


def comparison_page(comparison: Measurements) -> bytes:
    """The page in UTF-8."""
    sections = [
        Section("Comparison", [_figures(comparison), *_ratios(comparison), *_verdicts(comparison)]),
        *_runs(comparison),
        *_timelines(comparison),
        *_shares(comparison),
        *_rows(comparison),
    ]
    facts = [
        Fact(printable(one.name), seconds_text(one.mean), f"{one.concurrency:.1f} URLs at a time")
        for one in comparison.variants
    ]
    lead = " ".join(map(printable, conclusions(comparison)))
    return page("fetchq comparison", lead, sections, facts=facts, subtitle=printable(heading(comparison)))


def _figures(comparison: Measurements) -> Table:
    several = comparison.rounds > 1
    durations = ("Mean", "Std deviation", "Median", "Best", "Worst") if several else ("Elapsed",)
    columns = (
        Column("Variant"),
        *(Column(title, "seconds") for title in durations),
        Column("CPU time", "seconds"),
        Column("Peak memory", "bytes"),
        Column("URLs per second", "rate"),
        *(Column(title, "seconds") for title in ("URL p50", "URL p99")),
        Column("ok", "count"),
        Column("failed", "count"),
    )
    rows = [
        (
            printable(one.name),
            *((one.mean, one.deviation, one.median, one.best.duration, one.worst.duration) if several else (one.mean,)),
            *(one.cpu, one.peak_memory, comparison.rows.count / max(one.mean, 1e-9)),
            *(one.percentile("p50"), one.percentile("p99"), one.ok, one.failed),
        )
        for one in comparison.variants
    ]
    return Table("All variants", columns, rows)


def _runs(comparison: Measurements) -> list[Section]:
    """The median of each variant between its best and its worst run, and all runs in the order of the rounds."""
    if comparison.rounds == 1:
        return []
    variants = comparison.variants
    spread = Intervals(
        "Time of a run",
        "seconds",
        [printable(one.name) for one in variants],
        [one.median for one in variants],
        [one.best.duration for one in variants],
        [one.worst.duration for one in variants],
        "The median, the best and the worst run.",
    )
    columns = (
        Column("Variant"),
        Column("Round", "count"),
        *(Column(title, "seconds") for title in ("Elapsed", "CPU time", "URL p50", "URL p99")),
        Column("Peak memory", "bytes"),
        Column("ok", "count"),
        Column("failed", "count"),
    )
    rows = [
        (
            *(printable(one.name), run.round, run.duration, run.cpu, run.p50, run.p99),
            *(run.peak_memory, run.ok, run.failed),
        )
        for one in variants
        for run in one.runs
    ]
    return [Section("Runs", [spread, Table("All runs", columns, rows)])]


def _ratios(comparison: Measurements) -> list[Block]:
    """How many times as fast as the slowest variant the others are, with confidence intervals."""
    slowest = comparison.slowest
    pairs = [(one, comparison.pair(one, slowest)) for one in comparison.variants if one is not slowest]
    known = [(one, pair.ratio, pair.interval) for one, pair in pairs if pair.interval is not None]
    if not known:
        return []
    note = "The intervals have a confidence level of 99 % or more. A difference below 1 % counts as none."
    return [
        Intervals(
            f"Times as fast as {printable(slowest.name)}",
            "rate",
            [printable(one.name) for one, _, _ in known],
            [ratio for _, ratio, _ in known],
            [interval[0] for _, _, interval in known],
            [interval[1] for _, _, interval in known],
            note,
        )
    ]


def _verdicts(comparison: Measurements) -> list[Block]:
    rows = [
        (printable(one.name), printable(one.typical.verdict.text), one.typical.verdict.predicted)
        for one in comparison.variants
        if one.typical.verdict is not None
    ]
    columns = (Column("Variant"), Column("In the run of the median time"), Column("It would then take", "seconds"))
    return [Table("What limited each variant", columns, rows)] if rows else []


def _timelines(comparison: Measurements) -> list[Section]:
    shown = [one for one in comparison.variants if one.typical.spans]
    if not shown:
        return []
    end = max(one.typical.duration for one in shown)
    return [Section("Who fetched what when", [_timeline(one, end) for one in shown])]


def _timeline(variant: Variant, end: float) -> TimelineBlock:
    spans = variant.typical.spans
    workers = sorted({span.worker for span in spans})
    rows = [(one.index + 1, workers.index(one.worker), one.start, (one.end - one.start,)) for one in spans]
    lanes = [f"worker {worker}" for worker in workers]
    return TimelineBlock(printable(variant.name), ("rows",), lanes, end, rows)


def _shares(comparison: Measurements) -> list[Section]:
    blocks: list[Block] = []
    for one in comparison.variants:
        if (attribution := one.typical.attribution) is not None:
            parts = [(name, seconds, PARTS[name]) for name, seconds in attribution.parts().items() if seconds > 0]
            blocks.append(Share(f"The time of the workers: {printable(one.name)}", "seconds", parts))
    return [Section("Where the time went", blocks)] if blocks else []


def _rows(comparison: Measurements) -> list[Section]:
    rows = comparison.rows
    blocks = [
        _differences(title, shown, comparison)
        for title, shown in (
            ("Rows that failed in every variant", rows.failed),
            ("Rows that failed in some variants alone", rows.failing),
            ("Rows with another response", rows.different),
        )
        if shown
    ]
    return [Section("Rows that failed or differ", blocks)] if blocks else []


def _differences(title: str, shown: Sequence[RowDifference], comparison: Measurements) -> Block:
    columns = (
        Column("Row", "count"),
        Column("URL", "url"),
        *(Column(printable(one.name)) for one in comparison.variants),
    )
    return Table(title, columns, [(one.index + 1, printable(one.url), *map(printable, one.outcomes)) for one in shown])

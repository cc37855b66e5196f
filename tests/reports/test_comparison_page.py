"""The page of a comparison: its figures, its verdicts, and hostile text as text."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from support.cli import Cli

from fetchq.cli.practice.server import PracticeServer
from fetchq.reports.attribution import Attribution
from fetchq.reports.html.comparison_page import comparison_page
from fetchq.reports.measurements import MeasuredRun, Measurements, RowDifference, Rows, Span, Variant, pairs_of
from fetchq.reports.verdict import Bottleneck, Verdict

MARKUP = "</script><b>HACKED</b>\u202e"


def variant(name: str, *durations: float) -> Variant:
    runs = tuple(
        MeasuredRun(
            round=number,
            duration=duration,
            cpu=0.5,
            peak_memory=40_000_000,
            concurrency=1.5,
            ok=2,
            failed=0,
            p50=0.1,
            p90=0.2,
            p99=0.3,
            longest=0.4,
            spans=(Span(0, 1, 0.0, 0.5), Span(1, 3, 0.1, duration)),
            attribution=Attribution(workers=2, duration=duration, wait=duration, finished=duration),
            verdict=Verdict(Bottleneck.WORKERS, f"{MARKUP} limited {name}.", predicted=0.25),
        )
        for number, duration in enumerate(durations, 1)
    )
    return Variant(name=name, settings={"mode": name, "workers": "2"}, runs=runs)


def sections(*variants: Variant, rows: Rows) -> tuple[str, dict[str, Any]]:
    """The page of these variants, and its sections by their titles."""
    comparison = Measurements(
        variants=variants,
        pairs=pairs_of(variants, rows.incomparable),
        rows=rows,
        rounds=len(variants[0].runs),
        cold=False,
        seed=1,
    )
    text = comparison_page(comparison).decode()
    (data,) = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', text, re.DOTALL)
    return text, {one["title"]: one for one in json.loads(data)}


def test_a_page_has_the_figures_the_verdicts_the_timelines_and_where_the_time_went() -> None:
    rows = Rows(count=2, different=(RowDifference(1, f"http://h/{MARKUP}", ("200 ab", "200 cd")),), different_count=1)
    text, found = sections(variant("sync", 2.0, 2.1, 1.9), variant("async", 1.0, 1.1, 0.9), rows=rows)
    figures, ratios, verdicts = found["Comparison"]["blocks"]
    assert figures["rows"][1][:2] == ["async", 1.0]
    assert [column["title"] for column in figures["columns"]][1:6] == [
        "Mean",
        "Std deviation",
        "Median",
        "Best",
        "Worst",
    ]
    assert ratios["names"] == ["async"]
    assert ratios["low"][0] < ratios["values"][0] < ratios["high"][0]
    assert [row[2] for row in verdicts["rows"]] == [0.25, 0.25]
    timelines = found["Who fetched what when"]["blocks"]
    assert [one["title"] for one in timelines] == ["sync", "async"]
    assert {one["end"] for one in timelines} == {2.0}, "they have the same scale"
    assert timelines[0]["lanes"] == ["worker 1", "worker 3"]
    assert timelines[0]["rows"][0] == [1, 0, 0.0, [0.5]]
    assert len(found["Where the time went"]["blocks"]) == 2
    (differing,) = found["Rows that failed or differ"]["blocks"]
    assert differing["rows"][0][2:] == ["200 ab", "200 cd"]
    assert differing["rows"][0][0] == timelines[0]["rows"][1][0] == 2, "the page finds a bar's URL by this number"
    assert "<b>HACKED" not in text
    assert "\u202e" not in text


def test_a_single_round_has_no_intervals() -> None:
    _, found = sections(variant("sync", 2.0), variant("async", 1.0), rows=Rows(count=2))
    figures, verdicts = found["Comparison"]["blocks"]
    assert [column["title"] for column in figures["columns"]][:3] == ["Variant", "Elapsed", "CPU time"]
    assert verdicts["kind"] == "table"
    assert "Runs" not in found
    assert "Rows that failed or differ" not in found


def test_compare_writes_the_page_and_refuses_a_file_that_cannot_be_written(cli: Cli, practice: PracticeServer) -> None:
    args = ("compare", f"{practice.url}/json", "--mode", "async", "--rounds", "1")
    assert cli(*args, "--report", "a.html").status == 0
    assert b"fetchq comparison" in Path("a.html").read_bytes()
    refused = cli(*args, "--report", "missing/a.html")
    path = str(Path("missing/a.html").absolute())
    assert refused.problem == f"fetchq: --report: {path!r} cannot be written: No such file or directory"
    assert refused.out == b""

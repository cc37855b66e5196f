"""Comparisons made up of durations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fetchq.reports.comparison import Comparison
from fetchq.reports.measurements import MeasuredRun, Rows, Variant, pairs_of
from fetchq.reports.verdict import Bottleneck, Verdict


def measured(duration: float = 1.0, **given: Any) -> MeasuredRun:
    """A run that took so long."""
    values: dict[str, Any] = {
        "round": 1, "cpu": 0.1, "peak_memory": 40_000_000, "concurrency": 1.0, "ok": 4, "failed": 0,
        "p50": 0.1, "p90": 0.2, "p99": 0.3, "longest": 0.4, "verdict": Verdict(Bottleneck.UNKNOWN, "Who knows."),
    }  # fmt: skip
    return MeasuredRun(**values | given, duration=duration)


def variant(name: str, durations: Sequence[float], **given: Any) -> Variant:
    """A variant whose runs took so long."""
    runs = tuple(measured(seconds, round=number, **given) for number, seconds in enumerate(durations, 1))
    return Variant(name=name, settings={"mode": "async", "workers": "2"}, runs=runs)


def comparison(*variants: Variant, rows: Rows | None = None) -> Comparison:
    """A comparison of these variants."""
    rows = rows or Rows(count=4)
    pairs = pairs_of(variants, rows.incomparable)
    rounds = len(variants[0].runs)
    return Comparison(variants=variants, pairs=pairs, rows=rows, rounds=rounds, cold=False, seed=1)


def comparison_of(*runs: MeasuredRun) -> Comparison:
    """A comparison of one round, with these runs."""
    settings = {"mode": "sync", "workers": "2"}
    return comparison(*(Variant(name=f"v{number}", settings=settings, runs=(run,)) for number, run in enumerate(runs)))

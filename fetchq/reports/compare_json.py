"""Turns a comparison into the object that `fetchq compare --json` prints. The README describes its fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fetchq.reports.conclusion import conclusions

if TYPE_CHECKING:
    from fetchq.reports.measurements import MeasuredRun, Measurements, Pair, RowDifference, Variant

__all__ = ["to_json"]

_FIGURES = ("mean", "deviation", "median")
_OF_RUN = (
    "round",
    "duration",
    "cpu",
    "peak_memory",
    "concurrency",
    "ok",
    "failed",
    "unfinished",
    "p50",
    "p90",
    "p99",
    "longest",
)


def to_json(comparison: Measurements) -> dict[str, Any]:
    """The comparison as JSON values: times in seconds, memory in bytes."""
    names = [variant.name for variant in comparison.variants]
    rows = comparison.rows
    return {
        "rows": rows.count,
        "rounds": comparison.rounds,
        "cold": comparison.cold,
        "seed": comparison.seed,
        "conclusion": conclusions(comparison),
        "variants": [_variant(variant) for variant in comparison.variants],
        "pairs": [_pair(pair, names) for pair in comparison.pairs],
        "failed_rows": {"count": rows.failed_count, "first": _differences(rows.failed, names)},
        "failing_rows": {"count": rows.failing_count, "first": _differences(rows.failing, names)},
        "different_rows": {"count": rows.different_count, "first": _differences(rows.different, names)},
        "changing_rows": rows.changing_count,
    }


def _variant(variant: Variant) -> dict[str, Any]:
    return {
        "name": variant.name,
        "settings": dict(variant.settings),
        **{name: getattr(variant, name) for name in _FIGURES},
        "best": variant.best.duration,
        "worst": variant.worst.duration,
        "cpu": variant.cpu,
        "peak_memory": variant.peak_memory,
        "concurrency": variant.concurrency,
        "ok": variant.ok,
        "failed": variant.failed,
        "unfinished": variant.unfinished,
        "verdict": None if (verdict := variant.typical.verdict) is None else verdict.text,
        "runs": [_run(run) for run in variant.runs],
    }


def _run(run: MeasuredRun) -> dict[str, Any]:
    return {
        **{name: getattr(run, name) for name in _OF_RUN},
        "attribution": None if run.attribution is None else run.attribution.to_json(),
        "verdict": None if run.verdict is None else run.verdict.to_json(),
    }


def _pair(pair: Pair, names: Sequence[str]) -> dict[str, Any]:
    return {
        "faster": names[pair.faster],
        "slower": names[pair.slower],
        "ratio": pair.ratio,
        "interval": None if pair.interval is None else list(pair.interval),
        "level": pair.level,
        "p": pair.p,
        "significant": pair.significant,
        "comparable": pair.comparable,
    }


def _differences(found: Sequence[RowDifference], names: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {"index": one.index, "url": one.url, "outcomes": dict(zip(names, one.outcomes, strict=True))} for one in found
    ]

"""Lays out the figures of a comparison as a table with a column for each variant, for text, Markdown and HTML."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fetchq.core.text import printable
from fetchq.reports.text import bytes_text, rate_text, seconds_text

if TYPE_CHECKING:
    from fetchq.reports.measurements import Measurements, Variant

__all__ = ["NO_VALUE", "Cells", "cells_of", "interval_text", "times_text"]

NO_VALUE = "-"


@dataclass(frozen=True, slots=True)
class Cells:
    """A table: the names of its columns, and its rows by their names."""

    names: list[str]
    rows: dict[str, list[str]]


def cells_of(comparison: Measurements) -> Cells:
    """The table of a comparison."""
    variants = comparison.variants
    rows: dict[str, list[str]] = {}

    def row(name: str, cell: Callable[[Variant], str]) -> None:
        rows[name] = [cell(variant) for variant in variants]

    if comparison.rounds == 1:
        row("elapsed", lambda one: seconds_text(one.mean))
    else:
        row("mean", lambda one: seconds_text(one.mean))
        row("std deviation", lambda one: seconds_text(one.deviation or 0.0))
        row("median", lambda one: seconds_text(one.median))
        row("best", lambda one: seconds_text(one.best.duration))
        row("worst", lambda one: seconds_text(one.worst.duration))
    if len(variants) > 1:
        row("times as fast", lambda one: _ratio(comparison, one))
        if comparison.rounds > 1:
            row("99 % interval", lambda one: _interval(comparison, one))
            row("difference", lambda one: _difference(comparison, one))
    row("CPU time", lambda one: seconds_text(one.cpu))
    row("peak memory", lambda one: bytes_text(one.peak_memory))
    row("URLs at a time", lambda one: f"{one.concurrency:.1f}")
    row("URL/s", lambda one: rate_text((comparison.rows.count - one.unfinished) / max(one.mean, 1e-9)))
    row("URL p50", lambda one: seconds_text(one.percentile("p50")))
    row("URL p99", lambda one: seconds_text(one.percentile("p99")))
    row("ok", lambda one: str(one.ok))
    row("failed", lambda one: str(one.failed))
    if any(one.unfinished for one in variants):
        row("unfinished", lambda one: str(one.unfinished))
    return Cells([printable(one.name) for one in variants], rows)


def times_text(ratio: float) -> str:
    """How many times as fast, to three digits."""
    if ratio >= 999.5:
        return "> 1000"
    return f"{ratio:.2f}" if ratio < 9.995 else f"{ratio:.1f}" if ratio < 99.95 else f"{ratio:.0f}"


def interval_text(interval: tuple[float, float]) -> str:
    """An interval of ratios."""
    low, high = interval
    return f"{times_text(low)} to {times_text(high)}"


def _ratio(comparison: Measurements, one: Variant) -> str:
    slowest = comparison.slowest
    return times_text(1.0 if one is slowest else comparison.pair(one, slowest).ratio)


def _interval(comparison: Measurements, one: Variant) -> str:
    slowest = comparison.slowest
    interval = None if one is slowest else comparison.pair(one, slowest).interval
    return NO_VALUE if interval is None else interval_text(interval)


def _difference(comparison: Measurements, one: Variant) -> str:
    """Whether a variant is faster than the slowest one."""
    slowest = comparison.slowest
    if one is slowest:
        return NO_VALUE
    pair = comparison.pair(one, slowest)
    if not pair.comparable:
        return "not the same rows"
    return "faster" if pair.significant else "none found"

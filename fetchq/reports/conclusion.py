"""Says in plain sentences what a comparison shows, and what it does not show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from fetchq.core.text import printable
from fetchq.reports.compare_cells import interval_text
from fetchq.reports.text import count_text, seconds_text

if TYPE_CHECKING:
    from fetchq.reports.measurements import Measurements, Pair, Variant

__all__ = ["conclusions"]


def conclusions(comparison: Measurements) -> list[str]:
    """One to three sentences: which variant was faster, and by how much; which do not differ; which do not compare."""
    return [printable(sentence) for sentence in _sentences(comparison)]


def _sentences(comparison: Measurements) -> Iterator[str]:
    fastest, slowest = comparison.fastest, comparison.slowest
    took = f"{fastest.name} took {seconds_text(fastest.mean)}"
    if len(comparison.variants) == 1:
        yield f"{took}. There is one variant alone, and nothing to compare it with."
        return
    if comparison.rounds == 1:
        yield (
            f"{took}, {slowest.name} {seconds_text(slowest.mean)}. One round does not show whether that is chance: "
            "more rounds do (--rounds)."
        )
        yield from _not_comparable(comparison, fastest)
        return
    others = sorted((one for one in comparison.variants if one is not fastest), key=lambda one: -one.mean)
    pairs = [(one, comparison.pair(fastest, one)) for one in others]
    slower = [(one, pair) for one, pair in pairs if pair.is_faster]
    same = [(one, pair) for one, pair in pairs if pair.comparable and not pair.significant]
    if slower:
        yield f"{took}, {_times(slower)}."
    if same:
        yield _no_difference(comparison, fastest, same)
    yield from _not_comparable(comparison, fastest)


def _times(slower: Sequence[tuple[Variant, Pair]]) -> str:
    """How many times as fast as the slowest variant, and as the next one."""
    shown = slower if len(slower) < 3 else [slower[0], slower[-1]]
    parts = [
        f"{_ratio(pair.ratio)} x as fast as {one.name}{_interval(pair, first=number == 0)}"
        for number, (one, pair) in enumerate(shown)
    ]
    left = len(slower) - len(shown)
    between = f" ({count_text(left, 'variant')} between them)" if left else ""
    return " and ".join(parts) + between


def _interval(pair: Pair, *, first: bool) -> str:
    if pair.interval is None:
        return ""
    return f" ({'99 % interval ' if first else ''}{interval_text(pair.interval)})"


def _no_difference(comparison: Measurements, fastest: Variant, same: Sequence[tuple[Variant, Pair]]) -> str:
    names = [one.name for one, _ in reversed(same)]
    interval = _interval(same[0][1], first=True) if len(same) == 1 else ""
    rounds = count_text(comparison.rounds, "round")
    if len(names) == 1:
        return f"No difference was found between {fastest.name} and {names[0]} in {rounds}{interval}."
    return f"No difference from {fastest.name} was found for {', '.join(names[:-1])} and {names[-1]} in {rounds}."


def _not_comparable(comparison: Measurements, fastest: Variant) -> Iterator[str]:
    others = [one.name for one in comparison.variants if one is not fastest]
    if comparison.rows.failed_count == comparison.rows.count:
        yield "No row was ok, so none is called faster."
        return
    found = [
        one.name for one in comparison.variants if one is not fastest and not comparison.pair(fastest, one).comparable
    ]
    if found:
        which = "the others" if len(found) == len(others) > 1 else " and ".join(found)
        yield f"{fastest.name} is not called faster or slower than {which}: other rows failed."


def _ratio(ratio: float) -> str:
    """Two decimals where they matter."""
    return f"{ratio:.1f}" if ratio >= 1.5 else f"{ratio:.2f}"

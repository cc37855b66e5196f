"""Formats a comparison as plain text: a table, a conclusion in sentences, the rows that differ, and the verdicts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING

from fetchq.core.text import printable
from fetchq.reports.compare_cells import Cells, cells_of
from fetchq.reports.conclusion import conclusions
from fetchq.reports.text import count_text, table

if TYPE_CHECKING:
    from fetchq.reports.measurements import Measurements, RowDifference, Rows

__all__ = ["comparison_lines", "heading", "row_lines", "verdict_lines"]

WIDTH = 80
_UNIT = re.compile(r"(?<=\d) (?=(?:m?s|x)\b|%)")


def comparison_lines(comparison: Measurements, *, columns: int = WIDTH) -> list[str]:
    """The comparison, for a terminal with so many columns."""
    lines = [*wrap(heading(comparison), columns), "", *_table(cells_of(comparison), columns)]
    for sentences in (conclusions(comparison), row_lines(comparison), verdict_lines(comparison)):
        if sentences:
            lines += ["", *(line for sentence in sentences for line in _wrapped(sentence, columns))]
    return lines


def _wrapped(sentence: str, columns: int) -> list[str]:
    """The sentence in lines, in which neither a URL nor a number with its unit is broken."""
    indent = "  " * (1 + sentence.startswith(" "))
    joined = _UNIT.sub("\xa0", sentence)
    lines = wrap(joined, columns, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return [line.replace("\xa0", " ") for line in lines]


def heading(comparison: Measurements) -> str:
    """What was compared, and how."""
    rounds = count_text(comparison.rounds, "round")
    order = " in random order" if comparison.rounds > 1 and len(comparison.variants) > 1 else ""
    connections = "new connections in each run" if comparison.cold else "connections open before the clock starts"
    return f"{count_text(comparison.rows.count, 'URL')}, {rounds}{order}, {connections}{_common(comparison)}"


def _common(comparison: Measurements) -> str:
    """The mode and the workers, where they are the same in all variants, and no variant's name says them."""
    kinds = {(one.settings["mode"], one.settings["workers"]) for one in comparison.variants}
    modes, workers = {mode for mode, _ in kinds}, {count for _, count in kinds}
    named = {one.name for one in comparison.variants}
    common = [f"mode {mode}" for mode in modes if len(modes) == 1 and mode not in named]
    common += [count_text(int(count), "worker") for count in workers if len(workers) == 1]
    return "".join(f", {one}" for one in common)


def _table(cells: Cells, columns: int) -> list[str]:
    """A table with a column for each variant or, where that is too wide, one with a row for each."""
    upright = table([["", *cells.names], *([name, *row] for name, row in cells.rows.items())])
    if max(map(len, upright)) <= columns:
        return upright
    lines: list[str] = []
    width = max(map(len, cells.names))
    block: list[Sequence[str]] = []
    for column in ([name, *row] for name, row in cells.rows.items()):
        # As many columns as fit, with two blanks between them.
        width += 2 + max(map(len, column))
        if block and width > columns:
            lines += [*_lying(cells.names, block), ""]
            block, width = [], max(map(len, cells.names)) + 2 + max(map(len, column))
        block.append(column)
    return [*lines, *_lying(cells.names, block)]


def _lying(names: Sequence[str], block: Sequence[Sequence[str]]) -> list[str]:
    return table([list(row) for row in zip(["", *names], *block, strict=True)])


def row_lines(comparison: Measurements) -> list[str]:
    """Sentences about the rows that failed, and those that came out differently."""
    return [printable(line) for line in _row_lines(comparison.rows, [one.name for one in comparison.variants])]


def _row_lines(rows: Rows, names: Sequence[str]) -> Iterator[str]:
    kinds = (
        ("failed in every variant", rows.failed_count, rows.failed),
        ("failed in some variants, and in others not", rows.failing_count, rows.failing),
        ("came out differently, so the variants did not do the same", rows.different_count, rows.different),
    )
    for what, count, shown in kinds:
        if count:
            yield f"{count_text(count, 'row')} {what}:"
            yield from (f"  row {one.index + 1}, {one.url}: {_outcomes(one, names)}" for one in shown)
        if count > len(shown):
            yield f"  and {count_text(count - len(shown), 'other row')}"
    if rows.changing_count:
        yield f"{count_text(rows.changing_count, 'row')} changed from one request to the next, whatever the variant."


def _outcomes(row: RowDifference, names: Sequence[str]) -> str:
    """How a row came out, and in which variants."""
    by_outcome: dict[str, list[str]] = {}
    for name, outcome in zip(names, row.outcomes, strict=True):
        by_outcome.setdefault(outcome, []).append(name)
    if len(by_outcome) == 1:
        return row.outcomes[0]
    return "; ".join(f"{outcome} in {', '.join(found)}" for outcome, found in by_outcome.items())


def verdict_lines(comparison: Measurements) -> list[str]:
    """What limited each variant, in the run that took the median time."""
    found = [(one.name, one.typical.verdict) for one in comparison.variants]
    return [printable(f"{name}: {verdict.text}") for name, verdict in found if verdict is not None]

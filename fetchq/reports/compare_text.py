"""Formats a comparison as plain text: a table, a conclusion in sentences, the rows that differ, and the verdicts."""

from __future__ import annotations

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


def comparison_lines(comparison: Measurements, *, columns: int = WIDTH) -> list[str]:
    """The comparison, for a terminal with so many columns."""
    sentences = [*conclusions(comparison), *row_lines(comparison)]
    verdicts = verdict_lines(comparison)
    return [
        *wrap(heading(comparison), columns),
        "",
        *_table(cells_of(comparison), columns),
        "",
        *(line for sentence in sentences for line in wrap(sentence, columns, subsequent_indent="  ")),
        *(["", *(line for one in verdicts for line in wrap(one, columns, subsequent_indent="  "))] if verdicts else []),
    ]


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
    if rows.failing_count:
        fail = "fails" if rows.failing_count == 1 else "fail"
        yield f"{count_text(rows.failing_count, 'row')} {fail} in some variants, and in others not:"
        yield from _differences(rows.failing, rows.failing_count, names)
    if rows.different_count:
        comes = "comes" if rows.different_count == 1 else "come"
        yield f"{count_text(rows.different_count, 'row')} {comes} out differently, so the variants do not do the same:"
        yield from _differences(rows.different, rows.different_count, names)
    if rows.changing_count:
        changes = "changes" if rows.changing_count == 1 else "change"
        yield f"{count_text(rows.changing_count, 'row')} {changes} from one request to the next, whatever the variant."


def _differences(shown: Sequence[RowDifference], count: int, names: Sequence[str]) -> Iterator[str]:
    for one in shown:
        by_outcome: dict[str, list[str]] = {}
        for name, outcome in zip(names, one.outcomes, strict=True):
            by_outcome.setdefault(outcome, []).append(name)
        outcomes = "; ".join(f"{outcome} in {', '.join(found)}" for outcome, found in by_outcome.items())
        yield f"  row {one.index + 1}, {one.url}: {outcomes}"
    if count > len(shown):
        yield f"  and {count_text(count - len(shown), 'other row')}"


def verdict_lines(comparison: Measurements) -> list[str]:
    """What limited each variant, in the run that took the median time."""
    found = [(one.name, one.typical.verdict) for one in comparison.variants]
    return [printable(f"{name}: {verdict.text}") for name, verdict in found if verdict is not None]

"""Writes small HTML tables, which notebooks show for a value (`_repr_html_`). All text in them is escaped."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from fetchq.core.text import printable, shortened

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["html_table"]

LONGEST_CELL = 200
"""Characters of a cell that are shown."""


def html_table(rows: Iterable[Sequence[object]], *, heading: Sequence[str] = (), caption: str = "") -> str:
    """A table of these cells, with None as an empty one. The first cell of each row is the heading of the row.

    `heading`: the cells above the columns. `caption`: a text above the table.
    """
    lines = ["<table>"]
    if caption:
        lines.append(f'<caption style="text-align: left; white-space: pre-line">{_escaped(caption)}</caption>')
    if heading:
        cells = "".join([_cell(one, 'th scope="col"') for one in heading])
        lines.append(f"<thead><tr>{cells}</tr></thead>")
    lines.append("<tbody>")
    for first, *others in rows:
        row = [_cell(first, 'th scope="row"'), *(_cell(one, "td") for one in others)]
        lines.append(f"<tr>{''.join(row)}</tr>")
    return "\n".join([*lines, "</tbody>", "</table>"])


def _cell(value: object, kind: str) -> str:
    text = "" if value is None else shortened(str(value), LONGEST_CELL)
    return f'<{kind} style="text-align: left">{_escaped(text)}</{kind.partition(" ")[0]}>'


def _escaped(text: str) -> str:
    return escape("\n".join(map(printable, text.split("\n"))))

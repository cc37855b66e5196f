"""Formats a comparison as Markdown, and as HTML for notebooks."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING

from fetchq.core.html_table import html_table
from fetchq.reports.compare_cells import cells_of
from fetchq.reports.compare_text import heading, row_lines, verdict_lines
from fetchq.reports.conclusion import conclusions

if TYPE_CHECKING:
    from fetchq.reports.measurements import Measurements

__all__ = ["html_of", "markdown_lines"]

_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~&!])")


def markdown_lines(comparison: Measurements) -> list[str]:
    """The comparison as a Markdown table (GitHub's), and paragraphs."""
    cells = cells_of(comparison)
    rows = [
        ["", *cells.names],
        ["---", *["---:"] * len(cells.names)],
        *([name, *row] for name, row in cells.rows.items()),
    ]
    rows = [row if row[0] == "---" else [_plain(cell) for cell in row] for row in rows]
    sentences = [*conclusions(comparison), *row_lines(comparison), *verdict_lines(comparison)]
    return [
        _plain(heading(comparison)),
        "",
        *(f"| {' | '.join(row)} |" for row in rows),
        *(line for sentence in sentences for line in ("", _plain(sentence.strip()))),
    ]


def _plain(text: str) -> str:
    """The text with a backslash before each character that Markdown might take for markup."""
    return _MARKUP.sub(r"\\\1", text)


def html_of(comparison: Measurements) -> str:
    """The comparison as an HTML table and paragraphs."""
    cells = cells_of(comparison)
    sentences = [*conclusions(comparison), *row_lines(comparison), *verdict_lines(comparison)]
    table = html_table(
        [(name, *row) for name, row in cells.rows.items()], heading=("", *cells.names), caption=heading(comparison)
    )
    return table + "".join(f"<p>{escape(sentence.strip())}</p>" for sentence in sentences)

"""The differences of two runs as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fetchq.core.text import printable
from fetchq.reports.diff import Change
from fetchq.reports.text import seconds_text

if TYPE_CHECKING:
    from fetchq.reports.diff import Difference, Row

__all__ = ["TITLES", "counts_line", "difference_line"]

TITLES = {
    Change.NEW: "new",
    Change.GONE: "gone",
    Change.STATUS: "status changed",
    Change.CONTENT: "content changed",
    Change.SLOWER: "slower",
    Change.FASTER: "faster",
}
"""What each group of differences is called, in their order."""


def counts_line(counts: Mapping[Change, int]) -> str:
    """How many differences there are of each kind."""
    return ", ".join(f"{counts[change]} {title}" for change, title in TITLES.items() if counts.get(change))


def difference_line(difference: Difference) -> str:
    """One line, on which nothing acts on a terminal."""
    row = difference.row
    method = "" if row.method == "GET" else f"{row.method} "
    return printable(f"  {method}{row.url}  {_change(difference)}")


def _change(difference: Difference) -> str:
    old, new = difference.old, difference.new
    if old is None or new is None:
        return _outcome(difference.row)
    match difference.change:
        case Change.CONTENT:
            return f"{(old.sha256 or '')[:12]} -> {(new.sha256 or '')[:12]}"
        case Change.SLOWER | Change.FASTER:
            return f"{seconds_text(old.elapsed)} -> {seconds_text(new.elapsed)}"
    return f"{_outcome(old)} -> {_outcome(new)}"


def _outcome(row: Row) -> str:
    """As `ok 200`, `status 404`, `timeout`."""
    word = row.cause or "ok"
    return word if row.status is None else f"{word} {row.status}"

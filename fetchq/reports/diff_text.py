"""Formats the differences of two runs as plain text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from shutil import copyfileobj
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, BinaryIO

from fetchq.core.text import printable
from fetchq.reports.diff import Change
from fetchq.reports.text import seconds_text

if TYPE_CHECKING:
    from fetchq.reports.diff import Difference, Row

__all__ = ["TITLES", "counts_line", "difference_line", "write_differences"]

_IN_MEMORY = 1_000_000
"""The most bytes of lines of one kind in memory; with more, they are in a temporary file."""

TITLES = {
    Change.NEW: "new",
    Change.GONE: "gone",
    Change.STATUS: "status changed",
    Change.CONTENT: "content changed",
    Change.SLOWER: "slower",
    Change.FASTER: "faster",
}
"""The heading of each kind of difference, in the order of the output."""


def write_differences(differences: Iterable[Difference], stream: BinaryIO) -> bool:
    """Write the counts, and then the differences by kind. Returns whether there are any. Raises OSError.

    Until the counts are known, the lines wait in temporary files.
    """
    counts = Counter[Change]()
    with ExitStack() as files:
        groups = {change: files.enter_context(SpooledTemporaryFile(_IN_MEMORY)) for change in TITLES}
        for difference in differences:
            counts[difference.change] += 1
            groups[difference.change].write(f"{difference_line(difference)}\n".encode())
        stream.write(f"{counts_line(counts) or 'no difference'}\n".encode())
        for change, title in TITLES.items():
            if counts[change]:
                stream.write(f"\n{title}:\n".encode())
                groups[change].seek(0)
                copyfileobj(groups[change], stream)
        stream.flush()
    return bool(counts)


def counts_line(counts: Mapping[Change, int]) -> str:
    """The number of differences of each kind, on one line."""
    return ", ".join(f"{counts[change]} {title}" for change, title in TITLES.items() if counts.get(change))


def difference_line(difference: Difference) -> str:
    """The line for a difference. No character in it acts on a terminal."""
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
    """The cause and the status: `ok 200`, `status 404`, `timeout`."""
    word = row.cause or "ok"
    return word if row.status is None else f"{word} {row.status}"

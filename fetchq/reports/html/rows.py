"""Keeps the rows that a report lists: all of a short run; of a long one the slowest, and some failed ones."""

from __future__ import annotations

from collections import Counter
from heapq import heappush, heapreplace
from itertools import count
from typing import TYPE_CHECKING

from fetchq.core.text import printable, shortened
from fetchq.reports.html.blocks import Column, Table
from fetchq.reports.html.page import size_on_page

if TYPE_CHECKING:
    from fetchq.core.model import Result
    from fetchq.reports.html.blocks import Cell

__all__ = ["KeptRows"]

MOST_ROWS = 3000
"""For more rows than this, only some are listed."""
MOST_SLOW = 300
MOST_OF_CAUSE = 100
"""How many failed rows are listed of each cause."""
MOST_ERRORS = 300
"""How many different errors are counted one by one."""
_LONGEST = 300
"""Characters of a text that are shown."""
_SHORTER = (150, 80, 40, 20)
"""How many are shown where the tables would be too large."""
MOST_BYTES = 2_000_000
"""The size of the tables on the page."""

_COLUMNS = (
    Column("Row", "count"),
    Column("URL", "url"),
    Column("Label"),
    Column("Status", "status"),
    Column("Reason"),
    Column("Cause"),
    Column("Error"),
    Column("Attempts", "count"),
    Column("Time", "seconds"),
    Column("Wait", "seconds"),
    Column("Size", "bytes"),
    Column("Worker", "count"),
    Column("Answered by", "url"),
)
_OPTIONAL = ("Label", "Reason", "Cause", "Error", "Answered by")
"""The columns that are left out where no row has a value."""


class KeptRows:
    """The rows that a report lists, and how often each error came."""

    def __init__(self) -> None:
        self._all: list[tuple[Cell, ...]] | None = []
        self._slow: list[tuple[float, int, tuple[Cell, ...]]] = []
        """A heap of the slowest rows."""
        self._failed: list[tuple[Cell, ...]] = []
        self._of_cause: Counter[str] = Counter()
        self._errors: Counter[tuple[str, str]] = Counter()
        self._order = count()

    def add(self, result: Result) -> None:
        """Keep the row, if it is one of those that are listed."""
        cause = None if result.cause is None else result.cause.value
        if cause is not None:
            self._of_cause[cause] += 1
            error = (cause, _shown(result.error) or "")
            if error in self._errors or len(self._errors) < MOST_ERRORS:
                self._errors[error] += 1
            else:
                self._errors["", "(all others)"] += 1
        slow = len(self._slow) < MOST_SLOW or result.elapsed > self._slow[0][0]
        failed = cause is not None and self._of_cause[cause] <= MOST_OF_CAUSE
        if self._all is None and not slow and not failed:
            return
        row = _row(result, cause)
        if slow:
            entry = (result.elapsed, next(self._order), row)
            (heappush if len(self._slow) < MOST_SLOW else heapreplace)(self._slow, entry)
        if failed:
            self._failed.append(row)
        if self._all is not None:
            self._all.append(row)
            if len(self._all) > MOST_ROWS:
                self._all = None

    def tables(self) -> list[Table]:
        """All rows, or the slowest and the failed ones."""
        every = self._all if self._all is not None else [*(row for _, _, row in self._slow), *self._failed]
        longest = _fitting(every)
        if self._all is not None:
            return [_table("All URLs", _shortened(sorted(self._all, key=_index), longest))] if self._all else []
        slow = [row for _, _, row in sorted(self._slow, reverse=True)]
        tables = [_table(f"The {len(slow)} slowest URLs", _shortened(slow, longest))]
        if self._failed:
            total = self._of_cause.total()
            note = "" if len(self._failed) == total else f"At most {MOST_OF_CAUSE} of each cause, of {total:,} in all."
            tables.append(_table("Failed URLs", _shortened(sorted(self._failed, key=_index), longest), note))
        return tables

    def errors(self) -> Table:
        """The different errors, the most frequent one first."""
        rows = [(cause, error, times) for (cause, error), times in self._errors.most_common()]
        return Table("Errors", (Column("Cause"), Column("Error"), Column("URLs", "count")), rows)


def _row(result: Result, cause: str | None) -> tuple[Cell, ...]:
    moved = result.final_url if result.redirects and result.final_url != result.url else None
    return (
        result.index,
        _shown(result.url),
        _shown(result.label),
        result.status,
        _shown(result.reason),
        cause,
        _shown(result.error),
        result.attempts,
        result.elapsed,
        result.timing.wait,
        result.size,
        result.worker,
        _shown(moved),
    )


def _table(title: str, rows: list[tuple[Cell, ...]], note: str = "") -> Table:
    """The table of these rows, without the columns that have no value."""
    used = [
        at
        for at, column in enumerate(_COLUMNS)
        if column.title not in _OPTIONAL or any(row[at] is not None for row in rows)
    ]
    return Table(title, [_COLUMNS[at] for at in used], [tuple(row[at] for at in used) for row in rows], note)


def _index(row: tuple[Cell, ...]) -> int:
    assert isinstance(row[0], int)
    return row[0]


def _fitting(rows: list[tuple[Cell, ...]]) -> int:
    """How many characters of each text can be shown, so that the tables of these rows are not too large."""
    longest = _LONGEST
    for shorter in _SHORTER:
        if sum(size_on_page(row) for row in _shortened(rows, longest)) <= MOST_BYTES:
            break
        longest = shorter
    return longest


def _shortened(rows: list[tuple[Cell, ...]], longest: int) -> list[tuple[Cell, ...]]:
    if longest == _LONGEST:
        return rows
    return [tuple(shortened(cell, longest) if isinstance(cell, str) else cell for cell in row) for row in rows]


def _shown(text: str | None) -> str | None:
    return None if text is None else shortened(printable(text), _LONGEST)

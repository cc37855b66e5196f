"""Builds the SQL statements that insert many rows into a table of a ledger, with few values to bind."""

from __future__ import annotations

from functools import lru_cache
from itertools import chain, compress
from operator import and_, not_
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Inserts"]

_BLOCK = 64
"""The most rows in one statement, a power of two.

For each statement, sqlite3 releases the GIL, and must get it back from a busy event loop.
"""
_FORGOTTEN = 256
"""Statements after which the columns to bind are chosen anew."""


class Inserts:
    """Inserts rows into one table.

    About half of the columns mostly have the same value in all rows of a statement, which binds it once: sqlite3 takes
    0.05 us for each value, and looks up an adapter for each None. SQLite parses a statement that it does not know in
    0.4 ms. So that there are few different ones, they have 1, 2, 4, ... rows, and a column that had several values is
    bound for each row from then on.
    """

    def __init__(self, table: str) -> None:
        self._table = table
        self._shared: tuple[bool, ...] = ()
        """By column, whether all rows of each statement had the same value in it."""
        self._left = 0
        """Statements until that is forgotten."""

    def statements(self, rows: Sequence[tuple[Any, ...]]) -> Iterator[tuple[str, list[Any]]]:
        """The statements, with their values, that insert rows, or replace those with the same primary key.

        Values of a column that are equal must be the same: of one type, and none of them -0.0.
        """
        end = 0
        while end < len(rows):
            begin, end = end, end + min(_BLOCK, 1 << (len(rows) - end).bit_length() - 1)
            block = rows[begin:end]
            columns = [*zip(*block, strict=True)]
            shared = [column.count(column[0]) == len(block) for column in columns]
            self._left -= 1
            if self._left < 0:
                self._left, self._shared = _FORGOTTEN, tuple(shared)
            else:
                self._shared = tuple(map(and_, self._shared, shared))
            others = [column[1:] for column in compress(columns, map(not_, self._shared))]
            yield (
                _statement(self._table, self._shared, len(block)),
                [*block[0], *chain.from_iterable(zip(*others, strict=True))],
            )


@lru_cache(maxsize=64)
def _statement(table: str, shared: tuple[bool, ...], count: int) -> str:
    """The statement for so many rows: the first one is bound whole, and the others but for the `shared` columns."""
    first = ", ".join("?" * len(shared))
    other = ", ".join([f"?{number}" if same else "?" for number, same in enumerate(shared, 1)])
    rows = ", ".join([f"({first})", *[f"({other})"] * (count - 1)])
    return f"INSERT OR REPLACE INTO {table} VALUES {rows}"  # noqa: S608  # only marks

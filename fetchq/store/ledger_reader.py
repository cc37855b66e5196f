"""Reads a ledger: its records, their number, its input and its metadata."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from fetchq.core.disk import close_on_error
from fetchq.core.model import Request
from fetchq.core.row_set import RowSet
from fetchq.store.ledger_connection import (
    LONGEST_INPUT,
    LONGEST_ROW,
    LedgerError,
    condition_errors,
    connect,
    guard_queries,
    has_headers,
    ledger_errors,
)
from fetchq.store.schema import CHECKED, COLUMNS, HEADER_COLUMNS, INDEXED, MAX_INDEX, checksum_of, request_of

__all__ = ["DONE", "LedgerReader"]

DONE = '"index" NOT IN again'
"""The SQL condition for final records, whose rows no retry still has to fetch."""


class LedgerReader:
    """An open ledger. Any thread may use it. All methods raise `StorageError`."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._lock = threading.RLock()
        self.keeps_headers = has_headers(connection)
        """Whether the ledger has the headers of the responses."""
        self.verified = False
        """Whether this process has verified the ledger, or made it."""

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the ledger at `path` to read it; its run may still be going on. Raises `StorageError`."""
        with ledger_errors(path):
            connection = connect(path, "ro")
            with close_on_error(connection):
                connection.execute("PRAGMA query_only = ON")
                guard_queries(connection)
                return cls(path, connection)

    def close(self) -> None:
        """Close the connection. The ledger cannot be used afterwards."""
        with self._lock, ledger_errors(self.path):
            self._connection.close()

    def verify(self) -> None:
        """Raise `LedgerError` if anything in the ledger is not as it was written. It takes about 4 s per million rows.

        The methods that read records do it first, once: a damaged record might also be missing among those that meet
        a condition, or be counted as another one.
        """
        if self.verified:
            return
        with self._lock, ledger_errors(self.path):
            ((found, *_),) = self._connection.execute("PRAGMA integrity_check(1)")
            if found != "ok":
                raise LedgerError.damaged(self.path, str(found))
            headers = ("headers",) if self.keeps_headers else ()
            for table in (*INDEXED, *headers):
                ((least, greatest),) = self._connection.execute(f'SELECT min("index"), max("index") FROM {table}')  # noqa: S608  # fetchq's own words
                if least is not None and not 0 <= least <= greatest <= MAX_INDEX:
                    raise LedgerError.damaged(self.path, f"its table {table} has a row that cannot be")
            for table in (*CHECKED, *headers):
                longest = LONGEST_INPUT if table == "input" else LONGEST_ROW
                self._connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, longest)
                for *values, checksum in self._connection.execute(f"SELECT * FROM {table}"):  # noqa: S608  # fetchq's own words
                    if checksum_of(values) != checksum:
                        raise LedgerError.damaged(self.path, f"a row of its table {table} has changed")
        self.verified = True

    # --- the records ---

    def records(self, where: str = "1") -> Iterator[dict[str, Any]]:
        """The rows of `records` that meet the SQL condition `where`, in order of index.

        They have `HEADER_COLUMNS`, too, if the ledger keeps headers. Raises `ConditionError`, `StorageError`.
        """
        columns = (*COLUMNS, *HEADER_COLUMNS) if self.keeps_headers else COLUMNS
        for values in self.rows(columns, where):
            yield dict(zip(columns, values, strict=True))

    def rows(
        self, columns: Sequence[str], where: str = "1", order: Sequence[str] = ("index",), table: str = "records"
    ) -> Iterator[tuple[Any, ...]]:
        """The values of these columns of the records that meet an SQL condition, sorted by the columns in `order`.

        `table`: "records", or "history", which has the same columns.

        Raises `ConditionError`, `StorageError`. Memory does not grow with the ledger: SQLite sorts in temporary files.
        """
        self.verify()
        selected = ", ".join(HEADER_COLUMNS.get(name) or f'"{name}"' for name in columns)
        by = ", ".join(f'"{name}"' for name in order)
        with condition_errors(where), ledger_errors(self.path):  # a condition may also fail for a later row
            cursor = self._connection.execute(f"SELECT {selected} FROM {table} WHERE ({where}\n) ORDER BY {by}")  # noqa: S608  # read-only
            for values in cursor:  # noqa: UP028  # `yield from` would close the cursor, perhaps after the connection
                yield values

    def count(self, table: str = "records", where: str = "1") -> int:
        """How many rows of `table` meet the SQL condition `where`. Raises `ConditionError`, `StorageError`."""
        self.verify()
        with condition_errors(where):
            ((count,),) = self._select(f"SELECT count(*) FROM {table} WHERE ({where}\n)")  # noqa: S608  # fetchq's own words
        return int(count)

    def causes(self) -> dict[str, int]:
        """How many records are "ok", and how many have each cause."""
        self.verify()
        return dict(self._select("SELECT coalesce(cause, 'ok'), count(*) FROM records GROUP BY cause"))

    def done(self) -> RowSet:
        """The rows that are done."""
        return self._indexes(f"records WHERE {DONE}")

    def pending_retries(self) -> RowSet:
        """The rows that a retry still has to fetch."""
        return self._indexes("again")

    def _indexes(self, rows: str) -> RowSet:
        self.verify()
        indexes = RowSet()
        with self._lock, ledger_errors(self.path):
            for (index,) in self._connection.execute(f'SELECT "index" FROM {rows}'):  # noqa: S608  # fetchq's own words
                indexes.add(index)
        return indexes

    # --- the input and the metadata ---

    def input_rows(self, first: int = 0, most: int = 1000) -> list[Request]:
        """At most `most` rows of a Python program, from row `first` on."""
        found = self._select('SELECT * FROM input WHERE "index" >= ? ORDER BY "index" LIMIT ?', (first, most))
        try:
            return [request_of(values) for values in found]
        except (TypeError, ValueError, RecursionError):
            raise LedgerError.damaged(self.path, "its input has a row that is none") from None

    def meta(self, name: str, default: Any = None) -> Any:
        """The value of that name in `meta`, or `default`."""
        found = self._select("SELECT name, value, checksum FROM meta WHERE name = ?", (name,))
        try:
            if found and found[0][2] != checksum_of(found[0][:2]):
                raise ValueError("another checksum")
            return json.loads(found[0][1]) if found else default
        except (TypeError, ValueError, RecursionError):
            raise LedgerError.bad_meta(self.path, name) from None

    def required_meta(self, name: str) -> Any:
        """The value of a name that every ledger's `meta` has. Raises `StorageError` if it is missing."""
        if (value := self.meta(name)) is None:
            raise LedgerError.bad_meta(self.path, name)
        return value

    def _select(self, sql: str, values: tuple[Any, ...] = ()) -> list[Any]:
        with self._lock, ledger_errors(self.path):
            return self._connection.execute(sql, values).fetchall()

"""The ledger: the SQLite file that knows the final record of every row, and so makes a run durable.

`records` has one line for each input row that is done; a row without one is still to do. Its columns are the fields
of the record, `timing` spread over timing_queued to timing_store, and three more: `etag` and `last_modified` as the
server sent them, and `generation`, which is 0 and grows with each `fetchq retry`. `history` keeps the records that a
retry has replaced. `again` lists the rows that a retry has still to fetch. `meta` holds JSON values by name.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Self

from fetchq.core.disk import close_on_error, file_identity
from fetchq.core.model import Request, Result
from fetchq.core.row_set import RowSet
from fetchq.core.text import without_surrogates
from fetchq.store.ledger_connection import BUSY, LedgerError, condition_errors, ledger_errors, opened
from fetchq.store.schema import COLUMNS, SCHEMA, inserts, row_of

__all__ = ["DONE", "Ledger"]

DONE = '"index" NOT IN again'
"""The condition for records that are final: no retry has still to fetch their rows."""


class Ledger:
    """An open ledger. Any thread may use it, one at a time."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._lock = threading.RLock()
        self._input_lock = threading.Lock()
        self._file = file_identity(path)
        self._retrying = False
        self._unkept: list[tuple[Any, ...]] = []
        """Rows of the input that the next commit takes along."""
        self.generation = 0

    @classmethod
    def create(cls, path: Path, meta: dict[str, Any]) -> Self:
        """A new ledger, which exists with its `meta` or not at all. Raises `StorageError`."""
        with ledger_errors(path):
            # Only for its owner: what is kept of the input may hold passwords. SQLite's other files take after it.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            connection = sqlite3.connect(path, timeout=BUSY, isolation_level=None, check_same_thread=False)
            with close_on_error(connection):
                connection.executescript(f"BEGIN IMMEDIATE; {SCHEMA}")
                connection.executemany("INSERT INTO meta VALUES (?, ?)", _meta_rows(meta))
                connection.execute("COMMIT")
                return cls._ready(path, connection)

    @classmethod
    def open(cls, path: Path) -> Self:
        """The ledger at `path`, to go on with. Raises `StorageError`."""
        with ledger_errors(path):
            connection = opened(path, "rw")
            with close_on_error(connection):
                return cls._ready(path, connection)

    @classmethod
    def read(cls, path: Path) -> Self:
        """The ledger at `path`, only to read it; a run may go on beside. Raises `StorageError`."""
        with ledger_errors(path):
            connection = opened(path, "ro")
            with close_on_error(connection):
                connection.execute("PRAGMA query_only = ON")
            return cls(path, connection)

    @classmethod
    def _ready(cls, path: Path, connection: sqlite3.Connection) -> Self:
        # FULL: a commit is on the disk when it returns.
        connection.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")
        ledger = cls(path, connection)
        ledger.generation = ledger.meta("generation", 0)
        ledger._retrying = ledger.count("again") > 0
        return ledger

    @staticmethod
    def begun(path: Path) -> bool:
        """Whether there is a ledger at `path`, and not just what a kill has left of its making.

        Raises `StorageError`.
        """
        if not path.exists() or not path.stat().st_size:
            return False
        with ledger_errors(path):
            connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=BUSY)
            try:
                return bool(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
            finally:
                connection.close()

    def close(self) -> None:
        """Put everything into the one file. The ledger cannot be used any more."""
        with self._lock, ledger_errors(self.path):
            self._connection.close()

    # --- the records ---

    def commit(self, results: Sequence[Result], meta: dict[str, Any] | None = None) -> None:
        """Make these results, and `meta`, a part of the ledger, all of them or none; on the disk when it returns.

        Raises `StorageError`: a full disk, say.
        """
        rows = sorted(row_of(result, self.generation) for result in results)  # in order: a tree likes that
        with self._lock, self._transaction() as connection:
            self._keep(connection)
            if self._retrying:
                keys = [(row[0],) for row in rows]
                connection.executemany('INSERT OR IGNORE INTO history SELECT * FROM records WHERE "index" = ?', keys)
                connection.executemany('DELETE FROM again WHERE "index" = ?', keys)
            _insert(connection, "records", rows)
            if meta:
                connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", _meta_rows(meta))
        if not self.there:  # SQLite would go on, with a file that has no name any more
            raise LedgerError(f"the ledger {str(self.path)!r} was taken away, and with it what is done")

    @property
    def there(self) -> bool:
        """The file still has its name."""
        return file_identity(self.path) == self._file

    def done(self) -> RowSet:
        """The rows that are done."""
        return self._rows_of(f"records WHERE {DONE}")

    def again(self) -> RowSet:
        """The rows that a retry has still to fetch."""
        return self._rows_of("again")

    def _rows_of(self, lines: str) -> RowSet:
        rows = RowSet()
        with self._lock, ledger_errors(self.path):
            for (index,) in self._connection.execute(f'SELECT "index" FROM {lines}'):  # noqa: S608  # its own words
                rows.add(index)
        return rows

    def count(self, table: str = "records", where: str = "1") -> int:
        """How many lines of `table` meet the SQL condition `where`. Raises `ConditionError`, `StorageError`."""
        with condition_errors(where):
            ((count,),) = self._select(f"SELECT count(*) FROM {table} WHERE ({where}\n)")  # noqa: S608  # its own words
        return int(count)

    def causes(self) -> dict[str, int]:
        """How many records are "ok", and how many have each cause."""
        return dict(self._select("SELECT coalesce(cause, 'ok'), count(*) FROM records GROUP BY cause"))

    def records(self, where: str = "1") -> Iterator[dict[str, Any]]:
        """The lines of `records` that meet the SQL condition `where`, by index.

        Raises `ConditionError`, `StorageError`.
        """
        for values in self.rows(COLUMNS, where):
            yield dict(zip(COLUMNS, values, strict=True))

    def rows(
        self, columns: Sequence[str], where: str = "1", order: Sequence[str] = ("index",)
    ) -> Iterator[tuple[Any, ...]]:
        """These columns of `records`, where the SQL condition holds, in that order. Raises as `records` does.

        Memory does not grow with the ledger: SQLite sorts in temporary files.
        """
        chosen, by = (", ".join(f'"{name}"' for name in names) for names in (columns, order))
        with condition_errors(where), ledger_errors(self.path):  # a condition may also fail at a later row
            cursor = self._connection.execute(f"SELECT {chosen} FROM records WHERE ({where}\n) ORDER BY {by}")  # noqa: S608  # read-only
            for values in cursor:  # noqa: UP028  # `yield from` would close the cursor, after the ledger perhaps
                yield values

    def retry(self, where: str) -> int:
        """Have the rows that meet the SQL condition `where` fetched again. Returns how many they are.

        Raises `ConditionError`, `StorageError`.
        """
        # On a connection of its own, which can only read: the condition is anybody's text.
        with closing(Ledger.read(self.path)) as reader:
            rows = list(reader.rows(("index",), where))
        count = len(rows)
        with self._lock, self._transaction() as connection:
            connection.executemany("INSERT OR IGNORE INTO again VALUES (?)", rows)
            if count:
                self.generation += 1
                entries = {"generation": self.generation, "finished": None}
                connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", _meta_rows(entries))
                self._retrying = True
        return count

    # --- the input that is nowhere else ---

    def keep(self, requests: Iterable[Request]) -> None:
        """Keep these rows, which no file holds, with the next commit."""
        rows = [
            (one.index, one.url, one.method, json.dumps(one.headers), one.body, one.label, one.problem, one.priority)
            for one in requests
        ]
        with self._input_lock:  # not the one that a commit holds while it waits for the disk: this may be a loop
            self._unkept += rows

    def commit_input(self) -> None:
        """Do not wait for the next commit, if rows do. Raises `StorageError`."""
        if self._unkept:
            self.commit(())

    def _keep(self, connection: sqlite3.Connection) -> None:
        with self._input_lock:
            rows, self._unkept = self._unkept, []
        _insert(connection, "input", rows)

    def input(self, first: int = 0, most: int = 1000) -> list[Request]:
        """The kept rows from number `first` on, at most so many."""
        found = self._select('SELECT * FROM input WHERE "index" >= ? ORDER BY "index" LIMIT ?', (first, most))
        return [
            Request(url, index, method, _pairs(headers), body, label, why, priority=priority)
            for index, url, method, headers, body, label, why, priority in found
        ]

    # --- everything else ---

    def meta(self, name: str, default: Any = None) -> Any:
        """The value of that name."""
        found = self._select("SELECT value FROM meta WHERE name = ?", (name,))
        try:
            return json.loads(found[0][0]) if found else default
        except (TypeError, ValueError):
            raise self._damaged(name) from None

    def needed(self, name: str) -> Any:
        """The same of a name that every ledger has. Raises `StorageError`."""
        if (value := self.meta(name)) is None:
            raise self._damaged(name)
        return value

    def _damaged(self, name: str) -> LedgerError:
        return LedgerError(f"the ledger {str(self.path)!r} is damaged: its meta has no good {name!r}")

    def set_meta(self, **values: Any) -> None:
        """Keep these values, which JSON can hold. Raises `StorageError`."""
        self.commit((), values)

    def _select(self, sql: str, values: tuple[Any, ...] = ()) -> list[Any]:
        with self._lock, ledger_errors(self.path):
            return self._connection.execute(sql, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with ledger_errors(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:  # whatever it is, raised again: all of it or nothing
                if self._connection.in_transaction:  # a full disk has rolled it back already
                    self._connection.execute("ROLLBACK")
                raise


def _pairs(headers: str) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in json.loads(headers))


def _meta_rows(values: dict[str, Any]) -> list[tuple[str, str]]:
    return [(name, json.dumps(value)) for name, value in values.items()]


def _insert(connection: sqlite3.Connection, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
    try:
        for statement in inserts(table, rows):
            connection.execute(*statement)
    except UnicodeEncodeError:
        for statement in inserts(table, [tuple(map(without_surrogates, row)) for row in rows]):
            connection.execute(*statement)

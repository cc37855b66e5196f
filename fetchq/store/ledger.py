"""The ledger: the SQLite file with the final record of every row that is done, which makes a run durable.

`records` has one row for each input row that is done; an input row without one is still to do. Its columns are the
fields of the record, `timing` spread over timing_queued to timing_store, and three more: `etag` and `last_modified` as
the server sent them, and `generation`, which is 0 and grows with each `fetchq retry`. `history` keeps the records that
retries have replaced. `again` lists the rows that a retry still has to fetch. `meta` holds JSON values by name. `input`
holds the rows that a Python program has handed over.
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
from fetchq.core.text import without_surrogates
from fetchq.store.ledger_connection import BUSY, LedgerError, connect, ledger_errors
from fetchq.store.ledger_reader import LedgerReader
from fetchq.store.schema import SCHEMA, input_values, inserts, row_of

__all__ = ["Ledger"]


class Ledger(LedgerReader):
    """An open ledger that can be written. Any thread may use it, one at a time."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        super().__init__(path, connection)
        # FULL: a commit is on the disk when it returns.
        connection.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")
        self._file = file_identity(path)
        self.generation: int = self.meta("generation", 0)
        self._retrying = self.count("again") > 0
        self._pending_input: list[tuple[Any, ...]] = []
        """Rows of the input that the next commit writes."""
        self._input_lock = threading.Lock()

    @classmethod
    def create(cls, path: Path, meta: dict[str, Any]) -> Self:
        """Create a ledger, which exists with its `meta` or not at all. Raises `StorageError`."""
        with ledger_errors(path):
            # Readable by its owner alone: the input in it may hold passwords. SQLite's other files get the same mode.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            connection = sqlite3.connect(path, timeout=BUSY, isolation_level=None, check_same_thread=False)
            with close_on_error(connection):
                connection.executescript(f"BEGIN IMMEDIATE; {SCHEMA}")
                connection.executemany("INSERT INTO meta VALUES (?, ?)", _meta_rows(meta))
                connection.execute("COMMIT")
                return cls(path, connection)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the ledger at `path` to go on with its run. Raises `StorageError`."""
        with ledger_errors(path):
            connection = connect(path, "rw")
            with close_on_error(connection):
                return cls(path, connection)

    @property
    def in_place(self) -> bool:
        """Whether the file still has its name."""
        return file_identity(self.path) == self._file

    def commit(self, results: Sequence[Result], meta: dict[str, Any] | None = None) -> None:
        """Write these results, `meta` and the pending input in one transaction, which is on the disk on return.

        Raises `StorageError`: a full disk, say.
        """
        rows = [row_of(result, self.generation) for result in results]
        rows.sort()  # a B-tree fills faster in order
        with self._lock, self._transaction() as connection:
            with self._input_lock:
                new_input, self._pending_input = self._pending_input, []
            _insert(connection, "input", new_input)
            if self._retrying:
                keys = [(row[0],) for row in rows]
                connection.executemany('INSERT OR IGNORE INTO history SELECT * FROM records WHERE "index" = ?', keys)
                connection.executemany('DELETE FROM again WHERE "index" = ?', keys)
            _insert(connection, "records", rows)
            if meta:
                connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", _meta_rows(meta))
        if not self.in_place:  # SQLite would go on writing to a file that has no name any more
            raise LedgerError(f"the ledger {str(self.path)!r} was taken away, and with it what is done")

    def set_meta(self, **values: Any) -> None:
        """Write these values, which JSON must be able to hold. Raises `StorageError`."""
        self.commit((), values)

    def retry(self, where: str) -> int:
        """Have the rows that meet the SQL condition `where` fetched again. Returns how many they are.

        Raises `ConditionError`, `StorageError`.
        """
        # Through a connection that can only read: the condition may be any text.
        with closing(LedgerReader.open(self.path)) as reader:
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

    def add_input(self, requests: Iterable[Request]) -> None:
        """Have the next commit write these rows of the input, which no file holds. Does not block."""
        rows = [input_values(request) for request in requests]
        with self._input_lock:  # not the lock that a commit holds while it waits for the disk: this may be a loop
            self._pending_input += rows

    def commit_input(self) -> None:
        """Write pending rows of the input now, if there are any. Raises `StorageError`."""
        if self._pending_input:
            self.commit(())

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with ledger_errors(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:  # whatever it is, raised again: the transaction is written whole or not at all
                if self._connection.in_transaction:  # after a full disk SQLite has rolled it back already
                    self._connection.execute("ROLLBACK")
                raise


def _meta_rows(values: dict[str, Any]) -> list[tuple[str, str]]:
    return [(name, json.dumps(value)) for name, value in values.items()]


def _insert(connection: sqlite3.Connection, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
    try:
        for statement in inserts(table, rows):
            connection.execute(*statement)
    except UnicodeEncodeError:
        for statement in inserts(table, [tuple(map(without_surrogates, row)) for row in rows]):
            connection.execute(*statement)

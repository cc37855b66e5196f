"""Writes the ledger: the SQLite file with the final record of every row that is done, which makes a run durable.

The table `records` has one row for each input row that is done; an input row without a record is still to do. Its
columns are the fields of the record, with `timing` as timing_queued to timing_store, and four more: `hops`, the
redirects that were followed, as JSON; `etag` and `last_modified` as the server sent them; and `generation`, which is 0
at first and increases with each `fetchq retry`. A row of any table but `again` ends with the `checksum` of its values.
`history` keeps the records that retries have replaced. `again` lists the rows that a retry still has to fetch. `meta`
holds JSON values by name. `headers` holds the header lines of the responses, if the run keeps them (`save_headers`).
`input` holds the rows of a Python program.
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
from fetchq.core.prepared_results import PreparedResults
from fetchq.store.inserts import Inserts
from fetchq.store.ledger_connection import BUSY, LedgerError, connect, ledger_errors
from fetchq.store.ledger_reader import LedgerReader
from fetchq.store.schema import HEADERS, SCHEMA, input_values, row_of, sealed

__all__ = ["Ledger"]


class Ledger(LedgerReader):
    """An open, writable ledger. Any thread may use it."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        super().__init__(path, connection)
        # With FULL, a transaction is on the disk when the commit returns.
        connection.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")
        self._file = file_identity(path)
        self.generation = self._number("generation")
        self.verify()
        self._retrying = self.count("again") > 0
        self._pending_input: list[tuple[Any, ...]] = []
        """Rows of a Python program that the next commit writes."""
        self._input_lock = threading.Lock()
        self._insert_records, self._insert_headers = Inserts("records"), Inserts("headers")
        self._insert_input = Inserts("input")

    @classmethod
    def create(cls, path: Path, meta: dict[str, Any], *, with_headers: bool = False) -> Self:
        """Create a ledger with its `meta`, in one transaction. Raises `StorageError`.

        `with_headers`: whether it keeps the headers of responses.
        """
        with ledger_errors(path):
            # Readable only by its owner, since the input may contain passwords. SQLite's other files get the same mode.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            connection = sqlite3.connect(path, timeout=BUSY, isolation_level=None, check_same_thread=False)
            with close_on_error(connection):
                connection.executescript(f"BEGIN IMMEDIATE; {SCHEMA}{HEADERS if with_headers else ''}")
                connection.executemany("INSERT INTO meta VALUES (?, ?, ?)", _meta_rows(meta))
                connection.execute("COMMIT")
                return cls(path, connection)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the ledger at `path` to resume its run. Raises `StorageError`."""
        with ledger_errors(path):
            connection = connect(path, "rw")
            with close_on_error(connection):
                return cls(path, connection)

    @property
    def in_place(self) -> bool:
        """Whether `path` still names the file that was opened."""
        return file_identity(self.path) == self._file

    def commit(self, results: Sequence[Result], meta: dict[str, Any] | None = None) -> None:
        """Write these Results, `meta` and the pending input in one transaction, which is on the disk on return.

        Raises `StorageError`, for example if the disk is full.
        """
        if isinstance(results, PreparedResults):
            rows = results.rows
        else:
            rows = [row_of(result, self.generation) for result in results]
        rows.sort()  # inserting into a B-tree is faster in order
        headers = _header_rows(results) if self.keeps_headers else []
        with self._lock, self._transaction() as connection:
            with self._input_lock:
                new_input, self._pending_input = self._pending_input, []
            _execute(connection, self._insert_input.statements(new_input))
            if self._retrying:
                keys = [(row[0],) for row in rows]
                connection.executemany('INSERT OR IGNORE INTO history SELECT * FROM records WHERE "index" = ?', keys)
                connection.executemany('DELETE FROM again WHERE "index" = ?', keys)
                if self.keeps_headers:
                    connection.executemany('DELETE FROM headers WHERE "index" = ?', keys)
            _execute(connection, self._insert_records.statements(rows))
            _execute(connection, self._insert_headers.statements(headers))
            if meta:
                connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?, ?)", _meta_rows(meta))
        if not self.in_place:  # SQLite goes on writing to a file that was deleted or renamed
            raise LedgerError(f"the ledger {str(self.path)!r} was taken away, and with it what is done")

    def _number(self, name: str) -> int:
        value = self.meta(name, 0)
        if not isinstance(value, int):
            raise LedgerError.bad_meta(self.path, name)
        return value

    def set_meta(self, **values: Any) -> None:
        """Write these JSON values to `meta`. Raises `StorageError`."""
        self.commit((), values)

    def retry(self, where: str) -> int:
        """Mark the rows that meet the SQL condition `where`, to be fetched again. Returns their number.

        Raises `ConditionError`, `StorageError`.
        """
        # Through a read-only connection, since the condition may be any text.
        with closing(LedgerReader.open(self.path)) as reader:
            reader.verified = True
            rows = list(reader.rows(("index",), where))
        count = len(rows)
        with self._lock, self._transaction() as connection:
            connection.executemany("INSERT OR IGNORE INTO again VALUES (?)", rows)
            if count:
                self.generation += 1
                entries = {"generation": self.generation, "finished": None}
                connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?, ?)", _meta_rows(entries))
                self._retrying = True
        return count

    def add_input(self, requests: Iterable[Request]) -> None:
        """Let the next commit write these rows of a Python program. Does not block."""
        rows = [sealed(input_values(request)) for request in requests]
        with self._input_lock:  # not `_lock`, for which an event loop would have to wait as long as a commit takes
            self._pending_input += rows

    def commit_input(self) -> None:
        """Write the pending rows of the input now, if there are any. Raises `StorageError`."""
        if self._pending_input:
            self.commit(())

    def seal(self) -> None:
        """Make the file one that can be read where nothing can be written, once the ledger was closed.

        Until it is opened for writing again, it has no write-ahead log. Raises `StorageError`.
        """
        with self._lock, ledger_errors(self.path):
            self._connection.execute("PRAGMA journal_mode = DELETE")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with ledger_errors(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:  # raised again, whatever it is: a transaction is written completely or not at all
                if self._connection.in_transaction:  # if the disk was full, SQLite has rolled it back already
                    self._connection.execute("ROLLBACK")
                raise


def _header_rows(results: Sequence[Result]) -> list[tuple[Any, ...]]:
    from fetchq.store.stored_headers import header_row  # here, since few runs keep headers

    return sorted(row for result in results if (row := header_row(result)) is not None)


def _meta_rows(values: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [sealed((name, json.dumps(value))) for name, value in values.items()]


def _execute(connection: sqlite3.Connection, statements: Iterable[tuple[str, list[Any]]]) -> None:
    for statement in statements:
        connection.execute(*statement)

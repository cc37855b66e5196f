"""Provides a temporary SQLite database, for tables that would take too much memory for millions of rows."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any

from fetchq.core.disk import StorageError, close_on_error

__all__ = ["ScratchDatabase", "key_of"]


def key_of(*values: object) -> bytes:
    """A 16-byte hash of these values. Among a billion hashes, a collision is very unlikely."""
    return blake2b(repr(values).encode("utf-8", "surrogatepass"), digest_size=16).digest()


class ScratchDatabase:
    """A SQLite file that `close` deletes, and that need not survive a crash.

    Any thread may use it. All methods except `close` raise `StorageError`.
    """

    def __init__(self, path: Path, schema: str) -> None:
        self._path = path
        self._lock = threading.RLock()
        with self._translated():
            # Readable only by its owner, like everything made from the input.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            with close_on_error(self):
                self._connection.executescript(
                    f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE; {schema}"
                )

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run the statements of the block in one transaction, which is faster, and exclude other threads."""
        with self._lock, self._translated():
            if self._connection.in_transaction:
                yield
                return
            self._connection.execute("BEGIN")
            try:
                yield
            finally:
                self._connection.execute("COMMIT")

    def select(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """All rows of the query's result."""
        with self._lock, self._translated():
            return self._connection.execute(sql, values).fetchall()

    def execute_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Execute the statement once for each row of values."""
        with self._lock, self._translated():
            self._connection.executemany(sql, rows)

    def close(self) -> None:
        """Close the database and delete its file."""
        with self._lock, suppress(sqlite3.Error):
            self._connection.close()
        with suppress(OSError):
            self._path.unlink()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as problem:
            raise StorageError.of(problem) from problem
        except sqlite3.Error as problem:
            raise StorageError(f"{str(self._path)!r} cannot be used: {problem}") from problem

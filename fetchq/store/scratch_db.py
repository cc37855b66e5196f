"""A database for one session: what would take too much memory with millions of rows, and can be found out again."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any

from fetchq.core.disk import StorageError

__all__ = ["Scratch", "key_of"]


def key_of(*what: object) -> bytes:
    """16 bytes that stand for these values: even of a billion others none is likely to have the same."""
    return blake2b(repr(what).encode("utf-8", "surrogatepass"), digest_size=16).digest()


class Scratch:
    """A SQLite file that nobody else knows and that does not last. Any thread may use it. Raises `StorageError`."""

    def __init__(self, path: Path, schema: str) -> None:
        self._path = path
        self._lock = threading.RLock()
        with self._translated():
            # Only for its owner, as all that is made of the input.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            try:
                self._connection.executescript(
                    f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE; {schema}"
                )
            except BaseException:
                self.close()
                raise

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is done inside is done at once, as far as other threads can see, and faster."""
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
        """All lines that the query finds."""
        with self._lock, self._translated():
            return self._connection.execute(sql, values).fetchall()

    def change(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Do that for each of the rows."""
        with self._lock, self._translated():
            self._connection.executemany(sql, rows)

    def close(self) -> None:
        """It is gone."""
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

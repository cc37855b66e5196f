"""Opens a ledger's file with SQLite, and translates SQLite's errors."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote_from_bytes

from fetchq.core.disk import StorageError, close_on_error
from fetchq.core.text import one_line
from fetchq.store.schema import APPLICATION, FORMAT

__all__ = ["BUSY", "ConditionError", "LedgerError", "condition_errors", "connect", "ledger_errors", "ledger_exists"]

BUSY = 30.0
"""Seconds to wait for another program that has locked the ledger."""


class LedgerError(StorageError):
    """A ledger cannot be used: it is missing, damaged, locked, or not fetchq's. The message is one line for people."""


class ConditionError(Exception):
    """A text is not an SQL condition over the columns of the records. The message is one line for people."""


def ledger_exists(path: Path) -> bool:
    """Whether there is a complete ledger at `path`, and not just what a killed process has left.

    Raises `StorageError`.
    """
    if not path.exists() or not path.stat().st_size:
        return False
    with ledger_errors(path):
        connection = sqlite3.connect(f"{_uri(path)}?mode=rw", uri=True, timeout=BUSY)
        try:
            return bool(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
        finally:
            connection.close()


def connect(path: Path, mode: str) -> sqlite3.Connection:
    """Connect to a ledger. `mode`: that of SQLite, "ro" or "rw".

    Raises `LedgerError`, and the exceptions of sqlite3.
    """
    if not os.path.isfile(path):  # also False for a name that is too long
        raise LedgerError(f"there is no run in {str(path.parent)!r}: it holds no {path.name}")
    uri = f"{_uri(path)}?mode={mode}"
    if mode == "ro" and not os.access(path.parent, os.W_OK) and not _has_wal(path):
        uri += "&immutable=1"  # otherwise SQLite would create files beside it
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY, isolation_level=None, check_same_thread=False)
    with close_on_error(connection):
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if application != APPLICATION:
            raise LedgerError(f"{str(path)!r} is not a ledger of fetchq")
        if version != FORMAT:
            raise LedgerError(f"{str(path)!r} has format {version}, and this fetchq knows format {FORMAT}")
    return connection


def _uri(path: Path) -> str:
    """The path as SQLite takes it in a URI. `Path.as_uri` imports urllib.request, and so ssl, in Python 3.14."""
    return f"file://{quote_from_bytes(os.fsencode(path.absolute()))}"


def _has_wal(path: Path) -> bool:
    """Whether the ledger's write-ahead log has content."""
    try:
        return os.stat(f"{path}-wal").st_size > 0
    except OSError:
        return False


_SYSTEM_ERRORS = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_IOERR: errno.EIO,
}
"""SQLite's codes for failures of the system, with the error numbers of the system."""
_LEDGER_ERRORS = {
    sqlite3.SQLITE_CORRUPT: "is damaged",
    sqlite3.SQLITE_NOTADB: "is damaged",
    sqlite3.SQLITE_BUSY: "is locked by another program",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened to write it (is its folder read-only?)",
}
"""SQLite's codes for problems of the ledger itself, with the words for the message."""


@contextmanager
def ledger_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into `StorageError` if the system is at fault, otherwise into `LedgerError`."""
    try:
        yield
    except (sqlite3.Error, sqlite3.Warning) as problem:
        code = getattr(problem, "sqlite_errorcode", 0) & 0xFF  # the primary code, without the bits that extend it
        if code in _SYSTEM_ERRORS:
            number = _SYSTEM_ERRORS[code]
            raise StorageError.of(OSError(number, os.strerror(number), str(path))) from problem
        what = _LEDGER_ERRORS.get(code, "cannot do that")
        raise LedgerError(f"the ledger {str(path)!r} {what}: {problem}") from problem


_RAISED_BY_PYTHON = (sqlite3.ProgrammingError, sqlite3.Warning)
"""What the sqlite3 module itself raises, for example for two statements; it depends on the Python version."""


@contextmanager
def condition_errors(where: str) -> Iterator[None]:
    """Turn SQLite's errors about the condition `where` into `ConditionError`. The condition "1" is never at fault."""
    try:
        yield
    except ValueError as problem:  # a NUL, or a lone surrogate
        raise ConditionError(one_line(f"not a condition over the columns of the record: {problem}")) from None
    except LedgerError as problem:
        found = problem.__cause__
        wrong = getattr(found, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR or isinstance(found, _RAISED_BY_PYTHON)
        if where == "1" or not wrong:
            raise
        hint = ' (the column index needs quotes: "index")' if 'near "index"' in str(found) else ""
        raise ConditionError(one_line(f"not a condition over the columns of the record: {found}{hint}")) from None

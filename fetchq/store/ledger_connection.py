"""The file of a ledger: how it is opened, and what SQLite's errors mean."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fetchq.core.disk import StorageError, close_on_error
from fetchq.core.text import one_line
from fetchq.store.schema import APPLICATION, FORMAT

__all__ = ["BUSY", "ConditionError", "LedgerError", "condition_errors", "ledger_errors", "opened"]

BUSY = 30.0
"""Seconds to wait for somebody who reads the ledger with other tools, and holds a lock."""


class LedgerError(StorageError):
    """A ledger that cannot be used: missing, damaged, or not of fetchq. One line for people."""


class ConditionError(Exception):
    """A text that is no SQL condition over the columns of the records. One line for people."""


def opened(path: Path, mode: str) -> sqlite3.Connection:
    """A connection to a ledger of ours. Raises `LedgerError` and what SQLite raises."""
    if not os.path.isfile(path):  # which is also said of a name that is too long
        raise LedgerError(f"there is no run in {str(path.parent)!r}: it holds no {path.name}")
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    if mode == "ro" and not os.access(path.parent, os.W_OK) and not _has_more(path):
        uri += "&immutable=1"  # SQLite would make files beside it
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY, isolation_level=None, check_same_thread=False)
    with close_on_error(connection):
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if application != APPLICATION:
            raise LedgerError(f"{str(path)!r} is not a ledger of fetchq")
        if version != FORMAT:
            raise LedgerError(f"{str(path)!r} has format {version}, and this fetchq knows format {FORMAT}")
    return connection


def _has_more(path: Path) -> bool:
    """Not all of the ledger is in the one file."""
    try:
        return os.stat(f"{path}-wal").st_size > 0
    except OSError:
        return False


_SYSTEM = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_IOERR: errno.EIO,
}
"""What SQLite finds wrong with the system, in the system's words."""
_WRONG = {
    sqlite3.SQLITE_CORRUPT: "is damaged",
    sqlite3.SQLITE_NOTADB: "is damaged",
    sqlite3.SQLITE_BUSY: "is locked by another program",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened to write it (is its folder read-only?)",
}
"""What is wrong with the ledger itself."""


@contextmanager
def ledger_errors(path: Path) -> Iterator[None]:
    """SQLite's errors as `StorageError` where the system is at fault, else as `LedgerError`."""
    try:
        yield
    except (sqlite3.Error, sqlite3.Warning) as problem:
        code = getattr(problem, "sqlite_errorcode", 0) & 0xFF  # the rest of it tells the kind of the kind
        if code in _SYSTEM:
            raise StorageError.of(OSError(_SYSTEM[code], os.strerror(_SYSTEM[code]), str(path))) from problem
        raise LedgerError(f"the ledger {str(path)!r} {_WRONG.get(code, 'cannot do that')}: {problem}") from problem


_PYTHONS = (sqlite3.ProgrammingError, sqlite3.Warning)
"""What Python raises by itself, for two statements where one belongs, say, in each version another."""


@contextmanager
def condition_errors(where: str) -> Iterator[None]:
    """What SQLite says against a condition, as `ConditionError`; against "1" there is nothing to say."""
    try:
        yield
    except ValueError as problem:  # a NUL, or a lone surrogate
        raise ConditionError(one_line(f"not a condition over the columns of the record: {problem}")) from None
    except LedgerError as problem:
        found = problem.__cause__
        wrong = getattr(found, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR or isinstance(found, _PYTHONS)
        if where == "1" or not wrong:
            raise
        hint = ' (the column index needs quotes: "index")' if 'near "index"' in str(found) else ""
        raise ConditionError(one_line(f"not a condition over the columns of the record: {found}{hint}")) from None

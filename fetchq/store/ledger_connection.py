"""Opens a ledger's file with SQLite, and translates SQLite's errors."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Self
from urllib.parse import quote_from_bytes

from fetchq.core.disk import StorageError, close_on_error
from fetchq.core.text import one_line
from fetchq.store.schema import APPLICATION, FORMAT, HEADERS, SCHEMA

__all__ = [
    "BUSY",
    "LONGEST_INPUT",
    "LONGEST_ROW",
    "ConditionError",
    "LedgerError",
    "condition_errors",
    "connect",
    "guard_queries",
    "has_headers",
    "ledger_errors",
    "ledger_exists",
]

BUSY = 30.0
"""Seconds to wait for another program that has locked the ledger."""
LONGEST_ROW, LONGEST_INPUT = 64 << 20, 256 << 20
"""The most bytes of a row, and of one in the table `input`, which may have the body of a request. One in a folder from
somebody else might take all memory."""


class LedgerError(StorageError):
    """A ledger cannot be used: it is missing, damaged, locked, or not fetchq's. The message is one line for people."""

    @classmethod
    def damaged(cls, path: Path, what: str) -> Self:
        """The error for the ledger at `path`, in which something is not as it was written."""
        return cls(one_line(f"the ledger {str(path)!r} is damaged: {what}"))

    @classmethod
    def bad_meta(cls, path: Path, name: str) -> Self:
        """The error for a value in the ledger's `meta` that is missing, or not what it should be."""
        return cls.damaged(path, f"its meta has no good {name!r}")


class ConditionError(Exception):
    """A text is not an SQL condition over the columns of the records. The message is one line for people."""


def ledger_exists(path: Path) -> bool:
    """Whether there is a complete ledger at `path`, and not just what a killed process has left.

    Raises `StorageError`.
    """
    if not path.exists() or not path.stat().st_size:
        return False
    _refuse_link(path)
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
    _refuse_link(path)
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
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_ROW)
        _check_schema(path, connection)
    return connection


def _check_schema(path: Path, connection: sqlite3.Connection) -> None:
    """Raise `LedgerError` unless the tables are those that fetchq makes, without anything beside them that could act.

    That is, a view, a trigger or an index, which SQLite computes anew with each row, whatever that takes.
    """
    found = {tuple(row) for row in connection.execute("SELECT type, name, sql FROM sqlite_master")}
    with closing(sqlite3.connect(":memory:")) as fresh:
        fresh.executescript(SCHEMA + HEADERS if has_headers(connection) else SCHEMA)
        expected = {tuple(row) for row in fresh.execute("SELECT type, name, sql FROM sqlite_master")}
    if not expected <= found:
        raise LedgerError.damaged(path, "it has not the tables of one")
    if planted := sorted(f"{kind} {str(name)!r}" for kind, name, _ in found - expected if kind in _ACTING):
        raise LedgerError(one_line(f"the ledger {str(path)!r} has what is not fetchq's, and could act: {planted[0]}"))


_ACTING = ("view", "trigger", "index")


def has_headers(connection: sqlite3.Connection) -> bool:
    """Whether a ledger has the table `headers`. Raises the exceptions of sqlite3."""
    return bool(connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'headers'").fetchone()[0])


_LONGEST_PATTERN = 1000
"""The most bytes of a pattern of LIKE or GLOB, which no signal interrupts: it may take as many steps as the product of
its length and the text's."""
_PROGRESS = 100_000
"""Steps of SQLite's virtual machine, about a millisecond, after which a query lets Python handle a signal."""
_ALLOWED = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE})


def guard_queries(connection: sqlite3.Connection) -> None:
    """Let signals interrupt the queries of a connection, and allow nothing but to select: a condition may be any text.

    A handler that raises does so in the function that SQLite calls, which ends the query (see `ledger_errors`).
    """
    connection.set_progress_handler(lambda: 0, _PROGRESS)
    connection.set_authorizer(_authorize)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, _LONGEST_PATTERN)


def _authorize(action: int, first: str | None, *_: str | None) -> int:
    allowed = action in _ALLOWED or (action == sqlite3.SQLITE_PRAGMA and first == "integrity_check")
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY


def _refuse_link(path: Path) -> None:
    if path.is_symlink():  # SQLite would follow it, also to write
        raise LedgerError(f"{str(path)!r} is a symbolic link, not a ledger")


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
    sqlite3.SQLITE_TOOBIG: "takes no row of that length",
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
        if code == sqlite3.SQLITE_INTERRUPT:
            raise KeyboardInterrupt from None  # by the handler of a signal, whose exception sqlite3 has dropped
        if code in _SYSTEM_ERRORS:
            number = _SYSTEM_ERRORS[code]
            raise StorageError.of(OSError(number, os.strerror(number), str(path))) from problem
        what = _LEDGER_ERRORS.get(code, "cannot do that")
        raise LedgerError(f"the ledger {str(path)!r} {what}: {problem}") from problem
    except UnicodeDecodeError:  # raised by Python for what SQLite has taken for a text
        raise LedgerError.damaged(path, "a text in it is not UTF-8") from None


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
        code = getattr(found, "sqlite_errorcode", None)
        wrong = code in (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_AUTH) or isinstance(found, _RAISED_BY_PYTHON)
        if where == "1" or not wrong:
            raise
        hint = ' (the column index needs quotes: "index")' if 'near "index"' in str(found) else ""
        raise ConditionError(one_line(f"not a condition over the columns of the record: {found}{hint}")) from None

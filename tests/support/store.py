"""What the tests of the stores share: a run's folder, and results whose bodies are on their way into it."""

from __future__ import annotations

import hashlib
import resource
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fetchq.core.body_spool import MAX_IN_MEMORY, Spool
from fetchq.core.model import Result
from fetchq.core.sent_request import SentRequest
from fetchq.store.folder import RunFolder
from fetchq.store.schema import CHECKED, checksum_of
from support.factories import make_result

AT = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
SENT = SentRequest(b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n", False, AT)
SIZES = (0, 1, 1000, MAX_IN_MEMORY, MAX_IN_MEMORY + 1, 300_000)
"""Bytes of bodies that stay in memory on their way, and of some that do not."""


def run_folder(path: Path) -> RunFolder:
    """The folder of a run that has begun."""
    folder = RunFolder(path / "run")
    folder.make()
    folder.sweep()
    return folder


def body_of(size: int) -> bytes:
    return (hashlib.sha256(str(size).encode()).digest() * (size // 32 + 1))[:size]


def fetched(folder: RunFolder, body: bytes = b"body", **changes: Any) -> Result:
    """The result of a whole answer, its body spooled as an engine does it."""
    spool: Spool | None = None
    for at in range(0, len(body), 50_000):
        spool = spool or Spool(str(folder))
        spool.add(body[at : at + 50_000])
        if spool.due:
            spool.write()
    fields = {"size": len(body), "wire_size": len(body), "sha256": hashlib.sha256(body).hexdigest()}
    return replace(make_result(**(fields | changes)), _spool=spool, _sent=SENT)


def temporary(folder: RunFolder) -> list[str]:
    return [one.name for one in folder.temporary.iterdir()]


def lose_spool(folder: RunFolder, result: Result) -> None:
    """Its temporary file is gone when the store wants it."""
    assert result._spool is not None
    Path(result._spool.path()).unlink()


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """A disk that is full: no file of this process grows beyond `size` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def names(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir())


def numbered(results: Iterable[Result]) -> list[Result]:
    return [replace(result, index=index) for index, result in enumerate(results)]


def reseal(connection: sqlite3.Connection) -> None:
    """Give the rows of a ledger that were changed by hand the checksums of what they are now."""
    for table in CHECKED:
        # Without a rowid in some of the tables, so the rows are replaced all together.
        rows = connection.execute(f"SELECT * FROM {table}").fetchall()
        connection.execute(f"DELETE FROM {table}")
        for *values, _ in rows:
            marks = ", ".join("?" * (len(values) + 1))
            connection.execute(f"INSERT INTO {table} VALUES ({marks})", (*values, checksum_of(values)))


def change_ledger(folder: str | Path, sql: str, *values: Any) -> None:
    """Change the ledger of a run as its author could, or somebody else."""
    with closing(sqlite3.connect(Path(folder) / "run.db")) as connection, connection:
        connection.execute(sql, values)
        reseal(connection)


def set_meta(folder: str | Path, name: str, value: str | None) -> None:
    """Set a value of the ledger's meta, as JSON; None deletes it."""
    change_ledger(folder, "DELETE FROM meta WHERE name = ?", name)
    if value is not None:
        change_ledger(folder, "INSERT INTO meta VALUES (?, ?, 0)", name, value)

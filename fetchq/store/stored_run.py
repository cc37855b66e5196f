"""Reads a durable run: its records, counts and bodies."""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from fetchq.core.headers import headers_of
from fetchq.core.model import PHASES, Result, Timing
from fetchq.core.passed_columns import read_passed
from fetchq.core.record_fields import PHASE_FIELDS, PLAIN_FIELDS
from fetchq.core.redirect_hop import hop_records, hops_from_json
from fetchq.core.stored_response import OpenedBody
from fetchq.store.folder import RunFolder
from fetchq.store.ledger_connection import LedgerError
from fetchq.store.ledger_reader import LedgerReader
from fetchq.store.schema import HEADER_COLUMNS
from fetchq.store.sinks import body_reader_for
from fetchq.store.stored_file import file_in
from fetchq.store.stored_headers import add_header_lists, fields_of

if TYPE_CHECKING:
    from fetchq.store.sinks.base import BodyReader

__all__ = ["StoredBodies", "StoredRun", "open_run", "stored_result"]

_PIECE = 65_536
"""Bytes of a body that are read at a time."""
_PARSERS: dict[str, Callable[[Any], Any]] = {
    name: datetime.fromisoformat if field.kind is datetime else field.kind
    for name, field in PLAIN_FIELDS.items()
    if field.kind not in (int, float, str)
}
"""The parsers for fields whose types SQLite does not have: flags, times and enums."""
_FLAGS = tuple(name for name, field in PLAIN_FIELDS.items() if field.kind is bool)
_INCLUDED = {"hops": ("hops",), "headers": tuple(HEADER_COLUMNS)}
"""The columns of the ledger that each of the values of `include` needs."""


def open_run(path: str | os.PathLike[str]) -> StoredRun:
    """Open the durable run in a folder (`output=`, `-o`) to read it, even while it is still going on.

    Raises `LedgerError` if there is no run, or its ledger is damaged.
    """
    return StoredRun(Path(path))


class StoredRun:
    """A durable run, open for reading. Use it as a context manager, or call `close`.

    Its methods raise `StorageError` if the folder cannot be read.
    """

    def __init__(self, path: Path) -> None:
        folder = RunFolder(path)
        self.path = folder.path
        self.ledger = LedgerReader.open(folder.ledger)
        self._bodies = StoredBodies(folder.path)

    def __iter__(self) -> Iterator[Result]:
        """Iterate over the Results, in order of index. They have no bodies (see `body`), and of the headers only ETag
        and Last-Modified, unless the run keeps all of them (`save_headers`)."""
        return self.results()

    def __len__(self) -> int:
        """How many rows are done."""
        return self.ledger.count()

    def results(self, where: str = "1") -> Iterator[Result]:
        """The Results that meet an SQL condition over the ledger's columns, such as `cause = 'timeout'`.

        Raises `ConditionError` if `where` is not a condition.
        """
        for row in self.ledger.records(where):
            yield self.result_of(row)

    def result_of(self, row: dict[str, Any]) -> Result:
        """The Result of a row of the ledger's records. Raises `LedgerError` if it is not one."""
        try:
            return stored_result(row)
        except (TypeError, ValueError) as problem:
            raise self.damage(row["index"], str(problem)) from None

    def damage(self, index: object, why: str) -> LedgerError:
        """The error for a damaged record of the row with this index; None if it is unknown which."""
        return LedgerError.damaged(self.ledger.path, why if index is None else f"row {index}: {why}")

    def records(self, where: str = "1", include: Collection[str] = ()) -> Iterator[dict[str, Any]]:
        """The records that meet an SQL condition, as dictionaries: what `--json` prints. Raises as `results`.

        `include`: "hops" to add the redirects that were followed; "headers" to add the headers, and the trailers if
        there were any, of a run that keeps them (`save_headers`). Raises ValueError if this one does not.
        """
        if "headers" in include and not self.keeps_headers:
            raise ValueError("the run has kept no headers (save_headers)")
        columns = (*PLAIN_FIELDS, *PHASE_FIELDS, "passed", *(column for one in include for column in _INCLUDED[one]))
        for values in self.ledger.rows(columns, where):
            row = dict(zip(columns, values, strict=True))
            record = {name: row[name] for name in PLAIN_FIELDS}
            for name in _FLAGS:
                record[name] = bool(record[name])
            record["timing"] = {phase: row[name] for phase, name in zip(PHASES, PHASE_FIELDS, strict=True)}
            try:
                if row["passed"] is not None:
                    record["passed"] = read_passed(row["passed"])
                for one in include:
                    _add_included(record, one, row)
            except ValueError as problem:
                raise self.damage(record["index"], str(problem)) from None
            yield record

    def passed_columns(self) -> list[str]:
        """The names of the columns that the rows pass on, as the user has given them; "*" for those of a program."""
        if isinstance(reading := self.ledger.meta("reading"), dict) and reading.get("passed"):
            return [str(name) for name in reading["passed"]]
        return ["*"] if self.ledger.count(where="passed IS NOT NULL") else []

    def counts(self) -> Counter[str]:
        """How many rows are "ok", and how many failed with each cause."""
        return Counter(self.ledger.causes())

    @property
    def finished(self) -> bool:
        """Whether every row of the input is done."""
        return self.ledger.meta("finished") is not None

    @property
    def keeps_headers(self) -> bool:
        """Whether the run has the headers of its responses (`save_headers`)."""
        return self.ledger.keeps_headers

    def body(self, result: Result) -> bytes:
        """The decoded body of one of the run's Results; empty if none was stored. Raises OSError."""
        return self._bodies.read(result.path)

    def close(self) -> None:
        """Close the ledger."""
        self.ledger.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _add_included(record: dict[str, Any], what: str, row: dict[str, Any]) -> None:
    if what == "headers":
        add_header_lists(record, row)
    else:
        record["hops"] = hop_records(hops_from_json(row["hops"]))


class StoredBodies:
    """Reads the bodies of the run in the folder `root`, by the `path` in its records. Any thread may use it."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._readers: dict[str, BodyReader] = {}
        """The readers for files that hold many bodies, by the suffix of their names."""

    @contextmanager
    def opened(self, path: str) -> Iterator[OpenedBody]:
        """Open the body at `path`. Raises OSError, also while the body is read."""
        name, mark, place = path.partition("#")
        file = file_in(self._root, name)
        if not mark:
            with open(file, "rb", buffering=0) as stream:
                yield OpenedBody(iter(partial(stream.read, _PIECE), b""))
        else:
            with self._reader_of(name)(file, int(place)) as opened:
                yield opened

    def read(self, path: str | None) -> bytes:
        """The whole body at `path`; empty if `path` is None. Raises OSError."""
        if path is None:
            return b""
        with self.opened(path) as opened:
            return b"".join(opened.pieces)

    def _reader_of(self, name: str) -> BodyReader:
        suffix = "".join(Path(name).suffixes)
        if suffix not in self._readers:
            reader = body_reader_for(name)
            if reader is None:
                raise FileNotFoundError(errno.ENOENT, "no body store writes such files", name)
            self._readers[suffix] = reader
        return self._readers[suffix]


def stored_result(row: dict[str, Any]) -> Result:
    """The Result that a row of `records` was made from, without what the ledger does not keep."""
    plain = {name: row[name] for name in PLAIN_FIELDS}
    for name, parse in _PARSERS.items():
        if plain[name] is not None:
            plain[name] = parse(plain[name])
    timing = Timing(**{phase: row[name] for phase, name in zip(PHASES, PHASE_FIELDS, strict=True)})
    headers, trailers = fields_of(row)
    if headers is None:
        validators = {"ETag": row["etag"], "Last-Modified": row["last_modified"]}
        headers = headers_of((name, value) for name, value in validators.items() if value is not None)
    hops, passed = hops_from_json(row["hops"]), row["passed"]
    return Result(**plain, timing=timing, headers=headers, hops=hops, trailers=trailers, passed=passed)

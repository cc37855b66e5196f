"""The tables of a ledger, and a Result as a row of one."""

from __future__ import annotations

import json
from itertools import chain, compress
from operator import not_
from typing import TYPE_CHECKING, Any

from multidict import istr

from fetchq.core.header_text import wire_text
from fetchq.core.model import PHASES, RECORD_FIELDS, Request, phase_values
from fetchq.core.timestamps import utc_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from multidict import MultiMapping

    from fetchq.core.model import Result

__all__ = ["APPLICATION", "COLUMNS", "FORMAT", "SCHEMA", "input_values", "inserts", "request_of", "row_of"]

APPLICATION = 0x46455451
"""What SQLite's header calls the program that a file belongs to."""
FORMAT = 1

_BLOCK = 64
"""Rows of one statement: with each the interpreter's lock changes hands, and a busy event loop wants it."""
_TYPES = {
    "index": "INTEGER PRIMARY KEY",
    "url": "TEXT NOT NULL",
    "method": "TEXT NOT NULL",
    "ok": "INTEGER NOT NULL",
    "status": "INTEGER",
    "attempts": "INTEGER NOT NULL",
    "redirects": "INTEGER NOT NULL",
    "size": "INTEGER NOT NULL",
    "wire_size": "INTEGER NOT NULL",
    "worker": "INTEGER",
    "mode": "TEXT NOT NULL",
    "elapsed": "REAL NOT NULL",
    "generation": "INTEGER NOT NULL",
}
"""The columns that are not just TEXT, those of the timing apart, which are all REAL."""
_PLAIN = tuple(name for name in RECORD_FIELDS if name != "timing")
COLUMNS = (*_PLAIN, *(f"timing_{phase}" for phase in PHASES), "etag", "last_modified", "generation")
"""The columns of `records`, in order."""


def _columns(index: str) -> str:
    types = {f"timing_{phase}": "REAL" for phase in PHASES} | _TYPES | {"index": index}
    return ", ".join(f'"{name}" {types.get(name, "TEXT")}' for name in COLUMNS)


SCHEMA = f"""
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE records ({_columns("INTEGER PRIMARY KEY")}) STRICT;
CREATE INDEX failed ON records (cause) WHERE cause IS NOT NULL;
CREATE TABLE history ({_columns("INTEGER NOT NULL")}, PRIMARY KEY ("index", generation)) STRICT, WITHOUT ROWID;
CREATE TABLE again ("index" INTEGER PRIMARY KEY) STRICT;
CREATE TABLE input ("index" INTEGER PRIMARY KEY, url TEXT NOT NULL, method TEXT, headers TEXT NOT NULL, body BLOB,
    label TEXT, problem TEXT, priority INTEGER NOT NULL) STRICT;
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {FORMAT};
"""
_ETAG = istr("ETag")
_LAST_MODIFIED = istr("Last-Modified")


def row_of(result: Result, generation: int) -> tuple[Any, ...]:
    """The values of `COLUMNS`."""
    started = result.started
    headers = result.headers
    return (
        result.index,
        result.url,
        result.final_url,
        result.method,
        result.label,
        1 if result.ok else 0,
        result.status,
        result.reason,
        None if result.cause is None else result.cause.value,
        result.error,
        result.attempts,
        result.redirects,
        result.size,
        result.wire_size,
        result.sha256,
        result.content_type,
        result.charset,
        result.content_encoding,
        None if result.complete is None else result.complete.value,
        result.path,
        result.worker,
        result.mode,
        result.http_version,
        result.remote,
        None if started is None else utc_text(started),
        result.elapsed,
        *phase_values(result.timing),
        _header(headers, _ETAG),
        _header(headers, _LAST_MODIFIED),
        generation,
    )


def _header(headers: MultiMapping[str], name: str) -> str | None:
    """Readable, if need be as Latin-1: an escape would be another value, and in ASCII."""
    value = headers.get(name)
    return None if value is None else wire_text(value)


def input_values(request: Request) -> tuple[Any, ...]:
    """The values of a row of `input`."""
    headers = json.dumps(request.headers)
    return (
        request.index,
        request.url,
        request.method,
        headers,
        request.body,
        request.label,
        request.problem,
        request.priority,
    )


def request_of(values: Sequence[Any]) -> Request:
    """The Request that a row of `input` was made from."""
    index, url, method, headers, body, label, problem, priority = values
    pairs = tuple((name, value) for name, value in json.loads(headers))
    return Request(url, index, method, pairs, body, label, problem, priority=priority)


def inserts(table: str, rows: Sequence[tuple[Any, ...]]) -> Iterator[tuple[str, list[Any]]]:
    """The statements, and their values, that put rows into a table, in place of those with the same number.

    Columns without a value in any row of a statement are written as NULL there: of each None that it is handed,
    sqlite3 looks for an adapter. Some seven columns of a good record are empty, and a commit took 1.4 times as long.
    """
    for first in range(0, len(rows), _BLOCK):
        block = rows[first : first + _BLOCK]
        columns = [*zip(*block, strict=True)]
        empty = [column.count(None) == len(block) for column in columns]
        row = f"({', '.join('NULL' if none else '?' for none in empty)})"
        given = zip(*compress(columns, map(not_, empty)), strict=True)
        yield f"INSERT OR REPLACE INTO {table} VALUES {', '.join([row] * len(block))}", [*chain.from_iterable(given)]  # noqa: S608  # only marks

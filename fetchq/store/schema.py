"""Defines the tables of a ledger, and turns Results and Requests into their rows."""

from __future__ import annotations

import json
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any
from zlib import crc32

import orjson

from fetchq.core.lazy_headers import field_reader
from fetchq.core.model import Request, kept_headers, kept_passed
from fetchq.core.passed_columns import passed_text
from fetchq.core.record_fields import PHASE_FIELDS, PLAIN_FIELDS
from fetchq.core.redirect_hop import hops_to_json
from fetchq.core.text import without_surrogates

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fetchq.core.model import Result
    from fetchq.core.record_fields import RecordField

__all__ = [
    "APPLICATION",
    "CHECKED",
    "COLUMNS",
    "FORMAT",
    "HEADERS",
    "HEADER_COLUMNS",
    "INDEXED",
    "MAX_INDEX",
    "SCHEMA",
    "checksum_of",
    "input_values",
    "request_of",
    "row_of",
    "sealed",
    "utc_text",
]

APPLICATION = 0x46455451
"""The application_id in the header of the SQLite file."""
FORMAT = 5
"""The user_version in the header. It goes up with every change of a table."""

_SQL_TYPES = {bool: "INTEGER", int: "INTEGER", float: "REAL"}
"""The types of columns that are not TEXT."""
_VALIDATORS = {"etag": "ETag", "last_modified": "Last-Modified"}
"""The columns for the validators of a later conditional request, and their header fields (RFC 9110, 8.8)."""
COLUMNS = (*PLAIN_FIELDS, *PHASE_FIELDS, "hops", "passed", *_VALIDATORS, "generation")
"""The columns of `records`, in order. `hops`: the redirects as JSON (`hops_to_json`); `passed`: a JSON object."""

HEADER_COLUMNS = {
    "fields": '(SELECT fields FROM headers WHERE headers."index" = records."index")',
    "trailers": '(SELECT trailers FROM headers WHERE headers."index" = records."index")',
}
"""The columns of `headers` as SQL expressions for each row of `records`."""


def _columns(index: str) -> str:
    """The definitions of `COLUMNS`. `index`: the type of the first one."""
    plain = [
        f'"{name}" {_SQL_TYPES.get(field.kind, "TEXT")}{"" if field.nullable else " NOT NULL"}'
        for name, field in PLAIN_FIELDS.items()
    ]
    phases = [f'"{name}" REAL' for name in PHASE_FIELDS]
    added = ['"hops" TEXT', '"passed" TEXT', '"etag" TEXT', '"last_modified" TEXT', '"generation" INTEGER NOT NULL']
    return ", ".join([f'"index" {index}', *plain[1:], *phases, *added])


SCHEMA = f"""
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL, checksum INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE records ({_columns("INTEGER PRIMARY KEY")}, checksum INTEGER NOT NULL) STRICT;
CREATE INDEX failed ON records (cause) WHERE cause IS NOT NULL;
CREATE TABLE history ({_columns("INTEGER NOT NULL")}, checksum INTEGER NOT NULL,
    PRIMARY KEY ("index", generation)) STRICT, WITHOUT ROWID;
CREATE TABLE again ("index" INTEGER PRIMARY KEY) STRICT;
CREATE TABLE input ("index" INTEGER PRIMARY KEY, url TEXT NOT NULL, method TEXT, headers TEXT NOT NULL, body BLOB,
    label TEXT, problem TEXT, priority INTEGER NOT NULL, body_checksum TEXT, filename TEXT, passed TEXT,
    checksum INTEGER NOT NULL) STRICT;
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {FORMAT};
"""

HEADERS = """
CREATE TABLE headers ("index" INTEGER PRIMARY KEY, fields BLOB NOT NULL, trailers BLOB, checksum INTEGER NOT NULL)
    STRICT;
"""
"""The table that a run has, too, if it keeps headers (`save_headers`). It is checked like those in `CHECKED`."""


CHECKED = ("meta", "records", "history", "input")
"""The tables whose rows end with their `checksum`."""
INDEXED = ("records", "history", "again", "input")
"""The tables whose rows have the `index` of a row of the list."""
MAX_INDEX = 2_000_000_000
"""A greater one is damage: a set of rows takes a bit for each up to the greatest."""


def checksum_of(values: Sequence[Any]) -> int:
    """The checksum of a row, since SQLite does not notice a flipped bit in a value. Raises TypeError for surrogates."""
    return crc32(orjson.dumps(values, default=bytes.hex))


def sealed(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The values of a row as SQLite takes them, without surrogates, and their checksum."""
    try:
        return *values, checksum_of(values)
    except TypeError:
        values = tuple(map(without_surrogates, values))
        return *values, checksum_of(values)


def utc_text(when: datetime) -> str:
    """A time in UTC as RFC 3339 writes it, with a Z. orjson takes a quarter of the time of `datetime.isoformat`."""
    return orjson.dumps(when, option=orjson.OPT_UTC_Z)[1:-1].decode()


def _value(name: str, field: RecordField) -> str:
    """The Python expression for the value of a column, from the variable `result`, or `timing` for a phase."""
    value = f"timing.{name.removeprefix('timing_')}" if name in PHASE_FIELDS else f"result.{name}"
    if field.kind is bool:
        return f"1 if {value} else 0"
    if field.kind is float:
        converted = f"0.0 + {value}"  # of an int, SQLite would make a float, which has another checksum
    elif field.kind is datetime:
        converted = f"dumps({value}, option=utc)[1:-1].decode()"
    elif issubclass(field.kind, Enum):
        converted = f"{value}.value"
    else:
        return value
    return f"None if {value} is None else {converted}" if field.nullable else converted


def _row_function() -> Callable[[Result, int], tuple[Any, ...]]:
    """Generate `row_of` from the fields, so that a row needs no function call for each of them."""
    values = [_value(name, field) for name, field in (PLAIN_FIELDS | PHASE_FIELDS).items()]
    hops = "hops_to_json(result.hops) if result.hops else None"
    passed = "None if (kept := kept_passed(result)) is None else kept if type(kept) is str else passed_text(kept)"
    values += [hops, passed, "*validators(kept_headers(result))", "generation"]
    source = f"""
def row_of(result, generation):
    timing = result.timing
    values = ({", ".join(values)})
    try:
        return *values, crc32(dumps(values))
    except TypeError:
        return sealed(values)
"""
    scope: dict[str, Any] = {"dumps": orjson.dumps, "utc": orjson.OPT_UTC_Z, "crc32": crc32, "sealed": sealed}
    scope |= {"hops_to_json": hops_to_json, "kept_passed": kept_passed, "passed_text": passed_text}
    scope |= {"kept_headers": kept_headers, "validators": field_reader(*_VALIDATORS.values())}
    exec(source, scope)  # noqa: S102  # only field names go in
    function: Callable[[Result, int], tuple[Any, ...]] = scope["row_of"]
    return function


row_of = _row_function()
"""The values of `COLUMNS` for a Result and the generation of the run, and their checksum."""


def input_values(request: Request) -> tuple[Any, ...]:
    """The values of a row of `input` for a Request."""
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
        request.checksum,
        request.filename,
        request.passed,
    )


def request_of(values: Sequence[Any]) -> Request:
    """The Request that a row of `input` was made from."""
    index, url, method, headers, body, label, problem, priority, checksum, filename, passed, _ = values
    pairs = tuple((name, value) for name, value in json.loads(headers))
    return Request(
        url,
        index,
        method,
        pairs,
        body,
        label,
        problem,
        priority=priority,
        checksum=checksum,
        filename=filename,
        passed=passed,
    )

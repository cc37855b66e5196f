"""Writes records as Apache Parquet: typed columns, in row groups of a thousand records, compressed with Zstandard."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, BinaryIO

import pyarrow
from pyarrow.parquet import ParquetWriter

from fetchq.core.header_text import wire_text
from fetchq.core.model import PHASES
from fetchq.core.record_fields import PHASE_FIELDS, PLAIN_FIELDS, RecordField
from fetchq.core.redirect_hop import HopTiming
from fetchq.core.text import without_surrogates
from fetchq.store.sinks.passed_values import passed_headings, passed_texts

if TYPE_CHECKING:
    from multidict import MultiMapping

__all__ = ["FIELD_LIST", "HOPS_COLUMN", "RECORD_SCHEMA", "ROW_GROUP", "ParquetRecords", "field_list", "record_arrays"]

ROW_GROUP = 1000
"""The number of records in a row group, which is kept in memory until it is written."""

_TYPES = {
    bool: pyarrow.bool_(),
    int: pyarrow.int64(),
    float: pyarrow.float64(),
    datetime: pyarrow.timestamp("us", tz="UTC"),
}
"""The types of the columns that are not texts."""
_SMALL = frozenset(("status", "attempts", "redirects", "worker"))
"""Columns whose whole numbers fit into 32 bits."""


def _column(name: str, field: RecordField) -> pyarrow.Field:
    kind = pyarrow.int32() if name in _SMALL else _TYPES.get(field.kind, pyarrow.string())
    return pyarrow.field(name, kind, field.nullable)


RECORD_SCHEMA = pyarrow.schema([_column(name, field) for name, field in (PLAIN_FIELDS | PHASE_FIELDS).items()])
"""The columns of a record, with `timing` as timing_queued to timing_store, as in CSV and in the ledger."""

FIELD_LIST = pyarrow.list_(pyarrow.struct([("name", pyarrow.string()), ("value", pyarrow.string())]))
"""The type of header and trailer fields, in the order of the response."""


def field_list(fields: MultiMapping[str] | None) -> list[dict[str, str]] | None:
    """The value of header or trailer fields in a column of the type `FIELD_LIST`."""
    if fields is None:
        return None
    return [{"name": wire_text(name), "value": wire_text(value)} for name, value in fields.items()]


_HOP_TIMING = pyarrow.struct([(one.name, pyarrow.float64()) for one in fields(HopTiming)])
_HOP = pyarrow.struct(
    [
        ("status", pyarrow.int32()),
        ("url", pyarrow.string()),
        ("elapsed", pyarrow.float64()),
        ("timing", _HOP_TIMING),
    ]
)
HOPS_COLUMN = pyarrow.field("hops", pyarrow.list_(_HOP), nullable=False)
"""The redirects that were followed."""
_INCLUDED = {
    "hops": (HOPS_COLUMN,),
    "headers": (pyarrow.field("headers", FIELD_LIST, nullable=False), pyarrow.field("trailers", FIELD_LIST)),
}
"""The columns for each of the values of `include`."""


def record_arrays(records: Sequence[dict[str, Any]]) -> list[pyarrow.Array]:
    """The arrays of the columns of `RECORD_SCHEMA`, for these records."""
    columns = [
        [_time(record[name]) if field.kind is datetime else record[name] for record in records]
        for name, field in PLAIN_FIELDS.items()
    ]
    columns += [[record["timing"][phase] for record in records] for phase in PHASES]
    return [_array(values, type_) for values, type_ in zip(columns, RECORD_SCHEMA.types, strict=True)]


class ParquetRecords:
    """Writes records to a stream, which need not be seekable. `close` completes the file."""

    def __init__(self, stream: BinaryIO, include: Sequence[str] = (), passed: Sequence[str] = ()) -> None:
        self._stream = _DiscardableStream(stream)
        self._passed = passed
        self._included = [column for what in include for column in _INCLUDED[what]]
        added = [pyarrow.field(name, pyarrow.string()) for name in passed_headings(passed)]
        self._schema = pyarrow.schema([*RECORD_SCHEMA, *added, *self._included])
        self._writer = ParquetWriter(self._stream, self._schema, compression="zstd")
        self._waiting: list[dict[str, Any]] = []

    def write_records(self, records: Iterable[dict[str, Any]]) -> None:
        for record in records:
            self._waiting.append(record)
            if len(self._waiting) == ROW_GROUP:
                self._write()

    def flush(self) -> None:
        """Do nothing, since a row group is written when it is full."""

    def close(self, *, whole: bool = True) -> None:
        if not whole:
            self._stream.discards = True
        elif self._waiting:
            self._write()
        self._writer.close()

    def _write(self) -> None:
        records, self._waiting = self._waiting, []
        arrays = record_arrays(records)
        if self._passed:
            rows = [passed_texts(record, self._passed) for record in records]
            arrays += [_array(list(column), pyarrow.string()) for column in zip(*rows, strict=True)]
        for column in self._included:
            values = [record.get(column.name) for record in records]
            if column.type == FIELD_LIST:
                values = [_field_list(lists) for lists in values]
            arrays.append(_array(values, column.type))
        batch = pyarrow.record_batch(arrays, schema=self._schema)
        self._writer.write_batch(batch, row_group_size=ROW_GROUP)


def _field_list(lists: dict[str, list[str]] | None) -> list[dict[str, str]] | None:
    """The value of fields in a record (`header_lists`) in a column of the type `FIELD_LIST`."""
    if lists is None:
        return None
    return [{"name": name, "value": value} for name, values in lists.items() for value in values]


class _DiscardableStream(io.RawIOBase):
    """Passes pyarrow's output on, or discards it, since pyarrow writes the end even of a file that was given up."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.discards = False

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if not self.discards:
            self._stream.write(data)
        return len(data)


def _array(values: list[Any], type_: pyarrow.DataType) -> pyarrow.Array:
    try:
        return pyarrow.array(values, type_)
    except UnicodeEncodeError:
        return pyarrow.array(without_surrogates(values), type_)


def _time(value: datetime | str | None) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) else value

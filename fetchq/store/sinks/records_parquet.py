"""Records as Apache Parquet: typed columns, row groups of a thousand records, Zstandard."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, BinaryIO

import pyarrow
from pyarrow.parquet import ParquetWriter

from fetchq.core.model import PHASES, RECORD_FIELDS
from fetchq.core.text import without_surrogates

__all__ = ["RECORD_SCHEMA", "ROW_GROUP", "ParquetRecords", "record_arrays"]

ROW_GROUP = 1000
"""Records in a row group: what is held in memory at a time."""

_INT = pyarrow.int64()
_TYPES = {
    **dict.fromkeys(("index", "size", "wire_size"), _INT),
    **dict.fromkeys(("status", "attempts", "redirects", "worker"), pyarrow.int32()),
    "ok": pyarrow.bool_(),
    "started": pyarrow.timestamp("us", tz="UTC"),
    "elapsed": pyarrow.float64(),
}
"""The columns that are no texts, those of the timing apart, which are all numbers of seconds."""
_NEVER_NULL = frozenset(
    ("index", "url", "method", "ok", "attempts", "redirects", "size", "wire_size", "mode", "elapsed")
)
_PLAIN = tuple(name for name in RECORD_FIELDS if name != "timing")


RECORD_SCHEMA = pyarrow.schema(
    [
        *(pyarrow.field(name, _TYPES.get(name, pyarrow.string()), name not in _NEVER_NULL) for name in _PLAIN),
        *(pyarrow.field(f"timing_{phase}", pyarrow.float64(), phase == "tls") for phase in PHASES),
    ]
)
"""The columns of a record; `timing` becomes timing_queued to timing_store, as in CSV and in the ledger."""


def record_arrays(records: Sequence[dict[str, Any]]) -> list[pyarrow.Array]:
    """The columns of `RECORD_SCHEMA`, filled with these records."""
    columns = [[record[name] for record in records] for name in _PLAIN]
    columns += [[record["timing"][phase] for record in records] for phase in PHASES]
    started = _PLAIN.index("started")
    columns[started] = [_moment(value) for value in columns[started]]
    return [_array(values, type_) for values, type_ in zip(columns, RECORD_SCHEMA.types, strict=True)]


class ParquetRecords:
    """Writes records to a stream, which need not be seekable. The file is whole once this is closed."""

    def __init__(self, stream: BinaryIO) -> None:
        self._gate = _Gate(stream)
        self._writer = ParquetWriter(self._gate, RECORD_SCHEMA, compression="zstd")
        self._waiting: list[dict[str, Any]] = []

    def write_records(self, records: Iterable[dict[str, Any]]) -> None:
        for record in records:
            self._waiting.append(record)
            if len(self._waiting) == ROW_GROUP:
                self._write()

    def flush(self) -> None:
        """There is nothing to hand on before a row group is full."""

    def close(self, *, whole: bool = True) -> None:
        if not whole:
            self._gate.shut = True
        elif self._waiting:
            self._write()
        self._writer.close()

    def _write(self) -> None:
        records, self._waiting = self._waiting, []
        batch = pyarrow.record_batch(record_arrays(records), schema=RECORD_SCHEMA)
        self._writer.write_batch(batch, row_group_size=ROW_GROUP)


class _Gate(io.RawIOBase):
    """Between pyarrow and the stream: pyarrow ends every file as if it were whole, also when it is thrown away."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.shut = False

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if not self.shut:
            self._stream.write(data)
        return len(data)


def _array(values: list[Any], type_: pyarrow.DataType) -> pyarrow.Array:
    try:
        return pyarrow.array(values, type_)
    except UnicodeEncodeError:
        return pyarrow.array(without_surrogates(values), type_)


def _moment(started: datetime | str | None) -> datetime | None:
    return datetime.fromisoformat(started) if isinstance(started, str) else started

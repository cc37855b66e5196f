"""Stores records, headers and bodies in Parquet files, which DuckDB, pandas and Spark read as a table.

The files are parquet/part-00000.parquet, 00001 and so on. The columns are the fields of the record, with `timing` as
timing_queued to timing_store; then `headers` and `trailers`, lists of names and values in the order of the response
(null without trailers); `hops`, the redirects that were followed; `passed`, as JSON; `body`, null if none was stored;
and `generation`, as in the ledger: of several records of a row, that of the greatest one counts. `path` is the file
and, after #, the row in it, from 0: `parquet/part-00000.parquet#17`. A duplicate row (`--dedupe`) has the `path` of the
row that was fetched, and no body.
A body of more than 16 MB is in a part of its own, without compression (`large_parquet`).

A Parquet file can only be read when it is complete. A part is written in the temporary folder, and its rows are done
when it has its final name. After a kill, the rows of the incomplete part are fetched again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from operator import attrgetter
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from fetchq.core.body_spool import TEMPORARY_FOLDER
from fetchq.core.disk import file_error_text, make_folder, open_private, sync_folder
from fetchq.core.fast_dataclass import fast_replacer
from fetchq.core.kept_bytes import kept_bytes
from fetchq.core.lazy_headers import parsed
from fetchq.core.model import Cause, Result, kept_headers, kept_passed, phase_values
from fetchq.core.passed_columns import passed_text
from fetchq.core.record_fields import PLAIN_FIELDS
from fetchq.core.redirect_hop import hop_records
from fetchq.core.text import without_surrogates
from fetchq.store.sinks.large_parquet import LARGE_BODY, write_row
from fetchq.store.sinks.records_parquet import FIELD_LIST, HOPS_COLUMN, RECORD_SCHEMA, field_list
from fetchq.store.sinks.stored import mark_not_stored

if TYPE_CHECKING:
    from fetchq.core.row_set import RowSet

__all__ = ["ParquetStore"]

GROUP_ROWS = 1000
GROUP_SIZE = 16_000_000
"""The most rows and bytes in a row group, which is in memory. A larger body has a part of its own."""
PART_ROWS = 10_000
PART_SIZE = 256_000_000
"""The rows, and the bytes of bodies, at which a part is full."""
PART_HELD = 32_000_000
"""A part is also full when its Results take so many bytes of memory, with their headers (`kept_bytes`)."""
PART_SECONDS = 10.0
"""The age in seconds at which a part is finished even if it is not full."""
_COPIES = 4
"""How often the headers and long texts of a row are in memory while its row group is written."""
_BATCH = 4
"""After so many values, pyarrow looks whether a page is full, of which it holds two copies in memory."""
LARGEST = 2**31 - 2**20
"""The most bytes of a body, since the size of a value is a signed 32-bit integer in Parquet."""
_PARQUET = "parquet"
_NAME = re.compile(r"part-(\d{5,})\.parquet")
_with_path = fast_replacer(Result, "path", "_spool")
_plain_values = attrgetter(*PLAIN_FIELDS)
SCHEMA = pa.schema(
    [
        *RECORD_SCHEMA,
        pa.field("headers", FIELD_LIST, nullable=False),
        pa.field("trailers", FIELD_LIST),
        HOPS_COLUMN,
        pa.field("passed", pa.string()),
        pa.field("body", pa.binary()),
        pa.field("generation", pa.int32(), nullable=False),
    ]
)
_COUNTED = [name for name in SCHEMA.names if name not in ("headers", "trailers", "hops", "passed", "body")]
"""Columns for which the file has statistics (minimum and maximum)."""
_REPEATED = ["method", "label", "reason", "cause", "error", "content_type", "charset", "content_encoding", "complete"]
_REPEATED += ["mode", "http_version", "remote", "headers.list.element.name", "headers.list.element.value"]
"""Columns with few distinct values, which are dictionary-encoded."""


class ParquetStore:
    """Stores bodies in parts, and keeps Results back until their part is complete."""

    def __init__(self, root: Path, generation: int) -> None:
        self._root = root
        self._folder = root / _PARQUET
        self._temporary = root / TEMPORARY_FOLDER
        self._generation = generation
        self._number = 0
        """The number of the next part, and so the number of complete parts."""
        self._part: _Part | None = None

    def restore(self, state: Any, done: RowSet) -> None:
        self._number = 0 if state is None else state["parts"]
        make_folder(self._folder)
        sync_folder(self._root)
        for path in self._folder.iterdir():
            found = _NAME.fullmatch(path.name)
            if found and int(found[1]) >= self._number:
                path.unlink()

    def store(self, results: Sequence[Result]) -> list[Result]:
        safe: list[Result] = []
        large: list[Result] = []
        for result in results:
            if result.cause is Cause.CANCELLED:  # its row is not done, so that a resumed run fetches it
                safe.append(result)
            elif LARGE_BODY < result.size <= LARGEST and result._spool is not None and _has_body(result):
                large.append(result)
            else:
                safe += self._add(result)
        for result in large:
            safe += self.finish() + self._store_large(result)
        if self._part is not None and self._part.old():
            safe += self.finish()
        return safe

    def _add(self, result: Result) -> list[Result]:
        """Add a Result to the part. Returns those that are safe if it is full now."""
        if self._part is None:
            name = self._next_name()
            self._part = _Part(self._temporary / name, f"{_PARQUET}/{name}", self._generation)
        self._part.add(result)
        return self.finish() if self._part.full() else []

    def _store_large(self, result: Result) -> list[Result]:
        """Store a Result in a part of its own. Returns what is safe then."""
        spool = result._spool
        assert spool is not None
        name = self._next_name()
        kept = _with_path(result, f"{_PARQUET}/{name}#0", None)
        try:
            write_row(self._temporary / name, _table([kept], [None], self._generation), spool)
        except OSError as problem:
            return self._add(mark_not_stored(result, file_error_text(problem)))
        finally:
            spool.discard()
        self._place(self._temporary / name)
        return [kept]

    def finish(self) -> list[Result]:
        part = self._part
        if part is None:
            return []
        part.finish()
        self._place(part.path)
        self._part = None
        return part.results

    def _next_name(self) -> str:
        return f"part-{self._number:05d}.parquet"

    def _place(self, path: Path) -> None:
        """Give a part that is whole its place among the others."""
        os.replace(path, self._folder / path.name)
        sync_folder(self._folder)
        self._number += 1

    def state(self) -> dict[str, int]:
        return {"parts": self._number}

    def close(self) -> None:
        if self._part is not None:
            self._part.give_up()
            self._part = None


class _Part:
    """A file that is being written. It contains `results`; others wait until their row group is full."""

    def __init__(self, path: Path, shown: str, generation: int) -> None:
        self.path = path
        self.results: list[Result] = []
        self._shown = shown
        self._generation = generation
        self._began = perf_counter()
        self._waiting: list[Result] = []
        self._waiting_size = self._size = self._held = 0
        # Buffered, since pyarrow assumes that each write takes all bytes.
        self._file = open(path, "xb", opener=open_private)  # noqa: SIM115  # it outlives this call
        self._writer = pq.ParquetWriter(
            self._file,
            SCHEMA,
            compression="zstd",
            use_dictionary=_REPEATED,
            write_statistics=_COUNTED,
            write_batch_size=_BATCH,
        )

    def add(self, result: Result) -> None:
        """Add a Result. Raises OSError if the file cannot be written."""
        size = 0 if result.sha256 is None or result._duplicate_of is not None else result.size
        if size > LARGEST and result._spool is not None:
            result._spool.discard()
            result = mark_not_stored(result, f"a body of {size} bytes, which is more than Parquet can hold")
            size = 0
        held = kept_bytes(result) - (0 if result._spool is None else result._spool.in_memory)
        waiting = size + _COPIES * (held - len(result.body))
        if self._waiting_size + waiting > GROUP_SIZE:
            self._write_group()
        self._waiting.append(result)
        self._waiting_size += waiting
        self._size += size
        self._held += held
        if len(self._waiting) >= GROUP_ROWS or self._waiting_size >= GROUP_SIZE:
            self._write_group()

    def full(self) -> bool:
        rows = len(self.results) + len(self._waiting)
        return rows >= PART_ROWS or self._size >= PART_SIZE or self._held >= PART_HELD

    def old(self) -> bool:
        return perf_counter() - self._began >= PART_SECONDS

    def finish(self) -> None:
        """Write the waiting Results and the end of the file, and sync it to the disk. Raises OSError."""
        self._write_group()
        self._writer.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def give_up(self) -> None:
        for result in self._waiting:
            if result._spool is not None:
                result._spool.discard()
        with suppress(OSError):
            self._file.close()
        # Otherwise its destructor would try to write the end of the file, which is closed.
        self._writer.is_open = False
        self.path.unlink(missing_ok=True)

    def _write_group(self) -> None:
        if not self._waiting:
            return
        bodies: list[bytes | None] = []
        for result in self._waiting:
            try:
                body = _body_of(result)
                path = result.path if body is None else f"{self._shown}#{len(self.results)}"
                kept = _with_path(result, path, None)
            except OSError as problem:
                body, kept = None, mark_not_stored(result, file_error_text(problem))
            except MemoryError:
                body, kept = None, mark_not_stored(result, "there is not enough memory for its row group")
            bodies.append(body)
            self.results.append(kept)
        fresh = self.results[-len(self._waiting) :]
        self._writer.write_table(_table(fresh, bodies, self._generation))
        for result in self._waiting:
            if result._spool is not None:
                result._spool.discard()
        self._waiting, self._waiting_size = [], 0


def _body_of(result: Result) -> bytes | None:
    """The body; None if the row has none. Raises OSError."""
    if not _has_body(result):
        return None
    if result._spool is None:
        return result.body
    content = result._spool.content()
    return Path(result._spool.path()).read_bytes() if content is None else content


def _has_body(result: Result) -> bool:
    """Whether its body is complete, and to be stored in its row."""
    return result.sha256 is not None and result.cause is not Cause.STORE and result._duplicate_of is None


def _table(results: Sequence[Result], bodies: list[bytes | None], generation: int) -> pa.Table:
    """A table with a row for each Result."""
    columns = [list(column) for column in zip(*map(_plain_values, results), strict=True)]
    columns += [list(column) for column in zip(*(phase_values(result.timing) for result in results), strict=True)]
    # The headers stay unparsed in the Results, which wait for the end of their part.
    columns.append([field_list(parsed(kept_headers(result))) for result in results])
    columns.append([field_list(result.trailers) for result in results])
    columns.append([hop_records(result.hops) for result in results])
    columns.append([None if (kept := kept_passed(result)) is None else passed_text(kept) for result in results])
    try:
        arrays = [pa.array(column, kind) for column, kind in zip(columns, SCHEMA.types, strict=False)]
    except UnicodeEncodeError:  # lone surrogates stand for bytes of a command line that are not UTF-8
        columns = [without_surrogates(column) for column in columns]
        arrays = [pa.array(column, kind) for column, kind in zip(columns, SCHEMA.types, strict=False)]
    arrays += [_binary(bodies), pa.array([generation] * len(results), pa.int32())]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def _binary(bodies: list[bytes | None]) -> pa.Array:
    body = bodies[0] if len(bodies) == 1 else None
    if body is None:
        return pa.array(bodies, pa.binary())
    # A large body, which is alone in its group, is not copied in this way.
    offsets = pa.array([0, len(body)], pa.int32()).buffers()[1]
    return pa.Array.from_buffers(pa.binary(), 1, [None, offsets, pa.py_buffer(body)])

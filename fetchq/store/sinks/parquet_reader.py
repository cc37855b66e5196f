"""Reads bodies from the Parquet files in which `bodies_parquet` has stored them."""

from __future__ import annotations

import errno
import threading
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from fetchq.core.disk import file_identity
from fetchq.core.stored_response import OpenedBody
from fetchq.store.sinks.large_parquet import pieces_in_place

__all__ = ["PartReader"]

_MOST_CACHED = 16_000_000
"""The most bytes of a row group that is cached."""
_PIECE = 262_144


class _Group(NamedTuple):
    """The bodies of one row group."""

    file: tuple[int, int] | None
    rows: range
    bodies: pa.ChunkedArray


class PartReader:
    """Reads bodies from parts. Any thread may use it.

    A row group can only be read as a whole, and bodies are mostly read in order. So the last groups are cached, except
    for large ones.
    """

    def __init__(self) -> None:
        self._groups: deque[_Group] = deque(maxlen=2)
        self._lock = threading.Lock()

    @contextmanager
    def opened(self, path: Path, row: int) -> Iterator[OpenedBody]:
        """Open the body in a row of a part. Raises OSError."""
        body = self._body(path, row)
        if isinstance(body, memoryview):
            yield OpenedBody(bytes(body[at : at + _PIECE]) for at in range(0, len(body), _PIECE))
            return
        with closing(body):
            yield OpenedBody(body)

    def _body(self, path: Path, row: int) -> memoryview | Generator[bytes]:
        """The body in a row of a part, which is not copied; its pieces if it is large. Raises OSError."""
        file = file_identity(path)
        with self._lock:
            cached = next((one for one in self._groups if one.file == file and row in one.rows), None)
            try:
                found = cached or self._read(file, path, row)
                if isinstance(found, Generator):
                    return found
                return memoryview(found.bodies[row - found.rows.start].as_buffer())
            except (pa.ArrowException, AttributeError, KeyError, TypeError, ValueError) as problem:
                raise OSError(errno.EIO, "it is damaged", str(path)) from problem

    def _read(self, file: tuple[int, int] | None, path: Path, row: int) -> _Group | Generator[bytes]:
        first = 0
        with pq.ParquetFile(path) as part:
            for number in range(part.num_row_groups):
                rows = range(first, first + part.metadata.row_group(number).num_rows)
                if row in rows:
                    if (pieces := pieces_in_place(path, part, number)) is not None:
                        return pieces
                    group = _Group(file, rows, part.read_row_group(number, columns=["body"])["body"])
                    if group.bodies.nbytes <= _MOST_CACHED:
                        self._groups.append(group)
                    return group
                first = rows.stop
        raise OSError(errno.EIO, "there is no such row in it", str(path))

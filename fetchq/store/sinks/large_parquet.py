"""Writes and reads Parquet files of one row whose body is too large to be held in memory.

pyarrow holds a value three times in memory while it writes it. So it writes the row with an empty body, uncompressed,
and the body is put into that file, piece by piece: at the end of its column chunk, which is one page. The sizes and the
offsets in the header of the page and at the end of the file are increased by as much. The page has no checksum, and
there are no statistics of the body. (https://parquet.apache.org/docs/file-format/)
"""

from __future__ import annotations

import errno
import os
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from fetchq.core.disk import open_private
from fetchq.store.sinks.thrift_compact import Struct, read_struct, struct_bytes

if TYPE_CHECKING:
    from fetchq.core.body_spool import Spool

__all__ = ["LARGE_BODY", "pieces_in_place", "write_row"]

LARGE_BODY = 16_000_000
"""A body of more bytes gets a file of its own, without compression."""
_BODY = "body"
_PREFIX = 4
"""Bytes of the size, little-endian, before a value (the encoding PLAIN)."""
_TAIL = 8
"""Bytes after the metadata: their length, and PAR1."""
_PIECE = 262_144

# The ids of fields in parquet.thrift.
_PAGE_SIZES = (2, 3)  # PageHeader: uncompressed_page_size, compressed_page_size
_ROW_GROUPS = 4  # FileMetaData
_COLUMNS, _GROUP_SIZES, _GROUP_OFFSET = 1, (2, 6), 5  # RowGroup: total_byte_size, total_compressed_size
_CHUNK_OFFSET, _CHUNK = 2, 3  # ColumnChunk: file_offset, meta_data
_PATH, _CHUNK_SIZES = 3, (6, 7)  # ColumnMetaData: total_uncompressed_size, total_compressed_size
_PAGE_OFFSET, _OFFSETS = 9, (9, 10, 11, 14)  # of the data page, index page, dictionary page, bloom filter


def write_row(path: Path, row: pa.Table, spool: Spool) -> None:
    """Write a new file of this row, whose column `body` is empty and gets the body of the spool, and sync it.

    Raises OSError, for example if the spool cannot be read; then there is no file.
    """
    before, after = _around(_with_empty_body(row), spool.size)
    try:
        with open(path, "xb", buffering=0, opener=open_private) as file, closing(spool.pieces()) as pieces:
            _write(file, before)
            for piece in pieces:
                _write(file, piece)
            _write(file, after)
            os.fsync(file.fileno())
    except BaseException:  # raised again, whatever it is
        path.unlink(missing_ok=True)
        raise


def pieces_in_place(path: Path, part: pq.ParquetFile, group: int) -> Generator[bytes] | None:
    """The pieces of the body in a row group that `write_row` has written; None if it has not. Raises OSError."""
    found = part.metadata.row_group(group)
    chunks = (found.column(at) for at in range(found.num_columns))
    chunk = next(chunk for chunk in chunks if chunk.path_in_schema == _BODY)
    if found.num_rows != 1 or chunk.compression != "UNCOMPRESSED" or chunk.total_compressed_size <= LARGE_BODY:
        return None
    size = part.read_row_group(group, columns=["size"])["size"][0].as_py()
    return _pieces(path, chunk.data_page_offset + chunk.total_compressed_size - size, size)


def _with_empty_body(row: pa.Table) -> bytes:
    at = row.schema.get_field_index(_BODY)
    row = row.set_column(at, row.schema.field(at), pa.array([b""], pa.binary()))
    stream = pa.BufferOutputStream()
    pq.write_table(row, stream, compression="none", use_dictionary=False, write_statistics=False)
    return bytes(stream.getvalue())


def _around(data: bytes, size: int) -> tuple[bytes, bytes]:
    """What comes before and after a body of this size, from a file with an empty one."""
    end = len(data) - _TAIL
    begin = end - int.from_bytes(data[end : end + _PREFIX], "little")
    metadata, _ = read_struct(data, begin)
    (group,) = _items(metadata, _ROW_GROUPS)
    chunks = _items(group, _COLUMNS)
    body = next(chunk[_CHUNK][1] for chunk in chunks if _items(chunk[_CHUNK][1], _PATH) == [_BODY.encode()])
    page_at = body[_PAGE_OFFSET][1]
    body_at = page_at + body[_CHUNK_SIZES[1]][1]

    header, values_at = read_struct(data, page_at)
    _increase(header, _PAGE_SIZES, size)
    new_header = struct_bytes(header)
    more = size + len(new_header) - (values_at - page_at)
    _increase(group, _GROUP_SIZES, more)
    _increase(body, _CHUNK_SIZES, more)
    _move(group, (_GROUP_OFFSET,), page_at, more)
    for chunk in chunks:
        _move(chunk, (_CHUNK_OFFSET,), page_at, more)
        _move(chunk[_CHUNK][1], _OFFSETS, page_at, more)
    new_metadata = struct_bytes(metadata)
    before = data[:page_at] + new_header + data[values_at : body_at - _PREFIX] + size.to_bytes(_PREFIX, "little")
    return before, data[body_at:begin] + new_metadata + len(new_metadata).to_bytes(4, "little") + data[-4:]


def _items(struct: Struct, field: int) -> list[Any]:
    items: list[Any] = struct[field][1][1]
    return items


def _increase(struct: Struct, fields: tuple[int, ...], more: int) -> None:
    for field in fields:
        if field in struct:
            kind, value = struct[field]
            struct[field] = kind, value + more


def _move(struct: Struct, fields: tuple[int, ...], after: int, more: int) -> None:
    """Increase the offsets that are beyond `after`."""
    _increase(struct, tuple(field for field in fields if field in struct and struct[field][1] > after), more)


def _write(file: BinaryIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _pieces(path: Path, at: int, size: int) -> Generator[bytes]:
    with open(path, "rb") as file:
        file.seek(at - _PREFIX)
        if int.from_bytes(file.read(_PREFIX), "little") != size:
            raise OSError(errno.EIO, "it is damaged", str(path))
        while size and (piece := file.read(min(size, _PIECE))):
            size -= len(piece)
            yield piece
    if size:
        raise OSError(errno.EIO, "it is damaged", str(path))

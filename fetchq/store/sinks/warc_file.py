"""Writes and reads the files of a web archive: gzip members with one WARC record each, through warcio."""

from __future__ import annotations

import errno
import io
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from warcio.archiveiterator import ArchiveIterator
from warcio.exceptions import ArchiveLoadFailed
from warcio.recordloader import ArcWarcRecord
from warcio.warcwriter import WARCWriter

from fetchq._version import __version__
from fetchq.core.disk import PRIVATE_FILE
from fetchq.core.stored_response import BodyOrigin, OpenedBody

__all__ = ["ArchiveFile", "open_archived_body", "open_file"]

_PIECE = 262_144
"""Bytes that are read or written at a time."""
_LEVEL = 6
"""The compression level. warcio's level 9 takes four times as long for a body of 2 kB, and makes it no smaller."""
_ABOUT = {
    "software": f"fetchq/{__version__}",
    "format": "WARC File Format 1.1",
    "conformsTo": "http://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.1/",
    "description": "Responses hold the decoded body, with the headers that framed it as X-Crawler-...; requests leave "
    "out their body, and headers that may be secret.",
}


class ArchiveFile:
    """An archive file, open at its end, which serves as the output file of warcio's writer."""

    def __init__(self, path: Path, size: int) -> None:
        self._file = open_file(path, os.O_RDWR if size else os.O_RDWR | os.O_CREAT | os.O_EXCL)
        self._written = self._file.seek(size)
        self._waiting = bytearray()
        self._gzip = _gzip()
        self.writer = WARCWriter(self, gzip=False, warc_version="1.1")
        self.writer.NO_PAYLOAD_DIGEST_TYPES += ("request",)  # its payload is left out
        if not size:
            self.writer.write_record(self.writer.create_warcinfo_record(path.name, _ABOUT))

    @property
    def size(self) -> int:
        """The size in bytes, including those not written yet: between two records, the offset of the next one."""
        return self._written + len(self._waiting)

    def write(self, data: bytes) -> None:
        self._take(self._gzip.compress(data))

    def flush(self) -> None:
        """End a gzip member. warcio calls this at the end of each record, and nowhere else."""
        self._take(self._gzip.flush())
        self._gzip = _gzip()

    def cut(self, size: int) -> None:
        """Discard everything after the first `size` bytes."""
        self._gzip = _gzip()
        del self._waiting[max(0, size - self._written) :]
        if size < self._written:
            self._file.truncate(size)
            self._written = self._file.seek(size)

    def sync(self) -> None:
        self._write()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()

    def _take(self, compressed: bytes) -> None:
        self._waiting += compressed
        if len(self._waiting) >= _PIECE:
            self._write()

    def _write(self) -> None:
        with memoryview(self._waiting) as waiting:
            at = 0
            while at < len(waiting):
                at += self._file.write(waiting[at:])
        self._written += at
        self._waiting.clear()


def _gzip() -> Any:
    return zlib.compressobj(_LEVEL, zlib.DEFLATED, zlib.MAX_WBITS + 16)


def open_file(path: Path, flags: int) -> io.FileIO:
    """Open a file, but not a symbolic link if the system can refuse it. Raises OSError, with the path."""
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    return io.FileIO(str(path), "r+", opener=lambda name, _: os.open(name, flags, PRIVATE_FILE))


@contextmanager
def open_archived_body(path: Path, offset: int) -> Iterator[OpenedBody]:
    """Open the body of the record at `offset`. Raises OSError, also while the body is read."""
    with path.open("rb") as file:
        file.seek(offset)
        member = io.BufferedReader(_Member(file))
        try:
            record = next(iter(ArchiveIterator(member, no_record_parse=True)))
            head = None if record.rec_type == "resource" else b"".join(_head_of(record))
            header = record.rec_headers.get_header
            # The head of a revisit record came without a body.
            kept_head = head if record.rec_type == "response" else None
            yield OpenedBody(
                _body_of(record, member), BodyOrigin(header("WARC-Date"), header("WARC-IP-Address"), kept_head)
            )
        except (StopIteration, EOFError, ArchiveLoadFailed, zlib.error) as problem:
            raise OSError(errno.EIO, "there is no such record in the archive", str(path)) from problem


class _Member(io.RawIOBase):
    """Decompresses one gzip member, since warcio does not report damage, or only on stderr."""

    def __init__(self, file: io.BufferedReader) -> None:
        self._file = file
        self._gzip = zlib.decompressobj(zlib.MAX_WBITS + 16)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Raises EOFError and zlib.error, also at the end of the member, which has a checksum."""
        piece = b""
        while not piece and not self._gzip.eof:
            data = self._gzip.unconsumed_tail or self._file.read1()
            if not data:
                raise EOFError
            piece = self._gzip.decompress(data, len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)


def _head_of(record: ArcWarcRecord) -> Iterator[bytes]:
    """The lines of the HTTP head, byte for byte, with the empty line that ends it. warcio would change them."""
    while line := record.raw_stream.readline():
        yield line
        if line == b"\r\n":
            return


def _body_of(record: ArcWarcRecord, member: BinaryIO) -> Iterator[bytes]:
    yield from iter(partial(record.raw_stream.read, _PIECE), b"")
    while member.read(_PIECE):
        pass  # read to the end, which has a checksum

"""Stores bodies in web archives (`--save warc`): WARC 1.1 (ISO 28500:2017), written with warcio.

The files are warc/00000.warc.gz, 00001.warc.gz and so on, of about 1 GB. A file begins with a `warcinfo` record; each
row with a complete response, whatever its status, adds a `response` and a `request` record. `path` is the file and,
after #, the offset of the response in it: `warc/00000.warc.gz#1234`. Each record is a gzip member of its own, so that
reading can begin there.

A response record holds the head as the server sent it and the *decoded* body. Where decoding has changed the body,
header fields that would be wrong for it are renamed, as Common Crawl does (X-Crawler-Content-Encoding,
X-Crawler-Transfer-Encoding, X-Crawler-Content-Length), and Content-Length is the real length. A request record shows
the last hop without what may be secret: the body (the record then has WARC-Truncated), and all header fields but a few
that are known to be harmless.

A 304 that confirms the body of an earlier run (`--refresh`) is a `revisit` record of the profile server-not-modified,
with its request. The record that it refers to, and that `path` names, is written before it: the earlier response with
its own date, where the earlier run has it in an archive; otherwise, since its head is unknown, a `resource` record of
the body, with the date of the earlier record. A HEAD request has no body, and so no such record: `path` then names the
`revisit`.
"""

from __future__ import annotations

import errno
import io
import os
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, BinaryIO

from warcio.archiveiterator import ArchiveIterator
from warcio.exceptions import ArchiveLoadFailed
from warcio.recordloader import ArcWarcRecord
from warcio.warcwriter import WARCWriter

from fetchq._version import __version__
from fetchq.core.disk import StorageError, file_error_text, make_folder, sync_folder
from fetchq.core.stored_response import BodyOrigin, OpenedBody
from fetchq.store.sinks.stored import mark_not_stored, mark_stored
from fetchq.store.sinks.warc_records import Body, Unreadable, write_records

if TYPE_CHECKING:
    from fetchq.core.model import Result
    from fetchq.core.row_set import RowSet

__all__ = ["WarcStore", "open_archived_body"]

FILE_SIZE = 1_000_000_000
"""The size in bytes at which a file is full."""
_WARC = "warc"
_PIECE = 262_144
"""Bytes that are read or written at a time."""
_LEVEL = 6
"""The compression level. warcio's level 9 takes four times as long for a body of 2 kB, and makes it no smaller."""
_NAME = re.compile(r"(\d{5,})\.warc\.gz")
_ABOUT = {
    "software": f"fetchq/{__version__}",
    "format": "WARC File Format 1.1",
    "conformsTo": "http://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.1/",
    "description": "Responses hold the decoded body, with the headers that framed it as X-Crawler-...; requests leave "
    "out their body, and headers that may be secret.",
}


class WarcStore:
    """Appends bodies to archives, and keeps no Results back."""

    def __init__(self, root: Path, _: int) -> None:
        self._root = root
        self._folder = root / _WARC
        self._number = 0
        """The number of the current file."""
        self._size = 0
        """The size of the current file in bytes; 0 if it does not exist yet."""

    def restore(self, state: Any, done: RowSet) -> None:
        if state is not None:
            self._number, self._size = state["file"], state["size"]
        make_folder(self._folder)
        sync_folder(self._root)
        self._cut_back()

    def store(self, results: Sequence[Result]) -> list[Result]:
        before = self._number, self._size
        try:
            return self._store(results)
        except BaseException:  # raised again, whatever it is: what was written of the batch is cut off
            self._number, self._size = before
            with suppress(OSError, StorageError):  # if this fails, the next session does it
                self._cut_back()
            raise

    def finish(self) -> list[Result]:
        return []

    def state(self) -> dict[str, int]:
        return {"file": self._number, "size": self._size}

    def close(self) -> None:
        """Do nothing: no Results are kept back."""

    def _cut_back(self) -> None:
        """Delete the files after the current one, and truncate that one to the known size."""
        files = self._number + (1 if self._size else 0)
        for path in self._folder.iterdir():
            found = _NAME.fullmatch(path.name)
            if found and int(found[1]) >= files:
                path.unlink()
        if self._size:
            path = self._path()
            try:
                file = _opened(path, os.O_RDWR)
            except FileNotFoundError:
                raise StorageError(f"the archive {str(path)!r} is gone") from None
            with file:
                if file.seek(0, os.SEEK_END) < self._size:
                    raise StorageError(f"the archive {str(path)!r} is shorter than it was")
                file.truncate(self._size)
                os.fsync(file.fileno())

    def _path(self) -> Path:
        return self._folder / f"{self._number:05d}.warc.gz"

    def _store(self, results: Sequence[Result]) -> list[Result]:
        done: list[Result] = []
        archive: _Archive | None = None
        try:
            for result in results:
                # The response is incomplete, or another row has stored it.
                if result.sha256 is None or result.status is None or result.duplicate_of is not None:
                    done.append(result)
                    continue
                if archive is None or archive.size >= FILE_SIZE:
                    archive = self._next(archive)
                done.append(_put(archive, result, f"{_WARC}/{self._path().name}"))
            if archive is not None:
                self._settle(archive)
        finally:
            if archive is not None:
                archive.close()
        return done

    def _next(self, full: _Archive | None) -> _Archive:
        """Open the current file, or a new one if that is full. `full`: the archive that was open until now."""
        if full is not None:
            self._settle(full)
            full.close()
        if self._size >= FILE_SIZE:
            self._number, self._size = self._number + 1, 0
        return _Archive(self._path(), self._size)

    def _settle(self, archive: _Archive) -> None:
        """Sync what was written to the disk."""
        archive.sync()
        if not self._size:
            sync_folder(self._folder)
        self._size = archive.size


class _Archive:
    """An archive file, open at its end, which serves as the output file of warcio's writer."""

    def __init__(self, path: Path, size: int) -> None:
        self._file = _opened(path, os.O_RDWR if size else os.O_RDWR | os.O_CREAT | os.O_EXCL)
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


def _opened(path: Path, flags: int) -> io.FileIO:
    """Open a file, but not a symbolic link if the system can refuse it. Raises OSError, with the path."""
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    return io.FileIO(str(path), "r+", opener=lambda name, _: os.open(name, flags, 0o666))


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


def _put(archive: _Archive, result: Result, name: str) -> Result:
    """Write the records of a Result. Returns it with its `path`. Raises OSError if the archive cannot be written."""
    began = perf_counter()
    offset = archive.size
    body: Body | None = None
    try:
        body = Body(result)
        write_records(archive.writer, result, body)
    except Unreadable as unreadable:
        archive.cut(offset)
        return mark_not_stored(result, file_error_text(unreadable.problem))
    finally:
        if body is not None:
            body.discard()
    return mark_stored(result, f"{name}#{offset}", perf_counter() - began)

"""Stores bodies in web archives (`--save warc`): WARC 1.1 (ISO 28500:2017), written with warcio.

The files are warc/00000.warc.gz, 00001.warc.gz and so on, of about 1 GB. A file begins with a `warcinfo` record; each
row with a complete response, whatever its status, adds a `response` and a `request` record, and before them the same
for each redirect that was followed. `path` is the file and, after #, the offset of the final response in it:
`warc/00000.warc.gz#1234`. Each record is a gzip member of its own, so that reading can begin there.

A response record holds the head as the server sent it and the *decoded* body. Where decoding has changed the body,
header fields that would be wrong for it are renamed, as Common Crawl does (X-Crawler-Content-Encoding,
X-Crawler-Transfer-Encoding, X-Crawler-Content-Length), and Content-Length is the real length. The body of a redirect is
as it came; one that was too long to be read is left out (WARC-Truncated). A request record leaves out what may be
secret: the body (WARC-Truncated again), and all header fields but a few that are known to be harmless.

A 304 that confirms the body of an earlier run (`--refresh`) is a `revisit` record of the profile server-not-modified,
with its request. The record that it refers to, and that `path` names, is written before it: the earlier response with
its own date, where the earlier run has it in an archive; otherwise, since its head is unknown, a `resource` record of
the body, with the date of the earlier record. The `revisit` has no HTTP head, so that it is replayed with that of the
earlier response: with the head of a 304, pywb 2.10 shows an empty page. (A `metadata` record with that head would be
taken for another answer from the URL.) A HEAD request has no body, and so no record to refer to: `path` then names the
`revisit`, which has the head.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from fetchq.core.disk import StorageError, file_error_text, make_folder, sync_folder
from fetchq.store.sinks.stored import mark_not_stored, mark_stored
from fetchq.store.sinks.warc_file import ArchiveFile, open_file
from fetchq.store.sinks.warc_records import Body, Unreadable, write_records, write_redirects

if TYPE_CHECKING:
    from fetchq.core.model import Result
    from fetchq.core.row_set import RowSet

__all__ = ["WarcStore"]

FILE_SIZE = 1_000_000_000
"""The size in bytes at which a file is full."""
_WARC = "warc"
_NAME = re.compile(r"(\d{5,})\.warc\.gz")


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
                file = open_file(path, os.O_RDWR)
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
        archive: ArchiveFile | None = None
        try:
            for result in results:
                # The response is incomplete, or another row has stored it.
                if result.sha256 is None or result.status is None or result._duplicate_of is not None:
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

    def _next(self, full: ArchiveFile | None) -> ArchiveFile:
        """Open the current file, or a new one if that is full. `full`: the archive that was open until now."""
        if full is not None:
            self._settle(full)
            full.close()
        if self._size >= FILE_SIZE:
            self._number, self._size = self._number + 1, 0
        return ArchiveFile(self._path(), self._size)

    def _settle(self, archive: ArchiveFile) -> None:
        """Sync what was written to the disk."""
        archive.sync()
        if not self._size:
            sync_folder(self._folder)
        self._size = archive.size


def _put(archive: ArchiveFile, result: Result, name: str) -> Result:
    """Write the records of a Result. Returns it with its `path`. Raises OSError if the archive cannot be written."""
    began = perf_counter()
    began_at = archive.size
    body: Body | None = None
    try:
        body = Body(result)
        write_redirects(archive.writer, result)
        offset = archive.size
        write_records(archive.writer, result, body)
    except Unreadable as unreadable:
        archive.cut(began_at)
        return mark_not_stored(result, file_error_text(unreadable.problem))
    finally:
        if body is not None:
            body.discard()
    return mark_stored(result, f"{name}#{offset}", perf_counter() - began)

"""Spools the body of a response: in memory while it is small, then in a temporary file of the run's folder."""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from typing import NamedTuple

__all__ = ["SMALL", "TEMPORARY", "LinkedSpool", "Opened", "Origin", "Spool"]

SMALL = 65_536
"""Up to this many bytes a body stays in memory."""
_CHUNK = 262_144
"""Once a body has a file, this many bytes are gathered before they are written to it."""
TEMPORARY = "tmp"
"""The subfolder for incomplete files. The holder of the run's lock may empty it."""
_BINARY = getattr(os, "O_BINARY", 0)
"""Windows translates line ends in files that are opened without it."""
_file_numbers = count()


class Origin(NamedTuple):
    """Where and when a body was received that a 304 confirmed; a web archive refers to it."""

    at: str | None
    """RFC 3339, in UTC, as WARC files and the ledger write it."""
    address: str | None = None
    head: bytes | None = None
    """Status line and header section of the response that brought the body, where they were stored byte for byte."""


class Opened(NamedTuple):
    """A stored body, opened for reading."""

    pieces: Iterator[bytes]
    origin: Origin | None = None
    """None where the run did not store it with the body."""


class Spool:
    """The decoded body of one response. Its methods may be called from any thread; `write` and `path` block.

    Between two writes no file is open: a forgotten spool holds nothing but memory, and its file is deleted with the
    run's other temporary files.
    """

    __slots__ = ("_discarded", "_folder", "_held", "_lock", "_name", "_pieces", "size")

    def __init__(self, folder: str) -> None:
        """`folder` is that of the run."""
        self._folder = folder
        self._pieces: list[bytes] = []
        self._held = 0
        self._name: str | None = None
        self._lock = threading.Lock()
        self._discarded = False
        self.size = 0
        """Bytes of the body so far."""

    def add(self, piece: bytes) -> None:
        """Append a piece of the body, which stays in memory until `write`."""
        self._pieces.append(piece)
        self._held += len(piece)
        self.size += len(piece)

    @property
    def held(self) -> int:
        """Bytes of the body that are in memory."""
        return self._held

    @property
    def due(self) -> bool:
        """Whether enough bytes are in memory to `write` them."""
        return self._held > (_CHUNK if self._name is not None else SMALL)

    def write(self) -> None:
        """Move what is in memory to the temporary file. Raises OSError."""
        with self._lock:
            if self._discarded:
                return  # by another thread, before this call
            pieces, self._pieces, self._held = self._pieces, [], 0
            flags = os.O_APPEND
            if self._name is None:
                self._name = _name_in(self._folder)
                flags = os.O_CREAT | os.O_EXCL
            # Without a file object, whose cost would count: there is a file for each body, and most are small.
            descriptor = os.open(self._name, os.O_WRONLY | _BINARY | flags, 0o666)
            try:
                view = memoryview(b"".join(pieces))
                while view:
                    view = view[os.write(descriptor, view) :]
            finally:
                os.close(descriptor)

    def content(self) -> bytes | None:
        """The body, where all of it is in memory; None where it has a file."""
        return b"".join(self._pieces) if self._name is None else None

    def path(self) -> str:
        """Write the rest of the body, and return the path of its file; the caller may move it. Raises OSError."""
        if self._pieces or self._name is None:
            self.write()
        assert self._name is not None
        return self._name

    def discard(self) -> None:
        """Drop the body and delete its file."""
        with self._lock:
            self._discarded = True
            self._pieces, self._held = [], 0
            if self._name is not None:
                with suppress(OSError):  # it is deleted with the other temporary files
                    os.unlink(self._name)


class LinkedSpool(Spool):
    """A body that an earlier run has in a file: a hard link to that file, which stays unchanged."""

    __slots__ = ()

    def __init__(self, folder: str, file: str) -> None:
        """Raises OSError, also where the file cannot have a hard link."""
        super().__init__(folder)
        name = _name_in(folder)
        os.link(file, name)
        self._name = name
        if not stat.S_ISREG(os.lstat(name).st_mode):
            self.discard()
            raise OSError(errno.EINVAL, "not a plain file", file)

    def add(self, piece: bytes) -> None:
        self.size += len(piece)


def _name_in(folder: str) -> str:
    return os.path.join(folder, TEMPORARY, f"{os.getpid()}-{next(_file_numbers)}")

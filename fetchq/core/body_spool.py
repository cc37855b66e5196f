"""A body on its way to the disk: in memory while it is small, beyond that in a temporary file of the run's folder."""

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
"""Bytes up to which a body stays in memory."""
_PIECE = 262_144
"""Bytes that are gathered before they are written, once a body is no longer small."""
TEMPORARY = "tmp"
"""The subfolder for what is not whole. Whoever holds the run's lock may empty it."""
_BINARY = getattr(os, "O_BINARY", 0)
"""Windows has another kind of file as well."""
_number = count()


class Origin(NamedTuple):
    """Where and when a body came from that is not from the response at hand: what an archive says with it."""

    at: str | None
    """As WARC and the ledger write it."""
    address: str | None = None
    head: bytes | None = None
    """Of the response that it came with, to the empty line, where that is known to the byte."""


class Opened(NamedTuple):
    """A body that a run has kept, to be read."""

    pieces: Iterator[bytes]
    origin: Origin | None = None
    """None where the run has not kept that with it."""


class Spool:
    """The decoded body of one response. Its methods may be called from any thread; `write` and `path` block.

    Between two writes no file is open: a spool that nobody asks for any more holds nothing but memory, and what it has
    written is swept with the run's other temporary files.
    """

    __slots__ = ("_discarded", "_folder", "_held", "_lock", "_name", "_pieces", "size")

    def __init__(self, folder: str) -> None:
        """`folder`: of the run."""
        self._folder = folder
        self._pieces: list[bytes] = []
        self._held = 0
        self._name: str | None = None
        self._lock = threading.Lock()
        self._discarded = False
        self.size = 0
        """Bytes taken."""

    def add(self, piece: bytes) -> None:
        """Take some more; it stays in memory until `write`."""
        self._pieces.append(piece)
        self._held += len(piece)
        self.size += len(piece)

    @property
    def held(self) -> int:
        """Bytes in memory."""
        return self._held

    @property
    def due(self) -> bool:
        """It is time to `write`."""
        return self._held > (_PIECE if self._name is not None else SMALL)

    def write(self) -> None:
        """Move what is in memory to the temporary file. Raises OSError."""
        with self._lock:
            if self._discarded:
                return  # while this was on its way
            pieces, self._pieces, self._held = self._pieces, [], 0
            flags = os.O_APPEND
            if self._name is None:
                self._name = _name_in(self._folder)
                flags = os.O_CREAT | os.O_EXCL
            # Without a file object: there is one file for each body, and most of them are small.
            descriptor = os.open(self._name, os.O_WRONLY | _BINARY | flags, 0o666)
            try:
                view = memoryview(b"".join(pieces))
                while view:
                    view = view[os.write(descriptor, view) :]
            finally:
                os.close(descriptor)

    def content(self) -> bytes | None:
        """The whole body, where it is in memory; None where it is in a file."""
        return b"".join(self._pieces) if self._name is None else None

    def path(self) -> str:
        """The file with the whole body in it, which is the caller's unless it is discarded. Raises OSError."""
        if self._pieces or self._name is None:
            self.write()
        assert self._name is not None
        return self._name

    def discard(self) -> None:
        """Nobody wants it any more."""
        with self._lock:
            self._discarded = True
            self._pieces, self._held = [], 0
            if self._name is not None:
                with suppress(OSError):  # what is left of it goes when the folder is swept
                    os.unlink(self._name)


class LinkedSpool(Spool):
    """Another name for a file in which an earlier run has the body; it is there already, and stays as it is."""

    __slots__ = ()

    def __init__(self, folder: str, file: str) -> None:
        """Raises OSError, also where the file can have no other name."""
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
    return os.path.join(folder, TEMPORARY, f"{os.getpid()}-{next(_number)}")

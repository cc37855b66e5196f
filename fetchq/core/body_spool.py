"""Spools the body of a response: in memory while it is small, then in a temporary file of the run's folder."""

from __future__ import annotations

import errno
import os
import stat
import threading
from contextlib import suppress
from itertools import count

__all__ = ["MAX_IN_MEMORY", "TEMPORARY_FOLDER", "LinkedSpool", "Spool"]

MAX_IN_MEMORY = 65_536
"""Up to this many bytes a body stays in memory."""
_CHUNK = 262_144
"""Once a body has a file, this many bytes are collected before they are written to it."""
TEMPORARY_FOLDER = "tmp"
"""The subfolder of a run's folder for incomplete files. The process that holds the folder's lock may empty it."""
_BINARY = getattr(os, "O_BINARY", 0)
"""Windows translates line ends in files that are opened without this flag."""
_file_numbers = count()


class Spool:
    """The decoded body of one response. Its methods may be called from any thread; `write` and `path` block.

    No file is open between two writes, so a spool that is never discarded takes only memory; its file is deleted with
    the run's other temporary files.
    """

    __slots__ = ("_discarded", "_folder", "_in_memory", "_lock", "_name", "_pieces", "size")

    def __init__(self, folder: str) -> None:
        """`folder`: the folder of the run."""
        self._folder = folder
        self._pieces: list[bytes] = []
        self._in_memory = 0
        self._name: str | None = None
        self._lock = threading.Lock()
        self._discarded = False
        self.size = 0
        """Bytes of the body received so far."""

    def add(self, piece: bytes) -> None:
        """Append a piece of the body, which stays in memory until `write`."""
        self._pieces.append(piece)
        self._in_memory += len(piece)
        self.size += len(piece)

    @property
    def in_memory(self) -> int:
        """Bytes of the body that are in memory."""
        return self._in_memory

    @property
    def due(self) -> bool:
        """Whether enough bytes are in memory to `write` them."""
        return self._in_memory > (_CHUNK if self._name is not None else MAX_IN_MEMORY)

    def write(self) -> None:
        """Move the bytes in memory to the temporary file. Raises OSError."""
        with self._lock:
            if self._discarded:
                return  # another thread called `discard` before this one called `write`
            pieces, self._pieces, self._in_memory = self._pieces, [], 0
            flags = os.O_APPEND
            if self._name is None:
                self._name = _name_in(self._folder)
                flags = os.O_CREAT | os.O_EXCL
            # os.open is cheaper than a file object, and a run may write a file for each of its mostly small bodies.
            descriptor = os.open(self._name, os.O_WRONLY | _BINARY | flags, 0o666)
            try:
                view = memoryview(b"".join(pieces))
                while view:
                    view = view[os.write(descriptor, view) :]
            finally:
                os.close(descriptor)

    def content(self) -> bytes | None:
        """The whole body if it is in memory; None if it has a file."""
        return b"".join(self._pieces) if self._name is None else None

    def path(self) -> str:
        """Write the rest of the body, and return the path of its file, which the caller may move. Raises OSError."""
        if self._pieces or self._name is None:
            self.write()
        assert self._name is not None
        return self._name

    def discard(self) -> None:
        """Drop the body and delete its file."""
        with self._lock:
            self._discarded = True
            self._pieces, self._in_memory = [], 0
            if self._name is not None:
                with suppress(OSError):  # the file is deleted with the other temporary files
                    os.unlink(self._name)


class LinkedSpool(Spool):
    """A body that an earlier run stored in a file: a hard link to that file, which stays unchanged."""

    __slots__ = ()

    def __init__(self, folder: str, file: str) -> None:
        """`file`: the path of the stored body. Raises OSError, also where the file cannot have a hard link."""
        super().__init__(folder)
        name = _name_in(folder)
        os.link(file, name, follow_symlinks=False)  # Python 3.14 would follow one by default
        self._name = name
        if not stat.S_ISREG(os.lstat(name).st_mode):
            self.discard()
            raise OSError(errno.EINVAL, "not a plain file", file)

    def add(self, piece: bytes) -> None:
        """Count a piece of the body, which is in the file already."""
        self.size += len(piece)


def _name_in(folder: str) -> str:
    return os.path.join(folder, TEMPORARY_FOLDER, f"{os.getpid()}-{next(_file_numbers)}")

"""Spools the body of a response: in memory while it is small, then in a temporary file of the run's folder.

The beginning of a long body may be kept as a part, which a later session resumes. A part is two files in the folder
`parts`: the bytes of the body so far, and a description (`.json`). After a power cut the first file may hold anything,
so the description has a checkpoint for each write: a line with the size and the SHA-256 of the bytes by then.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from contextlib import suppress
from itertools import count
from time import time_ns
from typing import TYPE_CHECKING, Any

from fetchq.core.disk import PRIVATE_FILE, PRIVATE_FOLDER

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = [
    "DESCRIPTION",
    "MAX_IN_MEMORY",
    "PARTS_FOLDER",
    "TEMPORARY_FOLDER",
    "LinkedSpool",
    "PartSpool",
    "Spool",
    "create_file",
]

MAX_IN_MEMORY = 65_536
"""Up to this many bytes a body stays in memory."""
_CHUNK = 262_144
"""Once a body has a file, this many bytes are collected before they are written to it."""
TEMPORARY_FOLDER = "tmp"
"""The subfolder of a run's folder for incomplete files. The process that holds the folder's lock may empty it."""
PARTS_FOLDER = "parts"
"""The subfolder of a run's folder for the beginnings of bodies that a later session may continue."""
DESCRIPTION = ".json"
"""The suffix of a part's description, whose name is otherwise that of the part."""
_BINARY = getattr(os, "O_BINARY", 0)
"""Windows translates line ends in files that are opened without this flag."""
_file_numbers = count()


class Spool:
    """The decoded body of one response. Its methods may be called from any thread; `write` and `path` block.

    No file is open between two writes, so a spool that is never discarded takes only memory; its file is deleted with
    the run's other temporary files.
    """

    __slots__ = (
        "_discarded",
        "_folder",
        "_is_part",
        "_lock",
        "_name",
        "_pieces",
        "description",
        "file_name",
        "in_memory",
        "size",
    )

    def __init__(self, folder: str) -> None:
        """`folder`: the folder of the run."""
        self._folder = folder
        self._pieces: list[bytes] = []
        self.in_memory = 0
        """Bytes of the body that are in memory."""
        self._name: str | None = None
        self._lock = threading.Lock()
        self._discarded = False
        self._is_part = False
        self.size = 0
        """Bytes of the body received so far."""
        self.description: bytes | None = None
        """The first line of the part's description; empty if the body is to have none, None before that is known."""
        self.file_name: str | None = None
        """The file name that the row has for its body (`Request.filename`), where the run names files by a template."""

    def __getstate__(self) -> tuple[Any, ...]:
        """What another process needs to go on: all but the lock. It must share the folder."""
        return (*(getattr(self, name) for name in _STATE), b"".join(self._pieces))

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        *values, content = state
        for name, value in zip(_STATE, values, strict=True):
            setattr(self, name, value)
        self._pieces, self.in_memory = [content] if content else [], len(content)
        self._lock = threading.Lock()

    def adopt(self, path: str, size: int) -> None:
        """Take a file with the whole body, of so many bytes, as its own."""
        self._name, self.size = path, size

    def add(self, piece: bytes) -> None:
        """Append a piece of the body, which stays in memory until `write`."""
        self._pieces.append(piece)
        self.in_memory += len(piece)
        self.size += len(piece)

    @property
    def due(self) -> bool:
        """Whether enough bytes are in memory to `write` them."""
        return self.in_memory > (_CHUNK if self._name is not None else MAX_IN_MEMORY)

    def write(self) -> None:
        """Move the bytes in memory to the temporary file. Raises OSError."""
        with self._lock:
            if self._discarded:
                return  # another thread called `discard` before this one called `write`
            pieces, self._pieces, self.in_memory = self._pieces, [], 0
            new = self._name is None
            self._name = self._name or _name_in(self._folder)
            _write(self._name, b"".join(pieces), os.O_CREAT | os.O_EXCL if new else os.O_APPEND)

    def checkpoint(self, digest: str) -> None:
        """Keep what was written so far as a part that a later session can resume. Raises OSError.

        `digest`: the SHA-256 of what was written, in hexadecimal.
        """
        with self._lock:
            if self._discarded or self._name is None:
                return
            line = f"{self.size - self.in_memory} {digest}\n".encode()
            if self._is_part:
                _write(self._name + DESCRIPTION, line, os.O_APPEND)
                return
            folder = os.path.join(self._folder, PARTS_FOLDER)
            os.makedirs(folder, PRIVATE_FOLDER, exist_ok=True)
            # With the time, since a later session may have the process id of this one, as it often has in a container.
            part = os.path.join(folder, f"{os.path.basename(self._name)}-{time_ns():x}")
            # It comes first: a description without its part is ignored.
            _write(part + DESCRIPTION, (self.description or b"") + b"\n" + line, os.O_CREAT | os.O_EXCL)
            os.rename(self._name, part)
            self._name = part
            self._is_part = True

    def content(self) -> bytes | None:
        """The whole body if it is in memory; None if it has a file."""
        return b"".join(self._pieces) if self._name is None else None

    def pieces(self) -> Generator[bytes]:
        """The whole body, piece by piece. It blocks. Raises OSError."""
        if self._name is None:
            yield from self._pieces
            return
        with open(self._name, "rb", buffering=0) as file:
            while piece := file.read(_CHUNK):
                yield piece
        yield from self._pieces

    def path(self) -> str:
        """Write the rest of the body, and return the path of its file, which the caller may move. Raises OSError."""
        if self._name is None:
            pieces, self._pieces, self.in_memory = self._pieces, [], 0
            self._name = _name_in(self._folder)
            create_file(self._name, b"".join(pieces))
        elif self._pieces:
            self.write()
        if self._is_part:
            self._unmark_part()
        return self._name

    def discard(self) -> None:
        """Drop the body and delete its file."""
        with self._lock:
            self._discarded = True
            self._pieces, self.in_memory = [], 0
            if self._is_part:
                self._unmark_part()
            if self._name is not None:
                with suppress(OSError):  # the file is deleted with the other temporary files
                    os.unlink(self._name)

    def suspend(self) -> str | None:
        """Drop what is in memory, and leave the part for a later `PartSpool`. Returns the path of the part.

        Without a part, the body is discarded, and None is returned.
        """
        if not self._is_part:
            self.discard()
            return None
        with self._lock:
            self._discarded = True
            self._pieces, self.in_memory = [], 0
        return self._name

    def _unmark_part(self) -> None:
        """Delete the description: the file is an ordinary temporary file again."""
        self._is_part = False
        with suppress(OSError):
            os.unlink(f"{self._name}{DESCRIPTION}")


_STATE = ("_folder", "_name", "_discarded", "_is_part", "size", "description", "file_name")


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


class PartSpool(Spool):
    """A body whose beginning is a part that an earlier spool has left."""

    __slots__ = ()

    def __init__(self, folder: str, part: str, size: int) -> None:
        """`part`: the path of the part, which is cut to `size` bytes. Raises OSError."""
        super().__init__(folder)
        os.truncate(part, size)
        self._name = part
        self._is_part = True
        self.size = size
        self.description = b"-"  # it is on the disk


def create_file(path: str, data: bytes) -> None:
    """Create a file with this content. Raises OSError, after which the file may be there, incomplete."""
    _write(path, data, os.O_CREAT | os.O_EXCL)


def _write(path: str, data: bytes, flags: int, mode: int = PRIVATE_FILE) -> None:
    # os.open is cheaper than a file object, and a run may write a file for each of its mostly small bodies.
    descriptor = os.open(path, os.O_WRONLY | _BINARY | flags, mode)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
    finally:
        os.close(descriptor)


def _name_in(folder: str) -> str:
    return f"{folder}/{TEMPORARY_FOLDER}/{os.getpid()}-{next(_file_numbers)}"

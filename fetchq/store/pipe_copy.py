"""Copies a pipe into the run's folder while it is read, so that a later session can read its rows again."""

from __future__ import annotations

import hashlib
import io
import os
import threading
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, BinaryIO

__all__ = ["PipeCopier", "finish_partial_copy", "is_whole", "write_private"]

_PART = ".part"
"""The suffix of an incomplete copy."""
_CHUNK = 65_536


def is_whole(copy: Path) -> bool:
    """Whether a complete copy has the content with which it got its name. Raises OSError."""
    with open(_digest_of(copy), "rb", opener=_plain_file) as file:
        digest = file.read(64)
    with open(copy, "rb", opener=_plain_file) as file:
        return hashlib.file_digest(file, "sha256").hexdigest().encode() == digest


def _complete(part: Path, copy: Path, digest: str) -> None:
    """Give a copy its name, after its SHA-256 has a file beside it, in the format of sha256sum. Raises OSError."""
    with _open_private(_digest_of(copy), os.O_TRUNC) as file:
        file.write(f"{digest}  {copy.name}\n".encode())
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, copy)


def _digest_of(copy: Path) -> Path:
    return copy.with_name(copy.name + ".sha256")


def _plain_file(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))


def _open_private(path: Path, flags: int) -> BinaryIO:
    """Open a file for writing that only its owner may read, since rows may contain passwords. Raises OSError."""
    flags |= getattr(os, "O_NOFOLLOW", 0)
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | flags, 0o600), "r+b")


class PipeCopier:
    """Copies a pipe into a file, in a thread; `tail` reads the copy while it grows.

    If an earlier session has copied a part of the pipe, it must begin with the same bytes again.
    """

    def __init__(self, given: str, stream: BinaryIO | None, copy: Path, *, complete: bool = False) -> None:
        """`given`: the path of the pipe, which is opened if there is no `stream`.

        `complete`: whether an earlier session has copied the whole pipe.
        """
        self._given = given
        self._stream = stream
        self._copy = copy
        self._complete = complete
        self._part = copy if complete else _part_of(copy)
        self._changed = threading.Condition()
        self._size = 0
        """How many bytes of the copy can be read."""
        self._ended = False
        self._problem: OSError | None = None

    def start(self) -> None:
        """Start the thread."""
        # A daemon thread, since the pipe may stay open for ever, and a blocking read cannot be interrupted.
        threading.Thread(target=self._run, name="fetchq-copier", daemon=True).start()

    def tail(self) -> BinaryIO:
        """The bytes of the pipe, from its beginning. A read blocks until there are more bytes."""
        tail: Any = io.BufferedReader(_Tail(self._read), _CHUNK)
        return tail  # type: ignore[no-any-return]  # typeshed's BufferedReader is no typing.BinaryIO

    def _run(self) -> None:
        try:
            opened = nullcontext(self._stream) if self._stream else open(self._given, "rb", buffering=0)  # noqa: SIM115
            with opened as stream, _open_private(self._part, 0) as copy:
                digest = self._copy_all(stream, copy)
            if not self._complete:
                _complete(self._part, self._copy, digest)
        except OSError as problem:
            self._problem = problem
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _copy_all(self, stream: BinaryIO, copy: BinaryIO) -> str:
        """Returns the SHA-256 of what has been copied."""
        digest = hashlib.sha256()
        while chunk := stream.read(_CHUNK):
            before = copy.read(len(chunk))
            if not chunk.startswith(before) or (self._complete and len(before) < len(chunk)):
                raise OSError(0, "it is not what it was when the run began")
            digest.update(chunk)
            copy.write(chunk[len(before) :])
            copy.flush()
            with self._changed:
                self._size += len(chunk)
                self._changed.notify_all()
        if copy.read(1):
            raise OSError(0, "it is shorter than it was when the run began")
        os.fsync(copy.fileno())
        return digest.hexdigest()

    def _read(self, at: int, most: int) -> bytes:
        with self._changed:
            while self._size <= at and not self._ended:
                self._changed.wait()
            if self._size <= at and self._problem is not None:
                raise self._problem
            size = self._size
        if size <= at:
            return b""
        with self._opened() as copy:
            copy.seek(at)
            return copy.read(min(most, size - at))

    def _opened(self) -> io.FileIO:
        try:
            return open(self._part, "rb", buffering=0)
        except FileNotFoundError:  # it is complete, and has got its final name just now
            return open(self._copy, "rb", buffering=0)


class _Tail(io.RawIOBase):
    """A stream of the bytes that `read` returns for a position and a number of bytes."""

    def __init__(self, read: Callable[[int, int], bytes]) -> None:
        self._read_at = read
        self._at = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._read_at(self._at, len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def finish_partial_copy(copy: Path, *, compressed: bool) -> int:
    """Make a partial copy the final one, without its incomplete last line unless compressed. Returns its size."""
    part = _part_of(copy)
    with _open_private(part, 0) as file:
        if not compressed:
            file.truncate(_end_of_last_line(file))
        size = file.seek(0, os.SEEK_END)
        os.fsync(file.fileno())
        file.seek(0)
        digest = hashlib.sha256()
        while piece := file.read(_CHUNK):
            digest.update(piece)
    _complete(part, copy, digest.hexdigest())
    return size


def write_private(path: Path, content: bytes) -> None:
    """Write a file that gets its name when it is complete and on the disk. Raises OSError."""
    part = _part_of(path)
    with _open_private(part, os.O_TRUNC) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    _complete(part, path, hashlib.sha256(content).hexdigest())


def _part_of(copy: Path) -> Path:
    return copy.with_name(copy.name + _PART)


def _end_of_last_line(file: BinaryIO) -> int:
    """The number of bytes up to and including the last newline."""
    end = file.seek(0, os.SEEK_END)
    while end:
        start = max(0, end - _CHUNK)
        file.seek(start)
        newline = file.read(end - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0

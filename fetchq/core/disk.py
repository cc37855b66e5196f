"""Syncs files and folders to the disk, and distinguishes errors of one file from errors of the whole disk."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Protocol, Self

__all__ = [
    "PRIVATE_FILE",
    "PRIVATE_FOLDER",
    "StorageError",
    "close_on_error",
    "file_error_text",
    "file_identity",
    "make_folder",
    "open_private",
    "sync_files",
    "sync_folder",
]

_FATAL = frozenset(getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EFBIG", "EROFS") if hasattr(errno, name))
"""Error numbers after which no other file can be stored, either."""

PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700
"""The permissions of what a run keeps: pages that others may not see, and input that may hold passwords."""

_SYNCFS_FROM = 8
"""For this many files or more, one syncfs(2) is cheaper than an fsync(2) of each."""

_SYNC_FLAGS = os.O_RDONLY if os.name == "posix" else os.O_RDWR
"""Reading is enough, and a body linked from an earlier run may be read-only; Windows only syncs files open to write."""


class StorageError(Exception):
    """The folder of a run cannot be written or read, so the run cannot go on. The message is one line."""

    @classmethod
    def of(cls, problem: OSError) -> Self:
        """The StorageError for an OSError."""
        where = f"{os.fspath(problem.filename)!r} cannot be written: " if problem.filename else ""
        return cls(f"{where}{problem.strerror or problem}")


class _Closable(Protocol):
    def close(self) -> None: ...


@contextmanager
def close_on_error(resource: _Closable) -> Iterator[None]:
    """Close the resource if the block raises. CPython 3.11 crashes when it collects an open sqlite3 connection."""
    try:
        yield
    except BaseException:  # raised again, whatever it is
        resource.close()
        raise


def file_error_text(problem: OSError) -> str:
    """The error text for a body that cannot be stored. Raises `StorageError` where no other file could be stored."""
    if problem.errno in _FATAL:
        raise StorageError.of(problem) from problem
    return f"the body cannot be stored: {problem.strerror}"


def make_folder(path: Path) -> None:
    """Create the folder, for its owner alone, unless it exists. Raises OSError, also where a symbolic link is there."""
    path.mkdir(PRIVATE_FOLDER, exist_ok=True)
    if path.is_symlink():
        raise NotADirectoryError(errno.ENOTDIR, "a symbolic link where a folder of the run belongs", str(path))


def open_private(path: str, flags: int) -> int:
    """Open a file that is for its owner alone if it is new: an `opener` for `open`."""
    return os.open(path, flags, PRIVATE_FILE)


def file_identity(path: Path) -> tuple[int, int] | None:
    """The device and inode of the file with this name; None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def sync_files(paths: Sequence[str]) -> dict[str, OSError]:
    """Sync these files to the disk. Returns the error for each path that could not be synced."""
    if len(paths) >= _SYNCFS_FROM and _sync_file_system(paths[0]):
        return {}
    problems: dict[str, OSError] = {}
    for path in paths:
        try:
            _sync(path, _SYNC_FLAGS)
        except OSError as problem:
            problems[path] = problem
    return problems


def sync_folder(path: str | os.PathLike[str]) -> None:
    """Sync a folder's entries, that is the names of its files, to the disk. Raises OSError."""
    if os.name == "posix":  # Windows cannot open a folder, and needs no sync of it
        _sync(path, os.O_RDONLY)


def _sync(path: str | os.PathLike[str], flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_file_system(path: str) -> bool:
    """Sync the whole file system with syncfs(2). False where the system lacks it, or where it fails."""
    syncfs = _syncfs()
    if syncfs is None:
        return False
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return bool(syncfs(descriptor) == 0)
    finally:
        os.close(descriptor)


@cache
def _syncfs() -> Any:
    from fetchq.core.c_library import ctypes  # here, since most runs store nothing

    if ctypes is None or sys.platform != "linux":
        return None
    return getattr(ctypes.CDLL(None), "syncfs", None)  # which takes long, and so releases the GIL

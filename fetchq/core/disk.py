"""Files that must last: getting them onto the disk, many at a time, and what it means when that fails."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Protocol, Self

__all__ = [
    "StorageError",
    "closed_at_failure",
    "file_at",
    "folder_on_disk",
    "on_disk",
    "real_folder",
    "unless_hopeless",
]

_HOPELESS = frozenset(getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EFBIG", "EROFS") if hasattr(errno, name))
"""What is wrong with the disk and not with one file: nothing can be stored any more."""

_MANY = 8
"""Files from which on it is cheaper to have the whole file system written."""

_TO_SYNC = os.O_RDONLY if os.name == "posix" else os.O_RDWR
"""A body of an earlier run may be there only to be read."""


class StorageError(Exception):
    """A run's folder cannot be written, or not be read: the run cannot go on. One line for people."""

    @classmethod
    def of(cls, problem: OSError) -> Self:
        """What an OSError says."""
        where = f"{os.fspath(problem.filename)!r} cannot be written: " if problem.filename else ""
        return cls(f"{where}{problem.strerror or problem}")


class _Closable(Protocol):
    def close(self) -> None: ...


@contextmanager
def closed_at_failure(opened: _Closable) -> Iterator[None]:
    """What was opened is not left to the garbage: with a connection of sqlite3, CPython 3.11 crashes there."""
    try:
        yield
    except BaseException:  # whatever it is, raised again
        opened.close()
        raise


def unless_hopeless(problem: OSError) -> str:
    """What is wrong with one file. Raises `StorageError` when no other can be stored, either."""
    if problem.errno in _HOPELESS:
        raise StorageError.of(problem) from problem
    return f"the body cannot be stored: {problem.strerror}"


def real_folder(path: Path) -> None:
    """Make the folder, unless it is there. Raises OSError, also for a symbolic link in its place."""
    path.mkdir(exist_ok=True)
    if path.is_symlink():
        raise NotADirectoryError(errno.ENOTDIR, "a symbolic link where a folder of the run belongs", str(path))


def file_at(path: Path) -> tuple[int, int] | None:
    """Which file has this name: device and inode; None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def on_disk(paths: Sequence[str]) -> dict[str, OSError]:
    """Have these files written to the disk. Returns those that could not be, and why."""
    if len(paths) >= _MANY and _whole_file_system(paths[0]):
        return {}
    problems: dict[str, OSError] = {}
    for path in paths:
        try:
            _sync(path, _TO_SYNC)
        except OSError as problem:
            problems[path] = problem
    return problems


def folder_on_disk(path: str | os.PathLike[str]) -> None:
    """Have the names in a folder written to the disk. Raises OSError."""
    if os.name == "posix":  # elsewhere a folder cannot be opened, and needs no such thing
        _sync(path, os.O_RDONLY)


def _sync(path: str | os.PathLike[str], flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _whole_file_system(path: str) -> bool:
    """syncfs(2): one call for all that is not written yet. False where there is none, or where it fails."""
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
    return getattr(ctypes.CDLL(None), "syncfs", None) if sys.platform == "linux" else None

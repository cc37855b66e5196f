"""Writes files atomically: a file appears under its name only when it is complete."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from fetchq.core.disk import sync_folder

__all__ = ["atomic_write", "check_writable"]

# Suffixes that no other program uses, of the same length.
_PART = ".fetchq-part"
_TEST = ".fetchq-test"


@contextmanager
def atomic_write(path: str | os.PathLike[str], *, private: bool = False) -> Iterator[BinaryIO]:
    """A stream to a temporary file beside `path`, which replaces `path` when the block ends.

    The temporary file is synced to the disk first, and gets the permissions of the file that it replaces. After an
    exception it is deleted, and `path` is unchanged. A pipe or a device is written directly. `private`: whether only
    its owner can read a new file (mode 0600). Raises OSError.
    """
    target = os.path.realpath(path)  # a symbolic link is kept, and its target is replaced
    if _is_special(path):
        with open(path, "wb") as stream:
            yield stream
        return
    part = target + _PART
    with suppress(FileNotFoundError):
        os.unlink(part)  # left by a killed process; not opened, since it might be a symbolic link
    mode = stat.S_IMODE(os.stat(target).st_mode) if os.path.exists(target) else None
    with open(part, "xb", opener=_opener(0o666 if mode is None and not private else 0o600)) as stream:
        created = os.fstat(stream.fileno())
        if mode is not None:
            os.chmod(part, mode)
        try:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        except BaseException:  # raised again, whatever it is
            _unlink_if_same(part, created)
            raise
    if not _is_same(part, created):
        raise FileExistsError(errno.EEXIST, "another program is writing the same file", str(path))
    os.replace(part, target)
    sync_folder(os.path.dirname(target))


def check_writable(path: str | os.PathLike[str]) -> None:
    """Raise OSError where `atomic_write` could not create its file. `path` stays as it is."""
    target = os.path.realpath(path)
    if os.path.isdir(target):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), target)
    if _is_special(path):  # opening a pipe would wait for its reader
        if not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), target)
        return
    with suppress(FileNotFoundError):
        os.unlink(target + _TEST)
    with open(target + _TEST, "xb"):
        os.unlink(target + _TEST)


def _is_special(path: str | os.PathLike[str]) -> bool:
    """Whether there is a pipe or a device. Of `/dev/stdout` and `/dev/fd/3`, the real path may be no name of a file."""
    return os.path.exists(path) and not os.path.isfile(path)


def _opener(mode: int) -> Callable[[str, int], int]:
    return lambda path, flags: os.open(path, flags, mode)


def _is_same(path: str, created: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.lstat(path), created)
    except FileNotFoundError:
        return False


def _unlink_if_same(path: str, created: os.stat_result) -> None:
    if _is_same(path, created):
        with suppress(OSError):
            os.unlink(path)

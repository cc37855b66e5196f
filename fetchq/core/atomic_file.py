"""Writes files atomically: a file appears under its name only when it is complete."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from fetchq.core.disk import sync_folder

__all__ = ["atomic_write", "check_writable", "refuse_link"]

# Suffixes that no other program uses, of the same length.
_PART = ".fetchq-part"
_TEST = ".fetchq-test"
_DESCRIPTOR = re.compile(r"/(?:dev|proc/self)/fd/([0-9]+)")
_STREAMS = {"/dev/stdout": 1, "/dev/stderr": 2}


@contextmanager
def atomic_write(path: str | os.PathLike[str], *, private: bool = False) -> Iterator[BinaryIO]:
    """A stream to a temporary file beside `path`, which replaces `path` when the block ends.

    The temporary file is synced to the disk first, and gets the permissions of the file that it replaces. After an
    exception it is deleted, and `path` is unchanged. A pipe or a device is written directly, and so is /dev/stdout.
    Another symbolic link is refused, since somebody else may have planted it. `private`: whether only its owner can
    read a new file (mode 0600). Raises OSError.
    """
    if (opened := _open_stream(path)) is not None:
        with opened as stream:
            yield stream
        return
    refuse_link(path)
    target = os.path.abspath(path)
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
    target = os.path.abspath(path)
    if os.path.isdir(target):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), target)
    if _is_special(path) or _descriptor_of(path) is not None:  # opening a pipe would wait for its reader
        if not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), target)
        return
    refuse_link(path)
    with suppress(FileNotFoundError):
        os.unlink(target + _TEST)
    with open(target + _TEST, "xb"):
        os.unlink(target + _TEST)


def refuse_link(path: str | os.PathLike[str]) -> None:
    """Raise OSError for a symbolic link that does not lead to a pipe or a device."""
    if os.path.islink(path) and not _is_special(path) and _descriptor_of(path) is None:
        raise OSError(errno.ELOOP, "it is a symbolic link; name the file itself", os.fspath(path))


def _open_stream(path: str | os.PathLike[str]) -> BinaryIO | None:
    """A pipe, a device or a descriptor of this process, opened to be written; None for the name of a file."""
    descriptor = _descriptor_of(path)
    if descriptor is not None:  # it may be a file that a shell has opened to append to it
        return os.fdopen(os.dup(descriptor), "wb")
    return open(path, "wb") if _is_special(path) else None


def _descriptor_of(path: str | os.PathLike[str]) -> int | None:
    """The descriptor that a name such as /dev/stdout stands for."""
    name = os.path.normpath(os.fspath(path))
    found = _DESCRIPTOR.fullmatch(name)
    return int(found[1]) if found else _STREAMS.get(name)


def _is_special(path: str | os.PathLike[str]) -> bool:
    """Whether there is a pipe or a device."""
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

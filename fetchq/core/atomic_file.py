"""A file that appears under its name only when it is whole."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from fetchq.core.disk import folder_on_disk

__all__ = ["whole_file"]


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A stream to a file beside `path`, which takes its place, on the disk, when the block ends, and its rights.

    An exception throws it away. What is no plain file (a pipe, a device) is written as it is. Raises OSError.
    """
    target = os.path.realpath(path)  # a link stays one, and what it leads to is replaced
    if os.path.exists(target) and not os.path.isfile(target):
        with open(target, "wb") as stream:
            yield stream
        return
    part = f"{target}.fetchq-part"  # a name that nobody else has for anything
    with suppress(FileNotFoundError):
        os.unlink(part)  # what a kill has left; never written through, it might be a link
    rights = stat.S_IMODE(os.stat(target).st_mode) if os.path.exists(target) else None
    with open(part, "xb", opener=_opener(0o666 if rights is None else 0o600)) as stream:
        ours = os.fstat(stream.fileno())
        if rights is not None:
            os.chmod(part, rights)
        try:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        except BaseException:  # whatever it is, raised again
            _unlink(part, ours)
            raise
    if not _is(part, ours):
        raise FileExistsError(17, "another program is writing the same file", str(path))
    os.replace(part, target)
    folder_on_disk(os.path.dirname(target))


def _opener(rights: int) -> Callable[[str, int], int]:
    return lambda path, flags: os.open(path, flags, rights)


def _is(path: str, ours: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.lstat(path), ours)
    except FileNotFoundError:
        return False


def _unlink(path: str, ours: os.stat_result) -> None:
    if _is(path, ours):
        with suppress(OSError):
            os.unlink(path)

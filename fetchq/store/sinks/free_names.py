"""Finds names in a run's folder that no file has yet, and makes the folders on the way there.

A name that is taken gets a number: page.html, page.1.html, page.2.html. Only the file system knows which names are
taken, so that memory does not grow with the list, and a file system that ignores case has its say.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TypeVar

from fetchq.core.disk import PRIVATE_FOLDER
from fetchq.core.safe_name import numbered_name, shortened_name

__all__ = ["FreeNames"]

T = TypeVar("T")

_NUMBER_LENGTH = 12
"""Bytes of a name that are left for a number."""
_LONGEST_PATH = 700
"""The most bytes of a path below the run's folder; macOS takes 1,024 for a whole path, Linux 4,096."""
_MOST_KNOWN = 2_000
"""Folders and names that are remembered, so that the file system need not be asked again."""
_MOST_FOLDERS = 100
"""How many numbers are tried for a folder whose name a file has."""


class FreeNames:
    """The names in one run's folder. Its methods raise OSError."""

    def __init__(self, root: Path, base: str, reserved: Collection[str]) -> None:
        """`base`: the folder in `root` that the names are in; empty for `root` itself.

        `reserved`: names in lower case that the first part of a path must not be.
        """
        self._root = str(root)
        self._base = base
        self._reserved = reserved
        self._longest = min(255, _name_limit(root)) - _NUMBER_LENGTH
        self._folders: dict[str, str] = {}
        """Folders that exist, by the path that was wanted."""
        self._next: dict[str, int] = {}
        """The number to be tried next, by the path that was wanted."""
        self.changed: set[str] = set()
        """Folders that have got a new folder since they were synced last, from `root` on."""

    def free(self, names: Sequence[str], chosen: Collection[str]) -> str:
        """A path below `root` that no file has, and that is not among those `chosen`. The folders in it exist.

        `names`: of the folders and of the file, all of them safe.
        """
        *folders, name = self._bounded(names)
        folder = self._base
        for one in folders:
            folder = self._folder(folder, one)
        wanted = _joined(folder, name)

        def taken(number: int) -> bool:
            path = _joined(folder, numbered_name(name, number))
            return path in chosen or os.path.lexists(f"{self._root}/{path}")

        number = _first_free(taken, self._next.get(wanted, 0))
        _remember(self._next, wanted, number + 1)
        return _joined(folder, numbered_name(name, number))

    def _bounded(self, names: Sequence[str]) -> list[str]:
        """The names, none too long, without the folders for which the path has no room."""
        *folders, last = (shortened_name(name, self._longest) for name in names)
        room = _LONGEST_PATH - len(last.encode())
        kept: list[str] = []
        for folder in folders:
            room -= len(folder.encode()) + 1
            if room < 0:
                break
            kept.append(folder)
        first, *rest = [*kept, last]
        return [f"_{first}" if first.lower() in self._reserved else first, *rest]

    def _folder(self, parent: str, name: str) -> str:
        wanted = _joined(parent, name)
        if (known := self._folders.get(wanted)) is not None:
            return known
        for number in range(_MOST_FOLDERS):
            path = _joined(parent, numbered_name(name, number))
            try:
                os.mkdir(f"{self._root}/{path}", PRIVATE_FOLDER)
                self.changed.add(parent)
            except FileExistsError:
                if not stat.S_ISDIR(os.lstat(f"{self._root}/{path}").st_mode):
                    continue
            _remember(self._folders, wanted, path)
            return path
        raise NotADirectoryError(errno.ENOTDIR, "files have the names of the folder", f"{self._root}/{wanted}")


def _first_free(taken: Callable[[int], bool], first: int) -> int:
    """A free number from `first` on, found in few steps: mostly all numbers up to some are taken, and no others."""
    if not taken(first):
        return first
    step = 1
    while taken(first + step):
        step *= 2
    lower, upper = first + step // 2, first + step
    while upper - lower > 1:
        middle = (lower + upper) // 2
        lower, upper = (middle, upper) if taken(middle) else (lower, middle)
    return upper


def _remember(known: dict[str, T], key: str, value: T) -> None:
    if len(known) >= _MOST_KNOWN:
        known.clear()
    known[key] = value


def _joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _name_limit(folder: Path) -> int:
    """The most bytes of a name in a folder."""
    try:
        return os.pathconf(folder, "PC_NAME_MAX")
    except (OSError, ValueError):
        return 255

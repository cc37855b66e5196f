"""Finds a file that a record names, in the folder of a run, which may come from somebody else."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

__all__ = ["file_in"]


def file_in(root: Path, path: str) -> Path:
    """The file at the `path` of a record, which may come from somebody else, in the run's folder `root`.

    Raises OSError if it is not a plain file in that folder. No symbolic link is followed.
    """
    parts = path.split("/")
    if "\0" in path or not parts[0] or ".." in parts:
        raise PermissionError(errno.EPERM, "not a file of the run", path)
    place = root
    for part in parts:
        place /= part
        kind = os.lstat(place).st_mode
        if stat.S_ISLNK(kind):
            raise PermissionError(errno.EPERM, "a symbolic link where a file of the run belongs", str(place))
    if not stat.S_ISREG(kind):
        raise PermissionError(errno.EPERM, "not a plain file", str(place))
    return place

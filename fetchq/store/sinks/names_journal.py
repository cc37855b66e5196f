"""Notes which names bodies are about to get, so that none is left under a name that no record has.

A kill may come after a body got its name, and before the ledger has its row. The next session finds the name in the
journal, and takes it away: the row is fetched again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fetchq.core.disk import PRIVATE_FILE, sync_folder
from fetchq.store.sinks.naming import NAMES_JOURNAL
from fetchq.store.stored_file import file_in

if TYPE_CHECKING:
    from fetchq.core.row_set import RowSet
    from fetchq.store.sinks.naming import FileNaming

__all__ = ["NamesJournal", "Naming", "remove_empty_folders"]

_LONGEST = 64_000_000
"""The most bytes of a journal that are read; it may come from somebody else."""


class Naming(NamedTuple):
    """A body that is about to get its name."""

    row: int
    path: str
    """Relative to the run's folder."""
    inode: int
    modified: int
    """The number of the body's file, and when it was written, in nanoseconds: both stay as they are under its name."""


class NamesJournal:
    """The namings that the ledger may not have yet. Its methods raise OSError."""

    def __init__(self, root: Path, generation: int, naming: FileNaming) -> None:
        self._root = root
        self._naming = naming
        self._path = root / NAMES_JOURNAL
        self._generation = generation
        self._exists = False

    def write(self, namings: Sequence[Naming]) -> None:
        """Put these in place of the earlier ones, whose rows are in the ledger. They are on the disk on return."""
        self._write(namings, os.O_TRUNC)

    def add(self, naming: Naming) -> None:
        """Add one to those that were written last."""
        self._write([naming], os.O_APPEND)

    def clear(self) -> None:
        """Delete the journal: the ledger has the rows of all namings."""
        with suppress(FileNotFoundError):
            os.unlink(self._path)
        self._exists = False

    def undo(self, done: RowSet) -> None:
        """Take away the names of bodies whose rows are not done, and delete the journal."""
        for naming in self._pending(done):
            with suppress(FileNotFoundError, NotADirectoryError, PermissionError):  # it never got its name
                file = file_in(self._root, naming.path)
                found = os.lstat(file)
                if (found.st_ino, found.st_mtime_ns) == (naming.inode, naming.modified):  # else it is another file
                    os.unlink(file)
                    remove_empty_folders(self._root, naming.path)
        self.clear()

    def _pending(self, done: RowSet) -> Iterator[Naming]:
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            return
        with open(descriptor, "rb") as file:
            content = file.read(_LONGEST)
        for line in content.splitlines():
            with suppress(ValueError, TypeError, RecursionError):  # the last line may be incomplete: nothing was named
                generation, row, path, inode, modified = json.loads(line)
                mine = generation == self._generation and isinstance(path, str) and row not in done
                if mine and self._naming.may_be(path):
                    yield Naming(row, path, inode, modified)

    def _write(self, namings: Sequence[Naming], how: int) -> None:
        lines = "".join(f"{json.dumps([self._generation, *naming])}\n" for naming in namings)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | how, PRIVATE_FILE)
        with open(descriptor, "wb") as file:
            file.write(lines.encode())
            file.flush()
            os.fsync(descriptor)
        if not self._exists:
            sync_folder(self._root)
            self._exists = True


def remove_empty_folders(root: Path, path: str) -> None:
    """Remove the folders of a path in `root` that are empty, the innermost first."""
    folder = os.path.dirname(path)
    while folder:
        try:
            os.rmdir(root / folder)
        except OSError:  # it is not empty, or another program's
            return
        folder = os.path.dirname(folder)

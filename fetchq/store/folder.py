"""Manages the folder of a durable run: its contents, and the lock on it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Self

from fetchq.core.body_spool import PARTS_FOLDER, TEMPORARY_FOLDER
from fetchq.core.disk import PRIVATE_FILE, PRIVATE_FOLDER
from fetchq.store.sinks import BODY_FOLDERS
from fetchq.store.sinks.naming import NAMED_FOLDER, NAMES_JOURNAL

if TYPE_CHECKING:
    from filelock import BaseFileLock

__all__ = ["CONTENT", "LEDGER_FILES", "OWN_NAMES", "RESERVED_NAMES", "FolderError", "RunFolder"]

_LOCK = "lock"
LEDGER_FILES = ("run.db", "run.db-wal", "run.db-shm", "run.db-journal")
RESERVED_NAMES = frozenset({_LOCK, *LEDGER_FILES, NAMES_JOURNAL})
"""The files in the folder that only fetchq may write."""
CONTENT = (TEMPORARY_FOLDER, PARTS_FOLDER, "input", *BODY_FOLDERS, NAMED_FOLDER, NAMES_JOURNAL)
OWN_NAMES = frozenset({*RESERVED_NAMES, *CONTENT, "report.html"})
"""What fetchq may have in the folder beside bodies that lie flat in it."""


class FolderError(Exception):
    """A folder cannot be used in this way. The message is one line for people."""


class RunFolder:
    """A folder that holds a run, or is to hold one. As a context manager it locks the folder."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.ledger = self.path / "run.db"
        self.temporary = self.path / TEMPORARY_FOLDER
        self.wiped = self.temporary / "wiped"
        """A list of files that are being deleted (`fetchq.store.wiping`)."""
        self.parts = self.path / PARTS_FOLDER
        self.input = self.path / "input"
        self._lock: BaseFileLock | None = None

    def __str__(self) -> str:
        return str(self.path)

    def check(self) -> None:
        """Raise `FolderError` for a folder that holds anything other than a run. Raises OSError."""
        if not self.path.exists():
            return
        if not self.path.is_dir():
            raise FolderError(f"{str(self.path)!r} is not a folder")
        names = {one.name for one in self.path.iterdir()}
        if not names or "run.db" in names or (_LOCK in names and self.wiped.is_file()):
            return
        # A killed process may have left files made before the ledger, or those that are deleted after it.
        others = names - {*RESERVED_NAMES, *CONTENT} if _LOCK in names else names
        if others:
            raise FolderError(f"{str(self.path)!r} holds other files ({min(others)!r}) and no run; name a new folder")

    def make(self) -> None:
        """Create the folder, for its owner alone. Raises OSError."""
        self.path.mkdir(PRIVATE_FOLDER, parents=True, exist_ok=True)  # the mode is for the last folder alone

    def __enter__(self) -> Self:
        """Lock the folder. Raises `FolderError` if another process has locked it, and OSError."""
        from filelock import FileLock, Timeout

        if (self.path / _LOCK).is_symlink():
            raise FolderError(f"{str(self.path / _LOCK)!r} is a symbolic link, and not the lock of a run")
        lock = FileLock(self.path / _LOCK, mode=PRIVATE_FILE, thread_local=False)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            raise FolderError(f"another fetchq is at work in {str(self.path)!r}") from None
        self._lock = lock
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            self._lock.release()

    def sweep(self) -> None:
        """Create the temporary folder, or empty it. Raises OSError."""
        if self.temporary.is_symlink():
            self.temporary.unlink()
        self.temporary.mkdir(PRIVATE_FOLDER, exist_ok=True)
        for one in self.temporary.iterdir():
            one.unlink()

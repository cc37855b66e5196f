"""Deletes the run in a folder (`--overwrite`), or what a killed process has left of one.

Files that lie flat in the folder (`--output-flat`) may be beside others that are not fetchq's: only the ledger knows
which are the run's. But a ledger must be deleted before the files that it names. So a list of them is made first, by
which a later process goes on if this one is killed.
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import closing, suppress
from itertools import chain
from typing import TYPE_CHECKING

from fetchq.core.disk import open_private, sync_folder
from fetchq.store.folder import CONTENT, LEDGER_FILES
from fetchq.store.ledger_connection import LedgerError, ledger_exists
from fetchq.store.ledger_reader import LedgerReader
from fetchq.store.sinks.names_journal import remove_empty_folders
from fetchq.store.stored_file import file_in

if TYPE_CHECKING:
    from fetchq.store.folder import RunFolder

__all__ = ["wipe"]

_TABLES = ("records", "history")


def wipe(folder: RunFolder) -> None:
    """Delete the run in a folder. Raises OSError, `StorageError`."""
    # Nobody knows which files are those of a ledger that is damaged, or of another format: they stay.
    with suppress(LedgerError):
        _list_flat_files(folder)
    for name in LEDGER_FILES:  # first, since the files that a ledger names must exist as long as it does
        with suppress(FileNotFoundError):
            (folder.path / name).unlink()
    sync_folder(folder.path)
    _delete_listed(folder)
    for name in CONTENT:
        one = folder.path / name
        if one.is_dir() and not one.is_symlink():
            shutil.rmtree(one)
        else:
            with suppress(FileNotFoundError):
                one.unlink()


def _list_flat_files(folder: RunFolder) -> None:
    """Write the list of the run's files, if they lie flat in its folder."""
    if not ledger_exists(folder.ledger):
        return
    with closing(LedgerReader.open(folder.ledger)) as ledger:
        settings = ledger.meta("settings")
        if not isinstance(settings, dict) or not settings.get("output_flat"):
            return
        folder.sweep()
        part = f"{folder.wiped}.part"
        with open(part, "x", encoding="utf-8", opener=open_private) as file:
            rows = (ledger.rows(("path",), "path IS NOT NULL", table=table) for table in _TABLES)
            file.writelines(f"{json.dumps(path)}\n" for (path,) in chain.from_iterable(rows))
            file.flush()
            os.fsync(file.fileno())
        os.rename(part, folder.wiped)


def _delete_listed(folder: RunFolder) -> None:
    """Delete the files in the list, if there is one, and the folders that are empty then."""
    if not folder.wiped.is_file() or folder.wiped.is_symlink() or folder.temporary.is_symlink():
        return
    with open(folder.wiped, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            # Not all of them may be there, and the list may come from somebody else.
            with suppress(FileNotFoundError, NotADirectoryError, PermissionError, ValueError, RecursionError):
                path = str(json.loads(line))
                os.unlink(file_in(folder.path, path))
                remove_empty_folders(folder.path, path)

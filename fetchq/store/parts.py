"""Finds the beginnings of bodies that earlier sessions have stored, and deletes those that are not needed any more."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from fetchq.core.body_spool import DESCRIPTION
from fetchq.http.stored_part import read_description

if TYPE_CHECKING:
    from fetchq.store.folder import RunFolder
    from fetchq.store.ledger_reader import LedgerReader

__all__ = ["find_parts"]

_MOST_ROWS = 500
"""Rows in one query."""


def find_parts(folder: RunFolder, ledger: LedgerReader) -> dict[int, str]:
    """The path of the longest part of each row that is not ok. All other files in the folder for parts are deleted.

    There is at most one for each row, which is shorter than the body would be. Raises OSError, `StorageError`.
    """
    if folder.parts.is_symlink():
        folder.parts.unlink()
    if not folder.parts.is_dir():
        return {}
    longest: dict[int, tuple[int, str]] = {}
    with os.scandir(folder.parts) as entries:
        for entry in entries:
            if entry.name.endswith(DESCRIPTION) or not entry.is_file(follow_symlinks=False):
                continue
            row, size = _row_of(entry.path), entry.stat(follow_symlinks=False).st_size
            if row is not None and size > longest.get(row, (0, ""))[0]:
                longest[row] = size, entry.path
    for row in _ok(ledger, sorted(longest)):
        del longest[row]
    needed = {path for _, path in longest.values()}
    for one in folder.parts.iterdir():
        if str(one).removesuffix(DESCRIPTION) not in needed:
            one.unlink()
    return {row: path for row, (_, path) in longest.items()}


def _row_of(part: str) -> int | None:
    """The row of a part, as its description says; None if that is missing or damaged."""
    with suppress(OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
        row = int(read_description(part)[0]["row"])
        return row if row >= 0 else None
    return None


def _ok(ledger: LedgerReader, rows: list[int]) -> list[int]:
    """Those among these rows that are done and ok."""
    found: list[int] = []
    for first in range(0, len(rows), _MOST_ROWS):
        some = ", ".join(map(str, rows[first : first + _MOST_ROWS]))
        found += [index for (index,) in ledger.rows(("index",), f'ok AND "index" IN ({some})')]
    return found

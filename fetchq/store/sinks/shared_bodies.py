"""Lets others read the bodies that a store has written, where the user says so (`--mode-bits`).

A body is for its owner alone until it is whole. The ledger and the copies of the input, which may hold passwords, stay
so.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from fetchq.core.disk import PRIVATE_FOLDER

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fetchq.core.model import Result
    from fetchq.core.row_set import RowSet
    from fetchq.store.sinks.base import BodyStore

__all__ = ["SharedBodies"]


class SharedBodies:
    """A body store whose files and folders get these permissions. Its methods raise as those of the other store."""

    def __init__(self, store: BodyStore, root: Path, mode_bits: int) -> None:
        """`mode_bits`: the permissions of files; whoever may read them may enter the folders."""
        self._store = store
        self._root = root
        self._file_bits = mode_bits
        self._folder_bits = PRIVATE_FOLDER | mode_bits & 0o066 | (mode_bits & 0o044) >> 2
        self._done: set[str] = set()
        """The paths of the folders, and of files that hold many bodies, that have their permissions."""

    def restore(self, state: Any, done: RowSet) -> None:
        self._store.restore(state, done)
        os.chmod(self._root, self._folder_bits)

    def store(self, results: Sequence[Result]) -> list[Result]:
        return self._shared(self._store.store(results))

    def finish(self) -> list[Result]:
        return self._shared(self._store.finish())

    def state(self) -> Any:
        return self._store.state()

    def close(self) -> None:
        self._store.close()

    def _shared(self, results: list[Result]) -> list[Result]:
        for result in results:
            if result.path is None:
                continue
            name, many, _ = result.path.partition("#")
            *folders, _ = name.split("/")
            for depth in range(len(folders)):
                self._share("/".join(folders[: depth + 1]), self._folder_bits)
            if many:
                self._share(name, self._file_bits)
            elif os.stat(file := self._root / name).st_nlink == 1:  # else an earlier run has it, too (`--refresh`)
                os.chmod(file, self._file_bits)
        return results

    def _share(self, name: str, bits: int) -> None:
        if name not in self._done:
            os.chmod(self._root / name, bits)
            self._done.add(name)

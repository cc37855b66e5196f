"""Stores each body in a file of its own, which gets its final name when it is complete and on the disk."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from fetchq.core.disk import file_error_text, make_folder, sync_files, sync_folder
from fetchq.store.sinks.file_names import body_name, folder_of, row_of
from fetchq.store.sinks.stored import not_stored, stored

if TYPE_CHECKING:
    from fetchq.core.body_spool import Spool
    from fetchq.core.model import Result
    from fetchq.core.row_set import RowSet

__all__ = ["FileStore"]

_BODIES = "bodies"


class FileStore:
    """bodies/000012/00012345-example.org-page.html: a folder for each thousand rows."""

    def __init__(self, root: Path, generation: int) -> None:
        self._root = root
        self._generation = generation
        self._made: set[str] = set()
        """The subfolders that are known to exist."""
        self._new_subfolder = True
        """Whether there may be a subfolder whose name is not on the disk yet."""

    def restore(self, state: Any, done: RowSet) -> None:
        bodies = self._root / _BODIES
        make_folder(bodies)
        with os.scandir(bodies) as folders:
            for folder in folders:
                if not folder.is_dir(follow_symlinks=False):
                    os.unlink(folder.path)
                    continue
                with os.scandir(folder.path) as files:
                    for file in files:
                        row = row_of(file.name)
                        if row is not None and row[1] == self._generation and row[0] not in done:
                            os.unlink(file.path)

    def store(self, results: Sequence[Result]) -> list[Result]:
        written: dict[int, tuple[str, str]] = {}
        done: list[Result] = []
        for at, result in enumerate(results):
            spool = result.spool
            if spool is None:
                done.append(result)
                continue
            began = perf_counter()
            try:
                names = self._write(result, spool)
            except OSError as problem:
                spool.discard()
                done.append(not_stored(result, file_error_text(problem)))
                continue
            written[at] = names
            done.append(stored(result, names[1], perf_counter() - began))
        if written:
            self._finish(written, done)
        return done

    def finish(self) -> list[Result]:
        return []

    def state(self) -> None:
        return None

    def close(self) -> None:
        """Nothing is kept back."""

    def _write(self, result: Result, spool: Spool) -> tuple[str, str]:
        """Write the body to a temporary file. Returns the path of that file, and the body's inside the run's folder."""
        subfolder = folder_of(result.index)
        if subfolder not in self._made:
            make_folder(self._root / _BODIES / subfolder)
            self._made.add(subfolder)
            self._new_subfolder = True
        name = body_name(result.index, result.url, result.content_type, self._generation)
        return spool.path(), f"{_BODIES}/{subfolder}/{name}"

    def _finish(self, written: dict[int, tuple[str, str]], done: list[Result]) -> None:
        """Sync the temporary files, and then rename them to their final names."""
        problems = sync_files([temporary for temporary, _ in written.values()])
        for at, (temporary, path) in written.items():
            try:
                if temporary in problems:
                    raise problems[temporary]
                os.replace(temporary, os.path.join(self._root, path))
            except OSError as problem:
                done[at] = not_stored(done[at], file_error_text(problem))
                with suppress(OSError):
                    os.unlink(temporary)
        self._sync_names(path for _, path in written.values())

    def _sync_names(self, paths: Iterable[str]) -> None:
        """Sync the folders of these files: a name is on the disk when the folder that holds it is."""
        for folder in sorted({os.path.dirname(path) for path in paths}):
            sync_folder(self._root / folder)
        if self._new_subfolder:
            sync_folder(self._root / _BODIES)
            sync_folder(self._root)
            self._new_subfolder = False

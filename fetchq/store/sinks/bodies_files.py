"""Stores each body in a file of its own, which gets its name when it is complete and on the disk (`--save files`).

On a file system in memory, where there is no disk to wait for, a small body gets its name at once.
The names are readable, safe on every file system, and the same in every session.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from fetchq.core.disk import file_error_text, make_folder, sync_files, sync_folder
from fetchq.core.known import Known
from fetchq.core.memory_files import memory_files
from fetchq.store.sinks.stored import mark_not_stored, mark_stored
from fetchq.store.sinks.suffixes import suffixes

if TYPE_CHECKING:
    from fetchq.core.body_spool import Spool
    from fetchq.core.model import Result
    from fetchq.core.row_set import RowSet

__all__ = ["FileStore", "body_name", "folder_of", "row_of"]

_BODIES = "bodies"
PER_FOLDER = 1000
"""How many rows have their files in the same subfolder."""
_MOST = 80
"""The most characters of the URL in a name."""
_UNSAFE = re.compile(r"(?:[^A-Za-z0-9._-]|\.\.)+")
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}$")
_NAME = re.compile(r"(\d+)(?:~(\d+))?-")


class FileStore:
    """Stores bodies as bodies/000012/00012345-example.org-page.html: a subfolder for each thousand rows."""

    def __init__(self, root: Path, generation: int) -> None:
        self._root, self._root_text = root, str(root)
        self._generation = generation
        self._memory = memory_files(root)
        self._made: set[str] = set()
        """The subfolders that exist for certain."""
        self._new_subfolder = True
        """Whether the name of a subfolder may not be on the disk yet."""

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
        written: dict[int, tuple[str | None, str]] = {}
        done: list[Result] = []
        for at, result in enumerate(results):
            spool = result._spool
            if spool is None:
                done.append(result)
                continue
            began = perf_counter()
            try:
                names = self._write(result, spool)
            except OSError as problem:
                spool.discard()
                done.append(mark_not_stored(result, file_error_text(problem)))
                continue
            written[at] = names
            done.append(mark_stored(result, names[1], perf_counter() - began))
        if written:
            self._finish(written, done)
        return done

    def finish(self) -> list[Result]:
        return []

    def state(self) -> None:
        return None

    def close(self) -> None:
        """Do nothing: no Results are kept back."""

    def _write(self, result: Result, spool: Spool) -> tuple[str | None, str]:
        """Write the body to a temporary file. Returns the path of that file, and the final path in the run's folder.

        In memory, a small body gets its final name at once, and there is no temporary file (None): the file is complete
        before anybody can look at it, and if fetchq is killed, the row is not done, so that `restore` deletes it.
        """
        subfolder = folder_of(result.index)
        if subfolder not in self._made:
            make_folder(self._root / _BODIES / subfolder)
            self._made.add(subfolder)
            self._new_subfolder = True
        name = body_name(result.index, result.url, result.content_type, self._generation)
        path = f"{_BODIES}/{subfolder}/{name}"
        if self._memory is not None and (body := spool.content()) is not None:
            with suppress(FileExistsError):  # it is not fetchq's, and is replaced
                self._memory.create(f"{self._root_text}/{path}", body)
                return None, path
        return spool.path(), path

    def _finish(self, written: dict[int, tuple[str | None, str]], done: list[Result]) -> None:
        """Sync the temporary files, and then rename them to their final names."""
        problems = sync_files([temporary for temporary, _ in written.values() if temporary is not None])
        for at, (temporary, path) in written.items():
            if temporary is None:
                continue
            try:
                if temporary in problems:
                    raise problems[temporary]
                os.replace(temporary, f"{self._root_text}/{path}")
            except OSError as problem:
                done[at] = mark_not_stored(done[at], file_error_text(problem))
                with suppress(OSError):
                    os.unlink(temporary)
        self._sync_names({path.rpartition("/")[0] for _, path in written.values()})

    def _sync_names(self, subfolders: Iterable[str]) -> None:
        """Sync these subfolders, since the name of a file is on the disk when its folder was synced."""
        for subfolder in sorted(subfolders):
            sync_folder(self._root / subfolder)
        if self._new_subfolder:
            sync_folder(self._root / _BODIES)
            sync_folder(self._root)
            self._new_subfolder = False


def folder_of(index: int) -> str:
    """The subfolder for row `index`."""
    return f"{index // PER_FOLDER:06d}"


def body_name(index: int, url: str, content_type: str | None, generation: int = 0) -> str:
    """The file name for the body of row `index`: unique, in ASCII, and shorter than 120 characters.

    `url`: the URL of the request, since the server chooses the URL after redirects, and must not choose a file name.
    """
    # Without the query, which may contain secrets, and rarely describes the file.
    rest = url.partition("://")[2].partition("#")[0].partition("?")[0]
    host, _, path = rest.rpartition("@")[2].partition("/")
    last = unquote(path.rstrip("/").rpartition("/")[2], errors="replace")
    found = _SUFFIX.search(last)
    suffix = found[0].lower() if found else suffixes[content_type]
    stem = f"{_safe_hosts[host]}-{_safe(last[: found.start()] if found else last)}"
    # A name that begins with digits is not reserved on Windows (CON), not hidden, and not an option of a command.
    number = f"{index:08d}" if not generation else f"{index:08d}~{generation}"
    return f"{number}-{stem[:_MOST].strip('._-')}{suffix}"


def _safe(text: str) -> str:
    """The text with `_` in place of what is not safe in a name."""
    return text if text.isascii() and text.isalnum() else _UNSAFE.sub("_", text)


def row_of(name: str) -> tuple[int, int] | None:
    """The row and the generation in a name that `body_name` has made; None for any other name."""
    found = _NAME.match(name)
    return (int(found[1]), int(found[2] or 0)) if found else None


_safe_hosts = Known(_safe)

"""Stores the files of a job in a local folder, or in one that several machines have mounted.

A file gets its name when it is whole and on the disk. Folders and files are for their owner alone, since URLs may hold
passwords.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from uuid import uuid4

from fetchq.cluster.storage import PART, JobStorage
from fetchq.core.disk import PRIVATE_FOLDER, open_private, sync_files, sync_folder

__all__ = ["LocalStorage"]

_PIECE = 1_048_576
"""Bytes that are copied at a time."""


class LocalStorage(JobStorage):
    """The files of a job in a folder."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._root = os.path.abspath(path)

    @property
    def address(self) -> str:
        return self._root

    def read(self, name: str, offset: int = 0, size: int | None = None) -> bytes:
        with self.errors(name, "read"), open(self._path(name), "rb") as file:
            file.seek(offset)
            return file.read() if size is None else file.read(size)

    def write(self, name: str, content: bytes) -> None:
        with self.errors(name, "written"):
            self._put(name, partial(_write, content))

    def create(self, name: str, content: bytes) -> bool:
        with self.errors(name, "written"):
            try:
                self._put(name, partial(_write, content), replace=False)
            except FileExistsError:
                return False
            return True

    def upload(self, file: Path, name: str) -> None:
        with self.errors(name, "written"):
            self._put(name, partial(_move, file))

    def upload_all(self, files: Mapping[str, Path]) -> None:
        with self.errors("", "written"):
            paths = {self._path(name): file for name, file in files.items()}
            folders = {os.path.dirname(path) for path in paths}
            for folder in folders:
                _make_folders(folder)
            for path, file in paths.items():
                _move(file, path)
            for problem in sync_files(list(paths)).values():
                raise problem
            for folder in folders:
                sync_folder(folder)

    def copy(self, name: str, target: str) -> None:
        with self.errors(target, "written"):
            self._put(target, partial(_link, self._path(name)))

    def exists(self, name: str) -> bool:
        with self.errors(name, "read"):
            return os.path.exists(self._path(name))

    def names(self, folder: str) -> list[str]:
        with self.errors(folder, "read"):
            try:
                return sorted(one for one in os.listdir(self._path(folder)) if PART not in one)
            except FileNotFoundError:
                return []

    def delete(self, name: str) -> None:
        with self.errors(name, "deleted"), suppress(FileNotFoundError):
            path = self._path(name)
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)

    @contextmanager
    def local_copy(self, name: str) -> Iterator[Path]:
        path = Path(self._path(name))
        if not path.exists():
            raise FileNotFoundError(name)
        yield path

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        with self.errors("", "written"):
            _make_folders(self._root)
            for left in Path(self._root).glob(f"{PART}*"):  # by a process that was killed
                shutil.rmtree(left, ignore_errors=True)
            made = tempfile.TemporaryDirectory(prefix=PART, dir=self._root)
        with made as folder:
            yield Path(folder)

    def _path(self, name: str) -> str:
        return os.path.join(self._root, name) if name else self._root

    def _put(self, name: str, fill: Callable[[str], None], *, replace: bool = True) -> None:
        """Let `fill` make a file beside this one, sync it, and give it its name. Raises OSError."""
        path = self._path(name)
        folder = os.path.dirname(path)
        _make_folders(folder)
        part = f"{path}{PART}{uuid4().hex}"
        try:
            fill(part)
            with open(part, "rb") as file:
                os.fsync(file.fileno())
            if replace:
                os.replace(part, path)
            else:
                os.link(part, path)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(part)
        sync_folder(folder)


def _make_folders(path: str) -> None:
    """Make a folder, and those on the way there that are missing, for their owner alone."""
    if not os.path.isdir(path):
        _make_folders(os.path.dirname(path))
        with suppress(FileExistsError):
            os.mkdir(path, PRIVATE_FOLDER)


def _write(content: bytes, path: str) -> None:
    with open(path, "xb", opener=open_private) as file:
        file.write(content)


def _move(file: Path, path: str) -> None:
    try:
        os.replace(file, path)
    except OSError:  # it is in another file system
        with open(file, "rb") as source, open(path, "wb", opener=open_private) as target:
            shutil.copyfileobj(source, target, _PIECE)
        file.unlink()


def _link(path: str, other: str) -> None:
    try:
        os.link(path, other)
    except OSError:  # a file system without hard links
        with open(path, "rb") as source, open(other, "xb", opener=open_private) as target:
            shutil.copyfileobj(source, target, _PIECE)

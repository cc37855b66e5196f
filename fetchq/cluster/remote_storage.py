"""Stores the files of a job wherever fsspec can: in object stores, HDFS, SFTP or memory.

This is the only module that imports fsspec. An object store shows a file when it is closed, and so whole.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from fsspec.core import url_to_fs
from fsspec.implementations.memory import MemoryFileSystem

from fetchq.cluster.storage import JobStorage
from fetchq.core.disk import StorageError
from fetchq.core.text import one_line, redact_all

__all__ = ["RemoteStorage"]

_UPLOADS = 16
"""How many files are uploaded at a time."""


class RemoteStorage(JobStorage):
    """The files of a job at a URL."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        try:
            # Listings are not cached, since other machines write to the job at the same time.
            self._files, self._root = url_to_fs(url, use_listings_cache=False)
        except Exception as problem:  # noqa: BLE001  # a package that is missing, a wrong URL, no credentials
            raise StorageError(f"{self.shown!r} cannot be used: {one_line(redact_all(str(problem)))}") from None
        self.is_of_this_process = isinstance(self._files, MemoryFileSystem)

    def read(self, name: str, offset: int = 0, size: int | None = None) -> bytes:
        with self.errors(name, "read"):
            end = None if size is None else offset + size
            return bytes(self._files.cat_file(self._path(name), start=offset, end=end))

    def write(self, name: str, content: bytes) -> None:
        with self.errors(name, "written"):
            self._files.pipe_file(self._path(name), content)

    def create(self, name: str, content: bytes) -> bool:
        with self.errors(name, "written"):
            path = self._path(name)
            if self._files.exists(path):  # not all file systems heed the mode
                return False
            try:
                self._files.pipe_file(path, content, mode="create")
            except FileExistsError:
                return False
            except (TypeError, NotImplementedError):  # it knows no conditional writes
                self._files.pipe_file(path, content)
            return True

    def upload(self, file: Path, name: str) -> None:
        with self.errors(name, "written"):
            self._files.put_file(str(file), self._path(name))

    def upload_all(self, files: Mapping[str, Path]) -> None:
        with ThreadPoolExecutor(_UPLOADS, "fetchq-upload") as threads:
            for _ in threads.map(self.upload, files.values(), files):
                pass

    def copy(self, name: str, target: str) -> None:
        with self.errors(target, "written"):
            self._files.cp_file(self._path(name), self._path(target))

    def exists(self, name: str) -> bool:
        with self.errors(name, "read"):
            return bool(self._files.exists(self._path(name)))

    def names(self, folder: str) -> list[str]:
        with self.errors(folder, "read"):
            try:
                found: list[str] = self._files.ls(self._path(folder), detail=False)
            except FileNotFoundError:
                return []
            return sorted({name for one in found if (name := one.rstrip("/").rpartition("/")[2])})

    def delete(self, name: str) -> None:
        with self.errors(name, "deleted"), suppress(FileNotFoundError):
            self._files.rm(self._path(name), recursive=True)

    @contextmanager
    def local_copy(self, name: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="fetchq-") as folder:
            copy = Path(folder, name.rpartition("/")[2])
            with self.errors(name, "read"):
                self._files.get_file(self._path(name), str(copy))
            yield copy

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="fetchq-") as folder:
            yield Path(folder)

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

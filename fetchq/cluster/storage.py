"""Defines where the files of a job are: `JobStorage`, with one class for local folders and one for all other places."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from fetchq.core.disk import StorageError
from fetchq.core.text import one_line, redact_all

__all__ = ["PART", "JobStorage", "check_writable"]

PART = ".part-"
"""What is in the name of a file, or a folder, that is there only while something is being written."""


class JobStorage(ABC):
    """The files of the job at a path or a URL such as s3://bucket/job. Names are relative to it. Any thread may use it.

    A file is never seen in part. The methods raise `StorageError`, and FileNotFoundError where that is said.
    `fetchq.cluster.opened_storage` makes storages.
    """

    is_of_this_process = False
    """Whether no other process can reach the files, since they are in the memory of this one."""

    def __init__(self, url: str) -> None:
        self.url = url

    @property
    def address(self) -> str:
        """What opens the same storage in a process with another working folder."""
        return self.url

    @property
    def shown(self) -> str:
        """The job's path or URL for messages."""
        return redact_all(self.url)

    @abstractmethod
    def read(self, name: str, offset: int = 0, size: int | None = None) -> bytes:
        """The bytes of a file, or `size` bytes from `offset` on. Raises FileNotFoundError."""

    @abstractmethod
    def write(self, name: str, content: bytes) -> None:
        """Write a file, or replace it."""

    @abstractmethod
    def create(self, name: str, content: bytes) -> bool:
        """Write a file unless there is one. Returns whether it was written."""

    @abstractmethod
    def upload(self, file: Path, name: str) -> None:
        """Copy a local file to the job, or move it where that is cheaper."""

    @abstractmethod
    def upload_all(self, files: Mapping[str, Path]) -> None:
        """Copy or move local files to the job, by their names there. They are stored for good when it returns.

        Unlike with `upload`, they may be seen in part, by those who look for what no marker names.
        """

    @abstractmethod
    def copy(self, name: str, target: str) -> None:
        """Copy a file within the job."""

    @abstractmethod
    def exists(self, name: str) -> bool:
        """Whether there is such a file."""

    @abstractmethod
    def names(self, folder: str) -> list[str]:
        """The names of the files and folders in a folder, sorted; none where there is no such folder."""

    @abstractmethod
    def delete(self, name: str) -> None:
        """Delete a file, or a folder with all that is in it, if it exists."""

    @abstractmethod
    def local_copy(self, name: str) -> AbstractContextManager[Path]:
        """A local file with the content of this one, for as long as the block lasts. Raises FileNotFoundError."""

    @abstractmethod
    def scratch(self) -> AbstractContextManager[Path]:
        """A temporary folder from which `upload` is cheap, for as long as the block lasts."""

    @contextmanager
    def errors(self, name: str, what: str) -> Iterator[None]:
        """Turn the errors of a file system, each of which has its own, into `StorageError`."""
        try:
            yield
        except StorageError:
            raise
        except Exception as problem:  # they have no common base, and all mean the same here
            if isinstance(problem, FileNotFoundError) and what == "read":
                raise
            why = getattr(problem, "strerror", None) or one_line(redact_all(str(problem))) or type(problem).__name__
            place = f"{self.shown}/{name}" if name else self.shown
            raise StorageError(f"{place!r} cannot be {what}: {why}") from problem


def check_writable(storage: JobStorage) -> None:
    """Raise `StorageError` unless files can be written there."""
    name = f"{PART}test"
    storage.delete(name)  # of a test that was killed
    created = storage.create(name, b"")  # as leases and markers are, which not every file system can
    storage.write(name, b"")
    storage.delete(name)
    if not created:
        raise StorageError(f"{storage.shown!r} is being prepared by another process")

"""Reads the records of shards as if they were those of one run, with the paths of bodies relative to the job."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from fetchq.cluster.job import Job
from fetchq.cluster.marker import Marker, markers_of
from fetchq.cluster.storage import JobStorage
from fetchq.core.disk import StorageError
from fetchq.store.ledger_connection import LedgerError
from fetchq.store.stored_run import StoredRun, open_run

__all__ = ["JobRecords", "ShardRecords"]

LEDGER = "run.db"


class ShardRecords:
    """The records of the run that an attempt at a shard has made. Its methods raise as those of `StoredRun`."""

    def __init__(self, run: StoredRun, folder: str) -> None:
        """`folder`: that of the attempt, relative to the job."""
        self._run = run
        self._folder = folder

    def records(self, where: str = "1", include: Collection[str] = ()) -> Iterator[dict[str, Any]]:
        """The records, in order of index, as those of `StoredRun`."""
        for record in self._run.records(where, include):
            if record["path"] is not None:
                record["path"] = f"{self._folder}/{record['path']}"
            yield record

    def passed_columns(self) -> list[str]:
        """The names of the columns that the rows pass on."""
        return self._run.passed_columns()

    def damage(self, index: object, why: str) -> LedgerError:
        """The error for a damaged record."""
        return self._run.damage(index, why)


class JobRecords:
    """The records of all shards of a job that are done. Its methods raise `JobError` and `StorageError`."""

    def __init__(self, storage: JobStorage, job: Job) -> None:
        self._storage = storage
        self._job = job
        self.markers: list[Marker] = list(markers_of(storage, job))

    @property
    def rows(self) -> int:
        """How many rows are done."""
        return sum(marker.rows for marker in self.markers)

    @property
    def keeps_headers(self) -> bool:
        """Whether the job has the headers of its responses (`save_headers`)."""
        return bool(self._job.settings.get("save_headers"))

    def records(self, where: str = "1", include: Collection[str] = ()) -> Iterator[dict[str, Any]]:
        """The records that meet an SQL condition, in order of shard, and within a shard of index."""
        for marker in self.markers:
            name = f"{marker.folder}/{LEDGER}"
            try:
                with self._storage.local_copy(name) as path, open_run(path.parent) as run:
                    yield from ShardRecords(run, marker.folder).records(where, include)
            except FileNotFoundError:
                raise StorageError(f"{self._storage.shown + '/' + name!r} is gone") from None

    def passed_columns(self) -> list[str]:
        """The names of the columns that the rows pass on, as the user has given them."""
        return [str(name) for name in self._job.reading.get("passed") or ()]

    def damage(self, index: object, why: str) -> LedgerError:
        """The error for a damaged record."""
        return LedgerError.damaged(Path(self._storage.shown), why if index is None else f"row {index}: {why}")

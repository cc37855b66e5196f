"""Stores the files of a shard's run: its ledger, its bodies, and its records as Parquet."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from hashlib import file_digest
from pathlib import Path
from typing import TYPE_CHECKING

from fetchq.cluster.marker import DataFile
from fetchq.cluster.stored_job import ShardRecords
from fetchq.core.disk import open_private
from fetchq.store.export import write_records
from fetchq.store.folder import RunFolder
from fetchq.store.stored_run import open_run

if TYPE_CHECKING:
    from fetchq.cluster.storage import JobStorage

__all__ = ["stored_files"]

_RECORDS = "records.parquet"
_BODY_LIST = "bodies.jsonl"
_BODIES = "bodies/"
"""Where bodies are that have files of their own: too many of them to be named in the marker."""


def stored_files(storage: JobStorage, root: Path, folder: str) -> tuple[DataFile, ...]:
    """Store the run at `root` as `folder` of the job. Returns its files, without its bodies if each has its own.

    Those are listed in bodies.jsonl, which is one of the files. Raises `StorageError`, OSError.
    """
    run_folder = RunFolder(root)
    for left in (run_folder.temporary, run_folder.parts):
        shutil.rmtree(left, ignore_errors=True)
    with open_run(root) as run, open(root / _RECORDS, "xb", opener=open_private) as stream:
        write_records(ShardRecords(run, folder), "parquet", stream, "1")
    found = list(_described(root, folder))
    bodies = [one for one in found if one.path.startswith(f"{folder}/{_BODIES}")]
    if bodies:
        with open(root / _BODY_LIST, "xb", opener=open_private) as stream:
            for one in bodies:
                line = {"path": one.path, "size": one.size, "sha256": one.sha256}
                stream.write(json.dumps(line).encode() + b"\n")
        found.append(_file(root, root / _BODY_LIST, folder))
    storage.upload_all({one.path: root / one.path.removeprefix(f"{folder}/") for one in found})
    return tuple(one for one in found if not one.path.startswith(f"{folder}/{_BODIES}"))


def _described(root: Path, folder: str) -> Iterator[DataFile]:
    for place, _, names in os.walk(root):
        for name in sorted(names):
            yield _file(root, Path(place, name), folder)


def _file(root: Path, path: Path, folder: str) -> DataFile:
    with open(path, "rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
        return DataFile(f"{folder}/{path.relative_to(root).as_posix()}", os.fstat(file.fileno()).st_size, digest)

"""Prepares a job: divides a list into lanes, and the lanes into shards.

The list is read once, and its rows are appended to the file of their lane. Only then is it known how many rows each
lane has, and how many shards it gets; a second pass over the files finds where they begin, and their checksums.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from fetchq.cluster.job import INPUT, JOB_FILE, Job, JobError, Lane, Shard, open_job
from fetchq.cluster.lanes import LaneFinder
from fetchq.cluster.rows import row_lines
from fetchq.cluster.split import parts_of
from fetchq.cluster.storage import PART
from fetchq.core.apportion import apportioned
from fetchq.core.disk import StorageError, open_private
from fetchq.store.manifest import new_manifest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fetchq.cluster.storage import JobStorage
    from fetchq.core.model import Request
    from fetchq.core.settings import Settings

__all__ = ["JobPlan", "is_prepared", "prepare_job"]

_LANE_FILE = re.compile(r"lane-\d+\.jsonl")
_BUFFER = 16_777_216
"""Characters of rows that are collected for all lanes before they are written."""
_PIECE = 1_048_576
"""Bytes of a lane's file that are read at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPlan:
    """What a job is to be made of."""

    settings: Settings
    sources: list[dict[str, Any]]
    """The lists, as `describe_inputs` describes them."""
    reading: dict[str, Any]
    """How the lists are read."""
    shards: int
    lanes: int
    """The most lanes; fewer have rows if there are few hosts."""


def is_prepared(storage: JobStorage, plan: JobPlan) -> Job | None:
    """The job, if this very one was prepared already; None if there is none.

    Raises `JobError` if there is another one, or if there are files of others.
    """
    if not storage.exists(JOB_FILE):
        _check_unused(storage)
        return None
    job = open_job(storage)
    manifest = _manifest(plan)
    if list(job.sources) != plan.sources or job.reading != manifest["reading"]:
        raise JobError(f"{storage.shown!r} holds a job already, of another list; name another folder, or delete it")
    names = [name for name, value in manifest["settings"].items() if job.settings.get(name) != value]
    changed = [*names, *sorted({*manifest["withheld"]} ^ {*job.withheld})]
    if changed:
        flags = ", ".join("--" + name.replace("_", "-") for name in changed)
        raise JobError(f"{storage.shown!r} holds a job already, with another {flags}; name another folder")
    for name, before, now in (("shards", job.most_shards, plan.shards), ("lanes", job.most_lanes, plan.lanes)):
        if before != now:
            raise JobError(f"{storage.shown!r} holds a job already, with --{name} {before}; name another folder")
    return job


def _check_unused(storage: JobStorage) -> None:
    """Raise `JobError` if there are files that are not of a job whose preparation was interrupted."""
    names = [name for name in storage.names("") if name != INPUT]
    names += [f"{INPUT}/{name}" for name in storage.names(INPUT) if not _LANE_FILE.fullmatch(name)]
    if others := [name for name in names if PART not in name]:
        raise JobError(f"{storage.shown!r} holds other files ({min(others)!r}) and no job; name a new folder")


def prepare_job(storage: JobStorage, plan: JobPlan, batches: Iterable[Sequence[Request]]) -> Job:
    """Divide the rows of the list, and write the job, unless there are no rows. `is_prepared` must have found none.

    Raises `JobError`, `StorageError` and what the list raises.
    """
    storage.delete(INPUT)  # of an earlier attempt, which has not come to its end
    with storage.scratch() as folder:
        try:
            files = _divided(batches, plan, folder)
            job = _job_of(plan, files)
        except OSError as problem:
            raise StorageError.of(problem) from problem
        for lane, file in zip(job.lanes, files, strict=True):
            storage.upload(file.path, lane.input)
    if job.rows:
        storage.write(JOB_FILE, job.to_json())
    return job


class _LaneFile:
    """The file of a lane under way. Its methods raise OSError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = 0
        self.lines: list[str] = []
        """The rows that are still to be written."""
        self._file: BinaryIO | None = None

    def flush(self) -> None:
        """Write the rows that were collected."""
        if not self.lines:
            return
        if self._file is None:
            self._file = open(self.path, "xb", buffering=0, opener=open_private)  # noqa: SIM115  # `close` closes it
        content = memoryview("".join(self.lines).encode())
        while content:
            content = content[self._file.write(content) :]
        self.rows += len(self.lines)
        self.lines.clear()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def _divided(batches: Iterable[Sequence[Request]], plan: JobPlan, folder: Path) -> list[_LaneFile]:
    """Write the rows to the files of their lanes. Returns those that have rows. Raises OSError."""
    files = [_LaneFile(folder / f"{number}.jsonl") for number in range(plan.lanes)]
    add = [file.lines.append for file in files]
    waiting = 0
    with ExitStack() as closing:
        for file in files:
            closing.callback(file.close)
        finder = closing.enter_context(LaneFinder(plan.settings, plan.lanes))
        for batch in batches:
            lines = row_lines(batch)
            for lane, line in zip(finder.lanes_of(batch), lines, strict=True):
                add[lane](line)
            waiting += sum(map(len, lines))
            if waiting >= _BUFFER:
                for file in files:
                    file.flush()
                waiting = 0
        for file in files:
            file.flush()
    return [file for file in files if file.rows]


def _job_of(plan: JobPlan, files: list[_LaneFile]) -> Job:
    manifest = _manifest(plan)
    rows = [file.rows for file in files]
    total = sum(rows)
    counts = apportioned(min(plan.shards, total), rows, most=rows) if files else []
    lanes: list[Lane] = []
    shards: list[Shard] = []
    for lane, (file, count) in enumerate(zip(files, counts, strict=True)):
        first = len(shards)
        offset = 0
        for number, (size, digest, length) in enumerate(_cut(file.path, parts_of(file.rows, count)), first):
            shards.append(Shard(number, lane, length, offset, size, digest))
            offset += size
        lanes.append(Lane(lane, file.rows, tuple(range(first, len(shards)))))
    return Job(
        fetchq=manifest["fetchq"],
        created=manifest["created"],
        settings=manifest["settings"],
        withheld=tuple(manifest["withheld"]),
        sources=tuple(plan.sources),
        reading=manifest["reading"],
        rows=total,
        most_shards=plan.shards,
        most_lanes=plan.lanes,
        lanes=tuple(lanes),
        shards=tuple(shards),
    )


def _manifest(plan: JobPlan) -> dict[str, Any]:
    manifest = new_manifest(plan.settings, plan.sources, plan.reading)
    manifest["reading"] = {
        name: list(value) if isinstance(value, tuple) else value for name, value in manifest["reading"].items()
    }
    manifest["settings"] = {
        name: [list(one) if isinstance(one, tuple) else one for one in value] if isinstance(value, tuple) else value
        for name, value in manifest["settings"].items()
    }
    return manifest


def _cut(path: Path, parts: Sequence[int]) -> Iterator[tuple[int, str, int]]:
    """Cut the lines of a file into parts of so many lines. Yields the bytes, the SHA-256 and the lines of each."""
    with open(path, "rb", buffering=0) as file:
        piece, at = b"", 0
        for lines in parts:
            digest, size, left = sha256(), 0, lines
            while left:
                if at == len(piece):
                    piece, at = file.read(_PIECE), 0
                    if not piece:
                        raise JobError(f"{str(path)!r} has lost rows")
                end, found = _end_of_lines(piece, at, left)
                digest.update(memoryview(piece)[at:end])
                size += end - at
                left -= found
                at = end
            yield size, digest.hexdigest(), lines


def _end_of_lines(piece: bytes, at: int, most: int) -> tuple[int, int]:
    """Where the `most` lines from `at` on end, and how many end there; the end of the piece if fewer do."""
    found = piece.count(b"\n", at)
    if found < most:
        return len(piece), found
    for _ in range(most):
        at = piece.index(b"\n", at) + 1
    return at, most

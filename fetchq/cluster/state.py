"""Finds out how far a job is, and finishes it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from fetchq._version import __version__
from fetchq.cluster.attempt import publish_records
from fetchq.cluster.job import JobError
from fetchq.cluster.lease import is_held
from fetchq.cluster.marker import ATTEMPTS, markers_of, tries_of
from fetchq.store.manifest import timestamp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fetchq.cluster.job import Job, Lane, Shard
    from fetchq.cluster.marker import Marker, Try
    from fetchq.cluster.storage import JobStorage

__all__ = ["MANIFEST", "FailedShard", "JobState", "finish_job", "job_state", "predecessor"]

MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class FailedShard:
    """A shard that is not done, and whose attempts have failed."""

    shard: int
    attempts: int
    error: str


@dataclass(frozen=True, slots=True)
class JobState:
    """How far a job is."""

    done: frozenset[int]
    """The numbers of the shards that are done."""
    rows: int
    """How many rows these have; of them, `ok` and `failed`."""
    ok: int
    failed: int
    causes: Counter[str]
    held: dict[int, str]
    """The lanes that are being run, with the machine that does."""
    failed_shards: tuple[FailedShard, ...]


def job_state(storage: JobStorage, job: Job) -> JobState:
    """How far the job is. Raises `JobError` and `StorageError`."""
    markers = list(markers_of(storage, job))
    done = frozenset(marker.shard for marker in markers)
    held = {lane.number: found for lane in job.lanes if (found := _holder(storage, lane)) is not None}
    causes: Counter[str] = Counter()
    for marker in markers:
        causes.update(marker.causes)
    tried = {int(name) for name in storage.names("tries") if name.isdecimal()} - done
    failed = (_failed_shard(job.shards[number], storage, held) for number in sorted(tried) if number < len(job.shards))
    return JobState(
        done=done,
        rows=sum(marker.rows for marker in markers),
        ok=sum(marker.ok for marker in markers),
        failed=sum(marker.failed for marker in markers),
        causes=causes,
        held=held,
        failed_shards=tuple(one for one in failed if one is not None),
    )


def _holder(storage: JobStorage, lane: Lane) -> str | None:
    found = is_held(storage, lane.lease)
    return None if found is None else str(found.get("host"))


def _failed_shard(shard: Shard, storage: JobStorage, held: dict[int, str]) -> FailedShard | None:
    ended = _ended(tries_of(storage, shard), held=shard.lane in held)
    if not ended:
        return None
    last = max(ended, key=lambda one: one.started)
    return FailedShard(shard.number, len(ended), last.error or f"its process was killed, on {last.host}")


def _ended(tries: Sequence[Try], *, held: bool) -> list[Try]:
    """The attempts that have failed or were killed. If the lane is `held`, one without an error may be running."""
    return [one for one in tries if one.error is not None or not held]


def predecessor(storage: JobStorage, job: Job, shard: Shard, done: frozenset[int] | set[int]) -> Shard | None:
    """The first shard of the same lane that must be run before this one; None if it may run.

    One that has had as many attempts as a shard may have is passed over. Raises `StorageError`.
    """
    for number in job.lane_of(shard).shards:
        if number == shard.number:
            return None
        before = job.shards[number]
        if number not in done and len(tries_of(storage, before)) < ATTEMPTS:
            return before
    return None


def finish_job(storage: JobStorage, job: Job) -> int:
    """Write the manifest of all data files, and delete what no marker names. Returns the number of files.

    Raises `JobError` if shards are left, and `StorageError`.
    """
    markers = list(markers_of(storage, job))
    if left := len(job.shards) - len(markers):
        raise JobError(f"{left} of the {len(job.shards)} shards are not done: fetchq cluster run goes on with them")
    published = set(storage.names("records"))
    files: list[dict[str, Any]] = []
    for marker in markers:
        shard = job.shards[marker.shard]
        if shard.records.rpartition("/")[2] not in published:
            publish_records(storage, shard, marker)
        files += [{"shard": marker.shard, **one} for one in _files_of(storage, marker)]
    causes: Counter[str] = Counter()
    for marker in markers:
        causes.update(marker.causes)
    manifest = {
        "fetchq": __version__,
        "finished": timestamp(),
        "sources": list(job.sources),
        "rows": job.rows,
        "ok": sum(marker.ok for marker in markers),
        "failed": sum(marker.failed for marker in markers),
        "causes": dict(causes),
        "shards": len(job.shards),
        "records": "records/*.parquet",
        "files": files,
    }
    storage.write(MANIFEST, json.dumps(manifest, indent=1).encode() + b"\n")
    _clean_up(storage, job, markers)
    return len(files)


def _files_of(storage: JobStorage, marker: Marker) -> list[dict[str, Any]]:
    files = [asdict(one) for one in marker.files]
    if (bodies := marker.file("bodies.jsonl")) is not None:
        files += [json.loads(line) for line in storage.read(bodies.path).splitlines()]
    return files


def _clean_up(storage: JobStorage, job: Job, markers: Sequence[Marker]) -> None:
    """Delete the data of attempts that have no marker, unless one of them may still be under way."""
    if any(is_held(storage, lane.lease) is not None for lane in job.lanes):
        return
    for marker in markers:
        shard = job.shards[marker.shard]
        for name in storage.names(shard.attempts):
            if name != marker.attempt:
                storage.delete(f"{shard.attempts}/{name}")
    for name in ("tries", "leases", "stops"):
        storage.delete(name)

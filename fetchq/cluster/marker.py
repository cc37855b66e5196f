"""Says what became of a shard: its marker if it is done, and the attempts that have failed if not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from fetchq.cluster.job import JobError

if TYPE_CHECKING:
    from fetchq.cluster.job import Job, Shard
    from fetchq.cluster.storage import JobStorage

__all__ = ["ATTEMPTS", "DataFile", "Marker", "Try", "done_shards", "markers_of", "read_marker", "tries_of"]

ATTEMPTS = 3
"""After how many attempts a shard is given up."""
_READERS = 32
"""How many markers are read at a time."""


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file of a shard's data."""

    path: str
    """Relative to the job."""
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Marker:
    """A shard that is done. Whatever no marker names is no data of the job."""

    shard: int
    attempt: str
    folder: str
    """The folder of the attempt, relative to the job: that of a run."""
    files: tuple[DataFile, ...]
    """Its files; those of `bodies` are listed in bodies.jsonl, which is one of these."""
    rows: int
    ok: int
    failed: int
    causes: dict[str, int]
    """How many rows failed, by their cause."""
    fetchq: str
    started: str
    duration: float
    """In seconds."""

    def to_json(self) -> bytes:
        """The content of the marker's file."""
        return json.dumps(asdict(self)).encode()

    def file(self, name: str) -> DataFile | None:
        """The file with this name in the attempt's folder; None if there is none."""
        return next((one for one in self.files if one.path == f"{self.folder}/{name}"), None)


@dataclass(frozen=True, slots=True)
class Try:
    """An attempt at a shard that has not succeeded."""

    attempt: str
    run: str
    """The call of `fetchq cluster run` that it belongs to; that of run-shard is one of its own."""
    host: str
    started: str
    error: str | None = None
    """What it failed with; None while it runs, and if its process was killed."""
    traceback: str | None = None

    def to_json(self) -> bytes:
        """The content of its file."""
        return json.dumps(asdict(self)).encode()


def read_marker(storage: JobStorage, shard: Shard) -> Marker | None:
    """The marker of a shard; None if it is not done. Raises `JobError` if it is damaged, and `StorageError`."""
    try:
        content = storage.read(shard.marker)
    except FileNotFoundError:
        return None
    try:
        values = json.loads(content)
        files = tuple(DataFile(**one) for one in values.pop("files"))
        marker = Marker(**values, files=files)
        if marker.shard != shard.number or marker.rows != shard.rows:
            raise ValueError("it is of another shard")
    except (TypeError, ValueError, KeyError, AttributeError):
        raise JobError(f"{storage.shown + '/' + shard.marker!r} is damaged") from None
    return marker


def done_shards(storage: JobStorage) -> set[int]:
    """The numbers of the shards that have a marker, with one look at the folder. Raises `StorageError`."""
    names = (name.removesuffix(".json") for name in storage.names("done") if name.endswith(".json"))
    return {int(name) for name in names if name.isdecimal()}


def markers_of(storage: JobStorage, job: Job) -> Iterator[Marker]:
    """The markers of all shards that are done, in order, read some at a time. Raises as `read_marker`."""
    done = done_shards(storage)
    shards = [shard for shard in job.shards if shard.number in done]
    with ThreadPoolExecutor(_READERS, "fetchq-markers") as threads:
        for at in range(0, len(shards), 10 * _READERS):
            some = threads.map(lambda shard: read_marker(storage, shard), shards[at : at + 10 * _READERS])
            yield from (marker for marker in some if marker is not None)


def tries_of(storage: JobStorage, shard: Shard) -> list[Try]:
    """The attempts at a shard that have not succeeded. Raises `StorageError`."""
    found: list[Try] = []
    for name in storage.names(shard.tries):
        try:
            values: dict[str, Any] = json.loads(storage.read(f"{shard.tries}/{name}"))
            found.append(Try(**values))
        except FileNotFoundError:
            continue  # it has succeeded just now
        except (TypeError, ValueError):
            continue  # it tells nothing
    return found

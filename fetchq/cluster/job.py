"""Defines a job: what its file `job.json` says, and the names of its other files.

job.json                    what the job is; written last, so that a folder without it holds no job
input/lane-07.jsonl         the rows of a lane, which belong to its shards one after the other
leases/lane-07.json         who runs a shard of the lane now
tries/00012/<attempt>.json  an attempt at a shard that runs, has failed, or was killed
attempts/00012/<attempt>/   what an attempt has stored: a run's folder, and its records as Parquet
done/00012.json             the marker: the shard is done, and which attempt has its data
records/00012.parquet       the records of a shard that is done, for whoever reads all of them at once
manifest.json               all data files of a job that is finished
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from fetchq.cluster.storage import JobStorage
from fetchq.store.manifest import StoredSettings, settings_of

__all__ = ["FORMAT", "INPUT", "JOB_FILE", "Job", "JobError", "Lane", "Shard", "open_job"]

FORMAT = 1
"""The version of the layout."""
JOB_FILE = "job.json"
INPUT = "input"


class JobError(Exception):
    """The job cannot be used in this way. The message is one line for people."""


@dataclass(frozen=True, slots=True)
class Lane:
    """The rows of some hosts, in the order of the list."""

    number: int
    rows: int
    shards: tuple[int, ...]
    """The numbers of its shards, in their order."""

    @property
    def input(self) -> str:
        """The name of the file with its rows."""
        return f"{INPUT}/lane-{self.number:02d}.jsonl"

    @property
    def lease(self) -> str:
        """The name of the file that says who runs it."""
        return f"leases/lane-{self.number:02d}.json"


@dataclass(frozen=True, slots=True)
class Shard:
    """Consecutive rows of a lane, which are fetched as one run."""

    number: int
    lane: int
    rows: int
    offset: int
    """Where its rows begin in the lane's file, in bytes."""
    size: int
    """How many bytes they have."""
    sha256: str

    @property
    def name(self) -> str:
        """Its number, as the names of its files have it."""
        return f"{self.number:05d}"

    @property
    def marker(self) -> str:
        """The name of the file that says that it is done."""
        return f"done/{self.name}.json"

    @property
    def tries(self) -> str:
        """The name of the folder with the attempts that have not succeeded."""
        return f"tries/{self.name}"

    @property
    def attempts(self) -> str:
        """The name of the folder with the data of its attempts."""
        return f"attempts/{self.name}"

    @property
    def records(self) -> str:
        """The name of the file with its records, once it is done."""
        return f"records/{self.name}.parquet"


@dataclass(frozen=True, slots=True)
class Job:
    """A list that is divided into shards, and how it is to be fetched."""

    fetchq: str
    """The version of fetchq that has prepared it."""
    created: str
    settings: dict[str, Any]
    withheld: tuple[str, ...]
    """The names of settings that were given, but are not kept, since they may be secret."""
    sources: tuple[dict[str, Any], ...]
    """The lists, as `describe_inputs` describes them."""
    reading: dict[str, Any]
    """How the lists were read."""
    rows: int
    most_shards: int
    """How many shards were asked for; there are fewer if there are fewer rows."""
    most_lanes: int
    lanes: tuple[Lane, ...]
    shards: tuple[Shard, ...]

    def lane_of(self, shard: Shard) -> Lane:
        """The lane that a shard is part of."""
        return self.lanes[shard.lane]

    def stored_settings(self) -> StoredSettings:
        """The settings that the job was prepared with. Raises `JobError` if they are none."""
        try:
            return settings_of(self.settings, self.withheld)
        except ValueError:
            raise JobError("the settings in job.json are damaged") from None

    def to_json(self) -> bytes:
        """The content of `job.json`."""
        values = {"format": FORMAT, **asdict(self)}
        return json.dumps(values, indent=1, ensure_ascii=True).encode() + b"\n"


def open_job(storage: JobStorage) -> Job:
    """Read the job. Raises `JobError` where there is none, or it is damaged, and `StorageError`."""
    try:
        content = storage.read(JOB_FILE)
    except (FileNotFoundError, NotADirectoryError):
        raise JobError(f"there is no job in {storage.shown!r}: fetchq cluster prepare makes one") from None
    try:
        values = json.loads(content)
        if not isinstance(values, dict) or values.get("format") != FORMAT:
            raise JobError(f"the job in {storage.shown!r} was prepared by another version of fetchq")
        job = _job_of(values)
    except (TypeError, ValueError, KeyError, RecursionError):
        raise JobError(f"{storage.shown + '/' + JOB_FILE!r} is damaged") from None
    return job


def _job_of(values: dict[str, Any]) -> Job:
    lanes = tuple(Lane(**one | {"shards": tuple(one["shards"])}) for one in values["lanes"])
    shards = tuple(Shard(**one) for one in values["shards"])
    if [one.number for one in shards] != list(range(len(shards))):
        raise ValueError("the shards are not numbered")
    if [one.number for one in lanes] != list(range(len(lanes))):
        raise ValueError("the lanes are not numbered")
    if not all(isinstance(one.rows, int) and isinstance(one.size, int) for one in shards):
        raise TypeError("the shards have no sizes")
    given = {
        name: values[name] for name in ("fetchq", "created", "settings", "reading", "rows", "most_shards", "most_lanes")
    }
    withheld, sources = tuple(map(str, values["withheld"])), tuple(values["sources"])
    return Job(**given, withheld=withheld, sources=sources, lanes=lanes, shards=shards)

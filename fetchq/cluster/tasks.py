"""Makes the tasks of a job's shards: the settings of each, with its lane's part of the job's rate."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from fetchq._version import __version__
from fetchq.cluster.job import Lane, Shard
from fetchq.core.apportion import apportioned
from fetchq.core.settings import Settings, SettingsError

if TYPE_CHECKING:
    from fetchq.cluster.job import Job
    from fetchq.cluster.storage import JobStorage

__all__ = ["ShardTask", "TaskMaker"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardTask:
    """What is to be done, as it is sent to the process that does it."""

    url: str
    """The job's path or URL."""
    lane: Lane
    shard: Shard
    run: str
    """The call of the command that the attempt belongs to."""
    settings: dict[str, Any]
    """The settings of the lane, with its part of the job's rate, by name. They may be secret."""
    sources: tuple[dict[str, Any], ...]
    reading: dict[str, Any]
    fetchq: str = __version__
    """The version of the one who sends it."""
    scratch: str | None = None
    """The folder for temporary files, if not the system's."""


class TaskMaker:
    """Makes tasks for one call of a command."""

    def __init__(self, storage: JobStorage, job: Job, settings: Settings, run: str) -> None:
        """Raises `SettingsError` if a limit cannot be divided among the lanes."""
        self._storage = storage
        self._job = job
        self._run = run
        self._settings = {one.name: getattr(settings, one.name) for one in fields(settings)} | {"keep_body": False}
        self._rates = _rates(job, settings)
        self._byte_rates = _byte_rates(job, settings)

    def task(self, shard: Shard) -> ShardTask:
        """The task of a shard."""
        lane = self._job.lane_of(shard)
        limits = {"rate": self._rates.get(lane.number), "limit_rate": self._byte_rates.get(lane.number)}
        return ShardTask(
            url=self._storage.address,
            lane=lane,
            shard=shard,
            run=self._run,
            settings=self._settings | limits,
            sources=self._job.sources,
            reading=self._job.reading,
        )


def most_lanes(settings: Settings, lanes: int) -> int:
    """How many of `lanes` a job may have: each gets at least one start per second, unless there is one lane."""
    return lanes if settings.rate is None else min(lanes, max(1, int(settings.rate)))


def _rates(job: Job, settings: Settings) -> dict[int, float]:
    """The starts per second of each lane; none without a limit.

    They are whole numbers, so that no second has more starts of all lanes than the rate allows.
    """
    if settings.rate is None:
        return {}
    if len(job.lanes) == 1:
        return {job.lanes[0].number: settings.rate}
    return {lane: float(rate) for lane, rate in _divided("rate", int(settings.rate), job).items()}


def _byte_rates(job: Job, settings: Settings) -> dict[int, int]:
    """The bytes per second of each lane; none without a limit."""
    return {} if settings.limit_rate is None else _divided("limit_rate", settings.limit_rate, job)


def _divided(name: str, total: int, job: Job) -> dict[int, int]:
    """A limit divided among the lanes by their rows, each of which gets at least 1."""
    try:
        found = apportioned(total, [lane.rows for lane in job.lanes])
    except ValueError:
        raise SettingsError(name, f"it cannot be divided among {len(job.lanes)} lanes (prepare has --lanes)") from None
    return {lane.number: part for lane, part in zip(job.lanes, found, strict=True)}

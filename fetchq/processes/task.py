"""Defines what a process is told when it starts, and what it reports when it ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fetchq.core.prepared_results import Preparation
    from fetchq.reports.attribution import Attribution
    from fetchq.scheduling.congestion import HostBackoff
    from fetchq.scheduling.host_load import HostLoad

__all__ = ["ProcessReport", "Share", "Task"]


@dataclass(frozen=True, slots=True)
class Share:
    """The part of the limits of the whole run that one process has."""

    workers: int
    rate: float | None
    """Starts per second."""
    limit_rate: int | None
    """Bytes of bodies per second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a process has to do."""

    settings: dict[str, Any]
    """The settings of its part of the run, by name."""
    first_worker: int
    """The number of its first worker."""
    output: int
    """The descriptor for its messages."""
    folder: str
    """Where the files of large bodies go."""
    deadline: float | None
    """Seconds that the run has left."""
    tells_starts: bool
    """Whether it says when an attempt begins."""
    tells_retries: bool
    """Whether it says when an attempt is followed by another one."""
    preparation: Preparation | None
    """What it does with the Results, if it keeps them for itself."""
    linger: float
    """Seconds for which it collects Results."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessReport:
    """What a process has measured of its part of the run."""

    began: float
    """When it began to fetch, as `time.perf_counter`, which all processes of a machine share."""
    ended: float
    attribution: Attribution
    clocks: tuple[tuple[int, int, float], ...]
    """The number of each worker, how many attempts it made, and the seconds that it was busy."""
    backoffs: list[HostBackoff]
    loads: list[HostLoad]
    peak_memory: int
    """The most bytes that it has had in memory."""

"""Divides the time of a run's workers: for what they worked or waited, without a rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fetchq.scheduling.limit import Limit

__all__ = ["Attribution", "Blocked", "Held"]


@dataclass(frozen=True, slots=True)
class Held:
    """Time for which free workers could not take a waiting job."""

    limit: Limit
    host: str | None
    """The host that the limit is for, by its key (`per_host_by`); None for a limit of the whole run."""
    seconds: float
    """Summed over the workers."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """Time for which code other than fetchq's kept the event loop from running anything else."""

    where: str
    """The function, with its file's name and line, such as `slow_callback (scrape.py:12)`."""
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """What the workers of a run did with their time. Seconds, summed over the workers.

    All fields from `input` to `own` add up to `total`, which is `workers` x `duration`.
    """

    workers: int
    duration: float
    """Seconds that the run took."""
    input: float = 0.0
    """Idle, since the next row had not come from the input."""
    finished: float = 0.0
    """Idle, since no row was left for the worker."""
    turn: float = 0.0
    """Idle in mode `sync`, while another worker had its turn."""
    held: tuple[Held, ...] = ()
    """Idle, since limits held the waiting jobs back; the longest one first."""
    dns: float = 0.0
    connect: float = 0.0
    tls: float = 0.0
    wait: float = 0.0
    receive: float = 0.0
    decode: float = 0.0
    store: float = 0.0
    lag: float = 0.0
    """An event had come from the network, and the event loop, or the worker's thread, was not free to take it."""
    callback: float = 0.0
    """Waiting for `on_start`."""
    output: float = 0.0
    """Waiting for the output to take Results (back pressure)."""
    own: float = 0.0
    """fetchq's own work between and around the attempts, with the time in which it waited for the CPU."""
    cpu: float = 0.0
    """CPU seconds of the whole process during the run; no part of the total."""
    blocked: tuple[Blocked, ...] = ()
    """Code that blocked the event loop, the longest first; no part of the total."""

    @property
    def total(self) -> float:
        """`workers` x `duration`."""
        return self.workers * self.duration

    @property
    def held_total(self) -> float:
        """The sum of `held`."""
        return sum(one.seconds for one in self.held)

    def parts(self) -> dict[str, float]:
        """The parts of the total by name, with `held` as one part. They add up to `total`."""
        names = ("input", "finished", "turn", "dns", "connect", "tls", "wait", "receive", "decode", "store", "lag")
        parts = {name: getattr(self, name) for name in (*names, "callback", "output", "own")}
        return {"held": self.held_total, **parts}

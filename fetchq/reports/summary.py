"""Numbers about a run, counted as results pass: constant memory, and two summaries can be merged into one."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fetchq.core.model import PHASES, phase_values

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fetchq.core.model import Result
    from fetchq.scheduling.congestion import HostNote
    from fetchq.workers.settle import WorkerClock

__all__ = ["Histogram", "Summary"]

_GROWTH = math.log(1.02)
_LEAST = 1e-6


class Histogram:
    """Durations in seconds, in buckets that grow by 2 %: any percentile is at most 2 % too high."""

    __slots__ = ("buckets", "count", "greatest")

    def __init__(self) -> None:
        self.buckets: dict[int, int] = {}
        self.count = 0
        self.greatest = 0.0

    def add(self, seconds: float) -> None:
        bucket = int(math.log(seconds / _LEAST) / _GROWTH) if seconds > _LEAST else 0
        self.buckets[bucket] = self.buckets.get(bucket, 0) + 1
        self.count += 1
        if seconds > self.greatest:
            self.greatest = seconds

    def merge(self, other: Histogram) -> None:
        for bucket, count in other.buckets.items():
            self.buckets[bucket] = self.buckets.get(bucket, 0) + count
        self.count += other.count
        self.greatest = max(self.greatest, other.greatest)

    def percentile(self, percent: float) -> float:
        """The value that so many percent do not exceed; 0 when there are no values."""
        rank = max(1, math.ceil(self.count * percent / 100))
        seen = 0
        for bucket in sorted(self.buckets):
            seen += self.buckets[bucket]
            if seen >= rank:
                # The bucket's upper edge: a percentile below the least value would be a riddle.
                return min(_LEAST * math.exp((bucket + 1) * _GROWTH), self.greatest)
        return 0.0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Histogram) and (self.buckets, self.greatest) == (other.buckets, other.greatest)

    __hash__ = None  # type: ignore[assignment]  # it changes


@dataclass(slots=True)
class Summary:
    """Times in seconds, sizes in bytes."""

    total: int = 0
    ok: int = 0
    causes: Counter[str] = field(default_factory=Counter)
    """How many failed of each cause."""
    copied: int = 0
    """Of `total`, those that took no time and no bytes, because another row had asked the same."""
    attempts: int = 0
    size: int = 0
    wire_size: int = 0
    fetch_time: float = 0.0
    """The sum of all `elapsed`."""
    phase_sums: list[float] = field(default_factory=lambda: [0.0] * len(PHASES))
    """The sum of each phase, in the order of `PHASES`."""
    elapsed: Histogram = field(default_factory=Histogram)
    wait: Histogram = field(default_factory=Histogram)
    duration: float = 0.0
    """Of the whole run, by the clock on the wall."""
    workers: dict[int, tuple[int, float]] = field(default_factory=dict)
    """Of each worker: attempts made, and seconds in them."""
    hosts: list[HostNote] = field(default_factory=list)
    """Those that refused, failed or grew slow, and what was done about it."""

    @property
    def phases(self) -> dict[str, float]:
        """The sum of each phase, by name."""
        return dict(zip(PHASES, self.phase_sums, strict=True))

    @property
    def failed(self) -> int:
        return self.total - self.ok

    @property
    def concurrency(self) -> float:
        """How many were fetched at a time, on average over the run."""
        return self.fetch_time / self.duration if self.duration else 0.0

    def add(self, result: Result) -> None:
        self.total += 1
        if result.cause is None:
            self.ok += 1
        else:
            self.causes[result.cause.value] += 1
        if result.copied:
            self.copied += 1
            return
        self.attempts += result.attempts
        self.size += result.size
        self.wire_size += result.wire_size
        self.fetch_time += result.elapsed
        timing = result.timing
        self.phase_sums = [
            total + (spent or 0.0) for total, spent in zip(self.phase_sums, phase_values(timing), strict=True)
        ]
        if result.attempts:
            self.elapsed.add(result.elapsed)
            self.wait.add(timing.wait)

    def finish(self, duration: float, clocks: Iterable[WorkerClock], hosts: Iterable[HostNote] = ()) -> None:
        """The run took so many seconds, its workers did this, and this was done about hosts."""
        self.duration = duration
        self.hosts = list(hosts)
        self.workers = {clock.number: (clock.fetched, clock.busy) for clock in clocks}

    def merge(self, other: Summary) -> None:
        """Count `other` in, a part of the same run that went on beside this one."""
        for name in ("total", "ok", "copied", "attempts", "size", "wire_size", "fetch_time"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.causes.update(other.causes)
        self.phase_sums = [mine + theirs for mine, theirs in zip(self.phase_sums, other.phase_sums, strict=True)]
        self.elapsed.merge(other.elapsed)
        self.wait.merge(other.wait)
        self.duration = max(self.duration, other.duration)
        self.hosts += other.hosts
        for number, (fetched, busy) in other.workers.items():
            before = self.workers.get(number, (0, 0.0))
            self.workers[number] = (before[0] + fetched, before[1] + busy)

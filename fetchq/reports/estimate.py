"""Estimates how long a run would take with other settings, from what it has measured.

Each resource alone sets a least time for the run: that is the bottleneck analysis of queueing networks (Denning and
Buzen, "The Operational Analysis of Queueing Network Models", 1978). The least times:

    workers        the rows, each on the next free worker: about the sum of their times / workers; and the CPU seconds
                   of the first rows of each, which all workers begin, and go on with, at the same moments
    longest row    its time
    CPU            the CPU seconds, since the event loop, and all threads of Python, share one core
    per_host       the seconds at the host with the most of them / per_host
    rate           (attempts - 1) / rate
    host_interval  (attempts at the host with the most of them - 1) x the interval
    limit_rate     the bytes of the bodies / the limit

The greatest one bounds the run. What the run took beyond it, for its start say, would remain: the estimate for other
settings is their greatest least time, and that rest. It holds as far as servers and network stay as quick as they were.
"""

from __future__ import annotations

from heapq import heapreplace
from math import ceil, inf
from typing import TYPE_CHECKING, NamedTuple

from fetchq.reports.verdict import Bottleneck

if TYPE_CHECKING:
    from fetchq.core.settings import Settings
    from fetchq.reports.attribution import Attribution
    from fetchq.reports.summary import Summary

__all__ = ["Estimate", "Plan", "makespan"]

_MOST_SIMULATED = 1000
"""Up to this many rows, their order on the workers is simulated."""
_BUSY = 0.9
"""The share of a core up to which more workers help."""
_MOST_TIMES = 10
"""More workers than this many times those of the run are not recommended: nobody knows how the servers bear them."""
_IN_STEP = 2
"""For so many rows of each, the workers are in step; later, some need the CPU while others wait for servers."""
_NEAR = 1.05
"""A number of workers that takes up to this many times the least time is as good as more workers."""


class Plan(NamedTuple):
    """The settings that an estimate is for. Without a limit, it is infinite."""

    workers: int
    """Requests at a time: 1 in mode `sync`."""
    per_host: float = inf
    rate: float = inf
    """Starts per second."""
    host_interval: float = 0.0
    limit_rate: float = inf
    """Bytes per second."""
    processes: int = 1
    """Processes that share the list, the workers and the limits, each with its own core."""

    @classmethod
    def of(cls, settings: Settings) -> Plan:
        """The plan with these settings."""
        return cls(
            1 if settings.mode == "sync" else settings.workers,
            settings.per_host or inf,
            settings.rate or inf,
            settings.host_interval,
            settings.limit_rate or inf,
            settings.processes,
        )


class Estimate:
    """What a run has measured, and how long it would take with other settings."""

    def __init__(self, summary: Summary, attribution: Attribution, settings: Settings) -> None:
        self._summary = summary
        self._rows = summary.elapsed.spread()
        self.plan = Plan.of(settings)
        """The settings of the run."""
        self._cpu = min(attribution.cpu, attribution.duration * attribution.processes)
        network = sum(attribution.parts()[name] for name in ("dns", "connect", "tls", "wait", "receive", "store"))
        self.work = network + min(self._cpu, attribution.decode + attribution.own + attribution.lag)
        """Seconds that the rows take all together if none waits for the CPU."""
        self._scale = self.work / summary.fetch_time if summary.fetch_time else 1.0
        """The seconds of a row by this measure, as a share of its `elapsed`."""
        self.longest = min(summary.elapsed.greatest * min(self._scale, 1.0), attribution.duration)
        self._rest = max(0.0, attribution.duration - self._least(self.plan))

    def seconds(self, plan: Plan, *, without: float = 0.0) -> float:
        """How long the run would take. `without`: seconds of its duration that would fall away."""
        return self._least(plan) + max(0.0, self._rest - without)

    def useful_workers(self, plan: Plan) -> int:
        """How many workers help: more would not make the run faster, or nobody knows how the servers bear them.

        At least as many as the plan has.
        """
        other = max(*self._bounds(plan).values(), self._cpu / plan.processes / _BUSY, 1e-9)
        most = min(ceil(self.work / other), self._summary.elapsed.count, _MOST_TIMES * plan.workers, 100_000)
        if most <= plan.workers:
            return plan.workers
        enough = _NEAR * max(other, self._makespan(most))
        low, high = plan.workers, most  # the fewest that are enough are in low < n <= high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if max(other, self._makespan(middle)) <= enough else (middle, high)
        return high

    def limit_beside_workers(self) -> Bottleneck:
        """What bounds the run if it has any number of workers."""
        bounds = self._bounds(self.plan)
        return max(bounds, key=lambda name: bounds[name])

    def _least(self, plan: Plan) -> float:
        return max(*self._bounds(plan).values(), self._makespan(plan.workers, plan.processes))

    def _bounds(self, plan: Plan) -> dict[Bottleneck, float]:
        """The least times of the run, but for that of its workers."""
        summary, scale = self._summary, min(self._scale, 1.0)
        return {
            Bottleneck.SLOW_URL: self.longest,
            Bottleneck.CPU: self._cpu * self._share_of_one(plan.processes),
            Bottleneck.PER_HOST: max((load.seconds * scale for load in summary.loads), default=0.0) / plan.per_host,
            Bottleneck.RATE: (summary.attempts - 1) / plan.rate,
            Bottleneck.HOST_INTERVAL: max((load.attempts - 1 for load in summary.loads), default=0)
            * plan.host_interval,
            Bottleneck.LIMIT_RATE: summary.wire_size / plan.limit_rate,
        }

    def _share_of_one(self, processes: int) -> float:
        """The share of the work that one of several processes has at least, since it has all rows of a host."""
        if processes == 1:
            return 1.0
        largest = max((load.attempts for load in self._summary.loads), default=0)
        return max(1 / processes, largest / max(self._summary.attempts, 1))

    def _makespan(self, workers: int, cores: int = 1) -> float:
        together = min(_IN_STEP * workers / max(self._summary.elapsed.count, 1), 1.0)
        return makespan(self._rows, workers) * self._scale + self._cpu / cores * together


def makespan(durations: list[tuple[float, int]], workers: int) -> float:
    """Seconds until all jobs are done, if each in turn goes to the next free worker.

    `durations`: seconds, with the number of jobs that take as long, which come evenly spread over the list.
    """
    total, count = sum([seconds * count for seconds, count in durations]), sum([count for _, count in durations])
    longest = max([seconds for seconds, _ in durations], default=0.0)
    if workers >= count or workers <= 1:
        return longest if workers > 1 else total
    if count > _MOST_SIMULATED:
        return max(longest, total / workers + total / count / 2)  # in the end, workers wait for the last rows
    jobs = [((nth + 0.5) / count, at) for at, (_, count) in enumerate(durations) for nth in range(count)]
    free_at = [0.0] * workers
    for _, at in sorted(jobs):
        heapreplace(free_at, free_at[0] + durations[at][0])
    return max(free_at)

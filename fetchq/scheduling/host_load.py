"""Tells how much of a run's work each host was."""

from __future__ import annotations

from dataclasses import dataclass
from heapq import nlargest
from operator import attrgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fetchq.scheduling.host_queue import HostQueue

__all__ = ["HostLoad", "HostLoads", "greatest_loads"]

_MOST = 100
"""The most hosts that are reported; of those that have been dropped, ten times as many are kept."""


@dataclass(frozen=True, slots=True)
class HostLoad:
    """The attempts at one host."""

    host: str
    """The host's key (`per_host_by`)."""
    attempts: int
    seconds: float
    """Seconds that the attempts took, without those spent waiting for `limit_rate`."""
    failed: float
    """The part of `seconds` that was spent on attempts that failed."""

    def plus(self, other: HostLoad) -> HostLoad:
        """The load with more attempts at the same host."""
        attempts, seconds = self.attempts + other.attempts, self.seconds + other.seconds
        return HostLoad(self.host, attempts, seconds, self.failed + other.failed)

    @property
    def mean(self) -> float:
        """Seconds per attempt."""
        return self.seconds / self.attempts if self.attempts else 0.0


_seconds = attrgetter("seconds")


def greatest_loads(loads: Iterable[HostLoad]) -> list[HostLoad]:
    """Those with the most seconds, at most 100, the greatest first. Loads of one host are added up."""
    totals: dict[str, HostLoad] = {}
    for load in loads:
        totals[load.host] = load if (before := totals.get(load.host)) is None else before.plus(load)
    return nlargest(_MOST, totals.values(), key=_seconds)


class HostLoads:
    """The loads of the hosts with the most work. Memory is bounded, so of many dropped hosts the smallest are lost."""

    def __init__(self) -> None:
        self._dropped: dict[str, HostLoad] = {}

    def drop(self, queue: HostQueue) -> None:
        """Keep the load of a host whose queue is dropped."""
        self._dropped[queue.host] = self._load(queue)
        queue.attempts, queue.seconds, queue.failed_seconds = 0, 0.0, 0.0  # it may come back
        if len(self._dropped) > 20 * _MOST:
            self._dropped = {load.host: load for load in nlargest(10 * _MOST, self._dropped.values(), key=_seconds)}

    def most(self, queues: Iterable[HostQueue]) -> list[HostLoad]:
        """The hosts with the most seconds, at most 100, the greatest first; `queues`: those that were not dropped."""
        loads = self._dropped | {queue.host: self._load(queue) for queue in queues}
        return greatest_loads(load for load in loads.values() if load.attempts)

    def _load(self, queue: HostQueue) -> HostLoad:
        before = self._dropped.get(queue.host, HostLoad(queue.host, 0, 0.0, 0.0))
        return before.plus(HostLoad(queue.host, queue.attempts, queue.seconds, queue.failed_seconds))

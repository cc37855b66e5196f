"""Holds the queues of all hosts of a run, and drops those that have been idle longest."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from math import inf
from typing import TYPE_CHECKING

from fetchq.scheduling.congestion import CongestionControl, HostBackoff
from fetchq.scheduling.host_load import HostLoad, HostLoads
from fetchq.scheduling.host_queue import HostQueue

if TYPE_CHECKING:
    from fetchq.core.settings import Settings

__all__ = ["Hosts"]

_MOST_IDLE = 10_000
"""The most idle hosts whose queues are kept, with what their answers have shown."""
_MOST_BACKOFFS = 1000
"""The most hosts whose back-off is reported."""


class Hosts:
    """One queue for each host, by the host's key (`host_key`)."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.queues: dict[str, HostQueue] = {}
        """The queues by key. One that is to get a job must come from `queue_for`, unless it is here and not idle."""
        self._idle: OrderedDict[HostQueue, None] = OrderedDict()
        """The idle queues, the longest idle one first."""
        self.busy = 0
        """How many queues are not idle."""
        self.busy_queues: list[HostQueue] = []
        """The queues that are not idle, in no order."""
        self._backoffs: dict[str, HostBackoff] = {}
        self._loads = HostLoads()

    def __iter__(self) -> Iterator[HostQueue]:
        return iter(list(self.queues.values()))

    def queue_for(self, host: str, now: float) -> HostQueue:
        """The queue of a host, which is about to get a job; a new queue if there is none."""
        queue = self.queues.get(host)
        if queue is None:
            settings = self._settings
            congestion = CongestionControl(
                now, workers=settings.workers, retry_wait=settings.retry_wait, adapts=settings.adapt
            )
            most = inf if settings.per_host is None else settings.per_host
            queue = HostQueue(host, congestion, max_in_flight=most, interval=settings.host_interval)
            self.queues[host] = queue
            self._set_busy(queue)
        elif queue.idle:
            self._wake(queue)
        return queue

    def wake(self, queue: HostQueue) -> HostQueue:
        """The current queue of the host of `queue`, which is about to get a job: another one if `queue` was dropped."""
        current = self.queues.get(queue.host)
        if current is None:
            current = self.queues[queue.host] = queue
            self._set_busy(queue)
        elif current.idle:
            self._wake(current)
        return current

    def _wake(self, queue: HostQueue) -> None:
        del self._idle[queue]
        self._set_busy(queue)

    def _set_busy(self, queue: HostQueue) -> None:
        queue.idle = False
        queue.busy_index = self.busy
        self.busy_queues.append(queue)
        self.busy += 1

    def set_idle(self, queue: HostQueue) -> None:
        """Note that a host has no waiting job and no attempt in flight. May drop the host that was idle longest."""
        if queue.idle or self.queues.get(queue.host) is not queue:
            return
        queue.idle = True
        self._idle[queue] = None
        self.busy -= 1
        last = self.busy_queues.pop()
        if last is not queue:
            self.busy_queues[queue.busy_index] = last
            last.busy_index = queue.busy_index
        if len(self._idle) > _MOST_IDLE:
            oldest, _ = self._idle.popitem(last=False)
            self._keep_backoff(oldest)
            self._loads.drop(oldest)
            del self.queues[oldest.host]

    def bound(self, now: float) -> Iterator[tuple[str, bool]]:
        """The hosts that no other schedule may take over now, by their keys, and whether it never may.

        It never may take over one that was held back, of which it would know nothing; others it may as soon as nothing
        of them waits or is under way, and their interval has passed.
        """
        for queue in self:
            held_back = queue.refused is not None or queue.congestion.backoff(queue.host) is not None
            if held_back or not queue.idle or queue.due(now) > now:
                yield queue.host, held_back

    def backoffs(self) -> list[HostBackoff]:
        """How far the requests to each host were held back, dropped hosts included; those with most refusals first."""
        for queue in self.queues.values():
            self._keep_backoff(queue)
        return sorted(self._backoffs.values(), key=lambda backoff: (-backoff.refusals, -backoff.pauses, backoff.host))

    def loads(self) -> list[HostLoad]:
        """The hosts at which attempts took the most time, at most 100, dropped hosts included; the greatest first."""
        return self._loads.most(self.queues.values())

    def restart(self) -> None:
        """Count the loads and the back-offs from now on. No attempt is under way."""
        self._loads = HostLoads()
        self._backoffs.clear()
        for queue in self.queues.values():
            queue.attempts, queue.seconds, queue.failed_seconds = 0, 0.0, 0.0

    def _keep_backoff(self, queue: HostQueue) -> None:
        backoff = queue.congestion.backoff(queue.host)
        if backoff is not None and (queue.host in self._backoffs or len(self._backoffs) < _MOST_BACKOFFS):
            self._backoffs[queue.host] = backoff

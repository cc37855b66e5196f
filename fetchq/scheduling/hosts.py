"""The hosts of a run, each with its lane: pure. Those that nothing is asked of any more are forgotten in time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from math import inf
from typing import TYPE_CHECKING

from fetchq.scheduling.congestion import CongestionControl, HostNote
from fetchq.scheduling.host_queue import HostQueue

if TYPE_CHECKING:
    from fetchq.core.settings import Settings

__all__ = ["Hosts"]

_MOST_IDLE = 10_000
"""Hosts that are remembered when nothing is asked of them."""
_MOST_NOTES = 1000


class Hosts:
    """One lane for each host that anything was asked of, but for those that were forgotten."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lanes: dict[str, HostQueue] = {}
        self._idle: OrderedDict[HostQueue, None] = OrderedDict()
        """Those of them for which nothing waits or is under way, the longest idle first."""
        self.busy = 0
        """How many the others are."""
        self._notes: dict[str, HostNote] = {}

    def __iter__(self) -> Iterator[HostQueue]:
        return iter(list(self._lanes.values()))

    def __contains__(self, host: str) -> bool:
        return host in self._lanes

    def lane(self, host: str, now: float) -> HostQueue:
        """The lane of a host, of which something is to be asked."""
        lane = self._lanes.get(host)
        return self._awake(host, now) if lane is None or self._idle else lane

    def _awake(self, host: str, now: float) -> HostQueue:
        lane = self._lanes.get(host)
        if lane is None:
            settings = self._settings
            congestion = CongestionControl(
                now, enough=settings.workers, wait=settings.retry_wait, adapts=settings.adapt
            )
            most = inf if settings.per_host is None else settings.per_host
            lane = self._lanes[host] = HostQueue(host, congestion, most=most, interval=settings.host_interval)
            self.busy += 1
        elif lane in self._idle:
            del self._idle[lane]
            self.busy += 1
        return lane

    def wake(self, lane: HostQueue) -> HostQueue:
        """Something is asked of a host again, whose lane this is, or was before it was forgotten."""
        known = self._lanes.get(lane.host)
        if known is None:
            known = self._lanes[lane.host] = lane
            self.busy += 1
        elif known in self._idle:
            del self._idle[known]
            self.busy += 1
        return known

    def rest(self, lane: HostQueue) -> None:
        """Nothing is asked of this host for now."""
        if self._lanes.get(lane.host) is lane and lane not in self._idle:
            self._idle[lane] = None
            self.busy -= 1
            if len(self._idle) > _MOST_IDLE:
                oldest, _ = self._idle.popitem(last=False)
                self._note(oldest)
                del self._lanes[oldest.host]

    def notes(self) -> list[HostNote]:
        """What was done about which hosts, also forgotten ones; those that refused most first."""
        for lane in self._lanes.values():
            self._note(lane)
        return sorted(self._notes.values(), key=lambda note: (-note.refusals, -note.pauses, note.host))

    def _note(self, lane: HostQueue) -> None:
        note = lane.congestion.note(lane.host)
        if note is not None and (lane.host in self._notes or len(self._notes) < _MOST_NOTES):
            self._notes[lane.host] = note

"""The schedule of a run for which all names at one address are one host: pure, as the one that it is made of.

The rows of a name whose address is not known wait in a lane of their own, which is held, while one worker looks the
name up; then they go to the lane of the address. A name that has none keeps its lane, and its rows fail as they would
anywhere.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from fetchq.core.model import Request
from fetchq.http.url import host_of
from fetchq.scheduling.host_key import is_address, name_of
from fetchq.scheduling.job import Job, JobKind
from fetchq.scheduling.schedule import Schedule

if TYPE_CHECKING:
    from fetchq.scheduling.host_queue import HostQueue

__all__ = ["PerAddressSchedule"]

_MOST = 20_000
"""Hosts whose address is remembered; any other is looked up again."""


class PerAddressSchedule(Schedule):
    """Each job for an address that `take` gives, whatever becomes of it, ends with a `learn_address`."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._places: OrderedDict[str, str] = OrderedDict()
        self._unplaced: set[HostQueue] = set()
        """The lanes of which nobody knows yet where they belong."""

    def take(self, now: float) -> Job:
        if not self._hopeless and self:
            lane = self._round_robin.first()
            if lane is not None and lane in self._unplaced:
                # Neither the rate nor an interval counts it: it is nothing that a server of the list would notice.
                job = Job(Request(lane.host, -1), now, JobKind.ADDRESS)
                job.lane = lane
                lane.ask()
                self._place(lane, now)
                return job
        return super().take(now)

    def learn_address(self, job: Job, address: str | None, now: float) -> None:
        lane: HostQueue = job.lane
        self._unplaced.discard(lane)
        lane.obey(self._settings.host_interval)
        if address is not None:
            self._remember(lane.host, address)
            for one in lane.drain():
                self._count_wait(one, lane, now)
                one.lane = None
                self._waiting -= 1
                self.add(one, now)
        self._place(lane, now)

    def _lane(self, job: Job, now: float) -> HostQueue:
        host = host_of(job.request.url)
        if (place := self._places.get(host)) is not None:
            self._places.move_to_end(host)
            return self._hosts.lane(place, now)
        new = host not in self._hosts
        if new and (name := name_of(host)) is not None and is_address(name):
            self._remember(host, name)
            return self._hosts.lane(name, now)
        lane = self._hosts.lane(host, now)
        if new and name is not None:
            self._unplaced.add(lane)
        return lane

    def _remember(self, host: str, address: str) -> None:
        self._places[host] = address
        if len(self._places) > _MOST:
            self._places.popitem(last=False)

"""The schedule of a run that obeys robots.txt: pure, as the one that it is made of.

A host whose rules are not known is asked for them before its first row goes, by a job of fetchq's own. Until it is
back, the lane is held; the rows in it keep no worker waiting, and no other host.
"""

from __future__ import annotations

from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING

from fetchq.http.robots_txt import RobotsRequest, Rules, request_for
from fetchq.http.url import Refused, host_of, parse_url
from fetchq.scheduling.job import Job, JobKind
from fetchq.scheduling.per_address import PerAddressSchedule
from fetchq.scheduling.schedule import Schedule

if TYPE_CHECKING:
    from fetchq.core.settings import Settings
    from fetchq.http.robots_txt import RobotsCache
    from fetchq.scheduling.host_queue import HostQueue

__all__ = ["RobotsSchedule", "schedule_for"]

_A_DAY = 86400.0
"""Seconds after which a robots.txt is asked for again (RFC 9309, 2.4)."""


def schedule_for(settings: Settings, book: RobotsCache | None, most: float = inf) -> Schedule:
    """The one that a run needs; `book`: where the rules of its hosts are kept, if they are to be obeyed.

    `most`: attempts that this machine bears at a time, where those are fewer than the workers.
    """
    if settings.per_host_by == "ip":
        return PerAddressSchedule(settings, most) if book is None else _RobotsPerAddress(settings, book, most)
    return Schedule(settings, most) if book is None else RobotsSchedule(settings, book, most)


class RobotsSchedule(Schedule):
    """Each job for a robots.txt that `take` gives ends, whatever becomes of it, with `learn_robots` after `done`."""

    def __init__(self, settings: Settings, book: RobotsCache, most: float = inf) -> None:
        super().__init__(settings, most)
        self._book = book
        self.counts_starts = True  # for the Crawl-delay that a host may ask for

    def learn_robots(self, job: Job, rules: Rules, now: float) -> None:
        lane: HostQueue = job.lane
        host = host_of(job.request.url)
        self.asking -= 1
        rules.until = now + _A_DAY
        self._book.learn(host, rules)
        lane.obey(rules.interval)
        if lane and host_of(lane.head().request.url) == host:
            # Whatever becomes of the rules until it can go: asking for them has brought this row further.
            self._judge(lane.head(), host)
        self._place(lane, now)
        if lane.turn:  # it is the next one's: the connection is still warm
            self._round_robin.prefer(lane)

    def _pop(self, lane: HostQueue, now: float) -> Job:
        head = lane.head()
        if lane.refused is None and not head.judged and head.kind is JobKind.ROW:
            host = host_of(head.request.url)  # a lane may have several, each with rules of its own (RFC 9309, 2.3)
            rules = self._book.rules_for(host)
            if rules is None or now >= rules.until:
                if (request := request_for(host)) is not None:
                    return self._errand(request, lane, now)
                rules = Rules()
                self._book.learn(host, rules)
            if lane.interval != rules.interval:
                lane.obey(rules.interval)  # it was remembered longer than the lane, or is another host's
            self._judge(head, host)
        return lane.pop()

    def _errand(self, request: RobotsRequest, lane: HostQueue, now: float) -> Job:
        job = Job(request, now, JobKind.ROBOTS_TXT)
        job.lane, job.judged = lane, True
        job.mark = lane.clock(now, self._gate.clock(now))
        lane.ask()
        self.asking += 1
        self._waiting += 1  # for as long as it takes to be taken
        return job

    def _judge(self, job: Job, host: str) -> None:
        job.judged = True
        with suppress(Refused):  # there is more wrong with it, as its worker will find
            job.disallowed = self._book.refusal(host, parse_url(job.request.url).text)


class _RobotsPerAddress(PerAddressSchedule, RobotsSchedule):
    """Both: the rows of a host go to the lane of its address, and are held there until its rules are known."""

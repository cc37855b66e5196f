"""The robots.txt of each host, for a run that obeys it: it is fetched before the first row of its host goes (RFC 9309).

Until it is there the host's queue is blocked; no worker waits for it, and no other host.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from fetchq.http.robots_txt import Rules, request_for
from fetchq.http.url import Refused, host_of, parse_url
from fetchq.scheduling.job import Job, JobKind

if TYPE_CHECKING:
    from fetchq.http.robots_txt import RobotsCache
    from fetchq.scheduling.host_queue import HostQueue

__all__ = ["RobotsGate"]

_A_DAY = 86400.0
"""Seconds after which a robots.txt is fetched again (RFC 9309, 2.4)."""


class RobotsGate:
    """Has each robots.txt fetched when it is needed, and finds out which rows it disallows."""

    def __init__(self, cache: RobotsCache) -> None:
        """`cache`: where the rules of hosts are kept."""
        self._cache = cache

    def job_before(self, queue: HostQueue, now: float) -> Job | None:
        """The job that fetches the robots.txt of the next row's host, where there are no rules that are young enough.

        Where there are, the row is checked by them, and the queue keeps their Crawl-delay.
        """
        head = queue.jobs.head()
        if head.robots_checked or queue.refused is not None:
            return None
        host = host_of(head.request.url)  # a queue may have rows of several, each with its rules (RFC 9309, 2.3)
        rules = self._cache.rules_for(host)
        if rules is None or now >= rules.until:
            request = request_for(host)
            if request is not None:
                return Job(request, now, JobKind.ROBOTS_TXT)
            rules = Rules()
            self._cache.learn(host, rules)
        if queue.interval != rules.interval:  # rules may outlive the queue, or be those of another host
            queue.set_interval(rules.interval)
        self._check(head, host)
        return None

    def learn(self, job: Job, rules: Rules, queue: HostQueue, now: float) -> None:
        """A job for a robots.txt of a host in `queue` has brought `rules`."""
        host = host_of(job.request.url)
        rules.until = now + _A_DAY
        self._cache.learn(host, rules)
        queue.set_interval(rules.interval)
        if queue.jobs and host_of(queue.jobs.head().request.url) == host:
            # Even if the cache drops the rules before it can go: or else their host might be asked for them for ever.
            self._check(queue.jobs.head(), host)

    def _check(self, job: Job, host: str) -> None:
        job.robots_checked = True
        with suppress(Refused):  # a URL that cannot be parsed is refused by its worker
            job.robots_refusal = self._cache.refusal(host, parse_url(job.request.url).text)

"""Has the robots.txt of each host fetched before its first row goes, in a run that obeys it (`--robots`; RFC 9309).

Meanwhile the host's queue is blocked, but no worker waits, and no other host does.
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
    """Makes the jobs that fetch robots.txt files, and checks which rows they disallow."""

    def __init__(self, cache: RobotsCache) -> None:
        """`cache`: where the rules of hosts are stored."""
        self._cache = cache

    def job_before(self, queue: HostQueue, now: float) -> Job | None:
        """The job that fetches the robots.txt of the next row's host, if its rules are missing or too old.

        Otherwise the row is checked against the rules, and the queue gets their Crawl-delay. Returns None then.
        """
        head = queue.jobs.head()
        if head.robots_checked or queue.refused is not None:
            return None
        # A queue may have rows of several hosts, each with its own rules (RFC 9309, 2.3).
        host = host_of(head.request.url)
        rules = self._cache.rules_for(host)
        if rules is None or now >= rules.until:
            request = request_for(host)
            if request is not None:
                return Job(request, now, JobKind.ROBOTS_TXT)
            rules = Rules()
            self._cache.learn(host, rules)
        if queue.interval != rules.interval:  # the queue may be new, or its last row was of another host
            queue.set_interval(rules.interval)
        self._check(head, host)
        return None

    def learn(self, job: Job, rules: Rules, queue: HostQueue, now: float) -> None:
        """Store the rules that a job has fetched for a host whose rows are in `queue`."""
        host = host_of(job.request.url)
        rules.until = now + _A_DAY
        self._cache.learn(host, rules)
        queue.set_interval(rules.interval)
        if queue.jobs and host_of(queue.jobs.head().request.url) == host:
            # Checked now: the cache may drop the rules before this row goes, and they would be fetched again and again.
            self._check(queue.jobs.head(), host)

    def _check(self, job: Job, host: str) -> None:
        job.robots_checked = True
        with suppress(Refused):  # a URL that cannot be parsed is refused by its worker
            job.robots_refusal = self._cache.refusal(host, parse_url(job.request.url).text)

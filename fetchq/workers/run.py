"""What the runs of all modes have in common: where their requests come from, their state, schedule and clocks."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fetchq.engines.fd_limit import fd_budget
from fetchq.http.robots_txt import RobotsCache
from fetchq.scheduling.schedule import Schedule
from fetchq.workers.run_state import RunControl
from fetchq.workers.settle import Settler
from fetchq.workers.worker_clock import WorkerClock

if TYPE_CHECKING:
    from fetchq.core.model import Request
    from fetchq.core.settings import Settings
    from fetchq.scheduling.congestion import HostBackoff

__all__ = ["DURABLE_LINGER", "WORKER_START_DELAY", "Feed", "Run"]

DURABLE_LINGER = 0.25
"""Seconds for which results gather where writing them means to wait for the disk."""
WORKER_START_DELAY = 0.02
"""Seconds for which the source is read before the workers start, unless it ends sooner. Its first thousands of rows may
be of one slow host, which would otherwise occupy all workers before another host is known."""


@dataclass(frozen=True, slots=True)
class Feed:
    """Where the requests come from, and how to read them."""

    requests: Iterable[list[Request]] | AsyncIterable[Request]
    """Batches of them; or, in an async run, an async iterable."""
    threaded: bool
    """Reading may block, on a file or a pipe. An async run then reads in a thread; a blocking run does so only if the
    source is not finite, since only then may it block for ever."""
    finite: bool
    """The source has an end that need not be waited for. At the deadline it is read to that end, so that every row gets
    its (cancelled) Result."""


class Run:
    """The parts of one run that its pool works with, and the handle by which its owner watches and stops it."""

    def __init__(self, settings: Settings, linger: float = 0.0) -> None:
        """`linger`: seconds for which results may gather before they are handed on (Kafka's `linger.ms`)."""
        self.settings = settings
        self.linger = linger
        self.control = RunControl()
        self.robots = RobotsCache(settings) if settings.robots else None
        """The rules of hosts, where robots.txt is obeyed."""
        self.schedule = Schedule(settings, self.robots, fd_budget(settings).attempts)
        self.settler = Settler(settings, self.control)
        self.clocks = [WorkerClock(number) for number in range(1, settings.workers + 1)]
        self.began = 0.0
        """When the first request could go (`time.perf_counter`); 0 before that."""

    def backoffs(self) -> list[HostBackoff]:
        """What was done about which hosts: those that refused, failed or grew slow."""
        return self.schedule.hosts.backoffs()

    def stop(self) -> None:
        """Begin no more attempts; those under way may finish."""
        self.control.stop()

    def abort(self) -> None:
        """Begin no more attempts, and cancel those under way."""
        self.control.abort()

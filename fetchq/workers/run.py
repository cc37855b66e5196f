"""Defines the common parts of a run in any mode: where its requests come from, its state, schedule and clocks."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from dataclasses import dataclass
from time import perf_counter, process_time
from typing import TYPE_CHECKING

from fetchq.engines.fd_limit import fd_budget
from fetchq.http.proxies import ProxyConfig
from fetchq.http.robots_txt import RobotsCache
from fetchq.scheduling.schedule import Schedule
from fetchq.workers.idle_time import IdleTime
from fetchq.workers.phase_totals import PhaseTotals
from fetchq.workers.run_state import RunControl
from fetchq.workers.settle import Settler
from fetchq.workers.worker_clock import WorkerClock

if TYPE_CHECKING:
    from fetchq.core.model import OnStart, Request
    from fetchq.core.prepared_results import Preparation
    from fetchq.core.settings import Settings
    from fetchq.http.cookies import CookieJar
    from fetchq.scheduling.congestion import HostBackoff
    from fetchq.scheduling.host_load import HostLoad
    from fetchq.workers.loop_monitor import LoopMonitor

__all__ = ["WORKER_START_DELAY", "Feed", "ListRun", "Run"]

WORKER_START_DELAY = 0.02
"""Seconds for which the source is read before the workers start, unless it ends sooner. The first thousands of rows may
all be of one slow host, which would otherwise occupy all workers before another host is known."""


@dataclass(frozen=True, slots=True)
class Feed:
    """The requests of a run, and how they are read."""

    requests: Iterable[list[Request]] | AsyncIterable[Request]
    """Batches of requests, or, in mode `async`, an async iterable of requests."""
    threaded: bool
    """Whether reading may block, on a file or a pipe. Mode `async` then reads in a thread. The other modes do so only
    if the source is not finite, since only then may it block for ever."""
    finite: bool
    """Whether the source has an end that can be reached without waiting. At the deadline it is read to its end, so that
    every row gets its Result (`cancelled`)."""


class Run:
    """Base class of runs: the parts that the pool uses, and the methods by which the caller watches and stops it."""

    def __init__(self, settings: Settings, linger: float = 0.0, *, first_worker: int = 1) -> None:
        """`linger`: seconds for which Results are collected before they are yielded (like Kafka's `linger.ms`).

        `first_worker`: the number of the first worker.

        Raises `SettingsError` if the environment cannot be obeyed.
        """
        self.settings = settings
        self.linger = linger
        self.cookies = None if settings.cookie_jar is None else _load_cookies(settings.cookie_jar)
        """The cookies that all rows share."""
        self.proxies = ProxyConfig(settings)
        self.control = RunControl()
        self.robots = RobotsCache(settings) if settings.robots else None
        """The rules of hosts, if robots.txt is obeyed."""
        self.schedule = Schedule(settings, self.robots, fd_budget(settings).attempts)
        self.phases = PhaseTotals()
        """The phases of all attempts."""
        self.settler = Settler(settings, self.control, self.phases)
        self.idle = IdleTime(settings.workers, self.schedule)
        self.monitor: LoopMonitor | None = None
        """Watches the event loop in mode `async`; None before the run has begun."""
        self.clocks = [WorkerClock(first_worker + number) for number in range(settings.workers)]
        self.began = 0.0
        """When the run began to fetch (`time.perf_counter`); 0 before that."""
        self.preparation: Preparation | None = None
        """In a run in several processes: what these do with their Results."""
        self.cpu_before = 0.0
        """CPU seconds of the process when the run began."""

    def begin(self) -> None:
        """Note that the run begins to fetch."""
        self.cpu_before = process_time()
        self.began = perf_counter()
        self.idle.begin(self.began)

    def restart(self) -> None:
        """Measure from now on: what has been done was a warm-up. No row is under way, or waits."""
        self.begin()
        self.phases.restart()
        self.schedule.hosts.restart()
        for clock in self.clocks:
            clock.restart()
        if self.monitor is not None:
            self.monitor.restart()

    def backoffs(self) -> list[HostBackoff]:
        """How far the requests to each host were held back that refused, failed or grew slow."""
        return self.schedule.hosts.backoffs()

    def loads(self) -> list[HostLoad]:
        """The hosts at which attempts took the most time, the greatest first."""
        return self.schedule.hosts.loads()

    def remark(self) -> str | None:
        """A sentence for people on how the work was divided; None if there is nothing to say."""
        return None

    def beside(self) -> tuple[float, int]:
        """CPU seconds and most bytes in memory of other processes that belong to the run, which has ended."""
        return 0.0, 0

    def save_cookies(self) -> None:
        """Write the shared cookies to their file. Raises `StorageError`."""
        if self.settings.cookie_jar is not None and self.cookies is not None:
            from fetchq.http.cookie_file import save_cookies

            save_cookies(self.settings.cookie_jar, self.cookies)

    def stop(self) -> None:
        """Begin no more attempts; those under way may finish."""
        self.control.stop()

    def abort(self) -> None:
        """Begin no more attempts, and cancel those under way."""
        self.control.abort()


class ListRun(Run):
    """Base class of the runs of one list, whose batches of Results the caller iterates."""

    def __init__(
        self,
        settings: Settings,
        feed: Feed,
        on_start: OnStart | None = None,
        *,
        linger: float = 0.0,
        first_worker: int = 1,
    ) -> None:
        """`on_start` is called with each request, and the number of the worker that takes it.

        The others: see `Run`. Raises `SettingsError`.
        """
        super().__init__(settings, linger, first_worker=first_worker)
        self._feed = feed
        self._on_start = on_start


def _load_cookies(path: str) -> CookieJar:
    from fetchq.http.cookie_file import load_cookies  # here, since few runs have such a file

    return load_cookies(path)

"""Computes the summary of a run from its Results, in constant memory."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from fetchq.core.model import PHASES, Cause
from fetchq.http.url import host_of
from fetchq.reports.histogram import Histogram

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from fetchq.core.model import Result
    from fetchq.reports.attribution import Attribution
    from fetchq.reports.rest_of_run import RestOfRun
    from fetchq.reports.verdict import Verdict
    from fetchq.scheduling.congestion import HostBackoff
    from fetchq.scheduling.host_load import HostLoad
    from fetchq.workers.worker_clock import WorkerClock

__all__ = ["Summary", "WorkerTotals", "never_tried"]

_MOST_HOSTS = 1000
"""The most hosts whose failed rows are counted."""


class WorkerTotals(NamedTuple):
    """What one worker did in a run."""

    attempts: int
    busy: float
    """Seconds spent on attempts."""


@dataclass(slots=True)
class Summary:
    """Numbers about a run: counts of rows, times in seconds, sizes in bytes. Its own size does not grow with the run.

    Of a durable run, it counts the rows that were finished in this session.
    """

    total: int = 0
    """Rows that have their Result."""
    ok: int = 0
    not_tried: int = 0
    """Rows that were `cancelled` before any attempt, since the run ended first: they are neither ok nor failed."""
    cut_off: int = 0
    """Rows that were `cancelled` after an attempt, likewise."""
    causes: Counter[str] = field(default_factory=Counter)
    """How many rows failed, by the value of their `Cause`."""
    statuses: Counter[int] = field(default_factory=Counter)
    """How many rows failed with the cause `status`, by their status."""
    failed_hosts: Counter[str] = field(default_factory=Counter)
    """How many rows failed, by the scheme, host and port of their URL; of the first 1,000 hosts."""
    copied: int = 0
    """How many of `total` got a copy of another row's Result (`dedupe`), which takes no time and no bytes."""
    attempts: int = 0
    size: int = 0
    """Bytes of the decoded bodies."""
    wire_size: int = 0
    """Bytes of the bodies as they were received."""
    fetch_time: float = 0.0
    """The sum of `Result.elapsed`, in seconds."""
    failed_time: float = 0.0
    """The part of `fetch_time` that was spent on rows that failed."""
    phase_sums: list[float] = field(default_factory=lambda: [0.0] * len(PHASES))
    """Seconds in each phase of `Timing`, in the order of its fields."""
    elapsed: Histogram = field(default_factory=Histogram)
    """`Result.elapsed` of the rows for which an attempt was made; see `Histogram.percentile`."""
    wait: Histogram = field(default_factory=Histogram)
    """`Timing.wait` of the same rows, the time to the first byte of the response."""
    duration: float = 0.0
    """Seconds that the whole run took."""
    workers: dict[int, WorkerTotals] = field(default_factory=dict)
    """What each worker did, by the worker's number, from 1."""
    hosts: list[HostBackoff] = field(default_factory=list)
    """How far the requests to hosts were held back that refused, failed or grew slow; known when the run has ended."""
    loads: list[HostLoad] = field(default_factory=list)
    """The hosts at which attempts took the most time, the greatest first, at most 100; known when the run has ended."""
    attribution: Attribution | None = None
    """What the workers did with their time; None until the run has ended."""
    verdict: Verdict | None = None
    """What limited the run; None until it has ended."""
    rest: RestOfRun | None = field(default=None, repr=False, compare=False)
    """What `await` waits for; None in a Summary that no FetchRun has."""

    def __await__(self) -> Generator[Any, Any, Summary]:
        """Wait for the end of a FetchRun, and return its Summary, which is this one: `await run.summary`.

        The run is iterated to its end, and the Results that are to come are discarded (`on_result` is called with
        them). Raises what iterating the run raises. A run that has ended is not waited for.
        """
        if self.rest is not None:
            yield from self.rest.__await__()
        return self

    def __repr__(self) -> str:
        unfinished = f", unfinished={self.unfinished}" if self.unfinished else ""
        counts = f"total={self.total}, ok={self.ok}, failed={self.failed}{unfinished}"
        return f"Summary({counts}, duration={self.duration:.6f})"

    def _repr_html_(self) -> str:
        """A table of the most important numbers, for notebooks."""
        from fetchq.core.html_table import html_table
        from fetchq.reports.text import bytes_text, causes_text, outcome_text, seconds_text

        longest = [*(self.elapsed.percentile(percent) for percent in (50, 90, 99)), self.elapsed.greatest]
        spent = sorted(((seconds, name) for name, seconds in self.phases.items() if seconds), reverse=True)
        rows = [
            ("rows", f"{self.total:,}: {outcome_text(self.ok, self.failed, self.cut_off, self.not_tried)}"),
            ("causes", causes_text(self.causes, self.statuses)),
            ("duration", f"{seconds_text(self.duration)}, {self.concurrency:.1f} URLs at a time"),
            ("bodies", f"{bytes_text(self.size)}, {bytes_text(self.wire_size)} on the wire"),
            ("p50, p90, p99, max", ", ".join(map(seconds_text, longest)) if self.elapsed.count else ""),
            ("sum of each phase", ", ".join(f"{name} {seconds_text(seconds)}" for seconds, name in spent)),
            ("what limited it", "" if self.verdict is None else self.verdict.text),
        ]
        return html_table([row for row in rows if row[1]])

    @property
    def phases(self) -> dict[str, float]:
        """Seconds in each phase of `Timing`, by its name."""
        return dict(zip(PHASES, self.phase_sums, strict=True))

    @property
    def done(self) -> int:
        """Rows that are ok or have failed: all but those that the end of the run has left unfinished."""
        return self.total - self.unfinished

    @property
    def unfinished(self) -> int:
        """Rows that were `cancelled`, since the run ended first: those that were not tried, or cut off."""
        return self.not_tried + self.cut_off

    @property
    def failed(self) -> int:
        """Rows that are done and not ok."""
        return self.done - self.ok

    @property
    def concurrency(self) -> float:
        """How many URLs were being fetched at a time, on average over `duration`."""
        return self.fetch_time / self.duration if self.duration else 0.0

    def add(self, results: Iterable[Result]) -> None:
        """Count these Results."""
        # One function with local names, since it runs for every row, even if nobody reads the summary.
        total, ok, copied, attempts = self.total, self.ok, self.copied, self.attempts
        size, wire_size, fetch_time = self.size, self.wire_size, self.fetch_time
        queued, held, dns, connect, tls, wait, receive, lag, decode, store = self.phase_sums
        elapsed_times: list[float] = []
        wait_times: list[float] = []
        for result in results:
            total += 1
            if result.cause is None:
                ok += 1
            else:
                self._add_failure(result)
            if result._duplicate_of is not None:
                copied += 1
                continue
            elapsed, timing = result.elapsed, result.timing
            size += result.size
            wire_size += result.wire_size
            fetch_time += elapsed
            queued += timing.queued
            held += timing.held
            dns += timing.dns
            connect += timing.connect
            tls += timing.tls or 0.0
            wait += timing.wait
            receive += timing.receive
            lag += timing.lag
            decode += timing.decode
            store += timing.store
            if result.attempts:
                attempts += result.attempts
                elapsed_times.append(elapsed)
                wait_times.append(timing.wait)
        self.elapsed.add(elapsed_times)
        self.wait.add(wait_times)
        self.total, self.ok, self.copied, self.attempts = total, ok, copied, attempts
        self.size, self.wire_size, self.fetch_time = size, wire_size, fetch_time
        self.phase_sums = [queued, held, dns, connect, tls, wait, receive, lag, decode, store]

    def _add_failure(self, result: Result) -> None:
        assert result.cause is not None
        if result.cause is Cause.CANCELLED:
            if never_tried(result):
                self.not_tried += 1
            else:
                self.cut_off += 1
            return
        self.causes[result.cause.value] += 1
        if result.cause is Cause.STATUS and result.status is not None:
            self.statuses[result.status] += 1
        if result.cause is not Cause.INVALID_URL:
            host = host_of(result.url)
            if host in self.failed_hosts or len(self.failed_hosts) < _MOST_HOSTS:
                self.failed_hosts[host] += 1
        if result._duplicate_of is None:
            self.failed_time += result.elapsed

    def update(
        self,
        duration: float,
        clocks: Iterable[WorkerClock],
        hosts: Iterable[HostBackoff] = (),
        loads: Iterable[HostLoad] = (),
    ) -> None:
        """Add what the Results do not have: the run's `duration` in seconds, its workers' clocks and its hosts."""
        self.duration = duration
        self.hosts, self.loads = list(hosts), list(loads)
        self.workers = {clock.number: WorkerTotals(clock.fetched, clock.busy) for clock in clocks}

    def merge(self, other: Summary) -> None:
        """Add the numbers of `other`, a part of the same run that ran at the same time.

        Neither attribution is that of the whole, which has none.
        """
        self.attribution = self.verdict = None
        for name in (
            "total",
            "ok",
            "not_tried",
            "cut_off",
            "copied",
            "attempts",
            "size",
            "wire_size",
            "fetch_time",
            "failed_time",
        ):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.causes.update(other.causes)
        self.statuses.update(other.statuses)
        self.failed_hosts.update(other.failed_hosts)
        self.phase_sums = [mine + theirs for mine, theirs in zip(self.phase_sums, other.phase_sums, strict=True)]
        self.elapsed.merge(other.elapsed)
        self.wait.merge(other.wait)
        self.duration = max(self.duration, other.duration)
        self.hosts += other.hosts
        self.loads += other.loads
        for number, more in other.workers.items():
            before = self.workers.get(number, WorkerTotals(0, 0.0))
            self.workers[number] = WorkerTotals(before.attempts + more.attempts, before.busy + more.busy)


def never_tried(result: Result) -> bool:
    """Whether the run ended before any attempt was made at the row."""
    return result.cause is Cause.CANCELLED and not result.attempts

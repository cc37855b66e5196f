"""Computes the summary of a run from its Results, in constant memory."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from math import ceil, exp, log
from typing import TYPE_CHECKING, Any, NamedTuple

from fetchq.core.model import PHASES

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

    from fetchq.core.model import Result
    from fetchq.reports.attribution import Attribution
    from fetchq.reports.rest_of_run import RestOfRun
    from fetchq.reports.verdict import Verdict
    from fetchq.scheduling.congestion import HostBackoff
    from fetchq.scheduling.host_load import HostLoad
    from fetchq.workers.worker_clock import WorkerClock

__all__ = ["Histogram", "Summary", "WorkerTotals"]

_GROWTH = log(1.02)
_LEAST = 1e-6


class Histogram:
    """A distribution of durations in seconds. Each bucket is 2 % wider, so a percentile is at most 2 % too high."""

    __slots__ = ("buckets", "count", "greatest")

    def __init__(self) -> None:
        self.buckets: dict[int, int] = {}
        """The number of durations in each bucket, by the number of the bucket."""
        self.count = 0
        self.greatest = 0.0
        """The exact longest duration."""

    def add(self, durations: Sequence[float]) -> None:
        """Count these durations."""
        buckets = self.buckets
        for seconds in durations:
            bucket = int(log(seconds / _LEAST) / _GROWTH) if seconds > _LEAST else 0
            buckets[bucket] = buckets.get(bucket, 0) + 1
            if seconds > self.greatest:
                self.greatest = seconds
        self.count += len(durations)

    def merge(self, other: Histogram) -> None:
        """Count the durations of `other`, too."""
        for bucket, count in other.buckets.items():
            self.buckets[bucket] = self.buckets.get(bucket, 0) + count
        self.count += other.count
        self.greatest = max(self.greatest, other.greatest)

    def percentile(self, percent: float) -> float:
        """The duration in seconds that `percent` (0 to 100) of all durations do not exceed; 0 if there are none."""
        rank = max(1, ceil(self.count * percent / 100))
        seen = 0
        for bucket in sorted(self.buckets):
            seen += self.buckets[bucket]
            if seen >= rank:
                # The upper edge of the bucket, since its lower edge may be less than every duration.
                return min(self.edge(bucket + 1), self.greatest)
        return 0.0

    def spread(self) -> list[tuple[float, int]]:
        """Durations, with how many there are of each, to within 1 %, in the order in which the first of each came."""
        return [
            (min(_LEAST * exp((bucket + 0.5) * _GROWTH), self.greatest), count)
            for bucket, count in self.buckets.items()
        ]

    @staticmethod
    def edge(bucket: int) -> float:
        """The lower edge of a bucket, in seconds."""
        return _LEAST * exp(bucket * _GROWTH)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Histogram) and (self.buckets, self.greatest) == (other.buckets, other.greatest)

    __hash__ = None  # type: ignore[assignment]  # it is mutable


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
    """Rows that are done, each with its Result."""
    ok: int = 0
    causes: Counter[str] = field(default_factory=Counter)
    """How many rows failed, by the value of their `Cause`."""
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
        return f"Summary(total={self.total}, ok={self.ok}, failed={self.failed}, duration={self.duration:.6f})"

    def _repr_html_(self) -> str:
        """A table of the most important numbers, for notebooks."""
        from fetchq.core.html_table import html_table
        from fetchq.reports.text import bytes_text, seconds_text

        longest = [*(self.elapsed.percentile(percent) for percent in (50, 90, 99)), self.elapsed.greatest]
        spent = sorted(((seconds, name) for name, seconds in self.phases.items() if seconds), reverse=True)
        rows = [
            ("rows", f"{self.total:,}: {self.ok:,} ok, {self.failed:,} failed"),
            ("causes", ", ".join(f"{count:,} {cause}" for cause, count in self.causes.most_common())),
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
    def failed(self) -> int:
        """Rows that are done and not ok."""
        return self.total - self.ok

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
                self.causes[result.cause.value] += 1
                self.failed_time += 0.0 if result._duplicate_of is not None else result.elapsed
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
        for name in ("total", "ok", "copied", "attempts", "size", "wire_size", "fetch_time", "failed_time"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.causes.update(other.causes)
        self.phase_sums = [mine + theirs for mine, theirs in zip(self.phase_sums, other.phase_sums, strict=True)]
        self.elapsed.merge(other.elapsed)
        self.wait.merge(other.wait)
        self.duration = max(self.duration, other.duration)
        self.hosts += other.hosts
        self.loads += other.loads
        for number, more in other.workers.items():
            before = self.workers.get(number, WorkerTotals(0, 0.0))
            self.workers[number] = WorkerTotals(before.attempts + more.attempts, before.busy + more.busy)

"""Defines what a comparison measures: the runs of each variant, how the variants differ, and which rows differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median, median_low, stdev
from typing import TYPE_CHECKING

from fetchq.reports.statistics import differences, trimmed_mean

if TYPE_CHECKING:
    from fetchq.core.model import Result
    from fetchq.reports.attribution import Attribution
    from fetchq.reports.verdict import Verdict

__all__ = [
    "MAX_SPANS",
    "MeasuredRun",
    "Measurements",
    "Pair",
    "RowDifference",
    "Rows",
    "Span",
    "Variant",
    "pairs_of",
    "spans_of",
]

MAX_SPANS = 40
"""For more URLs than this, no timeline is drawn."""


@dataclass(frozen=True, slots=True)
class Span:
    """The time in which a worker fetched a URL, in seconds since the first start of the run."""

    index: int
    worker: int
    start: float
    end: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredRun:
    """One run of a variant, in a process of its own. Times are in seconds."""

    round: int
    """The round, from 1."""
    duration: float
    """How long it took to fetch the list."""
    cpu: float
    """CPU time of all its processes while they fetched the list, user and system together."""
    peak_memory: int
    """The most bytes that its processes have had in memory (their resident sets)."""
    concurrency: float
    """How many URLs were being fetched at a time, on average."""
    ok: int
    """How many rows were ok."""
    failed: int
    """How many were not."""
    unfinished: int = 0
    """How many were not done, since the run ended first (`deadline`)."""
    p50: float
    p90: float
    p99: float
    """Percentiles of `Result.elapsed`, at most 2 % too high."""
    longest: float
    """The longest `Result.elapsed`."""
    spans: tuple[Span, ...] = ()
    """Who fetched what when; empty for a list of more than `MAX_SPANS` URLs."""
    attribution: Attribution | None = None
    """What the workers did with their time."""
    verdict: Verdict | None = None
    """What limited the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One way to fetch the list, and its runs, in the order of the rounds. Times are in seconds."""

    name: str
    settings: Mapping[str, str]
    """The settings in which the variants differ, by name, as text without secrets; and always `mode` and `workers`."""
    runs: tuple[MeasuredRun, ...]

    @property
    def durations(self) -> list[float]:
        """How long each run took."""
        return [run.duration for run in self.runs]

    @property
    def mean(self) -> float:
        """The arithmetic mean of `durations`."""
        return fmean(self.durations)

    @property
    def deviation(self) -> float | None:
        """The standard deviation of `durations`; None for a single run."""
        return stdev(self.durations) if len(self.runs) > 1 else None

    @property
    def median(self) -> float:
        """The median of `durations`."""
        return median(self.durations)

    @property
    def best(self) -> MeasuredRun:
        """The shortest run."""
        return min(self.runs, key=lambda run: run.duration)

    @property
    def worst(self) -> MeasuredRun:
        """The longest run."""
        return max(self.runs, key=lambda run: run.duration)

    @property
    def typical(self) -> MeasuredRun:
        """The run that took the median time; of an even number, the shorter one of the two in the middle."""
        middle = median_low(self.durations)
        return next(run for run in self.runs if run.duration == middle)

    @property
    def cpu(self) -> float:
        """The mean CPU time of its runs."""
        return fmean(run.cpu for run in self.runs)

    @property
    def peak_memory(self) -> int:
        """The most bytes that any of its runs has had in memory."""
        return max(run.peak_memory for run in self.runs)

    @property
    def concurrency(self) -> float:
        """How many URLs were being fetched at a time, on average."""
        return fmean(run.concurrency for run in self.runs)

    @property
    def ok(self) -> int:
        """The fewest rows that were ok in one run."""
        return min(run.ok for run in self.runs)

    @property
    def failed(self) -> int:
        """The most rows that were not ok in one run."""
        return max(run.failed for run in self.runs)

    @property
    def unfinished(self) -> int:
        """The most rows that were not done in one run."""
        return max(run.unfinished for run in self.runs)

    def percentile(self, name: str) -> float:
        """The median, over the runs, of their `p50`, `p90`, `p99` or `longest`."""
        values: list[float] = [getattr(run, name) for run in self.runs]
        return median(values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """How two variants differ, by their numbers in `Measurements.variants`."""

    faster: int
    """The one with the lesser `trimmed_mean` of its durations (`fetchq.reports.statistics`)."""
    slower: int
    ratio: float
    """How many times as fast the faster one was: the quotient of these means, at least 1."""
    interval: tuple[float, float] | None
    """The confidence interval of `ratio`; None if there was a single round."""
    level: float
    """The confidence level of `interval`, at least 0.99: it is higher the more pairs there are."""
    p: float
    """The p-value of the test."""
    significant: bool
    """Whether they differ by more than chance and 1 % explain."""
    comparable: bool
    """Whether the same rows were ok in all runs of both."""

    @property
    def is_faster(self) -> bool:
        """Whether the one can be called faster than the other."""
        return self.significant and self.comparable


@dataclass(frozen=True, slots=True)
class RowDifference:
    """A row that came out differently in the variants."""

    index: int
    """The row's number in the list, from 0."""
    url: str
    """Its URL, without a password."""
    outcomes: tuple[str, ...]
    """How it came out in each variant: the status, the cause if it failed, and the beginning of the body's SHA-256."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Whether all variants got the same: status, cause and body of each row."""

    count: int
    """How many rows the list has."""
    failed: tuple[RowDifference, ...] = ()
    """The first rows that failed in every variant, at least in one round."""
    failed_count: int = 0
    """How many such rows there are."""
    failing: tuple[RowDifference, ...] = ()
    """The first rows that failed in some variants, and in others not."""
    failing_count: int = 0
    different: tuple[RowDifference, ...] = ()
    """The first rows with another status or body in one variant than in another, the same one each time."""
    different_count: int = 0
    changing_count: int = 0
    """How many rows had another status or body in one run than in another run of the same variant."""
    incomparable: frozenset[tuple[int, int]] = frozenset()
    """The pairs of variants in which different rows failed, or all, by their numbers, the lower one first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurements:
    """The runs of all variants, how the variants differ, and which rows differ."""

    variants: tuple[Variant, ...]
    """In the order in which they were asked for."""
    pairs: tuple[Pair, ...]
    """Each pair of variants."""
    rows: Rows
    rounds: int
    """How many runs each variant has."""
    cold: bool
    """Whether the runs had to open their connections; else they were open before the clock started."""
    seed: int
    """From which the random order of the runs follows."""

    @property
    def fastest(self) -> Variant:
        """The variant with the least `trimmed_mean` of its durations. It need not be significantly faster."""
        return min(self.variants, key=lambda one: trimmed_mean(one.durations))

    @property
    def slowest(self) -> Variant:
        """The variant with the greatest `trimmed_mean` of its durations."""
        return max(self.variants, key=lambda one: trimmed_mean(one.durations))

    def pair(self, one: Variant, other: Variant) -> Pair:
        """How two different variants differ."""
        wanted = {self._number(one), self._number(other)}
        return next(pair for pair in self.pairs if {pair.faster, pair.slower} == wanted)

    def _number(self, variant: Variant) -> int:
        return next(number for number, one in enumerate(self.variants) if one is variant)


def pairs_of(variants: Sequence[Variant], incomparable: frozenset[tuple[int, int]]) -> tuple[Pair, ...]:
    """How each pair of these variants differs."""
    pairs = []
    for one in differences([variant.durations for variant in variants]):
        first_is_faster = one.ratio >= 1
        interval = one.interval
        if interval is not None and not first_is_faster:
            interval = (1 / interval[1], 1 / interval[0])
        pairs.append(
            Pair(
                faster=one.first if first_is_faster else one.second,
                slower=one.second if first_is_faster else one.first,
                ratio=one.ratio if first_is_faster else 1 / one.ratio,
                interval=interval,
                level=one.level,
                p=one.p,
                significant=one.significant,
                comparable=(one.first, one.second) not in incomparable,
            )
        )
    return tuple(pairs)


def spans_of(results: Iterable[Result]) -> tuple[Span, ...]:
    """Who fetched what when, in a run with these Results."""
    begun = [(one, one.started, one.worker) for one in results]
    times = [(one, at, worker) for one, at, worker in begun if at is not None and worker is not None]
    first = min((at for _, at, _ in times), default=None)
    if first is None:
        return ()
    offsets = [(one, worker, (at - first).total_seconds()) for one, at, worker in times]
    return tuple(Span(one.index, worker, offset, offset + one.elapsed) for one, worker, offset in offsets)

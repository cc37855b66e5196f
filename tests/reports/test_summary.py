"""The numbers about a run: right, the same in whatever order they come, and in constant memory."""

from __future__ import annotations

import copy
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.factories import examples, failed_result, make_result

from fetchq.core.model import PHASES, Cause, Result, Timing
from fetchq.reports.histogram import Histogram
from fetchq.reports.summary import Summary
from fetchq.workers.worker_clock import WorkerClock

# Multiples of 1/64: their sums are exact in any order.
seconds = st.integers(0, 6400).map(lambda number: number / 64)
timings = st.builds(
    Timing,
    **{name: st.none() | seconds if name == "tls" else seconds for name in PHASES},
)
results = st.builds(
    lambda cause, **fields: make_result(cause=cause, **fields),
    st.none() | st.sampled_from(Cause),
    attempts=st.integers(0, 3),
    size=st.integers(0, 10**9),
    wire_size=st.integers(0, 10**9),
    elapsed=seconds,
    timing=timings,
)
clocks = st.lists(st.builds(WorkerClock, st.integers(1, 4), st.integers(0, 99), seconds), max_size=4)


def summary_of(found: list[Result], duration: float = 0.0, workers: list[WorkerClock] | None = None) -> Summary:
    summary = Summary()
    summary.add(found)
    summary.update(duration, workers or [])
    return summary


summaries = st.builds(summary_of, st.lists(results, max_size=4), seconds, clocks)


def merged(*parts: Summary) -> Summary:
    first, *others = copy.deepcopy(parts)
    for other in others:
        first.merge(other)
    return first


def histogram_of(values: list[float]) -> Histogram:
    histogram = Histogram()
    histogram.add(values)
    return histogram


# --- the summary ---


def test_a_summary_counts_what_passes() -> None:
    summary = summary_of(
        [
            make_result(size=10, wire_size=4, elapsed=2.0, timing=Timing(queued=1.0, wait=2.0, tls=None)),
            failed_result(Cause.TIMEOUT, attempts=3, elapsed=4.0, timing=Timing(held=0.5, tls=1.0, wait=3.0)),
            failed_result(Cause.TIMEOUT, attempts=1, elapsed=0.0, timing=Timing()),
            failed_result(Cause.INVALID_URL, attempts=0, elapsed=0.0, timing=Timing()),
        ],
        duration=3.0,
        workers=[WorkerClock(1, 4, 2.5), WorkerClock(2, 1, 0.5)],
    )
    assert (summary.total, summary.ok, summary.failed, summary.attempts) == (4, 1, 3, 5)
    assert (summary.size, summary.wire_size) == (10, 4)
    assert summary.causes == {"timeout": 2, "invalid_url": 1}
    assert {name: value for name, value in summary.phases.items() if value} == {
        "queued": 1.0,
        "held": 0.5,
        "tls": 1.0,
        "wait": 5.0,
    }
    assert (summary.fetch_time, summary.duration, summary.concurrency) == (6.0, 3.0, 2.0)
    assert summary.workers == {1: (4, 2.5), 2: (1, 0.5)}
    assert summary.elapsed.count == summary.wait.count == 3, "a row that was never tried took no time"


def test_a_summary_of_nothing_is_all_zeros() -> None:
    summary = Summary()
    assert (summary.total, summary.failed, summary.concurrency, summary.elapsed.percentile(50)) == (0, 0, 0.0, 0.0)
    assert list(summary.phases) == list(PHASES)


@examples(60)
@given(st.lists(results, max_size=8), st.integers(0, 8))
def test_two_summaries_merged_are_the_summary_of_all(found: list[Result], at: int) -> None:
    assert merged(summary_of(found[:at]), summary_of(found[at:])) == summary_of(found)


@examples(40)
@given(summaries, summaries)
def test_it_does_not_matter_which_is_merged_into_which(one: Summary, other: Summary) -> None:
    assert merged(one, other) == merged(other, one)


@examples(40)
@given(summaries, summaries, summaries)
def test_it_does_not_matter_which_are_merged_first(one: Summary, two: Summary, three: Summary) -> None:
    assert merged(merged(one, two), three) == merged(one, merged(two, three))


@examples(25)
@given(summaries)
def test_an_empty_summary_merged_in_changes_nothing(summary: Summary) -> None:
    assert merged(summary, Summary()) == merged(Summary(), summary) == summary


@examples(25)
@given(summaries, summaries)
def test_what_is_merged_in_is_left_alone(one: Summary, other: Summary) -> None:
    before = copy.deepcopy(other)
    one.merge(other)
    one.merge(other)
    assert other == before


@examples(40)
@given(st.lists(results, max_size=8))
def test_every_result_is_ok_has_one_cause_or_is_unfinished(found: list[Result]) -> None:
    summary = summary_of(found)
    assert summary.ok + summary.causes.total() + summary.unfinished == summary.total == len(found)
    assert summary.failed == summary.causes.total()


# --- percentiles ---

durations = st.floats(1e-6, 1e5)


@examples(300)
@given(st.lists(durations, min_size=1), st.sampled_from([0, 1, 25, 50, 90, 99, 99.9, 100]) | st.floats(0, 100))
def test_a_percentile_is_right_to_within_a_hundredth(values: list[float], percent: float) -> None:
    exact = sorted(values)[max(1, math.ceil(len(values) * percent / 100)) - 1]
    assert histogram_of(values).percentile(percent) == pytest.approx(exact, rel=0.0202)


@pytest.mark.parametrize("spread", [0.1, 1.0, 3.0])
def test_percentiles_of_many_values_are_right_to_within_a_hundredth(spread: float) -> None:
    chance = random.Random(1)
    values = [chance.lognormvariate(-2, spread) for _ in range(5000)]
    histogram = histogram_of(values)
    for percent in (1, 10, 50, 90, 99, 99.9):
        exact = sorted(values)[math.ceil(len(values) * percent / 100) - 1]
        assert histogram.percentile(percent) == pytest.approx(exact, rel=0.0202)


@examples(100)
@given(st.lists(st.floats(0, 1e9), min_size=1))
def test_percentiles_never_fall_and_never_exceed_the_greatest_value(values: list[float]) -> None:
    histogram = histogram_of(values)
    found = [histogram.percentile(percent) for percent in range(0, 101, 5)]
    assert found == sorted(found)
    assert 0 <= found[0] <= found[-1] <= histogram.greatest == max(values)


@pytest.mark.parametrize("value", [0.0, 1e-12, 1e-6])
def test_a_time_too_short_to_tell_is_not_made_longer(value: float) -> None:
    assert histogram_of([value]).percentile(50) == value


def test_there_is_no_percentile_of_nothing() -> None:
    assert Histogram().percentile(99) == 0.0


@examples(100)
@given(st.lists(durations), st.lists(durations))
def test_two_histograms_merged_are_the_histogram_of_all(one: list[float], other: list[float]) -> None:
    histogram = histogram_of(one)
    histogram.merge(histogram_of(other))
    whole = histogram_of(one + other)
    assert histogram == whole
    assert histogram.count == whole.count


def test_memory_does_not_grow_with_the_number_of_values() -> None:
    chance = random.Random(2)
    histogram = histogram_of([10 ** chance.uniform(-9, 9) for _ in range(50_000)])
    assert histogram.count == 50_000
    assert len(histogram.buckets) < 1800


def test_a_histogram_is_equal_only_to_one_of_the_same_values() -> None:
    assert histogram_of([1.0]) != histogram_of([2.0])
    assert histogram_of([1.0]) != histogram_of([1.0, 1.0])
    assert histogram_of([]) != 0
    with pytest.raises(TypeError):
        hash(Histogram())

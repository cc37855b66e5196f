"""The test of differences: the right distribution, few false alarms, and true differences that are found."""

from __future__ import annotations

from math import exp, log
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.factories import examples

from fetchq.reports.statistics import LEVEL, MARGIN, Difference, differences, t_quantile, t_two_sided, trimmed_mean

TAILS = [
    # t, degrees of freedom, and 2 * scipy.stats.t.sf(t, df) of scipy 1.17.1
    (0.1, 1, 0.936548965138893),
    (1.0, 1, 0.5000000000000001),
    (2.0, 2, 0.18350341907227397),
    (5.0, 4, 0.007490433881274525),
    (3.0, 8, 0.01707168123378265),
    (2.5, 9.3, 0.03307781031506808),
    (10.0, 18, 8.930946909956929e-09),
    (50.0, 8, 2.8344106450917847e-11),
    (2.0, 1000, 0.04577034649325166),
]
QUANTILES = [
    # level, degrees of freedom, and scipy.stats.t.ppf((1 + level) / 2, df)
    (0.99, 1, 63.656741162871526),
    (0.99, 4, 4.604094871349992),
    (0.99, 8, 3.355387331333395),
    (0.99, 18, 2.8784404727386077),
    (0.9967, 9.3, 3.9190447461495785),
    (0.99, 1e6, 2.5758342201053344),
]


def noisy(random: Random, mean: float, noise: float, rounds: int) -> list[float]:
    return [mean * exp(random.gauss(0, noise)) for _ in range(rounds)]


def one(first: list[float], second: list[float]) -> Difference:
    (found,) = differences([first, second])
    return found


@pytest.mark.parametrize(("t", "freedom", "tail"), TAILS)
def test_the_tails_of_students_t_are_those_of_scipy(t: float, freedom: float, tail: float) -> None:
    assert t_two_sided(t, freedom) == pytest.approx(tail, rel=1e-9)
    assert t_two_sided(0.0, freedom) == 1.0


@pytest.mark.parametrize(("level", "freedom", "t"), QUANTILES)
def test_the_quantiles_of_students_t_are_those_of_scipy(level: float, freedom: float, t: float) -> None:
    assert t_quantile(level, freedom) == pytest.approx(t, rel=1e-9)


@examples(100)
@given(st.floats(0.5, 0.9999), st.floats(1, 1e5))
def test_a_quantile_is_the_inverse_of_the_tails(level: float, freedom: float) -> None:
    assert t_two_sided(t_quantile(level, freedom), freedom) == pytest.approx(1 - level, rel=1e-6)


def test_the_same_measured_twice_is_at_most_twice_in_a_hundred_called_different() -> None:
    random = Random(1)
    alarms = sum(one(noisy(random, 1, 0.03, 5), noisy(random, 1, 0.03, 5)).significant for _ in range(400))
    assert alarms <= 8


def test_three_equal_variants_are_at_most_twice_in_a_hundred_called_different() -> None:
    random = Random(2)
    alarms = sum(
        any(found.significant for found in differences([noisy(random, 1, 0.03, 5) for _ in range(3)]))
        for _ in range(150)
    )
    assert alarms <= 3


def test_ten_percent_are_found_in_ten_rounds_with_three_percent_of_noise() -> None:
    random = Random(3)
    found = [one(noisy(random, 1, 0.03, 10), noisy(random, 1.1, 0.03, 10)) for _ in range(200)]
    assert sum(each.significant for each in found) >= 190
    covered = sum(each.interval is not None and each.interval[0] <= 1.1 <= each.interval[1] for each in found)
    assert covered >= 0.98 * len(found)


def test_two_runs_of_ten_that_took_much_longer_hide_no_difference() -> None:
    quick = [1.0, 1.01, 0.99, 1.0, 1.02, 0.98, 1.0, 1.01, 0.99, 1.0]
    disturbed = [1.1 * one for one in quick[:8]] + [2.0, 3.0]
    assert one(quick, disturbed).significant
    assert trimmed_mean(disturbed) == pytest.approx(1.1, rel=0.02)


def test_a_difference_within_the_margin_is_none_however_exact_the_measurements() -> None:
    exact = [1.0, 1.0001, 0.9999, 1.0]
    assert not one(exact, [value * (1 + MARGIN * 0.9) for value in exact]).significant
    assert one(exact, [value * (1 + MARGIN * 1.1) for value in exact]).significant


def test_series_without_any_spread_are_compared_too() -> None:
    assert one([1.0, 1.0], [1.0, 1.0]).interval == (1.0, 1.0)
    assert one([1.0, 1.0], [2.0, 2.0]).significant
    assert one([0.0, 0.0], [0.0, 0.0]).ratio == 1.0


def test_a_single_measurement_shows_no_difference() -> None:
    found = one([1.0], [9.0, 9.0])
    assert (found.ratio, found.interval, found.p, found.significant) == (pytest.approx(9.0), None, 1.0, False)


@examples(100)
@given(st.lists(st.lists(st.floats(0.001, 1000), min_size=2, max_size=5), min_size=2, max_size=4))
def test_a_difference_is_significant_where_its_interval_has_no_ratio_near_one(series: list[list[float]]) -> None:
    found = differences(series)
    assert len(found) == len(series) * (len(series) - 1) // 2
    for each in found:
        assert each.interval is not None
        assert each.interval[0] <= each.ratio * (1 + 1e-9)
        assert each.ratio <= each.interval[1] * (1 + 1e-9)
        assert LEVEL - 1e-12 <= each.level < 1
        outside = each.interval[0] > 1 + MARGIN or each.interval[1] < 1 / (1 + MARGIN)
        near = min(abs(log(end) - sign * log(1 + MARGIN)) for end in each.interval for sign in (1, -1)) < 1e-6
        assert near or each.significant == outside

"""Tests whether one series of measurements is smaller than another, and by how much.

The test is Welch's t test (Welch, Biometrika 34, 1947) of the logarithms: the measurements have different spreads, and
what matters is their ratio. It asks whether the ratio differs from 1 by more than `MARGIN`. With several pairs, Holm's
step-down correction (Scandinavian Journal of Statistics 6, 1979) bounds the probability that any of the differences
found is not there. `scripts/compare.py --simulate` prints how often the test errs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import exp, inf, lgamma, log, log1p, sqrt
from statistics import fmean, variance

__all__ = ["LEVEL", "MARGIN", "Difference", "differences", "t_quantile", "t_two_sided"]

LEVEL = 0.99
"""The confidence level: of 100 comparisons without a difference, at most one shows one."""
MARGIN = 0.01
"""Measurements whose ratio is nearer to 1 than this do not differ: two engines are never quite equal, and with enough
measurements the least difference would be significant."""

_LEAST = 1e-9
"""In place of a measurement of 0, which has no logarithm."""
_MOST = log(1e9)
"""The logarithm of the greatest ratio: two rounds with much noise would have an interval beyond all numbers."""
_TINY = 1e-300
_MOST_STEPS = 1000


@dataclass(frozen=True, slots=True)
class Difference:
    """How two series of measurements differ."""

    first: int
    second: int
    """The numbers of the series, from 0."""
    ratio: float
    """The geometric mean of the second one over that of the first one."""
    interval: tuple[float, float] | None
    """The confidence interval of the ratio; None where a series has a single measurement."""
    level: float
    """The confidence level of the interval: `LEVEL`, or more where several pairs are compared."""
    p: float
    """The probability of such a difference, or a greater one, if the ratio were 1 plus or minus `MARGIN`."""
    significant: bool
    """Whether they differ by more than `MARGIN`."""


@dataclass(frozen=True, slots=True)
class _Estimate:
    """The difference of the mean logarithms of a pair, its standard error and its degrees of freedom."""

    pair: tuple[int, int]
    mean: float
    error: float
    freedom: float

    @property
    def p(self) -> float:
        excess = abs(self.mean) - log1p(MARGIN)
        if excess <= 0 or not self.freedom:
            return 1.0
        return t_two_sided(excess / self.error, self.freedom) if self.error else 0.0

    def difference(self, level: float, *, significant: bool) -> Difference:
        interval = None
        if self.freedom:
            reach = t_quantile(level, self.freedom) * self.error
            interval = (exp(max(self.mean - reach, -_MOST)), exp(min(self.mean + reach, _MOST)))
        return Difference(*self.pair, exp(self.mean), interval, level, self.p, significant)


def differences(series: Sequence[Sequence[float]]) -> list[Difference]:
    """How each pair of these series of measurements differs, in the order of the pairs.

    Each pair is tested, and has its interval, at the level that Holm's correction asks for. So a difference is
    significant where its interval has no ratio within `MARGIN` of 1.
    """
    logs = [[log(max(one, _LEAST)) for one in each] for each in series]
    estimates = [_estimate((a, b), logs[a], logs[b]) for a, b in combinations(range(len(logs)), 2)]
    found: dict[tuple[int, int], Difference] = {}
    significant = True
    alpha = 0.0
    for rank, one in enumerate(sorted(estimates, key=lambda one: one.p)):
        if significant:
            alpha = (1 - LEVEL) / (len(estimates) - rank)
        significant = significant and one.p < alpha
        found[one.pair] = one.difference(1 - alpha, significant=significant)
    return [found[one.pair] for one in estimates]


def _estimate(pair: tuple[int, int], first: Sequence[float], second: Sequence[float]) -> _Estimate:
    mean = fmean(second) - fmean(first)
    if min(len(first), len(second)) < 2:
        return _Estimate(pair, mean, inf, 0)
    squares = [variance(each) / len(each) for each in (first, second)]
    total = sum(squares)
    if not total:
        return _Estimate(pair, mean, 0.0, len(first) + len(second) - 2)
    # Welch and Satterthwaite.
    freedom = total**2 / sum(square**2 / (len(each) - 1) for square, each in zip(squares, (first, second), strict=True))
    return _Estimate(pair, mean, sqrt(total), freedom)


def t_two_sided(t: float, freedom: float) -> float:
    """The probability that Student's t with so many degrees of freedom is beyond `t` on either side."""
    return _beta(freedom / (freedom + t * t), freedom / 2, 0.5)


def t_quantile(level: float, freedom: float) -> float:
    """The t within which, on both sides of 0, Student's t with these degrees of freedom has the probability `level`."""
    low, high = 0.0, 1.0
    while t_two_sided(high, freedom) > 1 - level:
        high *= 2
    for _ in range(52):  # the bits of a float
        middle = (low + high) / 2
        low, high = (middle, high) if t_two_sided(middle, freedom) > 1 - level else (low, middle)
    return high


def _beta(x: float, a: float, b: float) -> float:
    """The regularized incomplete beta function, for x from 0 to 1."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):  # there the fraction converges faster for the other end
        return 1 - _beta(1 - x, b, a)
    return exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x)) * _fraction(x, a, b) / a


def _fraction(x: float, a: float, b: float) -> float:
    """The continued fraction of the incomplete beta function (DLMF 8.17.22), by the modified method of Lentz."""
    c, d = 1.0, 1 / _away_from_0(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, _MOST_STEPS):
        for numerator in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / _away_from_0(1 + numerator * d)
            c = _away_from_0(1 + numerator / c)
            value *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return value


def _away_from_0(value: float) -> float:
    return value if abs(value) > _TINY else _TINY

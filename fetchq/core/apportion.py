"""Divides a whole number in proportion to weights, by the method of largest remainders."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

__all__ = ["apportioned"]


def apportioned(total: int, weights: Sequence[int], *, most: Sequence[int] | None = None) -> list[int]:
    """Divide `total` into a whole number for each weight, in proportion to the weights, and at least 1.

    `most`: the greatest number that each may get. Raises ValueError if `total` is less than the number of weights, or
    more than the sum of `most`. Weights of which none is positive count as equal ones.
    """
    if not any(weights):
        weights = [1] * len(weights)
    limits = [total] * len(weights) if most is None else list(most)
    if not len(weights) <= total <= sum(limits):
        raise ValueError(f"{total} cannot be divided among {len(weights)}")
    found = [1] * len(weights)
    left = total - len(weights)
    while left:
        # Those that are full drop out, and the rest is divided among the others.
        open_ones = [at for at, limit in enumerate(limits) if found[at] < limit]
        whole = sum(weights[at] for at in open_ones)
        due = {at: Fraction(left * weights[at], whole) for at in open_ones}
        given = {at: min(int(share), limits[at] - found[at]) for at, share in due.items()}
        for at, number in given.items():
            found[at] += number
        left -= sum(given.values())
        by_remainder = sorted(open_ones, key=lambda at: (given[at] - due[at], at))
        if all(given[at] == int(due[at]) for at in open_ones):
            for at in by_remainder[:left]:
                if found[at] < limits[at]:
                    found[at] += 1
                    left -= 1
    return found

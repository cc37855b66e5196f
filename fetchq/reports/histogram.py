"""Defines `Histogram`: a distribution of durations in constant memory, from which percentiles are read."""

from __future__ import annotations

from math import ceil, exp, log
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Histogram"]

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

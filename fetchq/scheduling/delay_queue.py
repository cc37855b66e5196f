"""What is to be looked at again at a given time, the earliest first: the retries and the hosts that are held."""

from __future__ import annotations

import heapq
from itertools import count
from typing import Generic, TypeVar

__all__ = ["DelayQueue"]

T = TypeVar("T")


class DelayQueue(Generic[T]):
    """A heap of items and the times at which they are due; those due at the same time come in order of arrival."""

    __slots__ = ("_number", "heap")

    def __init__(self) -> None:
        self.heap: list[tuple[float, int, T]] = []
        """The time at which each item is due, a number, and the item; the earliest at index 0."""
        self._number = count()

    def push(self, due: float, item: T) -> None:
        """`item` is due at `due`."""
        heapq.heappush(self.heap, (due, next(self._number), item))

    def pop_due(self, now: float) -> list[tuple[float, T]]:
        """Remove what is due by now, and return it with the times at which it was due, the earliest first."""
        heap = self.heap
        due = []
        while heap and heap[0][0] <= now:
            at, _, item = heapq.heappop(heap)
            due.append((at, item))
        return due

    def pop_all(self) -> list[T]:
        """Remove everything, and return it, the earliest first."""
        items = [item for _, _, item in sorted(self.heap)]
        self.heap.clear()
        return items

"""Holds items until they are due, the earliest first: retries, and hosts that must wait."""

from __future__ import annotations

import heapq
from itertools import count
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

__all__ = ["DelayQueue"]

T = TypeVar("T")


class DelayQueue(Generic[T]):
    """A heap of items by the time at which they are due; items due at the same time keep their order."""

    __slots__ = ("_number", "heap")

    def __init__(self) -> None:
        self.heap: list[tuple[float, int, T]] = []
        """The time at which each item is due, a number, and the item; the earliest at index 0."""
        self._number = count()

    def push(self, due: float, item: T) -> None:
        """Add an item that is due at `due`."""
        heapq.heappush(self.heap, (due, next(self._number), item))

    def pop_due(self, now: float) -> list[tuple[float, T]]:
        """Remove and return the items that are due by now, with the times when they were due, the earliest first."""
        heap = self.heap
        due = []
        while heap and heap[0][0] <= now:
            at, _, item = heapq.heappop(heap)
            due.append((at, item))
        return due

    def remove(self, items: AbstractSet[T]) -> list[T]:
        """Remove those of `items` that are here, and return them."""
        removed = [item for _, _, item in self.heap if item in items]
        if removed:
            self.heap[:] = [one for one in self.heap if one[2] not in items]  # it is always the same list
            heapq.heapify(self.heap)
        return removed

    def pop_all(self) -> list[T]:
        """Remove all items. Returns them, the earliest first."""
        items = [item for _, _, item in sorted(self.heap)]
        self.heap.clear()
        return items

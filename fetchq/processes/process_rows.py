"""Holds the rows of one process: those that wait until it asks for them, and those that it is to finish."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING

from fetchq.scheduling.backlog import READ_AHEAD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from threading import Condition

    from fetchq.core.model import Request

__all__ = ["ProcessRows"]


class ProcessRows:
    """The rows of a process, in the order in which they came. Any thread may call the methods."""

    def __init__(self, changed: Condition) -> None:
        """`changed` guards the rows, and is notified when there are more."""
        self._changed = changed
        self._queue: deque[Request] = deque()
        self.unfinished: dict[int, Request] = {}
        """The rows that the process has, and whose Results have not come, by index."""

    @property
    def waiting(self) -> int:
        """How many rows wait until the process asks for them."""
        return len(self._queue)

    @property
    def short(self) -> bool:
        """Whether more rows should be read for it."""
        return self.waiting < READ_AHEAD

    @property
    def spare(self) -> int:
        """How many rows can be taken from it so that it does not run short before it has finished those that it has."""
        return self.waiting - len(self.unfinished) - READ_AHEAD

    @property
    def left(self) -> int:
        """How many rows it has that are not done."""
        return self.waiting + len(self.unfinished)

    def give(self, rows: Iterable[Request]) -> None:
        """Let these rows wait behind the others."""
        with self._changed:
            self._queue.extend(rows)
            self._changed.notify_all()

    def take(self, most: int) -> list[Request]:
        """The next rows, at most so many, which the process is to finish from now on."""
        with self._changed:
            rows = [self._queue.popleft() for _ in range(min(most, self.waiting))]
            self.unfinished.update((row.index, row) for row in rows)
        return rows

    def finished(self, indexes: Sequence[int]) -> list[Request]:
        """Note that these rows have their Results. Returns the rows."""
        with self._changed:
            return list(map(self.unfinished.pop, indexes))

    def take_back(self) -> None:
        """Let those rows wait again, before the others, that it will not finish, since it has died."""
        with self._changed:
            self._queue.extendleft(reversed(self.unfinished.values()))
            self.unfinished.clear()

    def withdraw(
        self, lane_of: Callable[[str], int], choose: Callable[[Counter[int]], set[int]]
    ) -> tuple[list[tuple[int, Request]], list[tuple[int, Request]]]:
        """Remove the waiting rows of some lanes. Returns them, and those of these lanes that are to be finished.

        Each comes with its lane. `lane_of` computes the lane of a URL; `choose` is given how many rows of each lane
        wait, and returns lanes.
        """
        with self._changed:
            waiting = [(lane_of(row.url), row) for row in self._queue]
            lanes = choose(Counter(lane for lane, _ in waiting))
            if not lanes:
                return [], []
            self._queue = deque(row for lane, row in waiting if lane not in lanes)
            unfinished = [(lane_of(row.url), row) for row in self.unfinished.values()]
        return [one for one in waiting if one[0] in lanes], [one for one in unfinished if one[0] in lanes]

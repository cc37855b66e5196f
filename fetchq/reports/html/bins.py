"""Adds up what workers did when, in bins of time that grow wider with the run, so that memory does not grow."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from math import floor

__all__ = ["MOST_BINS", "MOST_LANES", "Bins"]

MOST_BINS = 512
MOST_LANES = 256
"""For more workers than this, several share a lane."""
_FINEST = 1 / 1024
"""The width of the first bins, in seconds."""


class Bins:
    """The seconds that each lane spent in each phase, and the rows that were done, bin by bin."""

    def __init__(self, phases: int) -> None:
        self._phases = phases
        self._spent: dict[int, array[float]] = {}
        """Seconds in each bin: of the first lane in each phase, of the second one, and so on."""
        self._done: dict[int, Counter[str]] = {}
        self.step = _FINEST
        """The width of a bin in seconds."""
        self.lanes = 0
        self.group = 1
        """How many workers share a lane."""
        self._first = 0
        """The number of the first bin. A row may have begun before the first one that ended."""
        self._last = -1

    def add(self, worker: int, began: float, spent: Sequence[float]) -> None:
        """Add the time of a worker, from 1, that began with the first phase at `began`, in seconds in each phase."""
        lane = self._lane(worker)
        first, last = self._fit(began, began + sum(spent))
        if first != last:
            self._spread(lane, began, spent)
            return
        cells, at = self._cells(first), lane * self._phases
        for number, seconds in enumerate(spent):
            cells[at + number] += seconds

    def count(self, when: float, what: str, by: int = 1) -> None:
        """Count something in the bin of a time."""
        number, _ = self._fit(when, when)
        counts = self._done.get(number)
        if counts is None:
            counts = self._done[number] = Counter()
        counts[what] += by

    @property
    def start(self) -> float:
        """Where the first bin begins, in seconds."""
        return self._first * self.step

    def __len__(self) -> int:
        return self._last - self._first + 1

    def numbers(self) -> range:
        """The numbers of the bins."""
        return range(self._first, self._last + 1)

    def counts(self, what: str) -> list[int]:
        """What `count` has counted in each bin."""
        return [self._done[number][what] if number in self._done else 0 for number in self.numbers()]

    def spent(self, number: int, lane: int) -> Sequence[float]:
        """The seconds of a lane in each phase in a bin."""
        cells = self._spent.get(number, array("d"))[lane * self._phases : (lane + 1) * self._phases]
        return cells or [0.0] * self._phases

    def total(self, number: int, phase: int) -> float:
        """The seconds of all lanes in a phase in a bin."""
        return sum(self._spent.get(number, array("d"))[phase :: self._phases])

    def _cells(self, number: int) -> array[float]:
        cells = self._spent.get(number)
        if cells is None:
            cells = self._spent[number] = array("d")
        if (missing := self.lanes * self._phases - len(cells)) > 0:
            cells.extend([0.0] * missing)
        return cells

    def _spread(self, lane: int, began: float, spent: Sequence[float]) -> None:
        """Divide the phases over the bins that they go through."""
        at = began
        for phase, seconds in enumerate(spent):
            until, number = at + seconds, floor(at / self.step)
            while at < until:
                edge = min((number + 1) * self.step, until)
                self._cells(number)[lane * self._phases + phase] += max(0.0, edge - at)
                at, number = edge, number + 1
            at = until

    def _lane(self, worker: int) -> int:
        lane = (worker - 1) // self.group
        while lane >= MOST_LANES:
            self.group *= 2
            self.lanes = (self.lanes + 1) // 2
            self._spent = {number: self._paired(cells) for number, cells in self._spent.items()}
            lane = (worker - 1) // self.group
        self.lanes = max(self.lanes, lane + 1)
        return lane

    def _paired(self, cells: array[float]) -> array[float]:
        """The cells with each two lanes as one."""
        width = self._phases
        paired = array("d")
        for at in range(0, len(cells), 2 * width):
            second = cells[at + width : at + 2 * width] or [0.0] * width
            paired.extend(a + b for a, b in zip(cells[at : at + width], second, strict=True))
        return paired

    def _fit(self, begin: float, end: float) -> tuple[int, int]:
        """The numbers of the bins of two times; makes the bins wider until there are few enough."""
        while True:
            first, last = floor(begin / self.step), floor(end / self.step)
            if self._last < self._first:
                self._first = self._last = first
            lowest, highest = min(first, self._first), max(last, self._last)
            if highest - lowest < MOST_BINS:
                self._first, self._last = lowest, highest
                return first, last
            self._widen()

    def _widen(self) -> None:
        """Make each two bins one."""
        self.step *= 2
        self._first, self._last = self._first // 2, self._last // 2
        spent, self._spent = self._spent, {}
        for number, cells in spent.items():
            other = self._spent.get(number // 2, array("d"))
            short, long = sorted((other, cells), key=len)
            for at, seconds in enumerate(short):
                long[at] += seconds
            self._spent[number // 2] = long
        done, self._done = self._done, {}
        for number, counts in done.items():
            self._done.setdefault(number // 2, Counter()).update(counts)

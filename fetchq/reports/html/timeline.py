"""Shows what the workers did when: as a timeline, and as charts over time."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence

from fetchq.reports.html.bins import Bins
from fetchq.reports.html.blocks import Lines, Series, TimelineBlock

__all__ = ["MOST_ROWS", "Timeline"]

MOST_ROWS = 3000
"""For more rows than this, the timeline has bins instead of each row."""
_MOST_COUNTS = 160
_LEAST_COUNTS = 20
"""In how many steps of time the rows are counted that were done."""
_BYTES = "bytes"
_ALL = "all"


class Timeline:
    """The time of the workers by phase, and the rows that were done. Times count from the run's beginning."""

    def __init__(self, phases: Sequence[str]) -> None:
        self._phases = phases
        self._bins = Bins(len(phases))
        self._rows: list[tuple[int, int, float, Sequence[float]]] | None = []
        """Each row: its index, its worker, when it began, and its seconds in each phase; None if there are too many."""
        self._end = 0.0

    def add(self, index: int, worker: int, began: float, spent: Sequence[float]) -> float:
        """Add a row that a worker took at `began`, with its seconds in each phase. Returns the time of its end."""
        end = began + sum(spent)
        self._end = max(self._end, end)
        self._bins.add(worker, began, spent)
        if self._rows is not None:
            self._rows.append((index, worker, began, spent))
            if len(self._rows) > MOST_ROWS:
                self._rows = None
        return end

    def count(self, when: float, cause: str | None, size: int) -> None:
        """Count a row that was done at `when`, with the cause of its failure, and the bytes of its body."""
        self._bins.count(when, _ALL)
        if cause is not None:
            self._bins.count(when, cause)
        if size:
            self._bins.count(when, _BYTES, size)

    def block(self, title: str, end: float, breaks: Sequence[float] = ()) -> TimelineBlock:
        """The timeline until `end`. `breaks`: when later sessions began."""
        bins, end = self._bins, max(end, self._end)
        names = [self._name(lane) for lane in range(bins.lanes)]
        if self._rows is not None:
            rows = [(index, (worker - 1) // bins.group, began, spent) for index, worker, began, spent in self._rows]
            return TimelineBlock(title, self._phases, names, end, rows, breaks=breaks)
        cells = b64encode(self._shares()).decode()
        return TimelineBlock(title, self._phases, names, end, (), bins.start, bins.step, len(bins), cells, breaks)

    def concurrency(self, title: str) -> Lines:
        """How many rows were in each phase at a time, on average over each bin."""
        bins = self._bins
        series = []
        for number, phase in enumerate(self._phases):
            values = [round(bins.total(at, number) / bins.step, 4) for at in bins.numbers()]
            if any(values):
                series.append(Series(phase, values, phase))
        return Lines(title, "URLs at a time", bins.start, bins.step, series, stacked=True)

    def throughput(self, title: str) -> Lines:
        """How many rows were done per second."""
        return self._counts(title, "URLs per second", {_ALL: "rows"}, rate=True)

    def bandwidth(self, title: str) -> Lines:
        """How many bytes of bodies came per second, counted where their rows ended."""
        return self._counts(title, "bytes per second", {_BYTES: "bytes"}, rate=True)

    def failures(self, title: str, causes: Sequence[str]) -> Lines:
        """How many rows failed in each bin, by cause."""
        return self._counts(title, "failed URLs", {cause: cause for cause in causes}, rate=False)

    def _counts(self, title: str, unit: str, named: dict[str, str], *, rate: bool) -> Lines:
        """What was counted under these names, whose values are colours; `rate`: per second."""
        bins = self._bins
        done = sum(bins.counts(_ALL))
        most = min(_MOST_COUNTS, max(_LEAST_COUNTS, done // 8))  # of a few rows, each would be a spike
        together = max(1, -(-len(bins) // most))
        step = bins.step * together
        series = []
        for name, colour in named.items():
            counts = bins.counts(name)
            sums = [sum(counts[at : at + together]) for at in range(0, len(counts), together)]
            values = [round(number / step, 2) for number in sums] if rate else sums
            series.append(Series(unit if rate else name, values, colour))
        return Lines(title, unit, bins.start, step, series, stacked=not rate)

    def _name(self, lane: int) -> str:
        group = self._bins.group
        first = lane * group + 1
        return f"{first}" if group == 1 else f"{first}-{first + group - 1}"

    def _shares(self) -> bytes:
        """The bytes of `TimelineBlock.cells`."""
        bins = self._bins
        whole = bins.step * bins.group
        return bytes(
            min(255, -int(-255 * seconds // whole))
            for lane in range(bins.lanes)
            for number in bins.numbers()
            for seconds in bins.spent(number, lane)
        )

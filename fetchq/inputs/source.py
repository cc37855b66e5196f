"""Yields the rows of a run in batches of Requests, one input after the other.

`fetchq.inputs.opening` makes a Source from the arguments of the command line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from typing import Self, TypeAlias
from weakref import WeakSet

from fetchq.core.model import Request
from fetchq.core.row_set import RowSet
from fetchq.inputs.lines import SourceError
from fetchq.inputs.readers import Batches, Input, UrlInput
from fetchq.inputs.sampling import chosen_seed, first_rows, sample_rows, shuffled_rows

__all__ = ["RowFilter", "Source"]

MAX_COUNTED = 100_000_000
"""The most bytes of files that `Source.count` reads."""
RowFilter: TypeAlias = Callable[[list[Request]], list[Request]]
"""Returns those rows of a batch that the source yields; it may change them."""


class Source:
    """The rows of a run, in batches. It can be iterated again, unless an input is a pipe."""

    def __init__(self, inputs: Sequence[Input], *, limit: int | None = None, seed: int | None = None) -> None:
        """`limit`: at most so many rows, the first ones or, if there is a `seed`, rows by chance.

        `seed`: that of a random order; None for the order of the inputs. `ANY_SEED` stands for one that is chosen now.
        """
        self._inputs = inputs
        self._limit = limit
        self.seed = chosen_seed(seed)
        """The seed of the random order; None for the order of the inputs."""
        self._started = self._closed = False
        self._running: WeakSet[Batches] = WeakSet()
        self.rereadable = all(one.rereadable for one in inputs)
        """False if an input is a pipe or a terminal, which can be read only once, and whose end is unknown."""
        self.total = self._limited(len(inputs)) if all(isinstance(one, UrlInput) for one in inputs) else None
        """The number of rows, if it is known without reading; None otherwise (see `count`)."""
        self._skipped: RowSet | None = None
        self._row_filter: RowFilter | None = None
        self.read = 0
        """How many rows the iteration has read, including skipped ones."""
        self.ended = False
        """Whether the iteration has reached the end of the inputs."""

    def __iter__(self) -> Batches:
        """Iterate over the batches, which are not empty. Raises `SourceError` if an input cannot be read further."""
        if self._closed:
            raise ValueError("the source is closed")
        pipe = next((one for one in self._inputs if not one.rereadable), None)
        if self._started and pipe is not None:
            raise SourceError(f"{pipe.name} can be read only once")
        self._started = True
        batches = self._handed_out()
        self._running.add(batches)
        return batches

    def skip_rows(self, skipped: RowSet, row_filter: RowFilter | None = None) -> None:
        """Leave out these rows, also in `total` and `count`.

        If there is a `row_filter`, it selects the rows to yield, and `skipped` only changes the counts.
        """
        self._row_filter = row_filter
        if self.total is not None:
            self.total += len(self._skipped or ()) - len(skipped)
        self._skipped = skipped

    def _handed_out(self) -> Batches:
        self.ended = False
        with closing(self._to_fetch()) as batches:
            yield from batches if self.seed is None else shuffled_rows(batches, self.seed)
        self.ended = not self._closed

    def _to_fetch(self) -> Batches:
        self.read = 0
        skipped, row_filter = self._skipped, self._row_filter
        with closing(self._batches()) as every:
            batches: Iterable[list[Request]] = every
            if self._limit is not None and self.seed is None:
                batches = first_rows(every, self._limit)
            elif self._limit is not None and self.seed is not None:
                batches = sample_rows(every, self._limit, self.seed)
            for batch in batches:
                self.read += len(batch)
                if row_filter is not None:
                    left = row_filter(batch)
                else:
                    left = [request for request in batch if request.index not in skipped] if skipped else batch
                if left:
                    yield left

    @property
    def remarks(self) -> list[str]:
        """What the user should know of the inputs, as far as they have been read: lines of text."""
        return [one.remark for one in self._inputs if one.remark is not None]

    def count(self) -> int | None:
        """Count the rows by reading all inputs. Returns None if that would take too long, or is impossible.

        It may run in a thread while another thread iterates.
        """
        if not self.rereadable or sum(one.size for one in self._inputs) > MAX_COUNTED:
            return None
        rows = 0
        try:
            for batch in self._batches():
                rows += len(batch)
        except SourceError:
            return None  # the iteration will raise it
        return None if self._closed else self._limited(rows) - len(self._skipped or ())

    def _limited(self, rows: int) -> int:
        return rows if self._limit is None else min(rows, self._limit)

    def _batches(self) -> Batches:
        index = 0
        for one in self._inputs:
            with closing(one.batches(index)) as batches:
                for batch in batches:
                    if self._closed:
                        return
                    if batch:
                        index += len(batch)
                        yield batch

    @property
    def left_out(self) -> list[str]:
        """What of the inputs that were read to their ends is no row, such as links to mail: lines of text."""
        return [one.left_out for one in self._inputs if one.left_out is not None]

    def close(self) -> None:
        """Close the open files. An iteration in another thread ends after its current read."""
        self._closed = True
        for batches in list(self._running):
            with suppress(ValueError):  # the generator is running in another thread
                batches.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

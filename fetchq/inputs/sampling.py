"""Chooses the rows of a list by number or by chance (`--limit`, `--shuffle`), and puts them in random order.

The order follows from a seed alone, so that a later session of a run has the same rows: only `random.Random.random` is
used, whose numbers are the same in all versions of Python.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from random import Random, randrange
from typing import TYPE_CHECKING

from fetchq.core.kept_bytes import request_bytes
from fetchq.inputs.lines import SourceError

if TYPE_CHECKING:
    from fetchq.core.model import Request

__all__ = ["ANY_SEED", "MOST_ROWS", "ListTooLongError", "chosen_seed", "first_rows", "sample_rows", "shuffled_rows"]

ANY_SEED = -1
"""Stands for a seed that is still to be chosen."""
MOST_ROWS = 1_000_000
MOST_BYTES = 500_000_000
"""The bounds of the rows that are kept in memory: their number, and their bytes."""
_BATCH = 1000
_ROW = 300
"""Bytes of a row without its texts."""

Rows = Iterator[list["Request"]]


class ListTooLongError(SourceError):
    """A list has more rows than can be kept in memory."""

    def __init__(self) -> None:
        super().__init__(
            f"--shuffle: it keeps all rows in memory, at most {MOST_ROWS:,} and {MOST_BYTES // 1_000_000} MB of them; "
            "--limit N takes fewer by chance, and shuf LIST | fetchq - has no bound"
        )


def chosen_seed(seed: int | None) -> int | None:
    """The seed; one by chance for `ANY_SEED`."""
    return randrange(1_000_000) if seed == ANY_SEED else seed  # noqa: S311  # no secret


def first_rows(batches: Iterable[list[Request]], limit: int) -> Rows:
    """The first rows, at most `limit`. No more is read."""
    left = limit
    for batch in batches:
        if len(batch) >= left:
            yield batch[:left]
            return
        yield batch
        left -= len(batch)


def sample_rows(batches: Iterable[list[Request]], limit: int, seed: int) -> Rows:
    """At most `limit` rows by chance, each with the same probability, in their order (reservoir sampling).

    Vitter, ACM Transactions on Mathematical Software 11, 1985, algorithm R. Raises `ListTooLongError`.
    """
    chance = Random(seed)  # noqa: S311  # no secret
    kept = _Kept()
    seen = 0
    for batch in batches:
        for row in batch:
            seen += 1
            if seen <= limit:
                kept.add(row)
            elif (at := int(chance.random() * seen)) < limit:
                kept.replace(at, row)
    return _in_batches(sorted(kept.rows, key=lambda row: row.index))


def shuffled_rows(batches: Iterable[list[Request]], seed: int) -> Rows:
    """All rows in random order (Fisher and Yates). Raises `ListTooLongError`."""
    chance = Random(seed)  # noqa: S311  # no secret
    kept = _Kept()
    for batch in batches:
        for row in batch:
            kept.add(row)
    rows = kept.rows
    for last in range(len(rows) - 1, 0, -1):
        other = int(chance.random() * (last + 1))
        rows[last], rows[other] = rows[other], rows[last]
    return _in_batches(rows)


def _in_batches(rows: list[Request]) -> Rows:
    return (rows[first : first + _BATCH] for first in range(0, len(rows), _BATCH))


class _Kept:
    """Rows in memory, within the bounds."""

    def __init__(self) -> None:
        self.rows: list[Request] = []
        self._bytes = 0

    def add(self, row: Request) -> None:
        self.rows.append(row)
        self._grow(_ROW + request_bytes(row))
        if len(self.rows) > MOST_ROWS:
            raise ListTooLongError

    def replace(self, at: int, row: Request) -> None:
        self._grow(request_bytes(row) - request_bytes(self.rows[at]))
        self.rows[at] = row

    def _grow(self, size: int) -> None:
        self._bytes += size
        if self._bytes > MOST_BYTES:
            raise ListTooLongError

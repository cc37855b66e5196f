"""What has changed between two durable runs, URL by URL, in memory that does not grow with them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fetchq.store.stored_run import StoredRun

__all__ = ["FACTOR", "LEAST", "Change", "Difference", "Row", "differences"]

FACTOR = 2.0
"""Times as long that counts as slower."""
LEAST = 0.1
"""Seconds by which it must be slower."""


class Change(StrEnum):
    """What is different about a URL."""

    NEW = "new"
    """It was not fetched before."""
    GONE = "gone"
    STATUS = "status"
    """Another status, or another cause, or the one in place of the other."""
    CONTENT = "content"
    """Two whole bodies, whose SHA-256 differ."""
    SLOWER = "slower"
    FASTER = "faster"


@dataclass(frozen=True, slots=True)
class Row:
    """What is compared of a record; the names are those of the ledger's columns."""

    url: str
    method: str
    index: int
    status: int | None
    cause: str | None
    sha256: str | None
    elapsed: float


_COLUMNS = tuple(one.name for one in fields(Row))


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is different about one URL; `old` is None where it is new, and `new` where it is gone."""

    change: Change
    old: Row | None
    new: Row | None

    @property
    def row(self) -> Row:
        """The newer of the two."""
        row = self.new or self.old
        assert row is not None
        return row

    def to_record(self) -> dict[str, Any]:
        """What `fetchq diff --json` prints: `old` and `new` are what differs."""
        old, new = self.old, self.new
        return {
            "url": self.row.url,
            "method": self.row.method,
            "change": self.change.value,
            "old": None if old is None else self._value(old),
            "new": None if new is None else self._value(new),
            "old_index": None if old is None else old.index,
            "new_index": None if new is None else new.index,
        }

    def _value(self, row: Row) -> Any:
        match self.change:
            case Change.CONTENT:
                return row.sha256
            case Change.SLOWER | Change.FASTER:
                return row.elapsed
        return {"status": row.status, "cause": row.cause}


def differences(
    old: StoredRun, new: StoredRun, *, factor: float = FACTOR, least: float = LEAST
) -> Iterator[Difference]:
    """The differences, ordered by URL and method. Rows with the same two are compared in the order of the input.

    `factor`, `least`: a URL is slower or faster when `elapsed` is so many times another, and by so many seconds.
    Raises `StorageError`.
    """
    for before, after in _pairs(_rows(old), _rows(new)):
        if before is None or after is None:
            yield _difference(Change.NEW if before is None else Change.GONE, before, after)
            continue
        _, _, _, _, _, sha256, elapsed = before
        if _outcome(after) != _outcome(before):
            yield _difference(Change.STATUS, before, after)
        if after[5] != sha256 and sha256 is not None and after[5] is not None:
            yield _difference(Change.CONTENT, before, after)
        if abs(after[6] - elapsed) >= least:
            if after[6] > elapsed and after[6] >= factor * elapsed:
                yield _difference(Change.SLOWER, before, after)
            elif after[6] < elapsed and elapsed >= factor * after[6]:
                yield _difference(Change.FASTER, before, after)


_Values = tuple[Any, ...]


def _outcome(row: _Values) -> tuple[int | None, str | None]:
    """Status and cause. What a refresh has kept, because of a 304, is the 200 that it was."""
    _, _, _, status, cause, _, _ = row
    return 200 if status == 304 and cause is None else status, cause


def _rows(run: StoredRun) -> Iterator[_Values]:
    # SQLite compares texts by their bytes in UTF-8, which is the order that Python's have, too.
    return run.ledger.rows(_COLUMNS, order=("url", "method", "index"))


def _pairs(old: Iterator[_Values], new: Iterator[_Values]) -> Iterator[tuple[_Values | None, _Values | None]]:
    """Rows of one URL and method, the first with the first; None where the other run has none."""
    before, after = next(old, None), next(new, None)
    while before is not None or after is not None:
        if after is None or (before is not None and before[:2] < after[:2]):
            yield before, None
            before = next(old, None)
        elif before is None or before[:2] > after[:2]:
            yield None, after
            after = next(new, None)
        else:
            yield before, after
            before, after = next(old, None), next(new, None)


def _difference(change: Change, old: _Values | None, new: _Values | None) -> Difference:
    return Difference(change, None if old is None else Row(*old), None if new is None else Row(*new))

"""Compares two durable runs URL by URL, in constant memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fetchq.store.stored_run import StoredRun

__all__ = ["FACTOR", "LEAST", "Change", "Difference", "Row", "differences"]

FACTOR = 2.0
"""A URL is slower if it takes this many times as long (and `LEAST` longer)."""
LEAST = 0.1
"""A URL is slower if it takes at least this many seconds longer (and `FACTOR` times as long)."""


class Change(StrEnum):
    """The kind of a difference."""

    NEW = "new"
    """Only the new run has the URL."""
    GONE = "gone"
    """Only the old run has the URL."""
    STATUS = "status"
    """The status or the cause differs."""
    CONTENT = "content"
    """Both bodies are complete, and their SHA-256 differ."""
    SLOWER = "slower"
    FASTER = "faster"


@dataclass(frozen=True, slots=True)
class Row:
    """The fields of a record that are compared. Their names are those of the ledger's columns."""

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
    """A difference of a URL. `old` is None for a new URL; `new` is None for one that is gone."""

    change: Change
    old: Row | None
    new: Row | None

    @property
    def row(self) -> Row:
        """The row of the new run, or else that of the old one."""
        row = self.new or self.old
        assert row is not None
        return row

    def to_record(self) -> dict[str, Any]:
        """The object that `fetchq diff --json` prints. `old` and `new` are the values that differ."""
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
    """The differences, ordered by URL and method. Rows with the same URL and method are paired in input order.

    A URL is slower or faster if `elapsed` differs by the `factor` and by at least `least` seconds. Raises
    `StorageError`.
    """
    for before, after in _pairs(_rows(old), _rows(new)):
        if before is None or after is None:
            yield _difference(Change.NEW if before is None else Change.GONE, before, after)
            continue
        _, _, _, _, _, old_sha256, old_elapsed = before
        _, _, _, _, _, new_sha256, new_elapsed = after
        if _outcome(after) != _outcome(before):
            yield _difference(Change.STATUS, before, after)
        if new_sha256 != old_sha256 and old_sha256 is not None and new_sha256 is not None:
            yield _difference(Change.CONTENT, before, after)
        if abs(new_elapsed - old_elapsed) >= least:
            if new_elapsed > old_elapsed and new_elapsed >= factor * old_elapsed:
                yield _difference(Change.SLOWER, before, after)
            elif new_elapsed < old_elapsed and old_elapsed >= factor * new_elapsed:
                yield _difference(Change.FASTER, before, after)


_Values = tuple[Any, ...]
"""The values of a Row, in the order of its fields."""


def _outcome(row: _Values) -> tuple[int | None, str | None]:
    """The status and the cause. A 304 counts as the 200 that it confirms."""
    _, _, _, status, cause, _, _ = row
    return 200 if status == 304 and cause is None else status, cause


def _rows(run: StoredRun) -> Iterator[_Values]:
    # SQLite orders texts by their bytes in UTF-8, which is the order of Python's strings as well.
    return run.ledger.rows(_COLUMNS, order=("url", "method", "index"))


def _pairs(old: Iterator[_Values], new: Iterator[_Values]) -> Iterator[tuple[_Values | None, _Values | None]]:
    """Pair the rows with the same URL and method, in input order, with None if the other run has no such row."""
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

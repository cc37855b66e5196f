"""Records what became of each row in a run, and finds the rows that came out differently in another run.

A record has 16 bytes: the cause as a number (0: the row has no Result), the status, and the beginning of the body's
SHA-256.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import combinations
from struct import Struct
from typing import TYPE_CHECKING

from fetchq.core.model import Cause
from fetchq.http.url import shown_url
from fetchq.reports.measurements import RowDifference, Rows

if TYPE_CHECKING:
    from fetchq.core.model import Result

__all__ = ["OutcomeCheck", "OutcomeTable"]

MOST_SHOWN = 10
"""The most rows of a kind that are named."""

_RECORD = Struct("<BH13s")
_DIGITS = 26
_OK = 1
_CODES: dict[Cause | None, int] = {None: _OK, **{cause: code for code, cause in enumerate(Cause, _OK + 1)}}
_CAUSES = {code: cause for cause, code in _CODES.items()}


class OutcomeTable:
    """What became of the rows in one run."""

    def __init__(self, rows: int) -> None:
        self.content = bytearray(rows * _RECORD.size)

    def add(self, results: Iterable[Result]) -> None:
        """Record these Results."""
        pack, size, content = _RECORD.pack_into, _RECORD.size, self.content
        for result in results:
            digest = b"" if result.sha256 is None else bytes.fromhex(result.sha256[:_DIGITS])
            pack(content, result.index * size, _CODES[result.cause], result.status or 0, digest)


class _Variant:
    """The outcomes of one variant in all of its runs."""

    def __init__(self, first: bytes) -> None:
        self.first = first
        """Those of its first run."""
        self.changed: set[int] = set()
        """The rows that came out differently in another run."""
        self.failed: set[int] = set()
        """The rows that were not ok in some run."""

    def add(self, content: bytes) -> None:
        self.failed.update(_differing(content[:: _RECORD.size], bytes([_OK]) * (len(content) // _RECORD.size), 1))
        self.changed.update(_differing(content, self.first, _RECORD.size))


class OutcomeCheck:
    """Compares the outcomes of all runs. Its own size grows with the rows and the variants, but not with the runs."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._variants: dict[int, _Variant] = {}

    def add(self, variant: int, content: bytes) -> None:
        """Add a run of the variant with this number: the content of its `OutcomeTable`."""
        self._variants.setdefault(variant, _Variant(content)).add(content)

    def rows(self, urls: Callable[[Iterable[int]], dict[int, str]]) -> Rows:
        """Which rows differ. `urls` finds the URLs of rows."""
        numbers = sorted(self._variants)
        variants = [self._variants[number] for number in numbers]
        failed = set.intersection(*(one.failed for one in variants))
        failing = set().union(*(one.failed for one in variants)) - failed
        changing = set().union(*(one.changed for one in variants)) - failed - failing
        different: set[int] = set()
        incomparable = set()
        for a, b in combinations(range(len(variants)), 2):
            if variants[a].failed != variants[b].failed or len(failed) == self._rows:
                incomparable.add((numbers[a], numbers[b]))
            different.update(_differing(variants[a].first, variants[b].first, _RECORD.size))
        different -= changing | failing | failed
        kinds = [sorted(rows)[:MOST_SHOWN] for rows in (failed, failing, different)]
        names = urls([row for kind in kinds for row in kind])
        shown = [
            tuple(
                RowDifference(row, shown_url(names.get(row, "")), tuple(_text(one, row) for one in variants))
                for row in kind
            )
            for kind in kinds
        ]
        return Rows(
            count=self._rows,
            failed=shown[0],
            failed_count=len(failed),
            failing=shown[1],
            failing_count=len(failing),
            different=shown[2],
            different_count=len(different),
            changing_count=len(changing),
            incomparable=frozenset(incomparable),
        )


def _differing(one: bytes, other: bytes, size: int) -> list[int]:
    """The numbers of the records, of so many bytes each, that differ."""
    if one == other:
        return []
    return [at // size for at in range(0, len(one), size) if one[at : at + size] != other[at : at + size]]


def _text(variant: _Variant, row: int) -> str:
    """What became of a row, in words."""
    code, status, digest = _RECORD.unpack_from(variant.first, row * _RECORD.size)
    if not code:
        return "not done"
    if code == _OK and row in variant.failed:
        return "failed in some rounds"
    cause = _CAUSES[code]
    if cause is not None:
        failed = f"{cause}" if not status else f"status {status}" if cause is Cause.STATUS else f"{cause}, {status}"
        return f"{failed} in some rounds" if row in variant.changed else failed
    return f"{status}, sha256 {digest.hex()[:8]}..." if any(digest) else f"{status}"

"""Collects Results until the one reader of a run takes them, within the same bounds in every pool."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fetchq.core.model import Result

__all__ = ["MOST_BYTES", "MOST_RESULTS", "ResultBuffer"]

MOST_RESULTS = 1024
MOST_BYTES = 16_000_000
"""Of bodies and headers."""


class ResultBuffer:
    """A list of Results, bounded in number and in bytes."""

    __slots__ = ("_bytes", "_results")

    def __init__(self) -> None:
        self._results: list[Result] = []
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._results)

    def add(self, result: Result) -> bool:
        """Take `result`; False when there is no room. The last one may exceed the bound in bytes by its own size."""
        if len(self._results) >= MOST_RESULTS or self._bytes >= MOST_BYTES:
            return False
        self._results.append(result)
        headers = result.headers
        if result.spool is not None:
            self._bytes += result.spool.held
        self._bytes += len(result.body) + sum(map(len, headers.keys())) + sum(map(len, headers.values()))
        return True

    def is_ample(self) -> bool:
        """There are enough that the reader should not wait for more."""
        return len(self._results) >= MOST_RESULTS // 2 or self._bytes >= MOST_BYTES // 2

    def take_all(self) -> list[Result]:
        """The results, in the order in which they came; none is left."""
        results, self._results, self._bytes = self._results, [], 0
        return results

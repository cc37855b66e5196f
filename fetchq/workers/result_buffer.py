"""The Results on their way to the one writer: pure, so that all pools keep within the same bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fetchq.core.model import Result

__all__ = ["MOST_BYTES", "MOST_RESULTS", "ResultBuffer"]

MOST_RESULTS = 1024
MOST_BYTES = 16_000_000
"""Of bodies and headers."""


class ResultBuffer:
    """Results that wait, bounded in number and in bytes. Whoever adds one looks first whether it is full."""

    __slots__ = ("_bytes", "_results")

    def __init__(self) -> None:
        self._results: list[Result] = []
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._results)

    def full(self) -> bool:
        """The writer has enough to write. A result larger than the bound passes all the same, on its own."""
        return len(self._results) >= MOST_RESULTS or self._bytes >= MOST_BYTES

    def ample(self) -> bool:
        """There is so much that the writer should not wait for more."""
        return len(self._results) >= MOST_RESULTS // 2 or self._bytes >= MOST_BYTES // 2

    def add(self, result: Result) -> None:
        self._results.append(result)
        headers = result.headers
        if result.spool is not None:
            self._bytes += result.spool.held
        self._bytes += len(result.body) + sum(map(len, headers.keys())) + sum(map(len, headers.values()))

    def take_all(self) -> list[Result]:
        """The results, in the order in which they came; none is left."""
        results, self._results, self._bytes = self._results, [], 0
        return results

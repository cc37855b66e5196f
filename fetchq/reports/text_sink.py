"""Writes a line of text for each Result."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from fetchq.core.prepared_results import PreparedResults
from fetchq.reports.summary import never_tried
from fetchq.reports.text import result_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fetchq.core.model import Result
    from fetchq.reports.text import Paint

__all__ = ["TextSink"]


class TextSink:
    """Writes a line of text for each Result, but for rows that were never tried: the summary counts them."""

    def __init__(self, stream: BinaryIO, paint: Paint | None = None) -> None:
        """`paint`: colours lines; None for none."""
        self._stream = stream
        self._paint = paint

    def write(self, results: Sequence[Result]) -> None:
        if isinstance(results, PreparedResults):
            self._stream.write(results.lines)
            return
        paint = self._paint
        lines = [result_line(one, paint) for one in results if one.cause is None or not never_tried(one)]
        self._stream.write("".join([f"{line}\n" for line in lines]).encode(errors="backslashreplace"))

    def flush(self) -> None:
        self._stream.flush()

"""Encodes the records of Results, and counts them, in the process that has fetched them."""

from __future__ import annotations

import marshal
import pickle
from io import BytesIO
from typing import TYPE_CHECKING

from fetchq.core.cause import Cause
from fetchq.reports.summary import Summary
from fetchq.store.sinks import sink_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fetchq.core.encoded_results import RecordFormat
    from fetchq.core.model import Result

__all__ = ["Encoder"]


class Encoder:
    """Encodes batches of Results as JSON Lines."""

    def __init__(self, records: RecordFormat) -> None:
        self._stream = BytesIO()
        self._sink = sink_for("jsonl", self._stream, records.include, records.passed, records.fields)

    def encode(self, results: Sequence[Result]) -> bytes:
        """The content of a message: the index of each row, its record, whether it has failed, and their Summary."""
        self._sink.write(results)
        lines = self._stream.getvalue()
        self._stream.seek(0)
        self._stream.truncate()
        summary = Summary()
        summary.add(results)
        failed = bytes([not one.ok for one in results if one.cause is not Cause.CANCELLED])
        indexes = [one.index for one in results]
        return marshal.dumps((indexes, lines, failed, pickle.dumps(summary, pickle.HIGHEST_PROTOCOL)))

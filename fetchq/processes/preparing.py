"""Prepares Results in the process that has fetched them: stores the bodies, encodes the records, and counts them."""

from __future__ import annotations

import marshal
import pickle
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fetchq.core.cause import Cause
from fetchq.core.memory_files import memory_files
from fetchq.core.prepared_results import PreparedResults
from fetchq.reports.summary import Summary
from fetchq.reports.text_sink import TextSink
from fetchq.store.schema import row_of
from fetchq.store.sinks import body_store_for, sink_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fetchq.core.model import Result
    from fetchq.core.prepared_results import Preparation
    from fetchq.core.settings import Settings

__all__ = ["Preparer", "decode_prepared"]


class Preparer:
    """Prepares batches of Results. Its methods block if the bodies are stored."""

    def __init__(self, preparation: Preparation, settings: Settings) -> None:
        self._generation = preparation.generation
        self.blocks = settings.output is not None and settings.stores and memory_files(settings.output) is None
        """Whether bodies are stored on a disk, for which an event loop must not wait."""
        self._store = None
        if settings.output is not None and preparation.generation is not None:
            self._store = body_store_for(settings.save, Path(settings.output), preparation.generation)
        self._stream = BytesIO()
        self._sink: Any = None
        if preparation.format == "text":
            self._sink = TextSink(self._stream)
        elif preparation.format is not None:
            choice = preparation.include, preparation.passed, preparation.fields
            self._sink = sink_for(preparation.format, self._stream, *choice)

    def prepare(self, results: Sequence[Result]) -> bytes:
        """The content of a message: the index of each row, and what `decode_prepared` makes a batch of.

        Raises `StorageError` and OSError.
        """
        if self._store is not None:
            results = self._store.store(results)
        if self._sink is not None:
            self._sink.write(results)
        lines = self._stream.getvalue()
        self._stream.seek(0)
        self._stream.truncate()
        summary = Summary()
        summary.add(results)
        done = [one for one in results if one.cause is not Cause.CANCELLED]
        rows = [] if self._generation is None else [row_of(one, self._generation) for one in done]
        failed = bytes([not one.ok for one in done])
        indexes = [one.index for one in results]
        return marshal.dumps((indexes, lines, rows, failed, pickle.dumps(summary, pickle.HIGHEST_PROTOCOL)))


def decode_prepared(content: bytes) -> tuple[list[int], PreparedResults]:
    """The index of each row, and the batch, of such a message."""
    indexes, lines, rows, failed, summary = marshal.loads(content)  # noqa: S302  # from a process of this run
    return indexes, PreparedResults(lines, rows, failed, pickle.loads(summary))  # noqa: S301  # as above

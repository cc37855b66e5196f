"""Writes the records of a stored run to a stream in another format."""

from __future__ import annotations

import os
from itertools import islice
from typing import TYPE_CHECKING

from fetchq.store.sinks import RECORD_FORMATS, record_sink_for

if TYPE_CHECKING:
    from typing import BinaryIO

    from fetchq.store.stored_run import StoredRun

__all__ = ["format_of_name", "write_records"]

_BATCH = 1000
"""Records that are in memory at a time."""


def format_of_name(path: str) -> str:
    """The record format whose suffix the name of a file has, as .csv stands for "csv"; else "jsonl"."""
    suffix = os.path.splitext(path)[1].lower().removeprefix(".")
    return suffix if suffix in RECORD_FORMATS else "jsonl"


def write_records(run: StoredRun, record_format: str, stream: BinaryIO, where: str) -> None:
    """Write the records of the rows that meet the SQL condition `where`, by index.

    Raises `ConditionError` before anything is written, where the condition is wrong already there; `StorageError`, and
    OSError where the stream cannot be written.
    """
    records = run.records(where)
    batch = list(islice(records, _BATCH))  # a wrong condition is found before anything is written
    sink = record_sink_for(record_format, stream)
    try:
        while batch:
            sink.write_records(batch)
            sink.flush()
            batch = list(islice(records, _BATCH))
        sink.close()
    except BaseException:  # whatever it is, raised again
        sink.close(whole=False)
        raise

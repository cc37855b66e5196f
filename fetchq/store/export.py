"""Writes the records of a stored run to a stream in another format."""

from __future__ import annotations

import os
from itertools import islice
from typing import TYPE_CHECKING

from fetchq.store.sinks import RECORD_FORMATS, record_sink_for

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from typing import Any, BinaryIO, Protocol

    from fetchq.store.ledger_connection import LedgerError

    class Records(Protocol):
        """The records of a `StoredRun`, or of several."""

        def records(self, where: str = "1", include: Collection[str] = ()) -> Iterator[dict[str, Any]]: ...

        def passed_columns(self) -> list[str]: ...

        def damage(self, index: object, why: str) -> LedgerError: ...


__all__ = ["format_of_name", "write_records"]

_BATCH = 1000
"""How many records are in memory at a time."""


def format_of_name(path: str) -> str:
    """The record format for the suffix of a file's name, such as "csv" for .csv; "jsonl" for any other."""
    suffix = os.path.splitext(path)[1].lower().removeprefix(".")
    return suffix if suffix in RECORD_FORMATS else "jsonl"


def write_records(run: Records, record_format: str, stream: BinaryIO, where: str, include: Sequence[str] = ()) -> None:
    """Write the records that meet the SQL condition `where`, in their order: those of a run by index.

    `include`: see `StoredRun.records`.

    Raises `ConditionError`, before anything is written if the first records show that the condition is wrong;
    `StorageError`; and OSError if the stream cannot be written.
    """
    records = run.records(where, include)
    batch = list(islice(records, _BATCH))  # raises for a wrong condition before anything is written
    sink = record_sink_for(record_format, stream, include, run.passed_columns())
    try:
        while batch:
            sink.write_records(batch)
            sink.flush()
            batch = list(islice(records, _BATCH))
        sink.close()
    except ValueError as problem:  # a type of Parquet cannot hold what somebody has put into the ledger
        sink.close(whole=False)
        raise run.damage(None, str(problem)) from None
    except BaseException:  # raised again, whatever it is
        sink.close(whole=False)
        raise

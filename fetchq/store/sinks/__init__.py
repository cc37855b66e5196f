"""The sinks: each takes results and writes them somewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fetchq.core.parsers import read_save

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import BinaryIO

    from fetchq.store.folder import RunFolder
    from fetchq.store.sinks.base import BodyStore, RecordSink, Sink
    from fetchq.store.sinks.records_csv import CsvSink
    from fetchq.store.sinks.records_jsonl import JsonLinesSink
    from fetchq.store.sinks.records_parquet import ParquetRecords

__all__ = ["RECORD_FORMATS", "record_sink_for", "sink_for", "store_for"]


def _jsonl(stream: BinaryIO, include: Sequence[str] = ()) -> JsonLinesSink:
    from fetchq.store.sinks.records_jsonl import JsonLinesSink

    return JsonLinesSink(stream, include)


def _csv(stream: BinaryIO, include: Sequence[str] = ()) -> CsvSink:
    from fetchq.store.sinks.records_csv import CsvSink

    return CsvSink(stream, include)


_SINKS: dict[str, Callable[[BinaryIO, Sequence[str]], Sink]] = {"jsonl": _jsonl, "csv": _csv}


def sink_for(format: str, stream: BinaryIO, include: Sequence[str] = ()) -> Sink:
    """The sink that writes records to `stream`: "jsonl" or "csv"."""
    return _SINKS[format](stream, include)


def _parquet_records(stream: BinaryIO) -> ParquetRecords:
    from fetchq.store.sinks.records_parquet import ParquetRecords

    return ParquetRecords(stream)


_RECORD_SINKS: dict[str, Callable[[BinaryIO], RecordSink]] = {"jsonl": _jsonl, "csv": _csv, "parquet": _parquet_records}
RECORD_FORMATS = tuple(_RECORD_SINKS)
"""The formats of `record_sink_for`."""


def record_sink_for(format: str, stream: BinaryIO) -> RecordSink:
    """The sink that writes ready records to `stream`. Raises ImportError for "parquet" where pyarrow is missing."""
    return _RECORD_SINKS[format](stream)


def _files(folder: RunFolder, generation: int) -> BodyStore:
    from fetchq.store.sinks.bodies_files import FileStore

    return FileStore(folder, generation)


def _warc(folder: RunFolder, generation: int) -> BodyStore:
    from fetchq.store.sinks.bodies_warc import WarcStore

    return WarcStore(folder, generation)


def _parquet(folder: RunFolder, generation: int) -> BodyStore:
    from fetchq.store.sinks.bodies_parquet import ParquetStore

    return ParquetStore(folder, generation)


_STORES: dict[str, Callable[[RunFolder, int], BodyStore]] = {"files": _files, "warc": _warc, "parquet": _parquet}


def store_for(save: str, folder: RunFolder, generation: int) -> BodyStore | None:
    """The store of the bodies of a run; None for "none". Raises ValueError where it lacks its package."""
    return None if save == "none" else _STORES[read_save(save)](folder, generation)

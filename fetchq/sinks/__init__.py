"""The sinks: each takes results and writes them somewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fetchq.core.parsers import read_save

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import BinaryIO

    from fetchq.folder import RunFolder
    from fetchq.sinks.base import BodyStore, RecordSink, Sink
    from fetchq.sinks.csv import CsvSink
    from fetchq.sinks.jsonl import JsonLinesSink
    from fetchq.sinks.parquet_records import ParquetRecords

__all__ = ["RECORD_FORMATS", "record_sink_for", "sink_for", "store_for"]


def _jsonl(stream: BinaryIO, include: Sequence[str] = ()) -> JsonLinesSink:
    from fetchq.sinks.jsonl import JsonLinesSink

    return JsonLinesSink(stream, include)


def _csv(stream: BinaryIO, include: Sequence[str] = ()) -> CsvSink:
    from fetchq.sinks.csv import CsvSink

    return CsvSink(stream, include)


_SINKS: dict[str, Callable[[BinaryIO, Sequence[str]], Sink]] = {"jsonl": _jsonl, "csv": _csv}


def sink_for(format: str, stream: BinaryIO, include: Sequence[str] = ()) -> Sink:
    """The sink that writes records to `stream`: "jsonl" or "csv"."""
    return _SINKS[format](stream, include)


def _parquet_records(stream: BinaryIO) -> ParquetRecords:
    from fetchq.sinks.parquet_records import ParquetRecords

    return ParquetRecords(stream)


_RECORD_SINKS: dict[str, Callable[[BinaryIO], RecordSink]] = {"jsonl": _jsonl, "csv": _csv, "parquet": _parquet_records}
RECORD_FORMATS = tuple(_RECORD_SINKS)
"""The formats of `record_sink_for`."""


def record_sink_for(format: str, stream: BinaryIO) -> RecordSink:
    """The sink that writes ready records to `stream`. Raises ImportError for "parquet" where pyarrow is missing."""
    return _RECORD_SINKS[format](stream)


def _files(folder: RunFolder, generation: int) -> BodyStore:
    from fetchq.sinks.files import FileStore

    return FileStore(folder, generation)


def _warc(folder: RunFolder, generation: int) -> BodyStore:
    from fetchq.sinks.warc import WarcStore

    return WarcStore(folder, generation)


def _parquet(folder: RunFolder, generation: int) -> BodyStore:
    from fetchq.sinks.parquet import ParquetStore

    return ParquetStore(folder, generation)


_STORES: dict[str, Callable[[RunFolder, int], BodyStore]] = {"files": _files, "warc": _warc, "parquet": _parquet}


def store_for(save: str, folder: RunFolder, generation: int) -> BodyStore | None:
    """The store of the bodies of a run; None for "none". Raises ValueError where it lacks its package."""
    return None if save == "none" else _STORES[read_save(save)](folder, generation)

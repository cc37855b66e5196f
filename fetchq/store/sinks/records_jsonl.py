"""Writes records as JSON Lines: one record on each line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

import orjson

from fetchq.core.passed_columns import passed_text
from fetchq.core.prepared_results import PreparedResults
from fetchq.core.text import json_printable, without_surrogates
from fetchq.store.sinks.field_choice import only_fields
from fetchq.store.sinks.included_bodies import TextPieces, record_maker

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fetchq.core.model import Result

__all__ = ["JsonLinesSink", "json_line"]

_MOST_WAITING = 1_000_000
"""Bytes of lines that are written at a time."""
_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE


class JsonLinesSink:
    """Writes one record on each line, in the order of the Results."""

    def __init__(
        self,
        stream: BinaryIO,
        include: Sequence[str] = (),
        passed: Sequence[str] = (),
        fields: Sequence[str] = (),
    ) -> None:
        """`passed`: the columns that the rows pass on. `fields`: the only ones to write; all if there are none."""
        self._stream = stream
        self._only = only_fields(fields) if fields else None
        self._record_of = record_maker(include)

    def write(self, results: Sequence[Result]) -> None:
        if isinstance(results, PreparedResults):
            self._stream.write(results.lines)
            return
        self.write_records(map(self._record_of, results))

    def write_records(self, records: Iterable[dict[str, Any]]) -> None:
        lines: list[bytes] = []
        waiting = 0
        for record in records if self._only is None else map(self._only, records):
            if isinstance(body := record.get("body"), TextPieces):
                del record["body"]
                comma = b"," if record else b""
                self._stream.write(b"".join(lines) + json_line(record)[:-2] + comma + b'"body":"')
                for text in body:
                    self._stream.write(json_line([text])[2:-3])
                lines, waiting = [b'"}\n'], 0
                continue
            lines.append(json_line(record))
            waiting += len(lines[-1])
            if waiting >= _MOST_WAITING:
                self._stream.write(b"".join(lines))
                lines, waiting = [], 0
        self._stream.write(b"".join(lines))

    def flush(self) -> None:
        self._stream.flush()

    def close(self, *, whole: bool = True) -> None:
        if whole:
            self.flush()


def _representable(record: Any) -> Any:
    """The record with what orjson refuses in a form that it takes: lone surrogates, and large numbers of a row."""
    record = without_surrogates(record)
    if isinstance(record, dict):
        for name, value in record.items():
            if name == "passed" and value is not None:
                record[name] = orjson.Fragment(passed_text(value))
            elif name.startswith("passed_"):  # one of its columns, which was chosen
                record[name] = orjson.Fragment(passed_text({"": value})[len('{"":') : -1])
    return record


def json_line(record: dict[str, Any] | list[Any]) -> bytes:
    """A record as a line of JSON (RFC 8259) in UTF-8, with every character escaped that acts on a terminal or may be
    invisible."""
    try:
        line = orjson.dumps(record, option=_OPTIONS)
    except TypeError:
        line = orjson.dumps(_representable(record), option=_OPTIONS)
    if line.isascii() and b"\x7f" not in line:
        return line
    return json_printable(line[:-1].decode()).encode() + b"\n"

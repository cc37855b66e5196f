"""Writes records as CSV (RFC 4180) that is safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
from datetime import datetime
from typing import TYPE_CHECKING, Any, BinaryIO
from unicodedata import normalize

from fetchq.core.model import PHASES
from fetchq.core.record_fields import PHASE_FIELDS, PLAIN_FIELDS
from fetchq.core.text import printable
from fetchq.store.schema import utc_text
from fetchq.store.sinks.field_choice import columns_of, values_reader
from fetchq.store.sinks.included_bodies import TextPieces, record_maker
from fetchq.store.sinks.passed_values import passed_headings, passed_values
from fetchq.store.sinks.records_jsonl import json_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from fetchq.core.model import Result

__all__ = ["CsvSink", "cell"]


_LINE_END = "\r\n"
_MOST_WAITING = 1_000_000
"""Characters of lines that are written at a time."""
_SIGNS = ("=", "+", "-", "@", "\N{MINUS SIGN}")
_EXTRA = {"headers": ("headers",), "trailers": ("headers",), "hops": ("hops",), "body": ("text", "base64")}
"""The columns that records may include, and what asks for each."""


class CsvSink:
    """Writes a header line, and a line for each record, with `timing` as timing_queued to timing_store."""

    def __init__(
        self,
        stream: BinaryIO,
        include: Sequence[str] = (),
        passed: Sequence[str] = (),
        fields: Sequence[str] = (),
    ) -> None:
        """`passed`: the columns that the rows pass on. `fields`: the only ones to write; all if there are none."""
        self._stream = stream
        self._record_of = record_maker(include)
        self._text = io.StringIO(newline="")
        self._writer = csv.writer(self._text)
        extra = [name for name, of in _EXTRA.items() if set(of) & set(include)]
        every = [*PLAIN_FIELDS, *PHASE_FIELDS, *passed_headings(passed), *extra]
        columns = columns_of(fields, passed) if fields else every
        self._writer.writerow(map(cell, columns))
        self._ends_with_body = columns[-1] == "body"
        if self._ends_with_body:
            del columns[-1]
        self._values_of = values_reader(columns) if fields else _values_reader(passed, extra)

    def write(self, results: Sequence[Result]) -> None:
        self.write_records(map(self._record_of, results))

    def write_records(self, records: Iterable[dict[str, Any]]) -> None:
        for record in records:
            cells = [*map(cell, self._values_of(record))]
            if self._ends_with_body:
                if isinstance(body := record.get("body"), TextPieces):
                    self._writer.writerow(cells)
                    self._write_last_cell(body, alone=not cells)
                    continue
                cells.append(cell(body))
            self._writer.writerow(cells)
            if self._text.tell() >= _MOST_WAITING:
                self._write_waiting()

    def flush(self) -> None:
        self._write_waiting()
        self._stream.flush()

    def _write_last_cell(self, body: TextPieces, *, alone: bool) -> None:
        """Add the body, piece by piece, to the line that was written last. `alone`: whether that line has no cell."""
        self._text.seek(self._text.tell() - len(_LINE_END))
        self._text.truncate()
        self._text.write('"' if alone else ',"')
        first = True
        for text in body:
            self._text.write((_safe(text) if first else printable(text)).replace('"', '""'))
            first = first and not text
            self._write_waiting()
        self._text.write(f'"{_LINE_END}')

    def _write_waiting(self) -> None:
        self._stream.write(self._text.getvalue().encode())
        self._text.seek(0)
        self._text.truncate()

    def close(self, *, whole: bool = True) -> None:
        if whole:
            self.flush()


def _values_reader(passed: Sequence[str], extra: Sequence[str]) -> Callable[[dict[str, Any]], list[Any]]:
    """The function that returns the values of all fields, of what is passed on, and the `extra` ones but the body."""
    others = [name for name in extra if name != "body"]

    def values_of(record: dict[str, Any]) -> list[Any]:
        plain = map(record.__getitem__, PLAIN_FIELDS)
        phases = map(record["timing"].__getitem__, PHASES)
        return [*plain, *phases, *(passed_values(record, passed) if passed else ()), *map(record.get, others)]

    return values_of


def cell(value: Any) -> Any:
    """A value as it is written into a cell."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return utc_text(value)
    if isinstance(value, (dict, list)):
        return json_line(value).decode().rstrip("\n")
    if not isinstance(value, str):
        return value
    return _safe(value)


def _safe(value: str) -> str:
    text = printable(value)
    # A spreadsheet would evaluate a cell that begins like a formula; an apostrophe makes it text.
    return "'" + text if _begins_formula(text) else text


def _begins_formula(text: str) -> bool:
    """Whether spreadsheets might take a text for a formula, also by a sign in another form (NFKC), like full-width."""
    first = text.lstrip()[:1]
    return (first if first.isascii() else normalize("NFKC", first)).startswith(_SIGNS)

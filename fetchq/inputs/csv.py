"""From the lines of a CSV list to Requests."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Any, NamedTuple

from fetchq.core.model import Request
from fetchq.core.parsers import read_method
from fetchq.core.quantities import read_priority
from fetchq.inputs.lines import BLANKS, CUT, LIMIT, TOO_LONG, UTF8, Rows, SourceError, shown, sound, unusable, url_in

__all__ = ["CsvRows"]

_COLUMNS = ("method", "body", "label", "priority")
"""What a row may say besides its URL."""


class _Row(NamedTuple):
    number: int
    """The line it begins on."""
    cells: list[str]
    problem: str | None


class CsvRows(Rows):
    """CSV (RFC 4180) with a header line. Raises SourceError when the header lacks the column of the URL."""

    ready = False

    def __init__(self, index: int, suffix: str = "", *, name: str, column: str = "url", tabs: bool = False) -> None:
        super().__init__(index, suffix)
        self._name = name
        self._column = column
        self._delimiter = "\t" if tabs else ""
        self._width = 0
        self._at: dict[str, int] = {}
        self._held: list[str] = []

    def finish(self) -> list[Request]:
        if not self._held:
            return []
        begin = self.number - len(self._held) + 1
        return self._made([_Row(begin, self._held[:1], "a quote is opened here and never closed")])

    def _parse(self, text: str) -> list[Request]:
        return self._made(self._whole_rows(text.split("\n")))

    def _whole_rows(self, lines: list[str]) -> Iterator[_Row]:
        """The rows that are complete; the lines of one that is not are held until more lines come."""
        begin = self.number - len(self._held) + 1
        if lines[0].endswith(CUT):
            yield _Row(begin, [(self._held or lines)[0]], TOO_LONG)
            begin += len(self._held) + 1
            self._held, lines = [], lines[1:]
        lines = self._held + lines
        self._held = []
        if not self._delimiter:
            self._delimiter = _delimiter(lines)
        at = base = 0
        reader = self._reader(lines)
        while at < len(lines):
            problem = None
            try:
                cells = next(reader)
            except csv.Error as error:
                cells, problem = lines[at : at + 1], f"not CSV: {str(error).partition(' - ')[0]}"
            after = base + reader.line_num
            if after > at + 1:
                # Where a row is given up may depend on its lines alone, never on how they came in pieces.
                limit = _line_over_limit(lines, at, after)
                if limit is not None:
                    cells, problem = lines[at : at + 1], f"{TOO_LONG}: is a quote left open?"
                    after = base = limit + 1
                    reader = self._reader(lines[after:])
                elif after > len(lines):
                    self._held = lines[at:]
                    return
            if problem is not None or "".join(lines[at:after]).strip(BLANKS):
                yield _Row(begin + at, cells, problem)
            at = after

    def _reader(self, lines: list[str]) -> Any:
        # A row that is still open at the end of the lines takes in the last, made-up one: so it is known for open
        # without asking for a line that may be an hour away.
        return csv.reader([*(f"{line}\n" for line in lines), CUT], delimiter=self._delimiter or ",")

    def _made(self, rows: Iterator[_Row] | list[_Row]) -> list[Request]:
        found: list[Request] = []
        for row in rows:
            if self.ready:
                found.append(self._request(row, self._index + len(found)))
            else:
                self._read_header(row)
        return found

    def _read_header(self, row: _Row) -> None:
        if row.problem is not None:
            raise SourceError(f"the header of {self._name} cannot be read: line {row.number}: {row.problem}")
        names = [cell.strip(BLANKS) for cell in row.cells]
        if self._column not in names:
            has = ", ".join(repr(shown(name, 40)) for name in names[:20]) + (", ..." if len(names) > 20 else "")
            raise SourceError(f"{self._name} has no column {self._column!r}; it has {has}")
        self._width = len(names)
        self._at = {name: names.index(name) for name in (self._column, *_COLUMNS) if name in names}
        self.ready = True

    def _request(self, row: _Row, index: int) -> Request:
        cells, at = row.cells, self._at[self._column]
        row_text = cells[at] if at < len(cells) else self._delimiter.join(cells)
        try:
            if row.problem is not None:
                raise ValueError(row.problem)
            # More is as bad as fewer: a comma in a URL without quotes would make another URL of it.
            if len(cells) < self._width or any(cells[self._width :]):
                raise ValueError(f"{len(cells)} columns, and the header has {self._width}")
            method, body, label, priority = (self._cell(cells, name) for name in _COLUMNS)
            return Request(
                url_in(cells[at]),
                index,
                read_method(method.strip(BLANKS)) if method else None,
                body=body.encode() if body else None,
                label=label,
                priority=read_priority(priority) if priority and priority.strip(BLANKS) else 0,
            )
        except ValueError as problem:
            return unusable(row_text, index, self._where(row.number), str(problem))

    def _cell(self, cells: list[str], name: str) -> str | None:
        return sound(cells[self._at[name]]) or None if name in self._at else None


def _delimiter(lines: list[str]) -> str:
    header = next((line for line in lines if line.strip(BLANKS)), "")
    return "" if not header else "\t" if "\t" in header and "," not in header else ","


def _line_over_limit(lines: list[str], begin: int, end: int) -> int | None:
    """The line at which `lines[begin:end]` exceed the limit."""
    size = 0
    for at in range(begin, min(end, len(lines))):
        size += len(lines[at].encode(*UTF8)) + 1
        if size > LIMIT:
            return at
    return None

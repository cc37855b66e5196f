"""Parses the lines of a CSV list into Requests."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from fetchq.core.checksum import read_checksum
from fetchq.core.model import Request, make_request
from fetchq.core.quantities import read_priority
from fetchq.core.request_parts import complete_parts
from fetchq.inputs.columns import CSV_COLUMNS, PARTS, Columns
from fetchq.inputs.lines import (
    BLANKS,
    TOO_LONG,
    RowParser,
    SourceError,
    clean_url,
    display_text,
    row_method,
    unusable_row,
    valid_text,
)
from fetchq.inputs.splitting import MAX_ROW, TRUNCATED, UTF8

__all__ = ["CsvParser"]

_PLAIN = ("method", "body", "label", "priority", "checksum", "filename")
"""The columns that are read and are not among `PARTS`."""
_HEADERS = "headers"
"""A column that is not read: as a cell, headers would be JSON, and those of responses are in records of fetchq."""
_DELIMITERS = (",", "\t", ";", "|")
_SEPARATOR_LINE = re.compile(r'"?sep=([^\w\s"]|\t)"?\r?', re.IGNORECASE)
"""A line before the header that names the delimiter, as Excel reads it."""
_URL_AT_START = re.compile(r'\s*+"?(https?:[^\s"]*+)', re.IGNORECASE)
_IN_QUOTES = r'[^"]*+(?:""[^"]*+)*+'
_STAYS_OPEN = rf'{_IN_QUOTES}(?:"[^%s\r]*+(?:%s(?!")[^%s\r]*+)*+%s"{_IN_QUOTES})*+'
"""A line that begins and ends in a quoted cell, perhaps another one. The delimiter is to be inserted."""


class _Row(NamedTuple):
    number: int
    """The line on which the row begins, from 1."""
    cells: list[str]
    problem: str | None


class CsvParser(RowParser):
    """Parses CSV (RFC 4180) with a header line, also with tabs, semicolons or bars, as spreadsheets write it.

    The delimiter is named in a line before the header, or is the first with which the header has the column of the URL.
    Raises SourceError if there is none.
    """

    format_known = False

    def __init__(
        self, index: int, suffix: str = "", *, name: str, columns: Columns | None = None, tabs: bool = False
    ) -> None:
        super().__init__(index, suffix)
        self._name = name
        self._columns = columns or Columns()
        self._column = self._columns.url
        self._delimiter = "\t" if tabs else ""
        self._begun = False
        """Whether a line was read that is not blank."""
        self._width = 0
        self._at: dict[str, int] = {}
        """Where the columns are that are read."""
        self._parts: tuple[str, ...] = ()
        """Those of `PARTS` among them."""
        self._names: list[str] = []
        self._held: list[str] = []
        """The lines of a row whose last quote is open."""
        self._held_size = 0

    def _incomplete_row(self) -> list[Request]:
        if not self._held:
            return []
        begin = self.number - len(self._held) + 1
        return self._requests([_Row(begin, self._held[:1], "a quote is opened here and never closed")])

    def _parse(self, text: str) -> list[Request]:
        if not self._held and text[:1] in "\r\n" and not text.replace("\r\n", "\n").removesuffix("\r").strip("\n"):
            return []  # empty lines alone
        lines = text.split("\n")
        if not self._begun:
            self._find_delimiter(lines)
        if self._held and self._stay_open(lines):
            self._held += lines
            return []
        return self._requests(self._complete_rows(lines))

    def _find_delimiter(self, lines: list[str]) -> None:
        """Set the delimiter, if one of the lines tells it. A line that only names it is made blank."""
        at = next((at for at, line in enumerate(lines) if line.strip(BLANKS)), None)
        if at is None:
            return
        self._begun = True
        if (named := _SEPARATOR_LINE.fullmatch(lines[at])) is not None:
            self._delimiter = named[1]
            lines[at] = ""
        elif not self._delimiter:
            fitting = (one for one in _DELIMITERS if self._column in _columns(lines[at], one))
            self._delimiter = next(fitting, None) or max(_DELIMITERS, key=lines[at].count)

    def _stay_open(self, lines: list[str]) -> bool:
        """Whether these lines only continue the row that is held, which then need not be read again from its start."""
        if lines[0].endswith(TRUNCATED):
            return False
        self._held_size += _size(lines)
        if self._held_size > MAX_ROW:
            return False
        stays_open = re.compile(_STAYS_OPEN % ((re.escape(self._delimiter or ","),) * 4))
        return all(map(stays_open.fullmatch, lines))

    def _complete_rows(self, lines: list[str]) -> Iterator[_Row]:
        """Yield the complete rows. The lines of an incomplete row are kept until more lines arrive."""
        begin = self.number - len(self._held) + 1
        if lines[0].endswith(TRUNCATED):
            yield _Row(begin, [(self._held or lines)[0]], TOO_LONG)
            begin += len(self._held) + 1
            self._held, lines = [], lines[1:]
        lines = self._held + lines
        self._held = []
        at = base = 0
        reader = self._reader(lines)
        while at < len(lines):
            problem = None
            try:
                cells = next(reader)
            except csv.Error as error:
                cells, problem = lines[at : at + 1], f"not CSV: {str(error).partition(' - ')[0]}"
            if not cells and problem is None:  # an empty line, of which a small compressed list may have millions
                at += 1
                continue
            after = base + reader.line_num
            if after > at + 1:
                # Whether a row is too long must depend on its lines alone, not on the chunks in which they arrived.
                limit = _line_over_limit(lines, at, after)
                if limit is not None:
                    cells, problem = lines[at : at + 1], f"{TOO_LONG}: is a quote left open?"
                    after = base = limit + 1
                    reader = self._reader(lines[after:])
                elif after > len(lines):
                    self._held = lines[at:]
                    self._held_size = _size(self._held)
                    return
            if problem is not None or "".join(lines[at:after]).strip(BLANKS):
                yield _Row(begin + at, cells, problem)
            at = after

    def _reader(self, lines: list[str]) -> Any:
        # An incomplete row would include the extra last line, which shows that it is incomplete without waiting for the
        # next line, which may arrive an hour later.
        return csv.reader([*(f"{line}\n" for line in lines), TRUNCATED], delimiter=self._delimiter or ",")

    def _requests(self, rows: Iterator[_Row] | list[_Row]) -> list[Request]:
        found: list[Request] = []
        for row in rows:
            if self.format_known:
                found.append(self._request(row, self._index + len(found)))
            else:
                self._read_header(row)
        return found

    def _read_header(self, row: _Row) -> None:
        if row.problem is not None:
            raise SourceError(f"the header of {self._name} cannot be read: line {row.number}: {row.problem}")
        names = [cell.strip(BLANKS) for cell in row.cells]
        if self._column not in names:
            has = ", ".join(repr(display_text(name, 40)) for name in names[:20]) + (", ..." if len(names) > 20 else "")
            raise SourceError(f"{self._name} has no column {self._column!r}; it has {has}")
        self._width = len(names)
        self._check_columns(names)
        self._at = {name: names.index(name) for name in (self._column, *CSV_COLUMNS) if name in names}
        self._parts = tuple(name for name in PARTS if name in self._at)
        self._names = names
        self.format_known = True

    def _check_columns(self, names: list[str]) -> None:
        """Raise SourceError, or make a remark, if there are columns that are not read and seem to be mistyped."""
        unread = self._columns.unread(names)
        near = {name: word for name in unread if (word := self._columns.near_miss(name, names)) is not None}
        if not unread or not (near or _HEADERS in unread or self._columns.strict):
            return
        name = next(iter(near), unread[0])
        hint = f"; did you mean {near[name]!r}?" if near else ""
        if _HEADERS in unread:
            name, hint = _HEADERS, ": only rows in JSON have headers"
        why = f"{self._name} has a column {display_text(name, 40)!r}, which is not read{hint}"
        if self._columns.strict:
            raise SourceError(why)
        self.remark = f"{why} (--strict-columns refuses such a list)"

    def _request(self, row: _Row, index: int) -> Request:
        cells, at = row.cells, self._at[self._column]
        shown, passed = self._url_in(row), self._columns.nothing
        try:
            if row.problem is not None:
                raise ValueError(row.problem)
            # Too many cells are an error, too: a comma in an unquoted URL would truncate it.
            if len(cells) < self._width or any(cells[self._width :]):
                raise ValueError(f"{len(cells)} columns, and the header has {self._width}")
            shown = cells[at]
            if self._columns.passes:
                passed = self._columns.passed_on(dict(zip(self._names, map(valid_text, cells), strict=False)))
            return self._complete(clean_url(cells[at]), index, cells, passed)
        except ValueError as problem:
            return unusable_row(shown, index, self._where(row.number), str(problem), passed)

    def _complete(self, url: str, index: int, cells: list[str], passed: str | None) -> Request:
        method, text, label, priority, checksum, filename = (self._cell(cells, name) for name in _PLAIN)
        headers: tuple[tuple[str, str], ...] = ()
        body = text.encode() if text else None
        if self._parts:
            parts = {name: _part(name, cell) for name in self._parts if (cell := self._cell(cells, name))}
            url, headers, body = complete_parts(url, headers, body, **parts)
        return make_request(
            url,
            index,
            row_method(method.strip(BLANKS)) if method else None,
            headers,
            body,
            label,
            priority=read_priority(priority) if priority and priority.strip(BLANKS) else 0,
            checksum=read_checksum(checksum) if checksum and checksum.strip(BLANKS) else None,
            filename=filename,
            passed=passed,
        )

    def _url_in(self, row: _Row) -> str:
        """What is likely to be the URL of a malformed row; an empty text if there is nothing like it.

        The rest may be a secret, such as a body, which must not get into its record.
        """
        at = self._at[self._column]
        if row.problem is not None and at:  # its only cell is its first line, as it is written
            return ""
        found = _URL_AT_START.match(row.cells[at]) if at < len(row.cells) else None
        return found[1].partition(self._delimiter)[0] + TRUNCATED if found else ""  # a comma may be in its password

    def _cell(self, cells: list[str], name: str) -> str | None:
        return valid_text(cells[self._at[name]]) or None if name in self._at else None


def _part(name: str, cell: str) -> Any:
    """The value in a cell of one of `PARTS`: what `json` has, and objects for `params`, are in JSON."""
    if name == "json" or (name == "params" and cell.lstrip(BLANKS).startswith("{")):
        try:
            return json.loads(cell)
        except (ValueError, RecursionError):
            raise ValueError(f"{name!r} is not JSON") from None
    return cell.strip(BLANKS) if name == "bearer" else cell  # a blank may belong to a password


def _columns(header: str, delimiter: str) -> list[str]:
    try:
        return [cell.strip(BLANKS) for cell in next(csv.reader([header], delimiter=delimiter), [])]
    except csv.Error:
        return []


def _size(lines: list[str]) -> int:
    return sum(len(line.encode(*UTF8)) + 1 for line in lines)


def _line_over_limit(lines: list[str], begin: int, end: int) -> int | None:
    """The index of the line at which the row `lines[begin:end]` exceeds MAX_ROW bytes; None if it does not."""
    size = 0
    for at in range(begin, min(end, len(lines))):
        size += len(lines[at].encode(*UTF8)) + 1
        if size > MAX_ROW:
            return at
    return None

"""From the lines of one list to Requests: text, CSV, JSON Lines.

A row that cannot be used becomes a Request with a `problem`; it never raises. At most one unfinished row is held.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from itertools import count
from typing import Any, NamedTuple

import orjson

from fetchq.model import Request, make_request, redact
from fetchq.values import read_headers, read_method

__all__ = ["CUT", "LIMIT", "UTF8", "CsvRows", "JsonRows", "Rows", "SourceError", "TextRows", "url_row"]

LIMIT = 65_536
"""Bytes of the longest row."""
UTF8 = ("utf-8", "surrogateescape")
"""How lines are decoded: what is not UTF-8 becomes surrogates from U+DC80 to U+DCFF."""
CUT = "\ud800"
"""Ends a line of which only the head was kept. Decoding never makes this surrogate, so no list can hold it."""
_SHOWN = 200
_TOO_LONG = f"longer than {LIMIT:,} bytes"
_BLANKS = " \t\r"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_DIRTY = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_SECRETS = re.compile(r'"(?:headers|body)"|authorization|cookie', re.IGNORECASE)


class SourceError(Exception):
    """A list cannot be read, or not to its end. The message is one line."""


# --- one row -------------------------------------------------------------------------------------------------------


def url_row(text: str, index: int, where: str) -> Request:
    """The Request of a row that is nothing but a URL. `where` ("line 7") begins the problem, if there is one."""
    try:
        return make_request(_url(text), index)
    except ValueError as problem:
        return _unusable(text, index, where, str(problem))


def _unusable(text: str, index: int, where: str, why: str) -> Request:
    """The Request of a row that cannot be used; `text` is what could be read of it."""
    # Redacted before it is shortened: half of a user:password@ would no longer look like one.
    return Request(_shown(text, _SHOWN), index, problem=f"{where}: {_shown(why, _SHOWN)}")


def _shown(text: str, length: int) -> str:
    return redact(_SURROGATE.sub(_escaped, text.removesuffix(CUT)))[:length]


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


def _sound(text: str) -> str:
    """`text`, if it is whole and was UTF-8. Raises ValueError."""
    if text.isascii():
        return text
    if text.endswith(CUT):
        raise ValueError(_TOO_LONG)
    if _SURROGATE.search(text):
        raise ValueError("not UTF-8")
    return text


def _url(text: str) -> str:
    url = _sound(text).strip(_BLANKS)
    if not url:
        raise ValueError("no URL")
    if found := _CONTROL.search(url):
        raise ValueError(f"a control character (U+{ord(found[0]):04X}) in the URL")
    return url


# --- the rows of one list ------------------------------------------------------------------------------------------


class Rows:
    """The rows of one list. `number` counts the lines taken so far; `suffix` follows it where a problem is told."""

    ready = True
    """Whether enough was read to know that the list has the form it should have."""

    def __init__(self, index: int, suffix: str = "") -> None:
        self.number = 0
        self._index = index
        self._suffix = suffix

    def take(self, text: str) -> list[Request]:
        """The rows that `text` completes: whole lines, without the last newline; `CUT` ends none but the first."""
        found = self._parse(text)
        self._index += len(found)
        self.number += text.count("\n") + 1
        return found

    def finish(self) -> list[Request]:
        """The row that is still open at the end of the list."""
        return []

    def _parse(self, text: str) -> list[Request]:
        found: list[Request] = []
        for number, line in enumerate(text.split("\n"), self.number + 1):
            line = line.strip(_BLANKS)
            if line and line[0] != "#":
                found.append(self._row(line, self._index + len(found), number))
        return found

    def _row(self, line: str, index: int, number: int) -> Request:
        raise NotImplementedError

    def _where(self, number: int) -> str:
        return f"line {number}{self._suffix}"


class TextRows(Rows):
    """One URL per line; blank lines and those that begin with `#` are none."""

    def _parse(self, text: str) -> list[Request]:
        text = text.replace("\r\n", "\n").removesuffix("\r")
        if _DIRTY.search(text):
            return super()._parse(text)
        lines = [bare for line in text.split("\n") if (bare := line.strip(" ")) and bare[0] != "#"]
        return list(map(Request, lines, count(self._index)))

    def _row(self, line: str, index: int, number: int) -> Request:
        return url_row(line, index, self._where(number))


class JsonRows(Rows):
    """JSON Lines: an object with the URL under the key `column`, or the URL alone as a text."""

    def __init__(self, index: int, suffix: str = "", *, column: str = "url") -> None:
        super().__init__(index, suffix)
        self._column = column

    def _row(self, line: str, index: int, number: int) -> Request:
        shown = None
        try:
            row = _json(line)
            if isinstance(row, str):
                shown = row
                return Request(_url(row), index)
            if not isinstance(row, dict):
                raise ValueError("neither an object nor a text")
            if self._column not in row:
                raise ValueError(f"no {self._column!r} in it")
            url = row[self._column]
            if not isinstance(url, str):
                raise ValueError(f"{self._column!r} is not a text")
            shown = url
            return Request(_url(url), index, *_asked(row, line))
        except ValueError as problem:
            if shown is None:
                # Headers and bodies hold secrets, and the record of a broken row is for everybody.
                shown = _SECRETS.split(line, maxsplit=1)[0]
            return _unusable(shown, index, self._where(number), str(problem))


def _json(line: str) -> Any:
    try:
        return orjson.loads(_sound(line))
    except orjson.JSONDecodeError as problem:
        raise ValueError(f"not JSON: {problem.msg} (column {problem.colno})") from None


def _asked(row: dict[str, Any], line: str) -> tuple[str | None, tuple[tuple[str, str], ...], bytes | None, str | None]:
    method, body, label = row.get("method"), row.get("body"), row.get("label")
    headers = _headers(row.get("headers"))
    if isinstance(body, dict | list):
        body = _exact_json(line, "body")
        if not any(name.lower() == "content-type" for name, _ in headers):
            headers += (("Content-Type", "application/json"),)
    elif body is not None and not isinstance(body, str):
        raise ValueError("'body' is neither a text, an object nor an array")
    if isinstance(label, int | float) and not isinstance(label, bool):
        label = _exact_number(line, "label")
    elif label is not None and not isinstance(label, str):
        raise ValueError("'label' is neither a text nor a number")
    method = None if method is None else read_method(method)
    return method, headers, None if body is None else body.encode(), label


def _headers(given: Any) -> tuple[tuple[str, str], ...]:
    if given is None:
        return ()
    pairs = [list(pair) for pair in given.items()] if isinstance(given, dict) else given
    # The shape is checked here because read_headers shows what it was given, and a header may be a secret.
    if not isinstance(pairs, list) or not all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(part, str) for part in pair) for pair in pairs
    ):
        raise ValueError("'headers' is neither an object of texts nor a list of [name, value]")
    return read_headers(pairs)


# orjson makes floats of whole numbers beyond 64 bits; a server, or the reader of a label, would get another number.


def _exact_json(line: str, key: str) -> str:
    try:
        return json.dumps(json.loads(line)[key], ensure_ascii=False, separators=(",", ":"))
    except RecursionError:
        raise ValueError("nested too deep") from None


def _exact_number(line: str, key: str) -> str:
    try:
        return str(json.loads(line, parse_int=str, parse_float=str)[key])
    except RecursionError:
        raise ValueError("nested too deep") from None


# --- CSV -----------------------------------------------------------------------------------------------------------


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
            yield _Row(begin, [(self._held or lines)[0]], _TOO_LONG)
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
                    cells, problem = lines[at : at + 1], f"{_TOO_LONG}: is a quote left open?"
                    after = base = limit + 1
                    reader = self._reader(lines[after:])
                elif after > len(lines):
                    self._held = lines[at:]
                    return
            if problem is not None or "".join(lines[at:after]).strip(_BLANKS):
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
        names = [cell.strip(_BLANKS) for cell in row.cells]
        if self._column not in names:
            has = ", ".join(repr(_shown(name, 40)) for name in names[:20]) + (", ..." if len(names) > 20 else "")
            raise SourceError(f"{self._name} has no column {self._column!r}; it has {has}")
        self._width = len(names)
        self._at = {name: names.index(name) for name in (self._column, "method", "body", "label") if name in names}
        self.ready = True

    def _request(self, row: _Row, index: int) -> Request:
        cells, at = row.cells, self._at[self._column]
        shown = cells[at] if at < len(cells) else self._delimiter.join(cells)
        try:
            if row.problem is not None:
                raise ValueError(row.problem)
            # More is as bad as fewer: a comma in a URL without quotes would make another URL of it.
            if len(cells) < self._width or any(cells[self._width :]):
                raise ValueError(f"{len(cells)} columns, and the header has {self._width}")
            method, body, label = (self._cell(cells, name) for name in ("method", "body", "label"))
            return Request(
                _url(cells[at]),
                index,
                read_method(method.strip(_BLANKS)) if method else None,
                body=body.encode() if body else None,
                label=label,
            )
        except ValueError as problem:
            return _unusable(shown, index, self._where(row.number), str(problem))

    def _cell(self, cells: list[str], name: str) -> str | None:
        return _sound(cells[self._at[name]]) or None if name in self._at else None


def _delimiter(lines: list[str]) -> str:
    header = next((line for line in lines if line.strip(_BLANKS)), "")
    return "" if not header else "\t" if "\t" in header and "," not in header else ","


def _line_over_limit(lines: list[str], begin: int, end: int) -> int | None:
    """The line at which `lines[begin:end]` exceed the limit."""
    size = 0
    for at in range(begin, min(end, len(lines))):
        size += len(lines[at].encode(*UTF8)) + 1
        if size > LIMIT:
            return at
    return None

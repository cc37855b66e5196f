"""Parses the lines of a list in text or JSON Lines into Requests. `fetchq.inputs.csv` parses CSV.

An unusable row becomes a Request with a `problem`, and raises no exception. At most one incomplete row is kept.
"""

from __future__ import annotations

import json
import re
from itertools import count
from typing import Any

import orjson

from fetchq.core.model import Request, make_request
from fetchq.core.parsers import header_pairs, read_headers, read_method
from fetchq.core.quantities import read_priority
from fetchq.core.text import redact

__all__ = [
    "BLANKS",
    "MAX_ROW",
    "TOO_LONG",
    "TRUNCATED",
    "UTF8",
    "JsonLinesParser",
    "RowParser",
    "SourceError",
    "TextParser",
    "clean_url",
    "display_text",
    "unusable_row",
    "url_row",
    "valid_text",
]

MAX_ROW = 65_536
"""The most bytes of a row."""
UTF8 = ("utf-8", "surrogateescape")
"""The encoding and error handler for all lines: bytes that are not UTF-8 become surrogates, U+DC80 to U+DCFF."""
TRUNCATED = "\ud800"
"""Marks the end of a line that was too long, so that only its beginning was kept. No decoded line can contain it."""
_MAX_SHOWN = 200
"""The most characters of a row, or of a problem, that a message shows."""
TOO_LONG = f"longer than {MAX_ROW:,} bytes"
BLANKS = " \t\r"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_DIRTY = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_SECRETS = re.compile(r'"(?:headers|body)"|authorization|cookie', re.IGNORECASE)


class SourceError(Exception):
    """An input cannot be opened, or not be read to its end. The message is one line."""


# --- one row -------------------------------------------------------------------------------------------------------


def url_row(text: str, index: int, where: str) -> Request:
    """The Request of a row that consists of a URL. A problem begins with `where`, such as "line 7"."""
    try:
        return make_request(clean_url(text), index)
    except ValueError as problem:
        return unusable_row(text, index, where, str(problem))


def unusable_row(text: str, index: int, where: str, why: str) -> Request:
    """The Request of a row that cannot be fetched because of `why`. `text`: as much of the row as could be read."""
    # Redacted before it is shortened, since half of a user:password@ would not be recognized.
    return Request(display_text(text, _MAX_SHOWN), index, problem=f"{where}: {display_text(why, _MAX_SHOWN)}")


def display_text(text: str, length: int) -> str:
    """At most `length` characters of `text`, without passwords, and with surrogates escaped."""
    return redact(_SURROGATE.sub(_escaped, text.removesuffix(TRUNCATED)))[:length]


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


def valid_text(text: str) -> str:
    """Return `text` if its line was complete and UTF-8. Raises ValueError."""
    if text.isascii():
        return text
    if text.endswith(TRUNCATED):
        raise ValueError(TOO_LONG)
    if _SURROGATE.search(text):
        raise ValueError("not UTF-8")
    return text


def clean_url(text: str) -> str:
    """The URL in a cell or a line, without surrounding blanks. Raises ValueError if it cannot be a URL."""
    url = valid_text(text).strip(BLANKS)
    if not url:
        raise ValueError("no URL")
    if found := _CONTROL.search(url):
        raise ValueError(f"a control character (U+{ord(found[0]):04X}) in the URL")
    return url


# --- the rows of a list ------------------------------------------------------------------------------------------


class RowParser:
    """Base class of the parsers, which turn the lines of a list into Requests, numbered from `index`.

    `number` is the number of lines so far. A problem names the line, followed by `suffix`.
    """

    format_known = True
    """Whether enough lines were read to know that the list has the right format."""

    def __init__(self, index: int, suffix: str = "") -> None:
        self.number = 0
        self._index = index
        self._suffix = suffix

    def feed(self, text: str) -> list[Request]:
        """The rows in `text`: lines, without the last newline, of which only the first can be `TRUNCATED`."""
        found = self._parse(text)
        self._index += len(found)
        self.number += text.count("\n") + 1
        return found

    def finish(self) -> list[Request]:
        """The row that is incomplete at the end of the list, if there is one."""
        return []

    def _parse(self, text: str) -> list[Request]:
        found: list[Request] = []
        for number, line in enumerate(text.split("\n"), self.number + 1):
            line = line.strip(BLANKS)
            if line and line[0] != "#":
                found.append(self._row(line, self._index + len(found), number))
        return found

    def _row(self, line: str, index: int, number: int) -> Request:
        raise NotImplementedError

    def _where(self, number: int) -> str:
        return f"line {number}{self._suffix}"


class TextParser(RowParser):
    """Parses a list of one URL per line; blank lines and those that begin with `#` are skipped."""

    def _parse(self, text: str) -> list[Request]:
        text = text.replace("\r\n", "\n").removesuffix("\r")
        if _DIRTY.search(text):
            return super()._parse(text)
        lines = [bare for line in text.split("\n") if (bare := line.strip(" ")) and bare[0] != "#"]
        return list(map(make_request, lines, count(self._index)))

    def _row(self, line: str, index: int, number: int) -> Request:
        return url_row(line, index, self._where(number))


class JsonLinesParser(RowParser):
    """Parses JSON Lines: each line is an object with the URL under the key `column`, or the URL as a string."""

    def __init__(self, index: int, suffix: str = "", *, column: str = "url") -> None:
        super().__init__(index, suffix)
        self._column = column

    def _row(self, line: str, index: int, number: int) -> Request:
        row_text = None
        try:
            row = _json(line)
            if isinstance(row, str):
                row_text = row
                return Request(clean_url(row), index)
            if not isinstance(row, dict):
                raise ValueError("neither an object nor a text")
            if self._column not in row:
                raise ValueError(f"no {self._column!r} in it")
            url = row[self._column]
            if not isinstance(url, str):
                raise ValueError(f"{self._column!r} is not a text")
            row_text = url
            priority = row.get("priority")
            return Request(
                clean_url(url),
                index,
                *_request_fields(row, line),
                priority=0 if priority is None else read_priority(priority),
            )
        except ValueError as problem:
            if row_text is None:
                # Headers and bodies may hold secrets, which must not get into the record of a malformed row.
                row_text = _SECRETS.split(line, maxsplit=1)[0]
            return unusable_row(row_text, index, self._where(number), str(problem))


def _json(line: str) -> Any:
    try:
        return orjson.loads(valid_text(line))
    except orjson.JSONDecodeError as problem:
        raise ValueError(f"not JSON: {problem.msg} (column {problem.colno})") from None


def _request_fields(
    row: dict[str, Any], line: str
) -> tuple[str | None, tuple[tuple[str, str], ...], bytes | None, str | None]:
    """The method, headers, body and label of a row."""
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
    try:
        pairs = header_pairs(given)
    except ValueError:
        raise ValueError("'headers' is neither an object of texts nor a list of [name, value]") from None
    return read_headers(pairs)


# orjson turns whole numbers beyond 64 bits into floats; the json module keeps every number exact.


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

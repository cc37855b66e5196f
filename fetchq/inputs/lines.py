"""Parses the lines of a text list into Requests. `fetchq.inputs.json` parses JSON, and `fetchq.inputs.csv` CSV.

An unusable row becomes a Request with a `problem`, and raises no exception. At most one incomplete row is kept.
"""

from __future__ import annotations

import re
from itertools import count

from fetchq.core.model import Request, make_request
from fetchq.core.parsers import read_method
from fetchq.core.text import redact
from fetchq.http.url import Refused, parse_url, shown_url
from fetchq.inputs.splitting import MAX_ROW, TRUNCATED, LineSplitter

__all__ = [
    "BLANKS",
    "TOO_LONG",
    "RowParser",
    "SourceError",
    "TextParser",
    "clean_url",
    "display_text",
    "row_method",
    "unusable_row",
    "url_row",
    "valid_text",
]

_MAX_SHOWN = 200
"""The most characters of a row, or of a problem, that a message shows."""
TOO_LONG = f"longer than {MAX_ROW:,} bytes"
BLANKS = " \t\r"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SCHEME_AND_HOST = re.compile(r"https?://[^/?#]*[/?#]", re.IGNORECASE)
_SURROGATE = re.compile("[\ud800-\udfff]")
_LINE = re.compile(r"[^ \t\r\n][^\n]*")
"""A line that is not blank, without the blanks before it."""
_BLANK_LINES = re.compile(r"\n[\n ]*\n")
_DIRTY = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


class SourceError(Exception):
    """An input cannot be opened, or not be read to its end. The message is one line."""


# --- one row -------------------------------------------------------------------------------------------------------


def url_row(text: str, index: int, where: str) -> Request:
    """The Request of a row that consists of a URL. A problem begins with `where`, such as "line 7"."""
    try:
        return make_request(clean_url(text), index)
    except ValueError as problem:
        return unusable_row(text, index, where, str(problem))


def unusable_row(text: str, index: int, where: str, why: str, passed: str | None = None) -> Request:
    """The Request of a row that cannot be fetched because of `why`. `text`: what may be the row's URL."""
    problem = f"{where}: {display_text(why, _MAX_SHOWN)}"
    return Request(_shown(text)[:_MAX_SHOWN], index, problem=problem, passed=passed)


def _shown(text: str) -> str:
    """What may be a URL, without passwords, also if it is malformed or `TRUNCATED`."""
    shown = shown_url(_SURROGATE.sub(_escaped, text.removesuffix(TRUNCATED)))
    if not text.endswith(TRUNCATED):
        return shown
    # The @ of a user:password@ may have been cut off, unless there is a whole host.
    host = _SCHEME_AND_HOST.match(shown)
    try:
        parse_url(host[0] if host else "")
    except Refused:
        return ""
    return shown


def display_text(text: str, length: int) -> str:
    """At most `length` characters of `text`, without the passwords in URLs, and with surrogates escaped."""
    # Redacted before it is shortened, since half of a user:password@ would not be recognized.
    return redact(_SURROGATE.sub(_escaped, text))[:length]


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


def row_method(given: object) -> str:
    """The HTTP method of a row. Raises ValueError, which does not show what stands in its place."""
    try:
        return read_method(given)
    except ValueError as problem:
        raise ValueError(str(problem).replace(repr(given), "'method'")) from None


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
        if found[0] == "\t":
            raise ValueError("a tab in the URL: a list with columns needs a header, and --input-format csv")
        raise ValueError(f"a control character (U+{ord(found[0]):04X}) in the URL")
    return url


# --- the rows of a list ------------------------------------------------------------------------------------------


class RowParser:
    """Base class of the parsers, which turn the bytes of a list into Requests, numbered from `index`.

    `number` is the number of lines so far. A problem names the line, followed by `suffix`.
    """

    format_known = True
    """Whether enough was read to know that the list has the right format."""
    unit = "line"
    """What `number` counts."""
    remark: str | None = None
    """What the user should know of the list, as one line."""
    left_out: str | None = None
    """What of the list is no row, once it was read, as one line."""

    def __init__(self, index: int, suffix: str = "") -> None:
        self.number = 0
        self._index = index
        self._suffix = suffix
        self._lines = LineSplitter()

    def feed(self, chunk: bytes) -> list[Request]:
        """The rows that `chunk`, of at most `MAX_ROW` bytes, completes."""
        text = self._lines.feed(chunk)
        return [] if text is None else self._feed_lines(text)

    def finish(self) -> list[Request]:
        """The rows that are incomplete at the end of the list."""
        text = self._lines.finish()
        return ([] if text is None else self._feed_lines(text)) + self._incomplete_row()

    def _feed_lines(self, text: str) -> list[Request]:
        found = self._parse(text)
        self._index += len(found)
        self.number += text.count("\n") + 1
        return found

    def _parse(self, text: str) -> list[Request]:
        """The rows in `text`: lines, without the last newline, of which only the first can be `TRUNCATED`."""
        found: list[Request] = []
        number, at = self.number + 1, 0
        for match in _LINE.finditer(text):  # unlike split, it makes nothing of blank lines
            number += text.count("\n", at, at := match.start())
            if (line := match[0])[0] != "#":
                found.append(self._row(line.rstrip(BLANKS), self._index + len(found), number))
        return found

    def _incomplete_row(self) -> list[Request]:
        """The row of several lines that the end of the list cuts off, if there is one."""
        return []

    def _row(self, line: str, index: int, number: int) -> Request:
        raise NotImplementedError

    def _where(self, number: int) -> str:
        return f"{self.unit} {number}{self._suffix}"


class TextParser(RowParser):
    """Parses a list of one URL per line; blank lines and those that begin with `#` are skipped."""

    def _parse(self, text: str) -> list[Request]:
        text = text.replace("\r\n", "\n").removesuffix("\r")
        if _DIRTY.search(text):
            return super()._parse(text)
        text = _BLANK_LINES.sub("\n", text)  # a small compressed list may have hundreds of millions
        lines = [bare for line in text.split("\n") if (bare := line.strip(" ")) and bare[0] != "#"]
        return list(map(make_request, lines, count(self._index)))

    def _row(self, line: str, index: int, number: int) -> Request:
        return url_row(line, index, self._where(number))

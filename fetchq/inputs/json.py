"""Parses the rows of a list in JSON into Requests: the lines of JSON Lines, or the elements of an array.

A row is an object with the URL under a key, or the URL as a string.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

import orjson

from fetchq.core.checksum import read_checksum
from fetchq.core.model import Request, make_request
from fetchq.core.parsers import header_pairs, read_headers
from fetchq.core.quantities import read_priority
from fetchq.core.request_parts import complete_parts
from fetchq.inputs.columns import PARTS, Columns
from fetchq.inputs.lines import RowParser, SourceError, clean_url, display_text, row_method, unusable_row, valid_text
from fetchq.inputs.splitting import TRUNCATED, Element, ElementKind, ElementSplitter

__all__ = ["JsonArrayParser", "JsonLinesParser"]

_VALUE = r'"%s"\s*+:\s*+"([^"\\]*+)'
_BARE_URL = re.compile(r'"?(https?:[^\s"\\]*+)', re.IGNORECASE)
_OUT_OF_PLACE = {
    ElementKind.CUT_OFF: "the list ends before the array does: it has no closing bracket",
    ElementKind.AFTER: "this stands after the end of the array",
}


class JsonLinesParser(RowParser):
    """Parses JSON Lines: each line is a row.

    With a `name`, the list only seems to be JSON Lines. Then SourceError is raised if its first row shows that it has
    another form, or other keys.
    """

    def __init__(self, index: int, suffix: str = "", *, columns: Columns | None = None, name: str = "") -> None:
        super().__init__(index, suffix)
        self._columns = columns or Columns()
        self._column = self._columns.url
        self._name = name
        self.format_known = not name

    def _row(self, line: str, index: int, number: int) -> Request:
        if not self.format_known:
            self._check_first(line)
        columns = self._columns
        row_text, passed = None, columns.nothing
        try:
            row = _json(line)
            if isinstance(row, str):
                row_text = row
                return make_request(clean_url(row), index, passed=passed)
            if not isinstance(row, dict):
                raise ValueError("neither an object nor a text")
            exact = _exact(line) if columns.passes or "json" in row else row
            passed = columns.passed_on(exact)
            if self._column not in row:
                raise ValueError(f"no {self._column!r} in it")
            url = row[self._column]
            if not isinstance(url, str):
                raise ValueError(f"{self._column!r} is not a text")
            row_text = url
            columns.check_keys(row)
            return _request(clean_url(url), index, row, exact, line, passed)
        except ValueError as problem:
            shown = self._url_in(line) if row_text is None else row_text
            return unusable_row(shown, index, self._where(number), str(problem), passed)

    def _url_in(self, row: str) -> str:
        """What is likely to be the URL of a malformed row; an empty text if there is nothing like it.

        The rest may be a secret, such as a header, which must not get into its record.
        """
        value = re.search(_VALUE % re.escape(self._column), row) or _BARE_URL.match(row)
        if value is None:
            return ""
        cut = value[0].count('"') % 2 == 1 and not row.startswith('"', value.end())
        return value[1] + (TRUNCATED if cut else "")

    def _check_first(self, line: str) -> None:
        self.format_known = True
        try:
            row = _json(line)
        except ValueError:
            if line.startswith("{") and "}" not in line:
                raise SourceError(
                    f"{self._name} is neither a JSON array nor JSON Lines: an object goes on after line 1"
                ) from None
            return
        if isinstance(row, dict) and self._column not in row:
            has = ", ".join(repr(display_text(key, 40)) for key in list(row)[:20]) or "nothing"
            raise SourceError(f"{self._name} has no {self._column!r} in its first object, which has {has}")


class JsonArrayParser(JsonLinesParser):
    """Parses a JSON array of rows, or several arrays after each other. A `name` means the same as for JSON Lines."""

    unit = "element"

    def __init__(self, index: int, suffix: str = "", *, columns: Columns | None = None, name: str = "") -> None:
        super().__init__(index, suffix, columns=columns, name=name)
        self._elements = ElementSplitter()

    def feed(self, chunk: bytes) -> list[Request]:
        return self._rows(self._elements.feed(chunk))

    def finish(self) -> list[Request]:
        return self._rows(self._elements.finish())

    def _rows(self, elements: Iterable[Element]) -> list[Request]:
        found = []
        for text, kind in elements:
            self.number += 1
            if kind is ElementKind.WHOLE:
                found.append(self._row(text, self._index, self.number))
            else:
                where, why = self._where(self.number), _OUT_OF_PLACE[kind]
                found.append(unusable_row(self._url_in(text), self._index, where, why, self._columns.nothing))
            self._index += 1
        return found


def _json(line: str) -> Any:
    try:
        return orjson.loads(valid_text(line))
    except orjson.JSONDecodeError as problem:
        raise ValueError(f"not JSON: {problem.msg} (column {problem.colno})") from None


def _request(
    url: str, index: int, row: dict[str, Any], exact: dict[str, Any], line: str, passed: str | None
) -> Request:
    """The Request of a row. `exact`: the row with whole numbers of any size, if it has some that need it."""
    method, headers, text, label = _request_fields(row, line)
    parts = {name: exact[name] for name in PARTS if row.get(name) is not None}
    body = None if text is None else text.encode()
    if parts:
        url, headers, body = complete_parts(url, headers, body, **parts)
    priority, checksum, filename = row.get("priority"), row.get("checksum"), row.get("filename")
    if filename is not None and not isinstance(filename, str):
        raise ValueError("'filename' is not a text")
    return make_request(
        url,
        index,
        method,
        headers,
        body,
        label,
        priority=0 if priority is None else read_priority(priority),
        checksum=None if checksum is None else read_checksum(checksum),
        filename=filename,
        passed=passed,
    )


def _request_fields(
    row: dict[str, Any], line: str
) -> tuple[str | None, tuple[tuple[str, str], ...], str | None, str | None]:
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
    method = None if method is None else row_method(method)
    return method, headers, body, label


def _headers(given: Any) -> tuple[tuple[str, str], ...]:
    if given is None:
        return ()
    try:
        pairs = header_pairs(given)
    except ValueError:
        raise ValueError("'headers' is neither an object of texts nor a list of [name, value]") from None
    return read_headers(pairs)


# orjson turns whole numbers beyond 64 bits into floats; the json module keeps every number exact.


def _exact(line: str) -> dict[str, Any]:
    try:
        row: dict[str, Any] = json.loads(line)
    except RecursionError:
        raise ValueError("nested too deep") from None
    return row


def _exact_json(line: str, key: str) -> str:
    try:
        return json.dumps(_exact(line)[key], ensure_ascii=False, separators=(",", ":"))
    except RecursionError:
        raise ValueError("nested too deep") from None


def _exact_number(line: str, key: str) -> str:
    try:
        return str(json.loads(line, parse_int=str, parse_float=str)[key])
    except RecursionError:
        raise ValueError("nested too deep") from None

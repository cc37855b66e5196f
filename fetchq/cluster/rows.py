"""Writes and reads the rows of a lane: a line of JSON for each, with its index in the whole list, its URL and the rest.

[12,"http://example.org/"]
[13,"http://example.org/",{"method":"POST","body":"YT0x"}]
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from io import BytesIO
from itertools import islice
from operator import attrgetter
from typing import Any

import orjson

from fetchq.core.model import Request

__all__ = ["RowError", "read_rows", "row_lines"]

_FIELDS = ("method", "headers", "body", "label", "problem", "priority", "checksum", "filename", "passed")
"""The fields of a Request beside its index and its URL."""
_PLAIN = tuple(getattr(Request(""), name) for name in _FIELDS)
_rest_of = attrgetter(*_FIELDS)
_BATCH = 1000
"""How many rows are read at a time."""


class RowError(ValueError):
    """A line is no row of a lane."""


def row_lines(requests: Sequence[Request]) -> list[str]:
    """The line of each of these rows, with its newline."""
    urls = "".join([request.url for request in requests])
    if urls.isprintable() and '"' not in urls and "\\" not in urls and all(map(_PLAIN.__eq__, map(_rest_of, requests))):
        # Nothing is to be escaped, in most lists: this takes a third of the time of an encoder.
        return [f'[{request.index},"{request.url}"]\n' for request in requests]
    return [_row_line(request) for request in requests]


def _row_line(request: Request) -> str:
    rest = _rest_of(request)
    values: list[Any] = [request.index, request.url]
    if rest != _PLAIN:
        values.append(_changed(rest))
    try:
        return orjson.dumps(values).decode() + "\n"
    except TypeError:  # there are surrogates in a text: bytes that are not UTF-8
        return json.dumps(values) + "\n"


def _changed(rest: Sequence[Any]) -> dict[str, Any]:
    values = {name: value for name, value, plain in zip(_FIELDS, rest, _PLAIN, strict=True) if value != plain}
    if "body" in values:
        values["body"] = b64encode(values["body"]).decode()
    return values


def read_rows(content: bytes) -> Iterator[list[Request]]:
    """The rows of these lines, in batches. Raises `RowError`."""
    lines = BytesIO(content)
    while some := list(islice(lines, _BATCH)):
        try:
            yield [_request(line) for line in some]
        except (TypeError, ValueError, KeyError) as problem:
            raise RowError(f"a row of the job's input is damaged: {problem}") from None


def _request(line: bytes) -> Request:
    try:
        values = orjson.loads(line)
    except ValueError:
        values = json.loads(line)  # which takes lone surrogates
    index, url, *more = values
    if not more:
        return Request(url, index)
    (rest,) = more
    if "body" in rest:
        rest["body"] = b64decode(rest["body"])
    if "headers" in rest:
        rest["headers"] = tuple((name, value) for name, value in rest["headers"])
    return Request(url, index, **rest)

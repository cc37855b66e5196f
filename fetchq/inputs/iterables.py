"""Reads the rows that a Python program passes: URLs and Requests, from any iterable."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Iterator
from dataclasses import replace

from yarl import URL

from fetchq.core.checksum import read_checksum
from fetchq.core.model import Request, make_request
from fetchq.core.parsers import header_pairs
from fetchq.core.passed_columns import passed_text
from fetchq.core.quantities import read_priority
from fetchq.core.request_parts import with_query

__all__ = ["Row", "check_urls", "number", "number_async", "read_row"]

Row = str | URL | Request


def number(urls: Iterable[Row], params: str | None = None) -> Iterator[Request]:
    """The Requests of these rows, with their indexes, read as the iterator advances. Raises TypeError.

    `params`: what is added to the query of each URL.
    """
    requests = (_request(row, index) for index, row in enumerate(check_urls(urls)))
    return requests if params is None else (_with_params(one, params) for one in requests)


def check_urls(urls: Iterable[Row]) -> Iterable[Row]:
    """Return `urls`. Raises TypeError for a single URL, which would be an iterable of characters."""
    if isinstance(urls, str | bytes):
        raise TypeError("a list of URLs is needed, not a single one")
    return urls


async def number_async(urls: AsyncIterable[Row], params: str | None = None) -> AsyncGenerator[Request]:
    """`number` for an async iterable."""
    index = 0
    async for row in urls:
        yield read_row(row, index, params)
        index += 1


def read_row(row: Row, index: int, params: str | None = None) -> Request:
    """The Request of one row, as `number` makes it. Raises TypeError."""
    request = _request(row, index)
    return request if params is None else _with_params(request, params)


def _with_params(request: Request, params: str) -> Request:
    return replace(request, url=with_query(request.url, params))


def _request(row: Row, index: int) -> Request:
    if isinstance(row, str):
        return make_request(row, index)
    if isinstance(row, URL):
        return Request(str(row), index)
    if isinstance(row, Request):
        return _read(row, index)
    raise TypeError(f"row {index} is {type(row).__name__}, not str, yarl.URL or Request")


_TYPES: tuple[tuple[str, type, str], ...] = (
    ("method", str, "a text"),
    ("body", bytes, "bytes"),
    ("label", str, "a text"),
    ("filename", str, "a text"),
)


def _read(row: Request, index: int) -> Request:
    """The row with its fields checked and parsed. If one has a wrong type, the row gets a `problem`."""
    try:
        for name, kind, what in _TYPES:
            if not isinstance(getattr(row, name), kind | None):
                raise ValueError(f"the {name} is not {what}")
        headers = header_pairs(row.headers) if row.headers else ()
        priority = 0 if row.priority == 0 else read_priority(row.priority)
        return replace(
            row,
            index=index,
            headers=headers,
            priority=priority,
            _duplicate_of=None,
            checksum=None if row.checksum is None else read_checksum(row.checksum),
            passed=None if row.passed is None else passed_text(row.passed),
        )
    except ValueError as problem:
        usable = {name: getattr(row, name) for name, kind, _ in _TYPES if isinstance(getattr(row, name), kind)}
        return Request(row.url, index, **usable, problem=row.problem or str(problem))

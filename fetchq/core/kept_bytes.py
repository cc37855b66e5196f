"""Estimates how much memory Requests and Results take, so that what holds many of them can be bounded in bytes."""

from __future__ import annotations

from sys import getsizeof
from typing import TYPE_CHECKING

from fetchq.core.model import kept_headers, kept_passed
from fetchq.core.passed_columns import passed_text

if TYPE_CHECKING:
    from multidict import MultiMapping

    from fetchq.core.model import Request, Result

__all__ = ["LONG_URL", "kept_bytes", "request_bytes"]

_FIELD = 200
"""About the bytes that a parsed header field takes beside its texts."""
LONG_URL = 1000
"""Up to so many characters, a URL is not counted."""


def request_bytes(request: Request) -> int:
    """The bytes that the texts, the headers and the body of a Request take."""
    texts = (request.url, request.body, request.label, request.passed, request.filename)
    size = sum(getsizeof(text) for text in texts if text is not None)
    return size + sum(len(name) + len(value) for name, value in request.headers)


def kept_bytes(result: Result) -> int:
    """About the bytes that a Result takes beyond what every Result does: its body, its headers, and long texts."""
    kept = kept_headers(result)
    size = len(result.body) + (len(kept) if isinstance(kept, bytes) else _fields_bytes(kept))
    if result._spool is not None:
        size += result._spool.in_memory
    if len(result.url) > LONG_URL or result.hops or result.label is not None or result.trailers is not None:
        size += _more_bytes(result)
    if (passed := kept_passed(result)) is not None:
        size += len(passed if isinstance(passed, str) else passed_text(passed))
    return size


def _more_bytes(result: Result) -> int:
    size = len(result.url) + len(result.final_url or "") + len(result.label or "")
    size += sum(len(one.url) for one in result.hops)
    if result.trailers is not None:
        size += _fields_bytes(result.trailers)
    if result._sent is not None:
        for one in result._sent.redirects:
            size += len(one.url) + len(one.head) + len(one.body) + _fields_bytes(one.headers)
    return size


def _fields_bytes(fields: MultiMapping[str]) -> int:
    return _FIELD * len(fields) + sum(map(len, fields.keys())) + sum(map(len, fields.values()))

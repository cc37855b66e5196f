"""Reads the head of a response: its status and headers, and where the body ends (RFC 9112, 6.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from multidict import CIMultiDict, istr

from fetchq.core.fast_dataclass import fast_constructor
from fetchq.core.header_text import wire_text
from fetchq.core.headers import Headers, headers_of
from fetchq.core.known import Known
from fetchq.core.lazy_headers import keep_headers_unparsed
from fetchq.core.model import Cause
from fetchq.core.text import one_line
from fetchq.http.failure import AttemptFailed
from fetchq.http.keep_alive import KEEP_ALIVE
from fetchq.http.wire_checks import BAD_CODING, other_version

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "NO_HEADERS",
    "NO_RESPONSE",
    "ResponseHead",
    "field_map",
    "head_of",
    "keeps_alive",
    "kept_headers_of",
    "make_head",
    "read_head",
]

# An istr is a key that multidict need not convert to lower case for each lookup.
_CONTENT_ENCODING = istr("Content-Encoding")
_CONTENT_LENGTH = istr("Content-Length")
_CONTENT_TYPE = istr("Content-Type")
_TRANSFER_ENCODING = istr("Transfer-Encoding")

NO_HEADERS = headers_of()


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """The head of a final response."""

    status: int | None
    """None if there is no response (`NO_RESPONSE`)."""
    reason: str | None
    """One line, without control characters."""
    headers: Headers
    """Parsed when they are first read, if they are kept as they were received (`kept_headers_of`)."""
    http_version: str | None
    """Such as "1.1"."""
    length: int | None
    """Bytes that the body should have at the end of this response, those of a partial body that it continues included;
    None if the head does not say."""
    framed: bool
    """Whether the message itself shows where the body ends; otherwise the body ends with the connection."""
    total: int | None = None
    """The complete length of the body, if this is a 206 that continues a partial one."""
    coded: bool = False
    """Whether there is a Content-Encoding."""
    content_type: str | None = None
    """The Content-Type; bytes that are not UTF-8 are lone surrogates."""
    announces: bool = False
    """Whether there is a Keep-Alive field, which says how long the server keeps the connection."""


make_head = fast_constructor(ResponseHead)
kept_headers_of = keep_headers_unparsed(ResponseHead)

NO_RESPONSE = ResponseHead(None, None, NO_HEADERS, None, None, framed=True)
"""Stands for the head of a response that has not arrived, or is not valid HTTP."""


def head_of(
    status: int | None,
    reason: str | None,
    headers: Headers,
    http_version: str | None,
    length: int | None,
    framed: bool,
    total: int | None = None,
) -> ResponseHead:
    """The head with these headers."""
    coded, announces = _CONTENT_ENCODING in headers, KEEP_ALIVE in headers
    content_type = headers.get(_CONTENT_TYPE)
    return make_head(status, reason, headers, http_version, length, framed, total, coded, content_type, announces)


def read_head(
    method: str, status: int, reason: str | None, raw_headers: Iterable[tuple[bytes, bytes]], version: tuple[int, int]
) -> ResponseHead:
    """The head of the final response to a request with this method. `version`: the HTTP version, such as (1, 1).

    Header bytes that are not UTF-8 become lone surrogates. Raises `AttemptFailed` (`protocol`) if the status or the
    version is not one of HTTP/1, or if two recipients could disagree about the end of the body.
    """
    if version not in _VERSIONS or status < 200:
        raise other_version(f"{version[0]}.{version[1]}", status)
    headers: CIMultiDict[str] = CIMultiDict()
    for name, value in raw_headers:
        headers.add(name.decode("utf-8", "surrogateescape"), value.decode("utf-8", "surrogateescape"))
    lengths = headers.getall(_CONTENT_LENGTH, ())
    codings = headers.getall(_TRANSFER_ENCODING, ())
    if codings:
        if lengths or version < (1, 1) or [coding.strip(" \t").lower() for coding in codings] != ["chunked"]:
            raise AttemptFailed(Cause.PROTOCOL, BAD_CODING)
    elif lengths:
        text = lengths[0]
        if len(lengths) > 1 or not (text.isascii() and text.isdigit()) or len(text) > 18:
            raise AttemptFailed(Cause.PROTOCOL, f"not a Content-Length: {', '.join(lengths)}")
    if method == "HEAD" or status in (204, 304):
        length: int | None = 0
        framed = True
    else:
        length = int(lengths[0]) if lengths else None
        framed = bool(codings or lengths)
    reason = _reasons[reason] if reason else reason
    return head_of(status, reason, Headers(headers), _VERSIONS[version], length, framed)


def field_map(raw_fields: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Fields as text; bytes that are not UTF-8 become lone surrogates."""
    fields = ((name, value.decode("utf-8", "surrogateescape")) for name, value in raw_fields)
    return headers_of((name.decode("utf-8", "surrogateescape"), value) for name, value in fields)


def keeps_alive(version: tuple[int, int], connection: Iterable[str]) -> bool:
    """Whether the server keeps the connection open after a message that shows its own end (RFC 9112, 9.3).

    `connection`: the values of the Connection fields.
    """
    options = {option.strip(" \t").lower() for value in connection for option in value.split(",")}
    return "close" not in options and (version >= (1, 1) or "keep-alive" in options)


_VERSIONS = {(1, 0): "1.0", (1, 1): "1.1"}


def _one_line(reason: str) -> str:
    return one_line(wire_text(reason))


_reasons = Known(_one_line)

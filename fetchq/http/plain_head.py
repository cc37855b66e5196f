"""Reads the heads that nearly all responses have, in one pass over the bytes received.

A plain head is one of which no two recipients could think differently, and that calls for nothing out of the ordinary:

| part | plain |
|---|---|
| status line | HTTP/1.1, with a reason in ASCII; a status of a response with a body that is all the client asked for |
| lines | each ends with CRLF, begins with the name of a field and its colon, and has no control character but tabs |
| body | one Content-Length in digits, or `Transfer-Encoding: chunked`, but not both |
| connection | `keep-alive`, or nothing said |

Of any other head `read_plain_head` says nothing: `fetchq.http.framing` and `fetchq.http.response` read them all.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from fetchq.core.text import one_line
from fetchq.http.response import make_head
from fetchq.http.wire_checks import MAX_HEADERS

if TYPE_CHECKING:
    from fetchq.http.response import ResponseHead

__all__ = ["read_plain_head"]

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_HEAD = re.compile(
    rb"HTTP/1\.1 ([245][0-9][0-9] [!-~]++(?: [!-~]++)*+)\r"
    rb"(\n(?:" + _TOKEN + rb":[^\x00-\x08\x0a-\x1f\x7f]*+\r\n)*+)\r\n"
)
_TELLING = re.compile(
    rb"\n(?=[cktp])(content-(?:length|type|encoding)|transfer-encoding|(?:proxy-)?connection|keep-alive):"
    rb"[ \t]*+([^\r]*+)",
    re.IGNORECASE,
)
"""The fields that say how the response is to be read, or the connection used."""
_NOT_PLAIN = frozenset({204, 206})
"""The response has no body, or is a part."""
_MAY_BE_MANY = 4 * MAX_HEADERS
"""The shortest line has four bytes, so that below this there are not too many."""
_LONGEST = 16_384


def read_plain_head(data: bytes) -> tuple[ResponseHead, int] | None:
    """The plain head that `data` begins with, and where it ends; None if it has none. The body is in chunks if there is
    no length.

    It is what `read_head` would return for a request that is not HEAD, except that its headers are not parsed yet.
    """
    found = _HEAD.match(data)
    if found is None or (end := found.end()) > _LONGEST:
        return None
    line, lines = found.groups()
    status, reason = _status_and_reason(line)
    if status in _NOT_PLAIN or (end > _MAY_BE_MANY and lines.count(b"\r") > MAX_HEADERS):
        return None
    if (told := _what_fields_tell(lines)) is None:
        return None
    length, content_type, coded, announces = told
    head = _make_head(status, reason, lines[1:], "1.1", length, True, None, coded, content_type, announces)
    return head, end


def _what_fields_tell(lines: bytes) -> tuple[int | None, str | None, bool, bool] | None:
    """The length, None for chunks, the Content-Type, and whether there is a Content-Encoding, and a Keep-Alive.

    None if the head is not plain.
    """
    length = content_type = None
    chunked = coded = announces = False
    for name, value in _TELLING.findall(lines):
        name = name.lower()
        if name == b"content-length":
            if length is not None or not value.isdigit() or len(value) > 18:
                return None
            length = int(value)
        elif name == b"content-type":
            content_type = _text(value) if content_type is None else content_type
        elif name == b"connection":
            if value.lower() != b"keep-alive":
                return None
        elif name == b"content-encoding":
            coded = True
        elif name == b"keep-alive":
            announces = True
        elif name == b"transfer-encoding" and value.lower() == b"chunked" and not chunked:
            chunked = True
        else:
            return None
    return None if chunked is (length is not None) else (length, content_type, coded, announces)


_make_head: Any = make_head  # the headers, which are not parsed, have another type


@lru_cache(256)
def _status_and_reason(line: bytes) -> tuple[int, str]:
    return int(line[:3]), one_line(line[4:].decode("ascii"))


@lru_cache(256)
def _text(value: bytes) -> str:
    return value.strip(b" \t").decode("utf-8", "surrogateescape")

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
from typing import TYPE_CHECKING, Any

from fetchq.core.known import Known
from fetchq.core.text import one_line
from fetchq.http.response import make_head
from fetchq.http.wire_checks import MAX_HEADERS

if TYPE_CHECKING:
    from fetchq.http.response import ResponseHead

__all__ = ["read_plain_head"]

_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([245][0-9][0-9]) ([!-~]++(?: [!-~]++)*+)")
_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]++):([^\x00-\x08\x0a-\x1f\x7f]*+)")
_NOT_PLAIN = frozenset({204, 206})
"""The response has no body, or is a part."""
_LONGEST = 16_384


def read_plain_head(data: bytes) -> tuple[ResponseHead, bytes] | None:
    """The plain head that `data` begins with, and what follows it; None if it has none. The body is in chunks if there
    is no length.

    It is what `read_head` would return for a request that is not HEAD, except that its headers are not parsed yet.
    """
    head, separator, rest = data.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    if not separator or len(head) > _LONGEST or len(lines) > MAX_HEADERS:
        return None
    status_line = lines[0]
    del lines[0]
    if (found := _status_lines[status_line]) is None or (told := _what_lines_tell(lines)) is None:
        return None
    status, reason = found
    length, content_type, coded, announces = told
    fields = data[len(status_line) + 2 : len(head) + 2]
    return _make_head(status, reason, fields, "1.1", length, True, None, coded, content_type, announces), rest


def _what_lines_tell(lines: list[bytes]) -> tuple[int | None, str | None, bool, bool] | None:
    """The length, None for chunks, the Content-Type, and whether there is a Content-Encoding, and a Keep-Alive.

    None if the head is not plain.
    """
    length = content_type = None
    chunked = coded = announces = False
    for line in lines:
        if (told := _told_by[line]) is None:
            continue
        name, value = told
        if name == "content-type":
            content_type = value if content_type is None else content_type
        elif name == "content-length" and length is None:
            length = value
        elif name == "content-encoding":
            coded = True
        elif name == "keep-alive":
            announces = True
        elif name == "transfer-encoding" and not chunked:
            chunked = True
        else:
            return None
    return None if chunked is (length is not None) else (length, content_type, coded, announces)


_make_head: Any = make_head  # the headers, which are not parsed, have another type


def _read_status_line(line: bytes) -> tuple[int, str] | None:
    """The status and the reason; None if the line, or what it means, is not plain."""
    found = _STATUS_LINE.fullmatch(line)
    if found is None or (status := int(found[1])) in _NOT_PLAIN:
        return None
    return status, one_line(found[2].decode("ascii"))


def _read_line(line: bytes) -> tuple[str, Any] | None:
    """What a line says about how the response is to be read, or the connection used; None for nothing.

    It is the name of the field, in lower case, and its value: a number, or text. The name is empty if the line is not
    plain.
    """
    found = _LINE.fullmatch(line)
    if found is None:
        return _NOT_PLAIN_LINE
    name, value = found[1].decode("ascii").lower(), found[2].strip()
    if name == "content-length":
        return (name, int(value)) if value.isdigit() and len(value) <= 18 else _NOT_PLAIN_LINE
    if name == "content-type":
        return name, value.decode("utf-8", "surrogateescape")
    if name == "connection":
        return None if value.lower() == b"keep-alive" else _NOT_PLAIN_LINE
    if name == "transfer-encoding":
        return (name, value) if value.lower() == b"chunked" else _NOT_PLAIN_LINE
    if name in ("content-encoding", "keep-alive"):
        return name, value
    return _NOT_PLAIN_LINE if name == "proxy-connection" else None


_NOT_PLAIN_LINE = ("", None)
# Each line is read once, since the lines of a server come again and again.
_status_lines = Known(_read_status_line)
_told_by = Known(_read_line)

"""Checks the bytes of a response where the HTTP libraries disagree or are too lenient, in the same way for all engines.

If two recipients disagree about where a message ends, an attacker can make one of them take a part of it for the next
response (request and response smuggling; RFC 9112, 11).
"""

from __future__ import annotations

import re

from fetchq.core.model import Cause
from fetchq.http.failure import AttemptFailed

__all__ = [
    "MAX_HEAD",
    "MAX_HEADERS",
    "MAX_INTERIM",
    "MAX_LINE",
    "MAX_SILENT",
    "RESPONSE_PREFIX",
    "ChunkCheck",
    "check_head",
    "check_trailing_bytes",
    "not_http",
]

RESPONSE_PREFIX = b"HTTP/1."
"""The first bytes of every response."""
MAX_INTERIM = 16
"""The most interim responses (1xx) before the final one."""
MAX_LINE = 65536
"""The most bytes of a status line, a header line, a trailer line or a chunk size line."""
MAX_HEADERS = 256
"""The most header lines of a response, and also the most trailer lines."""
MAX_HEAD = 262_144
"""The most bytes of a response's head."""
MAX_SILENT = 1_000_000
"""Bytes in a row that a server may send without a byte of the body: headers, chunk extensions, trailers."""

_LONGEST_CHUNK = 2**63
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"'
_SIZE = re.compile(
    rb"([0-9A-Fa-f]{1,20})(?:[ \t]*|(?:;" + _TOKEN + rb"(?:=(?:" + _TOKEN + rb"|" + _QUOTED + rb"))?)+)\r\n"
)
_TRAILER = re.compile(rb"(" + _TOKEN + rb"):[^\x00\x0b\x0c\r\n]*\r?\n")
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})


def not_http(what: str) -> AttemptFailed:
    """The failure of an attempt whose response is not valid HTTP."""
    return AttemptFailed(Cause.PROTOCOL, f"not valid HTTP: {what}")


def check_head(raw: bytes, interim: int) -> tuple[int, int]:
    """Where the head of the final response begins and ends in `raw`. `interim`: how many interim responses precede it.

    Raises `AttemptFailed` (`protocol`).
    """
    start = 0
    if raw[:1] in (b"\r", b"\n"):  # empty lines before a message are ignored (RFC 9112, 2.2)
        start = len(raw) - len(raw.lstrip(b"\r\n"))
    line_end = raw.find(b"\n\r\n", start)
    end = line_end + 3
    if line_end < 0 or interim or raw.find(b"\n\n", start, line_end + 1) >= 0:  # not the usual case
        end = _past_empty_line(raw, start)
        while end and interim:
            interim -= 1
            start, end = end, _past_empty_line(raw, end)
    if not end:
        raise not_http("a head without an end")
    if end - start > MAX_HEAD:
        raise not_http(f"a head of more than {MAX_HEAD} bytes")
    head = raw[start:end]
    if b"\x0b" in head or b"\x0c" in head or b"\x00" in head:
        raise not_http("a control character in the head")
    if head[head.find(b"\n") + 1] in b" \t":
        raise not_http("the first header is the continuation of none")
    return start, end


def check_trailing_bytes(after: bytes, *, bodyless: bool) -> None:
    """Check the bytes that arrived after the end of a response, whose connection is not reused in any case.

    Empty lines are accepted, and so is the beginning of another response, which is ignored (RFC 9112, 6.3). Anything
    else means that both sides disagree about where the response ends: raises `AttemptFailed` (`protocol`). `bodyless`:
    whether the response has no body because the method is HEAD; bytes that follow are then most likely a body.
    """
    text = after.lstrip(b"\r\n")
    if text and (bodyless or text[: len(RESPONSE_PREFIX)] != RESPONSE_PREFIX[: len(text)]):
        raise not_http("bytes after the end of the answer")


def _past_empty_line(raw: bytes, start: int) -> int:
    """The index after the first empty line behind `start`; 0 if there is none."""
    proper = raw.find(b"\n\r\n", start)
    bare = raw.find(b"\n\n", start, None if proper < 0 else proper + 1)
    return bare + 2 if bare >= 0 else proper + 3 if proper >= 0 else 0


class ChunkCheck:
    """Checks the framing of a chunked body (RFC 9112, 7.1), from its first byte on."""

    __slots__ = ("_ended", "_left", "_line_start", "_trailers", "after")

    def __init__(self) -> None:
        self.after = b""
        """The bytes after the end of the body that arrived together with its last bytes."""
        self._line_start = b""
        """The beginning of a line whose end has not arrived."""
        self._left = 0
        """Bytes of the chunk that have not arrived, with the CRLF that ends it."""
        self._trailers = -1
        """How many trailer lines have arrived; -1 before the last chunk."""
        self._ended = False

    def feed(self, data: bytes) -> None:
        """Check the next bytes. Raises `AttemptFailed` (`protocol`)."""
        if self._line_start:
            data, self._line_start = self._line_start + data, b""
        at, end = 0, len(data)
        while at < end and not self._ended:
            if self._left:
                at = self._skip(data, at, end)
            elif self._trailers < 0 and (size := _SIZE.match(data, at)) is not None:
                at = size.end()
                self._begin_chunk(int(size[1], 16))
            else:
                at = self._read_line(data, at, end)
        if self._ended:
            self.after = data[at:]

    def _skip(self, data: bytes, at: int, end: int) -> int:
        """Skip the data of the chunk that has arrived, and check the CRLF after it. Returns the index after it."""
        past = min(at + self._left, end)
        left = self._left - (past - at)
        if left < 2:
            wanted = b"\r\n"[max(0, 2 - self._left) : 2 - left]
            if data[past - len(wanted) : past] != wanted:
                raise not_http("no CRLF at the end of a chunk")
        self._left = left
        return past

    def _begin_chunk(self, size: int) -> None:
        if size >= _LONGEST_CHUNK:
            raise not_http("a chunk size beyond all bounds")
        if size:
            self._left = size + 2
        else:
            self._trailers = 0

    def _read_line(self, data: bytes, at: int, end: int) -> int:
        """Read a trailer line, or keep an incomplete line for later. Returns the index after it."""
        past = data.find(b"\n", at) + 1
        if (past or end) - at > MAX_LINE:
            raise not_http(f"a line of more than {MAX_LINE} bytes between the chunks")
        if not past:
            self._line_start = data[at:]
            return end
        if self._trailers < 0:
            raise not_http("not the size of a chunk")
        line = data[at:past]
        if line in (b"\r\n", b"\n"):
            self._ended = True
            return past
        self._trailers += 1
        # A line may continue the one before it: obsolete line folding (RFC 9112, 5.2).
        trailer = _TRAILER.fullmatch(line)
        if (trailer is None and (line[:1] not in b" \t" or self._trailers == 1)) or self._trailers > MAX_HEADERS:
            raise not_http("not a trailer, or too many of them")
        if trailer is not None and trailer[1].lower() in _FRAMING:
            raise not_http("a trailer that frames the body")
        return past

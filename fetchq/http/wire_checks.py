"""What the parsers of the libraries judge differently, or let pass: checked on the bytes themselves, for all engines.

Two readers that disagree about where a message ends can be made to take one's body for the other's next answer.
"""

from __future__ import annotations

import re

from fetchq.core.model import Cause
from fetchq.http.failure import AttemptFailed

__all__ = [
    "BEGINNING",
    "MAX_HEAD",
    "MAX_HEADERS",
    "MAX_INTERIM",
    "MAX_LINE",
    "MAX_SILENT",
    "ChunkCheck",
    "check_after",
    "check_head",
    "not_http",
]

BEGINNING = b"HTTP/1."
"""Of every answer."""
MAX_INTERIM = 16
"""1xx responses taken before the final one; more are `protocol`."""
MAX_LINE = 65536
"""Bytes of a header line, a trailer, a status line, or the line of a chunk's size."""
MAX_HEADERS = 256
"""Lines of a head; of the trailers, the same."""
MAX_HEAD = 262_144
"""Bytes of a response's head."""
MAX_SILENT = 1_000_000
"""Bytes a server may send without one of them being of a body: headers, chunk extensions, trailers."""

_LONGEST_CHUNK = 2**63
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"'
_SIZE = re.compile(
    rb"([0-9A-Fa-f]{1,20})(?:[ \t]*|(?:;" + _TOKEN + rb"(?:=(?:" + _TOKEN + rb"|" + _QUOTED + rb"))?)+)\r\n"
)
_TRAILER = re.compile(rb"(" + _TOKEN + rb"):[^\x00\x0b\x0c\r\n]*\r?\n")
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})


def not_http(what: str) -> AttemptFailed:
    """How an attempt ends whose answer is not HTTP."""
    return AttemptFailed(Cause.PROTOCOL, f"not valid HTTP: {what}")


def check_head(raw: bytes, interim: int) -> tuple[int, int]:
    """Where the head of the final response begins and ends in `raw`, which begins with so many interim ones.

    Raises `AttemptFailed` (`protocol`).
    """
    start = 0
    if raw[:1] in (b"\r", b"\n"):  # empty lines before a response are to be ignored (RFC 9112, 2.2)
        start = len(raw) - len(raw.lstrip(b"\r\n"))
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


def check_after(after: bytes, *, bodyless: bool) -> None:
    """What came behind the end of an answer, with it: the connection is not used again in any case.

    An empty line is forgiven, and the beginning of another answer is nobody's (RFC 9112, 6.3). Else the two sides
    disagree about where the answer ends. `bodyless`: it has no body because the method is HEAD, so that a body after
    it is likelier than anything else. Raises `AttemptFailed` (`protocol`).
    """
    text = after.lstrip(b"\r\n")
    if text and (bodyless or text[: len(BEGINNING)] != BEGINNING[: len(text)]):
        raise not_http("bytes after the end of the answer")


def _past_empty_line(raw: bytes, start: int) -> int:
    """Where the first empty line after `start` ends; 0 where there is none."""
    proper = raw.find(b"\n\r\n", start)
    bare = raw.find(b"\n\n", start, None if proper < 0 else proper + 1)
    return bare + 2 if bare >= 0 else proper + 3 if proper >= 0 else 0


class ChunkCheck:
    """Follows a chunked body (RFC 9112, 7.1) from its first byte. Raises `AttemptFailed` (`protocol`)."""

    __slots__ = ("_ended", "_held", "_left", "_trailers", "after")

    def __init__(self) -> None:
        self.after = b""
        """What the last bytes had behind the end of the body."""
        self._held = b""
        """The beginning of a line."""
        self._left = 0
        """Bytes of the chunk that are still to come, the two that end it included."""
        self._trailers = -1
        """How many there were; -1 before the last chunk."""
        self._ended = False

    def feed(self, data: bytes) -> None:
        if self._held:
            data, self._held = self._held + data, b""
        at, end = 0, len(data)
        while at < end and not self._ended:
            if self._left:
                at = self._skip(data, at, end)
            elif self._trailers < 0 and (size := _SIZE.match(data, at)) is not None:
                at = size.end()
                self._begin(int(size[1], 16))
            else:
                at = self._line(data, at, end)
        if self._ended:
            self.after = data[at:]

    def _skip(self, data: bytes, at: int, end: int) -> int:
        """Pass over what there is of the chunk's data, and of the CRLF after it."""
        past = min(at + self._left, end)
        left = self._left - (past - at)
        if left < 2:
            wanted = b"\r\n"[max(0, 2 - self._left) : 2 - left]
            if data[past - len(wanted) : past] != wanted:
                raise not_http("no CRLF at the end of a chunk")
        self._left = left
        return past

    def _begin(self, size: int) -> None:
        if size >= _LONGEST_CHUNK:
            raise not_http("a chunk size beyond all bounds")
        if size:
            self._left = size + 2
        else:
            self._trailers = 0

    def _line(self, data: bytes, at: int, end: int) -> int:
        """A line that has not come whole, is of the trailers, or is wrong."""
        past = data.find(b"\n", at) + 1
        if (past or end) - at > MAX_LINE:
            raise not_http(f"a line of more than {MAX_LINE} bytes between the chunks")
        if not past:
            self._held = data[at:]
            return end
        if self._trailers < 0:
            raise not_http("not the size of a chunk")
        line = data[at:past]
        if line in (b"\r\n", b"\n"):
            self._ended = True
            return past
        self._trailers += 1
        # A line that continues the one before it is obsolete, but allowed.
        trailer = _TRAILER.fullmatch(line)
        if (trailer is None and (line[:1] not in b" \t" or self._trailers == 1)) or self._trailers > MAX_HEADERS:
            raise not_http("not a trailer, or too many of them")
        if trailer is not None and trailer[1].lower() in _FRAMING:
            raise not_http("a trailer that frames the body")
        return past

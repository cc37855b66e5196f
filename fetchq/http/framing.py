"""Finds in the bytes received where the heads and the body of a response end (RFC 9112, 2.2, 6.3 and 7.1).

The engines give whole heads to their HTTP libraries, and every byte behind the final head to a `Framing`, so that no
Result depends on the packets in which the bytes arrive. What follows the end of a message is dropped, and the
connection is not used again.
"""

from __future__ import annotations

import re
from typing import Protocol

from fetchq.core.model import Cause
from fetchq.http.failure import AttemptFailed
from fetchq.http.wire_checks import FRAMING_FIELDS, MAX_EMPTY, MAX_HEAD, MAX_HEADERS, MAX_LINE, not_http, repair_head

__all__ = ["MOST_CHUNKS", "Chunks", "Framing", "Sized", "UntilClosed", "check_cut_head", "find_head"]

_PREFIX = b"HTTP/1."
"""The first bytes of every response."""
_OTHER_PROTOCOL = re.compile(rb"[A-Z][A-Z0-9+]{0,9}([/-][A-Za-z0-9.+-]{0,15})?")
"""What may be the name and the version of another protocol, such as RTSP/1.0, ICY or SSH-2.0.

Only in capitals, since the rest of a name is waited for: other text must not keep a row until its timeout.
"""
_LONGEST_NAME = 32

MOST_CHUNKS = 500
"""The most chunks of a body that are read in one step: about a millisecond's worth."""
_LONGEST_CHUNK = 2**63
_WITHOUT_EXTENSION = 40
"""The most bytes of a line that has the size of a chunk, and perhaps a short extension."""
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"'
_SIZE = re.compile(
    rb"([0-9A-Fa-f]{1,20})(?:[ \t]*|(?:;" + _TOKEN + rb"(?:=(?:" + _TOKEN + rb"|" + _QUOTED + rb"))?)+)\r\n"
)
# The blanks around a value are stripped later: to leave them out here takes quadratic time.
_TRAILER = re.compile(rb"(" + _TOKEN + rb"):([^\x00\x0b\x0c\r\n]*)\r?\n")
_FOLDED = re.compile(rb"[ \t]++([^\x00\x0b\x0c\r\n]*)\r?\n")


def find_head(raw: bytes, seen: int = 0) -> tuple[bytes, int]:
    """The first head in `raw`, with its empty line, and where it ends; (b"", 0) if its end has not arrived.

    Empty lines before it are left out, and it is repaired where that is needed: see `repair_head`. `seen`: the bytes at
    the beginning of `raw` in which an earlier call has found no end; they are not searched again, since a server may
    send single bytes. Raises `AttemptFailed` (`protocol`) as soon as it cannot be the head of a response, or is too
    long.
    """
    start = 0
    if raw[:1] in (b"\r", b"\n"):  # empty lines before a message are ignored (RFC 9112, 2.2)
        beginning = raw[: MAX_EMPTY + 1]
        start = len(beginning) - len(beginning.lstrip(b"\r\n"))
        if start > MAX_EMPTY:
            raise not_http(f"more than {MAX_EMPTY} bytes of empty lines before it", stray=True)
    if not raw.startswith(_PREFIX, start):
        _check_beginning(raw[start : start + _LONGEST_NAME], cut=False)
    search = start if seen < start + 2 else seen - 2
    line_end = raw.find(b"\n\r\n", search)
    end = line_end + 3
    if line_end < 0 or raw.find(b"\n\n", search, line_end + 1) >= 0:  # not the usual case
        end = _past_empty_line(raw, search)
    if (end or len(raw)) - start > MAX_HEAD:
        raise not_http(f"a head of more than {MAX_HEAD} bytes", stray=True)
    if not end:
        return b"", 0
    head = raw[start:end]
    if (
        b" :" in head
        or b"\n " in head
        or b"\x00" in head
        or b"\t:" in head
        or b"\n\t" in head
        or b"\x0b" in head
        or b"\x0c" in head
    ):
        head = repair_head(head)
    return head, end


def check_cut_head(raw: bytes) -> None:
    """Check the beginning of a head after which the connection ended. Raises `AttemptFailed` (`protocol`)."""
    _check_beginning(raw.lstrip(b"\r\n")[:_LONGEST_NAME], cut=True)


def _check_beginning(text: bytes, *, cut: bool) -> None:
    """Raise `AttemptFailed` if a response cannot begin with `text`.

    The error names what seems to be another protocol, as soon as its name has arrived. `cut`: nothing follows.
    """
    if _PREFIX.startswith(text) or text.startswith(_PREFIX):
        return
    name = _OTHER_PROTOCOL.match(text)
    if name is None or (name[1] is None and text[name.end() : name.end() + 1].islower()):
        raise not_http("it does not begin with HTTP/1.", stray=True)
    if cut or name.end() < len(text):
        raise not_http(f"it begins with {name[0].decode('ascii')}, not with HTTP/1.", stray=True)


def _past_empty_line(raw: bytes, start: int) -> int:
    """The index after the first empty line behind `start`; 0 if there is none."""
    proper = raw.find(b"\n\r\n", start)
    bare = raw.find(b"\n\n", start, None if proper < 0 else proper + 1)
    return bare + 2 if bare >= 0 else proper + 3 if proper >= 0 else 0


class Framing(Protocol):
    """Follows the body of one response."""

    ended: bool
    """Whether the end of the message has arrived, or `problem`; what is fed then is ignored."""
    surplus: bool
    """Whether bytes arrived after the end."""
    rest: bytes
    """Bytes of the message that were fed and not looked at: they are next, also if nothing more is fed."""
    problem: AttemptFailed | None
    """Why the message is not valid HTTP. The bytes before that place were given out by `feed`."""
    trailers: list[tuple[bytes, bytes]]
    """The trailer fields (RFC 9112, 7.1.2), as soon as the message has ended."""

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes received. Returns those of the body among them, without their transfer coding."""


_NO_TRAILERS: list[tuple[bytes, bytes]] = []


class Sized:
    """A body of a known length, 0 included."""

    __slots__ = ("_left", "ended", "surplus")
    problem: AttemptFailed | None = None
    trailers = _NO_TRAILERS
    rest = b""

    def __init__(self, length: int) -> None:
        self._left = length
        self.ended = not length
        self.surplus = False

    def feed(self, data: bytes) -> bytes:
        left = self._left = self._left - len(data)
        if left > 0:
            return data
        self.ended = True
        if left < 0:
            self.surplus, self._left = True, 0
            return data[:left]
        return data


class UntilClosed:
    """A body that ends with the connection."""

    __slots__ = ()
    ended = surplus = False
    problem: AttemptFailed | None = None
    trailers = _NO_TRAILERS
    rest = b""

    def feed(self, data: bytes) -> bytes:
        return data


class Chunks:
    """A body in chunks (RFC 9112, 7.1)."""

    # fmt: off
    __slots__ = (
        "_extension_bytes", "_left", "_line_start", "_most", "_trailer_bytes", "_trailer_lines", "_trailing", "ended",
        "problem", "rest", "surplus", "trailers",
    )
    # fmt: on

    def __init__(self, most: int = MOST_CHUNKS) -> None:
        """`most`: after so many chunks, `feed` leaves what follows in `rest`."""
        self._most = most
        self.rest = b""
        self.ended = self.surplus = False
        self.problem: AttemptFailed | None = None
        self.trailers: list[tuple[bytes, bytes]] = []
        self._line_start: bytes | bytearray = b""
        """The beginning of a line whose end has not arrived."""
        self._left = 0
        """Bytes of the chunk that have not arrived, with the CRLF that ends it."""
        self._trailing = False
        """Whether the last chunk has arrived."""
        self._extension_bytes = self._trailer_bytes = self._trailer_lines = 0

    def feed(self, data: bytes) -> bytes:
        if self.ended:
            self.surplus = self.surplus or (bool(data) and self.problem is None)
            return b""
        if self.rest:
            data, self.rest = self.rest + data, b""
        if self._line_start:
            self._line_start += data
            if len(self._line_start) <= MAX_LINE and b"\n" not in data:  # do not parse it again for each byte
                return b""
            data, self._line_start = bytes(self._line_start), b""
        # The data is joined, since tiny chunks would each take a hundred times their size.
        parts: list[bytes] = []
        at, end, most = 0, len(data), self._most
        while at < end and not self.ended:
            if len(parts) == most:
                self.rest = data[at:]
                break
            if self._left:
                at = self._take(data, at, end, parts)
            elif not self._trailing and (size := _SIZE.match(data, at)) is not None:
                begun, at = at, size.end()
                self._begin_chunk(int(size[1], 16))
                if at - begun > _WITHOUT_EXTENSION:
                    self._count_extension(at - begun)
            else:
                at = self._read_line(data, at, end)
        self.surplus = at < end and self.ended and self.problem is None
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _take(self, data: bytes, at: int, end: int, parts: list[bytes]) -> int:
        """Take the data of the chunk that has arrived, and check the CRLF after it. Returns the index after it."""
        after = min(at + self._left, end)
        left = self._left - (after - at)
        in_data = min(after, at + self._left - 2)
        if in_data > at:
            parts.append(data[at:in_data])
        if left < 2:
            wanted = b"\r\n"[max(0, 2 - self._left) : 2 - left]
            if data[after - len(wanted) : after] != wanted:
                self._fail("no CRLF at the end of a chunk")
        self._left = left
        return after

    def _count_extension(self, length: int) -> None:
        """Count a chunk extension, as far as it is longer than its chunk (RFC 9112, 7.1.1)."""
        self._extension_bytes += max(0, length - self._left)
        if self._extension_bytes > MAX_HEAD:
            self.problem = AttemptFailed(Cause.TOO_LARGE, f"chunk extensions of more than {MAX_HEAD} bytes")
            self.ended = True

    def _begin_chunk(self, size: int) -> None:
        if size >= _LONGEST_CHUNK:
            self._fail("a chunk size beyond all bounds")
        elif size:
            self._left = size + 2
        else:
            self._trailing = True

    def _read_line(self, data: bytes, at: int, end: int) -> int:
        """Read a trailer line, or keep an incomplete line for later. Returns the index after it."""
        after = data.find(b"\n", at) + 1
        if (after or end) - at > MAX_LINE:
            self._fail(f"a line of more than {MAX_LINE} bytes between the chunks")
        elif not after:
            self._line_start = bytearray(data[at:])  # to which more is added in linear time
            return end
        elif not self._trailing:
            self._fail("not the size of a chunk")
        elif (line := data[at:after]) in (b"\r\n", b"\n"):
            self.ended = True
        else:
            self._add_trailer(line)
        return after or end

    def _add_trailer(self, line: bytes) -> None:
        self._trailer_bytes += len(line)
        self._trailer_lines += 1
        trailer = _TRAILER.fullmatch(line)
        if self._trailer_bytes > MAX_HEAD or self._trailer_lines > MAX_HEADERS:
            self._fail("too many trailers, or too long ones")
        elif trailer is not None:
            name, value = trailer.groups()
            if name.lower() in FRAMING_FIELDS:
                self._fail("a trailer that frames the body")
            self.trailers.append((name, value.strip(b" \t")))
        elif self.trailers and (folded := _FOLDED.fullmatch(line)) is not None:  # RFC 9112, 5.2
            name, value = self.trailers[-1]
            self.trailers[-1] = name, (value + b" " + folded[1].strip(b" \t")).strip(b" ")
        else:
            self._fail("not a trailer")

    def _fail(self, what: str) -> None:
        self.problem = not_http(what)
        self.ended = True

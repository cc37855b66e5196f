"""A body that broke off: whether the next attempt may go on with it, how it asks, and which answers are the rest of it.

Range says from where on (RFC 9110, 14.2), and If-Range that all of it is wanted if it has changed (13.1.5). What comes
with a 206 is joined to what is there only if both are parts of one thing for sure: the same strong validator
(15.3.7.3), the same coding, and a Content-Range (14.4) that begins where the other part ends. Else the body is begun
anew. A body that was joined counts as what it is, a 200 (15.3.7.3), with the headers of the 200 that began it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, Protocol

from multidict import istr

from fetchq.core.model import Cause
from fetchq.http.content_coding import codings_in
from fetchq.http.failure import AttemptFailed

if TYPE_CHECKING:
    from multidict import MultiMapping

    from fetchq.core.settings import Settings
    from fetchq.http.body import Intake
    from fetchq.http.hops import Hop

__all__ = ["LEAST", "Partial", "check_end", "goes_on", "left_of"]

LEAST = 1_048_576
"""Bytes of a body, as received, that are not worth asking for less of it; beyond them the next attempt goes on."""

_BROKE_OFF = frozenset({Cause.INCOMPLETE, Cause.TIMEOUT, Cause.TOO_SLOW})
_OF_THE_USER = frozenset({"range", "if-range"})
_ETAG, _ACCEPT_RANGES, _CONTENT_TYPE = istr("ETag"), istr("Accept-Ranges"), istr("Content-Type")
_CONTENT_RANGE, _CONTENT_ENCODING = istr("Content-Range"), istr("Content-Encoding")
_STRONG = re.compile(r'"[\x21\x23-\x7e]+"')
_PART = re.compile(r"bytes +([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)", re.IGNORECASE)


class Head(NamedTuple):
    """What is known of a response before its body comes."""

    status: int
    reason: str | None
    headers: MultiMapping[str]
    content_encoding: str | None


class Receiving(Protocol):
    """An attempt, as far as it matters here."""

    settings: Settings
    method: str
    """Of the first hop."""
    hop: Hop
    status: int | None
    reason: str | None
    headers: MultiMapping[str]
    content_encoding: str | None
    length: int | None
    """How many bytes of the body there are when this response has ended well, where that is known."""
    total: int | None
    """The complete length of a body that this response goes on with."""
    intake: Intake | None
    partial: Partial | None


def left_of(attempt: Receiving, cause: Cause) -> Partial | None:
    """What the next attempt can go on with, after this one has failed; None: it begins anew."""
    intake, hop, headers = attempt.intake, attempt.hop, attempt.headers
    if intake is None or intake.wire_size <= LEAST or intake.writing or cause not in _BROKE_OFF:
        return None
    if attempt.status != 200 or attempt.method != "GET":
        return None
    total = attempt.length if attempt.total is None else attempt.total
    if attempt.length is not None and intake.wire_size > attempt.length:
        return None  # more came than the part was said to have
    if total is not None and intake.wire_size >= total:
        return None
    tags = headers.getall(_ETAG, [])
    if len(tags) != 1 or not _STRONG.fullmatch(tags[0]) or _refuses_ranges(headers):
        return None
    if any(name.lower() in _OF_THE_USER for name in hop.headers):
        return None
    return Partial(intake, hop.text, tags[0], total, Head(200, attempt.reason, headers, attempt.content_encoding))


def _refuses_ranges(headers: MultiMapping[str]) -> bool:
    return any(value.strip(" \t").lower() == "none" for value in headers.getall(_ACCEPT_RANGES, []))


class Partial:
    """The beginning of a body, and of the 200 that it came with. It belongs to one attempt at a time."""

    __slots__ = ("_etag", "_total", "_url", "head", "intake")

    def __init__(self, intake: Intake, url: str, etag: str, total: int | None, head: Head) -> None:
        """`url`: where it came from, as the hop wrote it. `total`: the complete length, where it is known."""
        self.intake = intake
        self.head = head
        self._url = url
        self._etag = etag
        self._total = total

    def asked(self, hop: Hop) -> Hop:
        """The hop as it is to be sent: for the rest, where the beginning came from there."""
        if hop.text != self._url:
            return hop
        rest = {"Range": f"bytes={self.intake.wire_size}-", "If-Range": self._etag}
        return hop._replace(headers={**hop.headers, **rest})

    def part_in(self, hop: Hop, status: int, headers: MultiMapping[str], length: int | None) -> tuple[int, int] | None:
        """The answer of `hop` is the rest: where its part ends, in bytes of the body, and the body's complete length.

        None: it is an answer of its own. Raises `AttemptFailed`: `protocol` for a 206 that is not valid, and
        `incomplete`, so that the next attempt begins anew, for what does not fit.
        """
        if status not in (206, 416) or hop.text != self._url:
            return None
        if status == 416:
            raise _anew("the server has no such part")
        first, last, total = _part(headers, length)
        if first != self.intake.wire_size:
            raise _anew(f"byte {first} came where byte {self.intake.wire_size} was to come")
        # Also one without an ETag is none that shares it; and nobody knows whether its server has heeded If-Range.
        if headers.getall(_ETAG, []) != [self._etag]:
            raise _anew("its ETag is another one, or missing")
        # A 206 that answers If-Range may leave the coding out, but so does a server that codes no parts of bodies.
        if _codings(headers) != _codings(self.head.headers):
            raise _anew("its coding is another one")
        complete = total if self._total is None else self._total
        if complete is None or total not in (None, complete) or last >= complete:
            raise _anew(f"its length was {self._total or 'not told'}, and is {total or 'not told'}")
        return last + 1, complete

    def discard(self) -> None:
        """Nobody goes on with it."""
        self.intake.discard()


def goes_on(attempt: Receiving) -> bool:
    """Whether the response is the rest of the attempt's partial body, which the attempt then goes on with.

    Else it stands for itself. What nobody can go on with any more is discarded. Raises `AttemptFailed`.
    """
    partial, status = attempt.partial, attempt.status
    assert partial is not None
    assert status is not None
    if status >= 400 and status in attempt.settings.retry_on and status != 416:
        return False  # the server has not decided yet
    attempt.partial = None
    part: tuple[int, int] | None = None
    try:
        part = partial.part_in(attempt.hop, status, attempt.headers, attempt.length)
    finally:
        if part is None:
            partial.discard()
    if part is None:
        return False
    attempt.intake = partial.intake
    attempt.length, attempt.total = part
    attempt.status, attempt.reason, attempt.headers, attempt.content_encoding = partial.head
    attempt.intake.check_length(attempt.total, coded=attempt.content_encoding is not None)
    return True


def check_end(received: int, end: int, total: int | None) -> None:
    """A response has ended, as HTTP says. Raises `AttemptFailed` where the body has not.

    `received`: bytes of the whole body. `end`: those that there should be now. `total`: the complete length of a body
    that this response went on with; a server may send less of it than it was asked for.
    """
    if total is not None and received > end:
        raise _not_valid("more came than its Content-Range says")
    if received != (complete := end if total is None else total):
        raise AttemptFailed(Cause.INCOMPLETE, f"{received} bytes of {complete}")


def _part(headers: MultiMapping[str], length: int | None) -> tuple[int, int, int | None]:
    """First byte, last byte and complete length, as the head of a 206 tells them. Raises `AttemptFailed`."""
    ranges = headers.getall(_CONTENT_RANGE, [])
    if headers.get(_CONTENT_TYPE, "").strip(" \t").lower().startswith("multipart/byteranges"):
        raise _not_valid("several parts, though one was asked for")
    found = _PART.fullmatch(ranges[0].strip(" \t")) if len(ranges) == 1 else None
    if found is None:
        raise _not_valid("no Content-Range that can be read")
    first, last = int(found[1]), int(found[2])
    total = None if found[3] == "*" else int(found[3])
    if last < first or (total is not None and last >= total):
        raise _not_valid(f"the Content-Range {found[0]}")
    if length not in (None, last - first + 1):
        raise _not_valid(f"{length} bytes with the Content-Range {found[0]}")
    return first, last, total


def _codings(headers: MultiMapping[str]) -> list[str]:
    return codings_in(",".join(headers.getall(_CONTENT_ENCODING, [])))


def _not_valid(what: str) -> AttemptFailed:
    return AttemptFailed(Cause.PROTOCOL, f"not a valid 206: {what}")


def _anew(why: str) -> AttemptFailed:
    return AttemptFailed(Cause.INCOMPLETE, f"the body broke off and could not be continued: {why}")

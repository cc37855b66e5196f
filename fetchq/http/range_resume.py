"""Resumes a body that broke off: whether the next attempt may ask for the rest, and which responses are the rest.

The request for the rest has a Range, which says from which byte on (RFC 9110, 14.2), and an If-Range, which asks for
the whole body if it has changed (13.1.5). A 206 is combined with the first part only if both are certainly parts of one
representation: the same strong validator (15.3.7.3), the same content coding, and a Content-Range (14.4) that begins
where the first part ends. Otherwise the body starts over. A combined body is recorded with the status and headers of
the 200 that began it (15.3.7.3).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

from multidict import istr

from fetchq.core.model import Cause
from fetchq.http.content_coding import codings_in
from fetchq.http.failure import AttemptFailed
from fetchq.http.response import make_head

if TYPE_CHECKING:
    from multidict import MultiMapping

    from fetchq.core.settings import Settings
    from fetchq.http.body import ReceivedBody
    from fetchq.http.hops import Hop
    from fetchq.http.response import ResponseHead

__all__ = ["MIN_RESUMED", "Partial", "check_end", "combine_partial", "resumable_part"]

MIN_RESUMED = 1_048_576
"""Up to this many bytes, as received, a broken download starts over instead of resuming."""

_BROKE_OFF = frozenset({Cause.INCOMPLETE, Cause.TIMEOUT, Cause.TOO_SLOW})
_RANGE_HEADERS = frozenset({"range", "if-range"})
_ETAG, _ACCEPT_RANGES, _CONTENT_TYPE = istr("ETag"), istr("Accept-Ranges"), istr("Content-Type")
_CONTENT_RANGE, _CONTENT_ENCODING = istr("Content-Range"), istr("Content-Encoding")
_STRONG_ETAG = re.compile(r'"[\x21\x23-\x7e]+"')
_BYTE_RANGE = re.compile(r"bytes +([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)", re.IGNORECASE)


class Receiving(Protocol):
    """The attributes of an attempt that this module uses."""

    settings: Settings
    method: str
    """The method of the first hop."""
    hop: Hop
    response: ResponseHead
    body: ReceivedBody
    partial: Partial | None


def resumable_part(attempt: Receiving, cause: Cause) -> Partial | None:
    """The part of the body that the next attempt can resume; None if the body starts over."""
    body, hop, response = attempt.body, attempt.hop, attempt.response
    if body.wire_size <= MIN_RESUMED or body.writing or cause not in _BROKE_OFF:
        return None
    if response.status != 200 or attempt.method != "GET":
        return None
    total = response.length if response.total is None else response.total
    if response.length is not None and body.wire_size > response.length:
        return None  # more arrived than the Content-Range of the part says
    if total is not None and body.wire_size >= total:
        return None
    tags = response.headers.getall(_ETAG, [])
    if len(tags) != 1 or not _STRONG_ETAG.fullmatch(tags[0]) or _refuses_ranges(response.headers):
        return None
    if any(name.lower() in _RANGE_HEADERS for name in hop.headers):
        return None  # the user has asked for a range
    return Partial(body, hop.text, tags[0], total, response)


def _refuses_ranges(headers: MultiMapping[str]) -> bool:
    return any(value.strip(" \t").lower() == "none" for value in headers.getall(_ACCEPT_RANGES, []))


class Partial:
    """The beginning of a body, and the head of the 200 that it came with. One attempt at a time owns it."""

    __slots__ = ("_etag", "_total", "_url", "body", "response")

    def __init__(self, body: ReceivedBody, url: str, etag: str, total: int | None, response: ResponseHead) -> None:
        """`url`: the URL that the part came from. `total`: the complete length of the body, if it is known."""
        self.body = body
        self.response = response
        self._url = url
        self._etag = etag
        self._total = total

    def range_request(self, hop: Hop) -> Hop:
        """The hop as it is to be sent: a request for the rest, if the beginning came from the same URL."""
        if hop.text != self._url:
            return hop
        rest = {"Range": f"bytes={self.body.wire_size}-", "If-Range": self._etag}
        return hop._replace(headers={**hop.headers, **rest})

    def match(self, hop: Hop, response: ResponseHead) -> tuple[int, int] | None:
        """The end of the part in this response to `hop`, in bytes of the whole body, and the body's complete length.

        None if the response is not a part, but complete in itself. Raises `AttemptFailed`: `protocol` for an invalid
        206; `incomplete`, so that the next attempt starts over, for one that does not fit this part.
        """
        if response.status not in (206, 416) or hop.text != self._url:
            return None
        if response.status == 416:
            raise _start_over("the server has no such part")
        first, last, total = _content_range(response)
        if first != self.body.wire_size:
            raise _start_over(f"byte {first} came where byte {self.body.wire_size} was to come")
        # A 206 without an ETag does not show whether the server has evaluated If-Range.
        if response.headers.getall(_ETAG, []) != [self._etag]:
            raise _start_over("its ETag is another one, or missing")
        # After If-Range, a 206 may leave out Content-Encoding, but so does a server that does not encode parts.
        if _codings(response.headers) != _codings(self.response.headers):
            raise _start_over("its coding is another one")
        complete = total if self._total is None else self._total
        if complete is None or total not in (None, complete) or last >= complete:
            raise _start_over(f"its length was {self._total or 'not told'}, and is {total or 'not told'}")
        return last + 1, complete

    def discard(self) -> None:
        """Free the beginning of the body: no attempt resumes it."""
        self.body.discard()


def combine_partial(attempt: Receiving) -> bool:
    """Continue the attempt's partial body if the response is the rest of it. Returns whether it is.

    Otherwise the response is complete in itself, and the partial body is discarded unless a later attempt can resume
    it. Raises `AttemptFailed`.
    """
    partial, response = attempt.partial, attempt.response
    assert partial is not None
    assert response.status is not None
    if response.status >= 400 and response.status in attempt.settings.retry_on and response.status != 416:
        return False  # a later attempt may still resume
    attempt.partial = None
    part: tuple[int, int] | None = None
    try:
        part = partial.match(attempt.hop, response)
    finally:
        if part is None:
            partial.discard()
    if part is None:
        return False
    (end, total), begun = part, partial.response
    attempt.body = partial.body
    attempt.response = make_head(
        begun.status, begun.reason, begun.headers, response.http_version, end, response.framed, total
    )
    partial.body.check_length(total, coded=partial.body.content_encoding is not None)
    return True


def check_end(received: int, end: int, total: int | None) -> None:
    """Raise `AttemptFailed` if a message has ended by the rules of HTTP, but the body is not complete.

    `received`: bytes of the whole body so far. `end`: how many there should be now. `total`: the complete length of the
    body, if this response continues one; a server may send less than it was asked for.
    """
    if total is not None and received > end:
        raise _not_valid("more came than its Content-Range says")
    if received != (complete := end if total is None else total):
        raise AttemptFailed(Cause.INCOMPLETE, f"{received} bytes of {complete}")


def _content_range(response: ResponseHead) -> tuple[int, int, int | None]:
    """The first byte, the last byte and the complete length from a 206's Content-Range. Raises `AttemptFailed`."""
    headers, length = response.headers, response.length
    ranges = headers.getall(_CONTENT_RANGE, [])
    if headers.get(_CONTENT_TYPE, "").strip(" \t").lower().startswith("multipart/byteranges"):
        raise _not_valid("several parts, though one was asked for")
    found = _BYTE_RANGE.fullmatch(ranges[0].strip(" \t")) if len(ranges) == 1 else None
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


def _start_over(why: str) -> AttemptFailed:
    return AttemptFailed(Cause.INCOMPLETE, f"the body broke off and could not be continued: {why}")

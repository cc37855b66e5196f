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
from fetchq.http.failure import AttemptFailed
from fetchq.http.part_source import codings_of, part_source
from fetchq.http.response import head_of

if TYPE_CHECKING:
    from multidict import MultiMapping

    from fetchq.core.settings import Settings
    from fetchq.http.body import ReceivedBody
    from fetchq.http.hop import Hop
    from fetchq.http.part_source import PartSource
    from fetchq.http.response import ResponseHead

__all__ = ["MIN_RESUMED", "Partial", "check_end", "combine_partial", "resumable_part"]

MIN_RESUMED = 1_048_576
"""Up to this many bytes, as received, a broken download starts over instead of resuming."""

_BROKE_OFF = frozenset({Cause.INCOMPLETE, Cause.TIMEOUT, Cause.TOO_SLOW})
_ETAG, _LAST_MODIFIED = istr("ETag"), istr("Last-Modified")
_CONTENT_RANGE, _CONTENT_TYPE = istr("Content-Range"), istr("Content-Type")
_BYTE_RANGE = re.compile(r"bytes +([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)", re.IGNORECASE)


class Receiving(Protocol):
    """The attributes of an attempt that this module uses."""

    settings: Settings
    method: str
    """The method of the first hop."""
    hop: Hop
    redirects: int
    response: ResponseHead
    body: ReceivedBody
    partial: Partial | None
    continued: Partial | None


def resumable_part(attempt: Receiving, cause: Cause) -> Partial | None:
    """The part of the body that the next attempt can resume; None if the body starts over."""
    body, response = attempt.body, attempt.response
    if body.wire_size <= MIN_RESUMED or body.writing or cause not in _BROKE_OFF:
        return None
    if response.length is not None and body.wire_size > response.length:
        return None  # more arrived than the Content-Range of the part says
    source = part_source(attempt)
    if source is None or (source.total is not None and body.wire_size >= source.total):
        return None
    return Partial(body, source, response)


class Partial:
    """The beginning of a body, and the head of the 200 that it came with. One attempt at a time owns it."""

    __slots__ = ("body", "ranges_unusable", "response", "size", "source", "wire_size")

    def __init__(self, body: ReceivedBody, source: PartSource, response: ResponseHead) -> None:
        self.body = body
        self.source = source
        self.response = response
        self.size, self.wire_size = body.size, body.wire_size
        """The size of the part: decoded, and as received. Those of `body` grow when an attempt continues it."""
        self.ranges_unusable = False
        """Whether the server has shown that it gives no usable parts, so that the row must be fetched whole."""

    def range_request(self, hop: Hop, redirects: int = 0) -> Hop:
        """The hop as it is to be sent: a request for the rest, if the hop may give it."""
        if not self.source.fits(hop, redirects):
            return hop
        rest = {"Range": f"bytes={self.wire_size}-", "If-Range": self.source.if_range}
        return hop._replace(headers={**hop.headers, **rest})

    def match(self, hop: Hop, response: ResponseHead, redirects: int = 0) -> tuple[int, int] | None:
        """The end of the part in this response to `hop`, in bytes of the whole body, and the body's complete length.

        None if the response is not a part, but complete in itself. Raises `AttemptFailed`: `protocol` for an invalid
        206; `incomplete`, so that the next attempt starts over, for one that does not fit this part.
        """
        source = self.source
        if response.status not in (206, 416) or not source.fits(hop, redirects):
            return None
        if response.status == 416:
            raise _start_over("the server has no such part")
        # After If-Range, a 206 may leave out Content-Encoding, but so does a server that does not encode parts. Others
        # encode the part alone (Caddy 2.6), with the ETag and the Content-Range of the plain file.
        if codings_of(response.headers) != source.codings:
            self.ranges_unusable = True
            raise _start_over("its coding is another one")
        first, last, total = _content_range(response)
        if response.length not in (None, last - first + 1):
            if not source.codings:
                raise _not_valid(f"{response.length} bytes for the bytes {first} to {last}")
            self.ranges_unusable = True
            raise _start_over("its Content-Range does not count the encoded bytes")
        if first != self.wire_size:
            self.ranges_unusable = True
            raise _start_over(f"byte {first} came where byte {self.wire_size} was to come")
        self._check_validators(response.headers)
        complete = total if source.total is None else source.total
        same_length = bool(source.codings) or not source.is_from(hop)  # then, only the same length shows that it fits
        if complete is None or (total != complete and (total is not None or same_length)) or last >= complete:
            raise _start_over(f"its length was {source.total or 'not told'}, and is {total or 'not told'}")
        return last + 1, complete

    def _check_validators(self, headers: MultiMapping[str]) -> None:
        """Raise `AttemptFailed` unless a 206 has the validators of this part.

        Without them, it does not show whether the server has evaluated If-Range.
        """
        source = self.source
        tags, dates = headers.getall(_ETAG, []), headers.getall(_LAST_MODIFIED, [])
        if not source.by_etag and dates != [source.if_range]:
            self.ranges_unusable = not dates
            raise _start_over("its Last-Modified is another one, or missing")
        if tags != [*source.etags]:
            self.ranges_unusable = not tags
            raise _start_over("its ETag is another one, or missing")

    def discard(self) -> None:
        """Free the beginning of the body: no attempt resumes it."""
        self.body.discard()

    def suspend(self) -> str | None:
        """Free it, but for the part that a later session may resume. Returns the path of that part, or None."""
        return self.body.suspend()


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
    attempt.partial, attempt.continued = None, partial
    part: tuple[int, int] | None = None
    try:
        part = partial.match(attempt.hop, response, attempt.redirects)
    finally:
        if part is None:
            partial.discard()
    if part is None:
        attempt.continued = None
        return False
    (end, total), begun = part, partial.response
    attempt.body = partial.body
    attempt.response = head_of(
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
    headers = response.headers
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
    return first, last, total


def _not_valid(what: str) -> AttemptFailed:
    return AttemptFailed(Cause.PROTOCOL, f"not a valid 206: {what}")


def _start_over(why: str) -> AttemptFailed:
    return AttemptFailed(Cause.INCOMPLETE, f"the body broke off and could not be continued: {why}")

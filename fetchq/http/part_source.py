"""Describes where a part of a body came from, and which later response may be the rest of it (RFC 9110, 13.1.5)."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple, Protocol

from multidict import istr

from fetchq.http.content_coding import codings_in
from fetchq.http.dates import http_date

if TYPE_CHECKING:
    from multidict import MultiMapping

    from fetchq.http.hop import Hop
    from fetchq.http.response import ResponseHead

__all__ = ["PartSource", "codings_of", "part_source"]

_RANGE_HEADERS = frozenset({"range", "if-range"})
_ETAG, _ACCEPT_RANGES, _CONTENT_ENCODING = istr("ETag"), istr("Accept-Ranges"), istr("Content-Encoding")
_LAST_MODIFIED, _DATE, _AGE, _VIA = istr("Last-Modified"), istr("Date"), istr("Age"), istr("Via")
_STRONG_ETAG = re.compile(r'"[\x21\x23-\x7e]+"')
_DATE_TEXT = re.compile(r"[ -~]{1,64}")


class Receiving(Protocol):
    """The attributes of an attempt that this module uses."""

    method: str
    """The method of the first hop."""
    hop: Hop
    redirects: int
    response: ResponseHead


class PartSource(NamedTuple):
    """Where a part of a body came from, and what the response with the rest must have in common with it."""

    url_sha256: str
    """The URL, hashed, since a part on the disk must not reveal a signature in it."""
    address: str
    """The URL without its query."""
    redirected: bool
    """Whether redirects led to the URL."""
    if_range: str
    """The strong validator: an ETag or a Last-Modified."""
    etags: tuple[str, ...]
    """The ETag headers that came with the part; a weak one only counts together with a Last-Modified."""
    codings: tuple[str, ...]
    total: int | None
    """The complete length of the body, if it is known."""

    def is_from(self, hop: Hop) -> bool:
        """Whether the part came from the URL of this hop."""
        return _hashed(hop.target.text) == self.url_sha256

    def fits(self, hop: Hop, redirects: int) -> bool:
        """Whether the rest may come from this hop, which so many redirects led to.

        It is the same URL, or one with another query that the same request was redirected to: a redirect to a storage
        service is often signed anew each time. Then the ETag and the complete length must be the same.
        """
        if self.is_from(hop):
            return True
        same_path = self.redirected and redirects > 0 and _address(hop) == self.address
        return same_path and self.total is not None and self.by_etag

    @property
    def by_etag(self) -> bool:
        """Whether the validator is an ETag."""
        return self.if_range.startswith('"')


def part_source(attempt: Receiving) -> PartSource | None:
    """The source of the attempt's body; None if a later attempt could not ask for the rest of it."""
    hop, response = attempt.hop, attempt.response
    headers = response.headers
    if response.status != 200 or attempt.method != "GET" or _refuses_ranges(headers):
        return None
    if any(name.lower() in _RANGE_HEADERS for name in hop.headers):
        return None  # the user has asked for a range
    total, codings = response.length if response.total is None else response.total, codings_of(headers)
    if codings and total is None:
        return None  # a Content-Range would not tell whether it counts encoded bytes
    tags = tuple(headers.getall(_ETAG, ()))
    if len(tags) == 1 and _STRONG_ETAG.fullmatch(tags[0]):
        if_range: str | None = tags[0]
    else:
        if_range = _strong_date(headers) if not codings and len(tags) < 2 else None
    if if_range is None:
        return None
    return PartSource(_hashed(hop.target.text), _address(hop), attempt.redirects > 0, if_range, tags, codings, total)


def codings_of(headers: MultiMapping[str]) -> tuple[str, ...]:
    """The content codings of a response, in the order in which they were applied."""
    return tuple(codings_in(",".join(headers.getall(_CONTENT_ENCODING, []))))


def _refuses_ranges(headers: MultiMapping[str]) -> bool:
    return any(value.strip(" \t").lower() == "none" for value in headers.getall(_ACCEPT_RANGES, []))


def _strong_date(headers: MultiMapping[str]) -> str | None:
    """The Last-Modified header if it is a strong validator (RFC 9110, 8.8.2.2); else None.

    It is, if the response was made at least a second after the last change, by the same clock. Behind a cache or a
    gateway the clocks may differ, so that a minute is needed.
    """
    changed, made = headers.getall(_LAST_MODIFIED, []), headers.getall(_DATE, [])
    if len(changed) != 1 or len(made) != 1 or not _DATE_TEXT.fullmatch(changed[0]):
        return None
    before, after = http_date(changed[0]), http_date(made[0])
    least = 60.0 if _AGE in headers or _VIA in headers else 1.0
    return changed[0] if before is not None and after is not None and after - before >= least else None


def _hashed(url: str) -> str:
    return sha256(url.encode("utf-8", "surrogatepass")).hexdigest()


def _address(hop: Hop) -> str:
    url = hop.url
    return f"{url.scheme}://{url.raw_host}:{url.port}{url.raw_path}"

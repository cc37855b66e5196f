"""Resolves the Location of a redirect to the URL that it leads to (RFC 9110, 10.2.2)."""

from __future__ import annotations

import re
from urllib.parse import quote_from_bytes

from fetchq.core.model import Cause
from fetchq.http.url import SCHEME, Refused, Target, parse_url

__all__ = ["REDIRECTS", "redirect_target"]

REDIRECTS = frozenset({301, 302, 303, 307, 308})
"""The statuses of the redirects that are followed."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def redirect_target(base: str, locations: list[str]) -> Target:
    """The target of a redirect from the URL `base`. `locations`: the values of the response's Location headers.

    Raises `Refused`: `redirect` for a missing or malformed Location, `blocked` for a scheme other than http and https.
    """
    if not locations:
        raise Refused(Cause.REDIRECT, "a redirect without a Location")
    if len(set(locations)) > 1:
        raise Refused(Cause.REDIRECT, "a redirect with several Locations")
    text = _readable(locations[0]).strip(" \t")
    if not text:
        raise Refused(Cause.REDIRECT, "a redirect with an empty Location")
    if _CONTROL.search(text):
        raise Refused(Cause.REDIRECT, "a redirect whose Location has a control character")
    text = _joined(base, text.replace(" ", "%20"))
    scheme = SCHEME.match(text)
    # A "scheme" with a dot in it is more likely a host whose http:// is missing.
    if scheme is not None and scheme[1].lower() not in ("http", "https") and "." not in scheme[1]:
        raise Refused(Cause.BLOCKED, f"a redirect to the scheme {scheme[1].lower()}:, which is not allowed")
    try:
        return parse_url(text)
    except Refused as problem:
        raise Refused(Cause.REDIRECT, f"a redirect with a malformed Location: {problem.message}") from None


def _joined(base: str, reference: str) -> str:
    """`reference` resolved against `base` (RFC 3986, 5.2.2), dot segments included; urljoin drops empty segments."""
    if SCHEME.match(reference):
        return reference
    scheme, _, rest = base.partition("://")
    if reference.startswith("//"):
        return f"{scheme}:{reference}"
    path = rest.partition("?")[0]
    host = path.partition("/")[0]
    if reference.startswith("/"):
        return f"{scheme}://{host}{reference}"
    if reference.startswith("?"):
        return f"{scheme}://{path}{reference}"
    if reference.startswith("#"):
        return f"{base}{reference}"
    return f"{scheme}://{path.rpartition('/')[0] or host}/{reference}"


def _readable(location: str) -> str:
    """A Location with its non-ASCII bytes decoded as UTF-8 or, if they are not valid UTF-8, percent-encoded."""
    if location.isascii():
        return location
    raw = location.encode("utf-8", "surrogateescape")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return quote_from_bytes(raw, safe="!#$%&'()*+,/:;=?@[]~")

"""Resolves the Location of a redirect to the URL that it leads to (RFC 9110, 10.2.2).

A Location is read as browsers read it, by the URL standard of the WHATWG (https://url.spec.whatwg.org), section 4.4,
since that is what servers are tried with: it takes `\\` for `/`, and any number of slashes after the scheme.
"""

from __future__ import annotations

import re
from urllib.parse import quote_from_bytes

from fetchq.core.model import Cause
from fetchq.core.text import redact_all
from fetchq.http.beside_url import scheme_name
from fetchq.http.target import Target
from fetchq.http.url import SCHEME, Refused, parse_url

__all__ = ["REDIRECTS", "redirect_target"]

REDIRECTS = frozenset({301, 302, 303, 307, 308})
"""The statuses of the redirects that are followed."""

_AROUND = "".join(map(chr, range(0x21)))
"""The C0 controls and the space, which the standard removes from both ends."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_INSIDE = re.compile(r"[\t\n\r]")
"""Characters that the standard removes wherever they are."""
_DOTS = re.compile(r"(?<![^/])(?:\.|%2e){1,2}(?![^/])", re.IGNORECASE)
"""A segment that is `.` or `..`, perhaps percent-encoded."""
_LONGEST = 16_384
"""Characters of the longest Location that is followed. Servers refuse longer URLs (414), most of them from 8 KB on."""
_SHOWN = 200
"""Characters of a Location that an error shows."""


def redirect_target(base: str, locations: list[str]) -> Target:
    """The target of a redirect from the URL `base`. `locations`: the values of the response's Location headers.

    Raises `Refused`: `redirect` for a malformed Location, or several; `blocked` for a scheme other than http and https.
    """
    if len(set(locations)) > 1:
        raise Refused(Cause.REDIRECT, "a redirect with several Locations")
    if len(locations[0]) > _LONGEST:
        raise Refused(Cause.REDIRECT, f"a redirect with a Location of more than {_LONGEST} characters")
    readable = _readable(locations[0])
    text = _INSIDE.sub("", readable.strip(_AROUND))
    if _CONTROL.search(text):
        raise Refused(Cause.REDIRECT, f"a redirect whose Location has a control character: {_shown(readable)}")
    scheme = SCHEME.match(text)
    # A "scheme" with a dot in it is more likely a host whose http:// is missing.
    if scheme is not None and scheme[1].lower() not in ("http", "https") and "." not in scheme[1]:
        what = f"a redirect to {scheme_name(scheme[1], text)}, which is not allowed"
        raise Refused(Cause.BLOCKED, f"{what}: {_shown(readable)}")
    try:
        return parse_url(_joined(base, text).replace(" ", "%20"))
    except Refused as problem:
        raise Refused(
            Cause.REDIRECT, f"a redirect with a malformed Location, {problem.message}: {_shown(readable)}"
        ) from None


def _joined(base: str, reference: str) -> str:
    """`reference` resolved against `base`, but for dot segments. urljoin would drop empty segments."""
    base = base.partition("#")[0]
    scheme, _, rest = base.partition("://")
    if (found := SCHEME.match(reference)) is not None:
        if "." in found[1]:
            return reference
        own, reference = found[1].lower(), _plain_path(reference[found.end() :])
        if own != scheme.lower() or reference.startswith("//"):
            return f"{own}://{reference.lstrip('/')}"
        # The same scheme and less than two slashes: the rest is a relative reference.
    else:
        reference = _plain_path(reference)
    if reference.startswith("//"):
        return f"{scheme}://{reference.lstrip('/')}"
    path = rest.partition("?")[0]
    host = path.partition("/")[0]
    if reference.startswith("/"):
        return f"{scheme}://{host}{reference}"
    if reference.startswith("?"):
        return f"{scheme}://{path}{reference}"
    if reference.startswith("#") or not reference:
        return f"{base}{reference}"
    return f"{scheme}://{path.rpartition('/')[0] or host}/{reference}"


def _plain_path(reference: str) -> str:
    r"""`reference` with `/` for each `\`, and `.` for `%2e` in dot segments, before the query and the fragment."""
    if "\\" not in reference and "%2" not in reference:
        return reference
    path = re.split("[?#]", reference, maxsplit=1)[0]
    return _DOTS.sub(_dots, path.replace("\\", "/")) + reference[len(path) :]


def _dots(segment: re.Match[str]) -> str:
    return segment[0].lower().replace("%2e", ".")


def _shown(location: str) -> str:
    """A Location for an error message, without passwords. The message is made printable elsewhere."""
    return redact_all(location)[:_SHOWN]


def _readable(location: str) -> str:
    """A Location with its non-ASCII bytes decoded as UTF-8 or, if they are not valid UTF-8, percent-encoded."""
    if location.isascii():
        return location
    raw = location.encode("utf-8", "surrogateescape")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return quote_from_bytes(raw, safe="!#$%&'()*+,/:;=?@[]~")

"""Which URLs may be reached: the scheme, the host and the port, checked before anything is sent.

`parse_url` is the only way from text to a URL, for input rows and for redirects alike.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from base64 import b64encode
from functools import lru_cache
from typing import NamedTuple

from yarl import URL

from fetchq.model import Cause

__all__ = ["Refused", "Target", "basic_auth", "origin", "parse_url"]

# Already in the form that goes over the wire (RFC 3986): taken to the letter, since signed URLs depend on it.
_PLAIN = re.compile(
    r"https?://([a-z0-9][a-z0-9.-]*)(?::([0-9]{1,5}))?"
    r"(?:[/?][A-Za-z0-9\-._~!$&'()*+,;=:@/?%]*)?"
)
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f-\x9f\ud800-\udfff]")
_NAME = re.compile(r"(?:[a-z0-9_~-]{1,63}\.)*[a-z0-9_~-]{1,63}\.?")
_NUMERIC = re.compile(r"(?:[0-9]+|0x[0-9a-f]*)\.?")


class Refused(Exception):
    """The URL is not fetched."""

    def __init__(self, cause: Cause, message: str) -> None:
        super().__init__(message)
        self.cause = cause
        self.message = message


class Target(NamedTuple):
    """Where a request goes."""

    url: URL
    """Absolute, http or https, without userinfo and fragment."""
    text: str
    """The same, as it is written."""
    authorization: str | None
    """The Authorization header that the URL's userinfo asks for."""


def parse_url(text: str) -> Target:
    """The Target that `text` names. Raises `Refused`: `invalid_url`, or `blocked` for a scheme that is not HTTP."""
    match = _PLAIN.fullmatch(text)
    if match is not None and "/." not in text and ("%" not in text or not _BAD_PERCENT.search(text)):
        host = _canonical_host(match[1])
        if host == match[1] and 0 < int(match[2] or 80) < 65536:
            return Target(URL(text, encoded=True), text, None)
    return _parse_other(text)


def basic_auth(user: str, password: str) -> str:
    """The Authorization header of RFC 7617, in UTF-8."""
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode("ascii")


def origin(url: URL) -> tuple[str, str | None, int | None]:
    """Scheme, host and port (RFC 6454): what a redirect must not leave with secrets."""
    return url.scheme, url.raw_host, url.port


def _parse_other(text: str) -> Target:
    if (found := _FORBIDDEN.search(text)) is not None:
        raise Refused(Cause.INVALID_URL, f"the URL contains {_shown(found[0])}")
    if (scheme := _SCHEME.match(text)) is None or not text[scheme.end() :].startswith("//"):
        # "example.org:80/" and "localhost:80" look like schemes, but a person forgot the http://.
        if scheme is not None and not re.match(r"https?:|[^:]*\.|[^:]+:\d", text, re.IGNORECASE):
            raise Refused(Cause.BLOCKED, f"the scheme {scheme[1].lower()}: is not allowed")
        raise Refused(Cause.INVALID_URL, "the URL has no http:// or https://")
    if scheme[1].lower() not in ("http", "https"):
        raise Refused(Cause.BLOCKED, f"the scheme {scheme[1].lower()}: is not allowed")
    try:
        url = URL(text)
        name, port = url.raw_host, url.port
        user, password = url.user, url.password
    except (ValueError, IndexError) as problem:  # yarl raises IndexError for http://[]@
        raise Refused(Cause.INVALID_URL, _one_line(problem)) from None
    if not name:
        raise Refused(Cause.INVALID_URL, "the URL has no host")
    if not port:
        raise Refused(Cause.INVALID_URL, "port 0 cannot be reached")
    host = _canonical_host(name)
    if host is None:
        raise Refused(Cause.INVALID_URL, "the host is neither a name nor an address")
    authorization = None if user is None and password is None else basic_auth(user or "", password or "")
    url = url.with_user(None).with_fragment(None)
    if host != name:
        url = url.with_host(host)
    return Target(url, str(url), authorization)


@lru_cache(4096)
def _canonical_host(host: str) -> str | None:
    """The host as it is dialled, or None when it is none. 127.1 and 0x7f000001 are 127.0.0.1, as inet_aton has it."""
    if ":" in host:
        try:
            return None if "%" in host else str(ipaddress.IPv6Address(host))
        except ValueError:
            return None
    if not _NAME.fullmatch(host) or len(host) > 254:
        return None
    labels = host.removesuffix(".").split(".")
    if _NUMERIC.fullmatch(labels[-1]):
        try:
            return str(ipaddress.IPv4Address(socket.inet_aton(".".join(labels))))
        except OSError:
            return None
    return host


def _shown(character: str) -> str:
    return "a space" if character == " " else f"the character U+{ord(character):04X}"


def _one_line(problem: Exception) -> str:
    return " ".join(str(problem).split())[:200]

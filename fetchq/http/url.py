"""Parses URLs and checks their scheme, host and port before anything is sent.

Only `parse_url` makes a Target from text, for input rows and redirects alike. It leaves the legal characters of a URL
unchanged, since signed URLs depend on their spelling.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from base64 import b64decode
from contextlib import suppress
from functools import lru_cache
from urllib.parse import unquote

from yarl import URL

from fetchq.core.known import Known, bounded
from fetchq.core.model import Cause
from fetchq.core.request_parts import basic_auth
from fetchq.core.text import redact, redact_all
from fetchq.http.beside_url import beside_url, scheme_name
from fetchq.http.international import domain_to_ascii
from fetchq.http.target import Origin, Target

__all__ = [
    "SCHEME",
    "Refused",
    "basic_auth",
    "dns_name",
    "host_of",
    "login_without_password",
    "origin",
    "parse_url",
    "shown_url",
]

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
"""The scheme at the beginning of a URL, which a relative reference lacks (RFC 3986, 3.1)."""

_IN_PATH = r"A-Za-z0-9\-._~!$&'()*+,;=:@/\[\]"
"""The characters of a path that are kept as they are: those of RFC 3986, 3.3, and the brackets of `?a[]=1`, which curl,
wget and browsers do not encode either."""
_LEGAL = _IN_PATH + "?"
_PLAIN_ORIGIN = re.compile(r"(https?)://(([a-z0-9][a-z0-9.-]*)(?::([0-9]{1,5}))?)")
"""An origin that needs no change. Groups: scheme, authority, host, port."""
_REST = re.compile(rf"/[{_IN_PATH}%]*+(?:\?[{_LEGAL}%]*+)?")
"""A path and a query that need no change, unless a % in them does."""
_ILLEGAL = re.compile(rf"[^{_LEGAL}%]|%(?![0-9A-Fa-f]{{2}})")
_STRAY_PERCENT = re.compile("%(?![0-9A-Fa-f]{2})")
_ENCODED = [chr(one) if re.match(f"[{_LEGAL}%]", chr(one)) else f"%{one:02X}" for one in range(128)]
_ENCODED += [f"%{one:02X}" for one in range(128, 256)]
"""How a path or a query has each byte of UTF-8."""
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f-\x9f\ud800-\udfff]")
_NAME = re.compile(r"(?:[a-z0-9_~-]{1,63}\.)*[a-z0-9_~-]{1,63}\.?")
_LONGEST_PREFIX = 300
"""Characters of the longest scheme and host, with a port, that are remembered."""
_LONGEST_NAME = 254
"""Characters of the longest valid name, with a dot at its end. Longer ones are not cached, to save memory."""
_LONGEST_HOST = 3_000
"""Characters of the longest host that is decoded: a name, percent-encoded, with characters that are ignored."""
_NUMERIC = re.compile(r"(?:[0-9]+|0x[0-9a-f]*)\.?")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
_DOTS = re.compile(r"(?:^|/)\.\.?(?:/|$)")


class Refused(Exception):
    """A request is not sent: its URL is invalid or not allowed, its host was given up, or the run has ended."""

    def __init__(self, cause: Cause, message: str) -> None:
        super().__init__(message)
        self.cause = cause
        self.message = message


def parse_url(text: str) -> Target:
    """Parse a URL. Raises `Refused`: `invalid_url`, or `blocked` for a scheme other than http and https."""
    end = text.find("/", 8)
    plain = _plain_origins[text if end < 0 else text[:end]]
    if plain is None or "/." in text or ("%" in text and _ILLEGAL.search(text)):
        return _parse_other(text)
    if end < 0:
        return Target(plain, text, "/")
    return Target(plain, text, text[end:]) if _REST.fullmatch(text, end) else _parse_other(text)


def _plain_origin(prefix: str) -> Origin | None:
    """The origin of the URLs that begin with `prefix`, all up to their path; None if that may need a change."""
    match = _PLAIN_ORIGIN.fullmatch(prefix)
    if match is None:
        return None
    scheme, authority, host, port = match.groups("")
    if len(host) > _LONGEST_NAME or _canonical(host) != host or not 0 < int(port or 80) < 65536:
        return None
    return Origin(scheme, authority)


_plain_origins = Known(_plain_origin, most=4096, longest=_LONGEST_PREFIX)


def shown_url(text: str) -> str:
    """The URL without its userinfo. Of what cannot be parsed, all between the scheme and the last @ is replaced."""
    if "@" not in text:
        return text
    try:
        parse_url(text)
    except Refused:
        return redact_all(text)
    return redact(text)


def login_without_password(authorization: str) -> str | None:
    """The login in an Authorization header of `basic_auth` whose password is empty; None if it has one."""
    login, _, password = (
        b64decode(authorization.removeprefix("Basic ")).decode("utf-8", "surrogateescape").partition(":")
    )
    return None if password else login


def origin(url: URL) -> tuple[str, str | None, int | None]:
    """The scheme, host and port of a URL (RFC 6454). Secrets are not sent to another origin after a redirect."""
    return url.scheme, url.raw_host, url.port


def dns_name(host: str) -> str:
    """The name for a DNS query: IDNA-encoded, in lower case, without the final dot. Raises `Refused`."""
    return _in_ascii(host).rstrip(".")


def _host(prefix: str) -> str:
    scheme, _, rest = prefix.lower().partition("://")
    for end in "?#":
        rest = rest.partition(end)[0]
    host = rest.rpartition("@")[2].rstrip(".")
    if not host.isascii() or "%" in host:
        with suppress(Refused):
            host = "".join(_host_and_port(host))
    return bounded(f"{scheme}://{host.removesuffix(_DEFAULT_PORTS.get(scheme, ' '))}", _LONGEST_PREFIX)


_hosts = Known(_host, most=20_000, longest=_LONGEST_PREFIX)


def host_of(url: str) -> str:
    """The scheme, host and port of a URL as one text, such as `http://example.org:81`; any text for an invalid URL."""
    end = url.find("/", 8)
    return _hosts[url if end < 0 else url[:end]]


def _parse_other(text: str) -> Target:
    if (found := _FORBIDDEN.search(text)) is not None:
        raise _invalid(beside_url(text) or f"the URL contains {_shown(found[0])}")
    scheme = _scheme_of(text)
    authority, rest = _split(text)
    if "\\" in authority:  # browsers read it as a slash, so that the host would depend on the program
        raise _invalid("there is a backslash before the path")
    userinfo, _, place = authority.rpartition("@")
    host, port = _host_and_port(place)
    rest = _path_and_query(rest)
    text = f"{scheme}://{host}{port}{rest}"
    origin_form = rest if rest.startswith("/") else f"/{rest}"
    authorization = _authorization(userinfo) if userinfo else None
    return Target(Origin(scheme, f"{host}{port}"), text, origin_form, authorization, URL(text, encoded=True))


def _scheme_of(text: str) -> str:
    scheme = SCHEME.match(text)
    if scheme is not None and scheme[1].lower() in ("http", "https") and text[scheme.end() :].startswith("//"):
        return scheme[1].lower()
    # "example.org:80/" and "localhost:80" look like schemes, but a person forgot the http://.
    if scheme is not None and not re.match(r"https?:|[^:]*\.|[^:]+:\d", text, re.IGNORECASE):
        raise Refused(Cause.BLOCKED, f"{scheme_name(scheme[1], text)} is not allowed")
    raise _invalid(beside_url(text) or "the URL has no http:// or https://")


def _split(text: str) -> tuple[str, str]:
    """The authority, and the path with the query. The fragment is dropped, since it is not sent."""
    after = text.split("://", 1)[1].partition("#")[0]
    end = min((at for at in (after.find("/"), after.find("?")) if at >= 0), default=len(after))
    return after[:end], after[end:]


def _host_and_port(place: str) -> tuple[str, str]:
    host, colon, port = place.rpartition(":") if not place.endswith("]") else (place, "", "")
    if not colon:
        host, port = place, ""
    if port and not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 65536):
        raise _invalid("port 0 cannot be reached" if port == "0" else "the port is not a number from 1 to 65535")
    if not host:
        raise _invalid("the URL has no host")
    if len(host) > _LONGEST_HOST:
        raise _invalid("the host is longer than any name")
    if host.startswith("["):
        if not host.endswith("]"):
            raise _invalid("the IPv6 address has no closing bracket")
        canonical = _canonical_address(host[1:-1])
    else:
        canonical = _canonical_host(_in_ascii(_percent_decoded(host)))
    if canonical is None:
        raise _invalid("the host is neither a name nor an address")
    return canonical, f":{port}" if port else ""


def _in_ascii(host: str) -> str:
    """The name in ASCII (IDNA-encoded), in lower case."""
    if host.isascii():
        return host.lower()
    encoded = domain_to_ascii(host)
    if encoded is None:
        raise _invalid("the host is not a name that DNS could have")
    return encoded


def _percent_decoded(host: str) -> str:
    """The host without percent-encoding, which stands for UTF-8 (RFC 3986, 3.2.2)."""
    try:
        return unquote(host, errors="strict")
    except UnicodeDecodeError:
        raise _invalid("the host is not a name that DNS could have") from None


def _path_and_query(rest: str) -> str:
    """Path and query with illegal characters percent-encoded, and dot segments removed (RFC 3986, 5.2.4)."""
    if _ILLEGAL.search(rest):
        rest = "".join(map(_ENCODED.__getitem__, _STRAY_PERCENT.sub("%25", rest).encode()))
    path, mark, query = rest.partition("?")
    if _DOTS.search(path):
        path = _without_dots(path)
    return f"{path}{mark}{query}"


def _without_dots(path: str) -> str:
    resolved: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            del resolved[-1:]
        elif segment != ".":
            resolved.append(segment)
    if segments[-1] in (".", ".."):
        resolved.append("")
    return "/" + "/".join(resolved)


def _authorization(userinfo: str) -> str:
    user, _, password = userinfo.partition(":")
    return basic_auth(unquote(user), unquote(password))


def _canonical_host(host: str) -> str | None:
    """The canonical form of a host; None if it is invalid. 127.1 and 0x7f000001 are 127.0.0.1 (inet_aton)."""
    return _canonical(host) if len(host) <= _LONGEST_NAME else None


@lru_cache(4096)
def _canonical(host: str) -> str | None:
    if not _NAME.fullmatch(host):
        return None
    labels = host.removesuffix(".").split(".")
    if _NUMERIC.fullmatch(labels[-1]):
        try:
            return str(ipaddress.IPv4Address(socket.inet_aton(".".join(labels))))
        except OSError:
            return None
    return host


def _canonical_address(address: str) -> str | None:
    """An IPv6 address in brackets; None if it is invalid, or has a zone, which only means something to one machine."""
    try:
        return None if "%" in address else f"[{ipaddress.IPv6Address(address)}]"
    except ValueError:
        return None


def _invalid(message: str) -> Refused:
    return Refused(Cause.INVALID_URL, message)


def _shown(character: str) -> str:
    return "a space" if character == " " else f"the character U+{ord(character):04X}"

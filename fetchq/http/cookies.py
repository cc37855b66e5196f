"""Stores cookies by RFC 6265: those of the hops of one row, or with `cookie_jar` those of a whole run.

The jar of `http.cookiejar` follows the older rules of Netscape: it sends a cookie without a Domain to subdomains, keeps
one that expired before 1970, and searches all its domains for each request.
"""

from __future__ import annotations

import re
import threading
from bisect import bisect_right
from collections import OrderedDict
from itertools import accumulate
from math import inf
from time import time
from typing import TYPE_CHECKING, NamedTuple

from fetchq.http.addresses import is_address
from fetchq.http.dates import cookie_date

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from yarl import URL

__all__ = ["Cookie", "CookieJar"]

MOST_PER_DOMAIN = 180
LONGEST = 4096
"""The limits of browsers: cookies of one domain, and characters of a name with its value (RFC 6265, 6.1)."""
MOST_SENT = 16_384
"""Characters of cookies that a request carries, those with the longest paths first; the others are left out. Servers
refuse more: by default, a line of more than 8 kB in nginx and Apache, a head of more than 16 kB in Node.js."""
_MOST_ATTRIBUTES = 50
"""A cookie with more attributes is ignored; RFC 6265 defines six."""
MOST_DOMAINS = 100_000
MOST_BYTES = 32_000_000
"""The limits that bound memory. The domain that was the first to set a cookie is forgotten first."""
_LONGEST_ATTRIBUTE = 1024
"""Characters of an attribute that counts (draft-ietf-httpbis-rfc6265bis, 5.6)."""
_OVERHEAD = 400
"""About the bytes that a cookie takes beside its texts."""

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_WHITESPACE = " \t"
_MAX_AGE = re.compile(r"-?[0-9]{1,18}")
_SECOND_LEVEL = frozenset({"ac", "co", "com", "edu", "gob", "gov", "int", "mil", "ne", "net", "or", "org"})
"""Labels under which a country's domains are registered, as in co.uk."""


class Cookie(NamedTuple):
    """A cookie (RFC 6265, 5.3)."""

    domain: str
    path: str
    name: str
    value: str
    host_only: bool
    """Whether it is for its domain alone, and not for subdomains."""
    secure: bool
    http_only: bool
    expires: float | None
    """When it expires, in seconds since 1970; None: with the session."""

    def __repr__(self) -> str:  # without the value, which would be in a traceback that shows variables
        return f"Cookie({self.name!r}, domain={self.domain!r}, path={self.path!r})"


class CookieJar:
    """Cookies by domain. Any thread may use it."""

    def __init__(self) -> None:
        self._domains: OrderedDict[str, dict[tuple[str, str], Cookie]] = OrderedDict()
        """By domain, then by path and name; the oldest first."""
        self._bytes = 0
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[Cookie]:
        """The cookies that have not expired, by domain."""
        now = time()
        with self._lock:
            kept = [one for domain in sorted(self._domains) for one in self._domains[domain].values()]
        return (one for one in kept if not _is_expired(one, now))

    def put(self, cookie: Cookie) -> None:
        """Replace the cookie with the same domain, path and name; if the new one is expired, just delete that one."""
        key = (cookie.path, cookie.name)
        with self._lock:
            kept = self._domains.get(cookie.domain, {})
            self._bytes -= _bytes_of(kept.get(key))
            if _is_expired(cookie, time()):
                kept.pop(key, None)
                return
            kept[key] = cookie
            self._bytes += _bytes_of(cookie)
            if len(kept) > MOST_PER_DOMAIN:
                self._bytes -= _bytes_of(kept.pop(next(iter(kept))))
            self._domains[cookie.domain] = kept
            while len(self._domains) > MOST_DOMAINS or (self._bytes > MOST_BYTES and len(self._domains) > 1):
                _, dropped = self._domains.popitem(last=False)
                self._bytes -= sum(map(_bytes_of, dropped.values()))

    def store(self, url: URL, fields: Iterable[str]) -> None:
        """Keep the cookies that the response from `url` sets. `fields`: the values of its Set-Cookie headers.

        Without TLS, no cookie is set or replaced that is for TLS alone (RFC 6265bis, 5.7).
        """
        over_tls = url.scheme == "https"
        secure = frozenset() if over_tls else self._secure_names(url.raw_host or "")
        for field in fields:
            cookie = _read(field, url, time())
            if cookie is not None and (over_tls or not (cookie.secure or cookie.name in secure)):
                self.put(cookie)

    def _secure_names(self, host: str) -> frozenset[str]:
        """The names of the cookies for TLS alone that `host` would get over TLS."""
        with self._lock:
            kept = (self._domains.get(domain, {}).values() for domain in _and_parents(host))
            return frozenset(one.name for cookies in kept for one in cookies if one.secure)

    def cookies_for(self, url: URL) -> list[Cookie]:
        """The cookies for a request: those with the longest paths first, then the oldest ones (RFC 6265, 5.4)."""
        host, path, now = url.raw_host or "", url.raw_path or "/", time()
        found: list[Cookie] = []
        with self._lock:
            for domain in _and_parents(host):
                found += [
                    one
                    for one in self._domains.get(domain, {}).values()
                    if (domain == host or not one.host_only)
                    and (url.scheme == "https" or not one.secure)
                    and _path_matches(path, one.path)
                    and not _is_expired(one, now)
                ]
        return sorted(found, key=lambda one: -len(one.path))

    def header_for(self, url: URL, own: str | None) -> str | None:
        """The Cookie header for a request; None if there are no cookies. `own`: the one that the user has given.

        The user's cookies come first; where the jar has one of the same name, only that is sent.
        """
        cookies = _that_fit(self.cookies_for(url))
        if own is None or not cookies:
            return "; ".join([f"{one.name}={one.value}" for one in cookies]) or own
        names = {one.name for one in cookies}
        users = [pair.strip() for pair in own.split(";") if pair.partition("=")[0].strip() not in names]
        return "; ".join([*filter(None, users), *(f"{one.name}={one.value}" for one in cookies)])


def _that_fit(cookies: list[Cookie]) -> list[Cookie]:
    """The first cookies, up to `MOST_SENT`."""
    sizes = accumulate(len(one.name) + len(one.value) + len("=; ") for one in cookies)
    return cookies[: bisect_right(list(sizes), MOST_SENT)]


def _bytes_of(cookie: Cookie | None) -> int:
    """About the bytes that a cookie takes."""
    if cookie is None:
        return 0
    return _OVERHEAD + sum(map(len, (cookie.domain, cookie.path, cookie.name, cookie.value)))


def _read(field: str, url: URL, now: float) -> Cookie | None:
    """The cookie that a Set-Cookie header sets; None if it is to be ignored (RFC 6265, 5.2 and 5.3)."""
    if field.count(";") > _MOST_ATTRIBUTES:
        return None
    pair, *attributes = field.split(";")
    name, mark, value = pair.partition("=")
    name, value = name.strip(_WHITESPACE), value.strip(_WHITESPACE)
    if not mark or not name or len(name) + len(value) > LONGEST or _CONTROL.search(field) or "\t" in name + value:
        return None
    given: dict[str, str] = {}
    for attribute in attributes:
        key, _, text = attribute.partition("=")
        if len(text) <= _LONGEST_ATTRIBUTE:
            given[key.strip(_WHITESPACE).lower()] = text.strip(_WHITESPACE)
    scope = _scope(url.raw_host or "", given.get("domain", ""))
    if scope is None:
        return None
    domain, host_only = scope
    path = given.get("path", "")
    if not path.startswith("/"):
        path = (url.raw_path or "/").rpartition("/")[0] or "/"
        if len(path) > _LONGEST_ATTRIBUTE:
            return None
    expires = cookie_date(given["expires"]) if "expires" in given else None
    if _MAX_AGE.fullmatch(age := given.get("max-age", "")):
        expires = now + int(age) if int(age) > 0 else -inf
    return Cookie(domain, path, name, value, host_only, "secure" in given, "httponly" in given, expires)


def _scope(host: str, domain: str) -> tuple[str, bool] | None:
    """The domain of a cookie, and whether it is for that host alone; None if `host` may not set it."""
    domain = domain.removeprefix(".").lower()
    if not domain or domain == host:
        return host, not domain or is_address(host) or _is_suffix(domain)
    if is_address(host) or _is_suffix(domain) or not host.endswith("." + domain):
        return None
    return domain, False


def _is_suffix(domain: str) -> bool:
    """Whether many owners register names under a domain, such as com or co.uk; a rule of thumb, not a list."""
    labels = domain.rstrip(".").split(".")
    return len(labels) == 1 or (len(labels) == 2 and len(labels[1]) == 2 and labels[0] in _SECOND_LEVEL)


def _and_parents(host: str) -> Iterator[str]:
    yield host
    while (at := host.find(".")) >= 0:
        host = host[at + 1 :]
        yield host


def _path_matches(path: str, of_cookie: str) -> bool:
    """RFC 6265, 5.1.4."""
    return path.startswith(of_cookie) and (
        len(path) == len(of_cookie) or of_cookie.endswith("/") or path[len(of_cookie)] == "/"
    )


def _is_expired(cookie: Cookie, now: float) -> bool:
    return cookie.expires is not None and cookie.expires <= now

"""What is sent on each hop: the first one, and the ones that redirects lead to (RFC 9110, 15.4)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote_from_bytes

from yarl import URL

from fetchq._version import __version__
from fetchq.core.model import Cause
from fetchq.core.parsers import read_headers, read_method
from fetchq.http.content_coding import ACCEPT_ENCODING
from fetchq.http.url import SCHEME, Refused, Target, basic_auth, host_of, origin, parse_url

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fetchq.core.model import Request, StoredResponse
    from fetchq.core.settings import Settings
    from fetchq.http.proxies import Routes
    from fetchq.http.robots_txt import RobotsCache

__all__ = [
    "DEFAULT_HEADERS",
    "REDIRECTS",
    "Hop",
    "HopPlan",
    "check_sendable",
    "head_shown",
    "host_field",
    "length_field",
    "merged",
    "method_of",
    "request_head",
]

DEFAULT_HEADERS = {
    "User-Agent": f"fetchq/{__version__}",
    "Accept": "*/*",
    "Accept-Encoding": ACCEPT_ENCODING,
}
"""Sent on every hop, unless the user's own headers of the same name replace them."""

REDIRECTS = frozenset({301, 302, 303, 307, 308})
_WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods of requests that say nothing of a body where there is none."""
_FORM = "application/x-www-form-urlencoded"
# fmt: off
_SHOWN = frozenset({
    "host", "user-agent", "accept", "accept-charset", "accept-encoding", "accept-language", "cache-control",
    "content-length", "content-type", "if-match", "if-modified-since", "if-none-match", "if-range",
    "if-unmodified-since", "pragma", "range",
})
# fmt: on
"""The headers that hold no secrets. Of any other, like X-Api-Key, nobody knows."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


_CONDITIONS = frozenset({"if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range", "range"})

_ASKING = ("If-None-Match", "If-Modified-Since")


class Hop(NamedTuple):
    """One request to one server. `headers` come on top of DEFAULT_HEADERS."""

    url: URL
    text: str
    """The URL as it is written."""
    method: str
    headers: dict[str, str]
    body: bytes | None
    asks: bool = False
    """It asks whether what an earlier run knows of the page still holds."""

    @property
    def ranged(self) -> bool:
        """It asks for a part only."""
        return any(name.lower() == "range" for name in self.headers)


def method_of(request: Request, settings: Settings) -> str:
    """The request's own method, else the run's, else POST where there is a body (as curl does), else GET."""
    if request.method is not None:
        return request.method.upper()
    if settings.method is not None:
        return settings.method
    return "GET" if request.body is None and settings.data is None else "POST"


def check_sendable(request: Request, settings: Settings) -> None:
    """Raise `Refused` (`invalid_url`) where the request's method or headers cannot be sent.

    A header that ends the body elsewhere than it ends would make the server read the rest as another request
    (RFC 9112, 11.2).
    """
    body = settings.data if request.body is None else request.body
    lengths = [value.strip(" \t") for name, value in request.headers if str(name).lower() == "content-length"]
    if lengths and lengths != [str(len(body or b""))]:
        raise Refused(Cause.INVALID_URL, "the header Content-Length is not the length of the body")
    try:
        if request.method is not None:
            read_method(request.method)
        read_headers([pair for pair in request.headers if str(pair[0]).lower() != "content-length"])
    except ValueError as problem:
        raise Refused(Cause.INVALID_URL, str(problem)) from None


class HopPlan:
    """The hops of every request of a run; what all of them share is worked out once."""

    def __init__(self, settings: Settings, routes: Routes, book: RobotsCache | None = None) -> None:
        """`book`: the rules that redirects have to obey, as far as they are known."""
        self._book = book
        self._routes = routes
        self._netrc = settings.trust_env
        self._settings = settings
        shared: list[tuple[str, str]] = []
        if settings.user_agent is not None:
            shared.append(("User-Agent", settings.user_agent))
        if settings.user is not None:
            shared.append(("Authorization", basic_auth(*settings.user.split(":", 1))))
        if settings.cookie is not None:
            shared.append(("Cookie", settings.cookie))
        self._shared = merged(merged({}, shared), settings.headers)

    def first(self, request: Request, target: Target) -> Hop:
        body = self._settings.data if request.body is None else request.body
        headers = self._shared
        if request.headers or target.authorization is not None or body is not None:
            headers = merged(headers, request.headers)
            names = {name.lower() for name in headers}
            if target.authorization is not None and "authorization" not in names:
                headers["Authorization"] = target.authorization
            if body is not None and "content-type" not in names:
                headers["Content-Type"] = _FORM
        hop = Hop(target.url, target.text, method_of(request, self._settings), headers, body)
        hop = self._with_netrc(hop) if self._netrc else hop
        return hop if request.known is None else self._asking(hop, request.known)

    def next(self, hop: Hop, status: int, locations: list[str], known: StoredResponse | None = None) -> Hop:
        """Where a redirect leads. Raises `Refused`: `redirect` for a bad Location, `blocked` for another scheme."""
        target = _target(hop.text, locations)
        if self._book is not None and (refused := self._book.refusal(host_of(target.text), target.text)) is not None:
            raise Refused(refused.cause, f"a redirect to {target.text}: {refused.message}")
        method, body = hop.method, hop.body
        if (status == 303 and method != "HEAD") or (status in (301, 302) and method == "POST"):
            method, body = "GET", None
        headers = hop.headers
        if hop.asks:
            headers = {name: value for name, value in headers.items() if name not in _ASKING}
        if body is None and hop.body is not None:
            headers = {name: value for name, value in headers.items() if not name.lower().startswith("content-")}
        if origin(target.url) != origin(hop.url):
            # Whatever the user wrote was meant for the first server. Content-Type only says what the body is.
            of_body = ("content-type",) if body is not None else ()
            headers = {name: value for name, value in headers.items() if name.lower() in of_body}
        if target.authorization is not None:
            headers = {name: value for name, value in headers.items() if name.lower() != "authorization"}
            headers["Authorization"] = target.authorization
        hop = self._with_netrc(Hop(target.url, target.text, method, headers, body))
        return hop if known is None else self._asking(hop, known)

    def _asking(self, hop: Hop, known: StoredResponse) -> Hop:
        """The hop, asking whether what is known still holds; but not where the user asks such things himself.

        What is known is that of the URL that answered then: of another, the same ETag says nothing.
        """
        settings = self._settings
        if known.open is None and known.size and (settings.stores or settings.keep_body):
            return hop  # the body could not be had
        if known.size > settings.max_filesize:
            return hop  # it is too large now, whether it has changed or not
        if hop.text != known.url or not _CONDITIONS.isdisjoint(name.lower() for name in hop.headers):
            return hop
        asked = {name: value for name, value in zip(_ASKING, known[1:3], strict=True) if value is not None}
        return hop._replace(headers=hop.headers | asked, asks=True)

    def _with_netrc(self, hop: Hop) -> Hop:
        if not self._netrc or any(name.lower() == "authorization" for name in hop.headers):
            return hop
        if (authorization := self._routes.authorization_for(hop.url)) is None:
            return hop
        return hop._replace(headers={**hop.headers, "Authorization": authorization})


def _target(base: str, locations: list[str]) -> Target:
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
    # With a dot in it, it is rather a host that somebody forgot the http:// of.
    if scheme is not None and scheme[1].lower() not in ("http", "https") and "." not in scheme[1]:
        raise Refused(Cause.BLOCKED, f"a redirect to the scheme {scheme[1].lower()}:, which is not allowed")
    try:
        return parse_url(text)
    except Refused as problem:
        raise Refused(Cause.REDIRECT, f"a redirect with a malformed Location: {problem.message}") from None


def _joined(base: str, reference: str) -> str:
    """`reference` seen from `base` (RFC 3986, 5.2.2), dot segments still in it. urljoin would drop empty ones."""
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
    """Non-ASCII bytes as UTF-8, and where they are none, percent-encoded, as browsers do."""
    if location.isascii():
        return location
    raw = location.encode("utf-8", "surrogateescape")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return quote_from_bytes(raw, safe="!#$%&'()*+,/:;=?@[]~")


def merged(base: dict[str, str], more: Iterable[tuple[str, str]]) -> dict[str, str]:
    """`base` with `more` on top: a new name is added, a known one replaced, and one given twice in `more` joined."""
    fresh: dict[str, tuple[str, str]] = {}
    for name, value in more:
        known = fresh.get(name.lower())
        separator = "; " if name.lower() == "cookie" else ", "
        fresh[name.lower()] = (name, value if known is None else f"{known[1]}{separator}{value}".strip(" \t"))
    kept = {name: value for name, value in base.items() if name.lower() not in fresh}
    return kept | dict(fresh.values())


def head_shown(hop: Hop) -> bytes:
    """The head of the request, those of its headers left out that may hold secrets."""
    fields = _fields(hop.method, host_field(hop.url), hop.headers, hop.body)
    shown = _lines({name: value for name, value in fields.items() if name.lower() in _SHOWN})
    return f"{hop.method} {hop.url.raw_path_qs} HTTP/1.1\r\n{shown}\r\n".encode()


def request_head(hop: Hop, *, absolute: bool, more: dict[str, str]) -> bytes:
    """The head of the request as HTTP/1.1 writes it (RFC 9112, 2.1); `absolute`: its target is the whole URL.

    `more`: headers in place of those of that name.
    """
    url = hop.url
    if not hop.headers and not more and hop.body is None:
        lines = _plain_lines(hop.method, host_field(url))
    else:  # not to be kept: they may be long, and have secrets in them
        fields = _fields(hop.method, host_field(url), merged(hop.headers, more.items()), hop.body)
        lines = _lines(fields)
    return f"{hop.method} {url if absolute else url.raw_path_qs} HTTP/1.1\r\n{lines}\r\n".encode()


def host_field(url: URL) -> str:
    """The Host that the URL asks for (RFC 9110, 7.2): one text for each server of a scheme."""
    return _host_field(url.scheme, url.raw_authority)


@lru_cache(4096)
def _host_field(scheme: str, authority: str) -> str:
    return URL.build(scheme=scheme, authority=authority, encoded=True).host_port_subcomponent or ""


@lru_cache(4096)
def _plain_lines(method: str, host: str) -> str:
    return _lines(_fields(method, host, {}, None))


def _lines(fields: dict[str, str]) -> str:
    return "".join([f"{name}: {value}\r\n" for name, value in fields.items()])


def _fields(method: str, host: str, own: dict[str, str], body: bytes | None) -> dict[str, str]:
    """All headers of a request, with `own` on top of those that every request has."""
    fields = merged({"Host": host} | DEFAULT_HEADERS, own.items())
    length = length_field(method, body)
    return fields if length is None else merged(fields, [("Content-Length", length)])


def length_field(method: str, body: bytes | None) -> str | None:
    """The Content-Length of a request; None where it has none (RFC 9110, 8.6)."""
    return None if body is None and method in _WITHOUT_BODY else str(len(body or b""))

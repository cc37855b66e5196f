"""Builds the request of each hop: the first one, and those that redirects lead to (RFC 9110, 15.4)."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from yarl import URL

from fetchq._version import __version__
from fetchq.core.model import Request
from fetchq.core.request_parts import bearer_auth
from fetchq.http.acceptance import final_statuses
from fetchq.http.body import ReceivedBody
from fetchq.http.content_coding import ACCEPT_ENCODING
from fetchq.http.cross_origin import harmless
from fetchq.http.guard import guard_for
from fetchq.http.hop import Hop, new_hop
from fetchq.http.lost_time import LostTime
from fetchq.http.redirects import redirect_target
from fetchq.http.revalidation import validators_of
from fetchq.http.unread_body import MOST_READ, UnreadBody
from fetchq.http.url import Refused, basic_auth, host_of, login_without_password, origin, parse_url

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fetchq.core.settings import Settings
    from fetchq.core.stored_response import StoredResponse
    from fetchq.http.cookies import CookieJar
    from fetchq.http.proxies import ProxyConfig
    from fetchq.http.robots_txt import RobotsCache
    from fetchq.http.target import Target

__all__ = [
    "DEFAULT_HEADERS",
    "HopPlan",
    "absolute_form",
    "header_lines",
    "host_field",
    "length_field",
    "merge_headers",
    "method_of",
    "redacted_head",
    "request_fields",
    "request_head",
    "with_cookies",
]

DEFAULT_HEADERS = {
    "User-Agent": f"fetchq/{__version__}",
    "Accept": "*/*",
    "Accept-Encoding": ACCEPT_ENCODING,
}
"""Headers sent on every hop, unless the user's headers with the same names replace them."""

_WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods whose requests have no Content-Length if they have no body."""
_DATA_TYPES = {"form": "application/x-www-form-urlencoded", "json": "application/json"}
_PRECONDITIONS = frozenset(
    {"if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range", "range"}
)
_REVALIDATION = ("If-None-Match", "If-Modified-Since")
"""The preconditions that fetchq adds (`validators_of`)."""


def method_of(request: Request, settings: Settings) -> str:
    """The request's method, else that of the run, else POST with a body (as in curl), else GET, or HEAD with `head`."""
    if request.method is not None:
        return request.method.upper()
    if settings.method is not None:
        return settings.method
    if request.body is not None or settings.data is not None:
        return "POST"
    return "HEAD" if settings.head else "GET"


class HopPlan:
    """Builds the hops of all requests of a run. The headers that all of them share are computed once."""

    def __init__(
        self,
        settings: Settings,
        proxies: ProxyConfig,
        robots: RobotsCache | None = None,
        body_class: type[ReceivedBody] | None = None,
        cookies: CookieJar | None = None,
        lost_time: LostTime | None = None,
    ) -> None:
        """`robots`: the rules of hosts. A redirect to a URL that they disallow is refused, if they are known.

        `cookies`: the cookies that all rows share. `lost_time`: that of the run, if it is watched.
        """
        self.settings = settings
        self.lost_time = lost_time or LostTime(settings)
        self.body_class = body_class or (UnreadBody if settings.head else ReceivedBody)
        """The class that receives the bodies of the responses."""
        self.checked_above = min(settings.max_filesize, MOST_READ) if settings.head else settings.max_filesize
        """A Content-Length above this is given to `ReceivedBody.check_length`."""
        self.stores = settings.spools
        """Whether bodies are spooled."""
        self.cookies = cookies
        self.final = final_statuses(settings)
        """The statuses that are a success for any row."""
        self.guard = guard_for(settings)
        """The hosts that may be connected to; None for all."""
        self._robots = robots
        self._proxies = proxies
        self._method = method_of(Request(""), settings)
        shared: list[tuple[str, str]] = []
        if settings.user_agent is not None:
            shared.append(("User-Agent", settings.user_agent))
        if settings.user is not None:
            shared.append(("Authorization", basic_auth(*settings.user.split(":", 1))))
        if settings.bearer is not None:
            shared.append(("Authorization", bearer_auth(settings.bearer)))
        if settings.cookie is not None:
            shared.append(("Cookie", settings.cookie))
        self.shared_headers = merge_headers(merge_headers({}, shared), settings.headers)

    def first(self, request: Request, target: Target) -> Hop:
        """The first hop of a request, to its own URL."""
        settings = self.settings
        body = settings.data if request.body is None else request.body
        headers = self.shared_headers
        if request.headers or target.authorization is not None or body is not None:
            headers = merge_headers(headers, request.headers)
            names = {name.lower() for name in headers}
            if target.authorization is not None and "authorization" not in names:
                headers["Authorization"] = target.authorization
            if body is not None and "content-type" not in names:
                headers["Content-Type"] = _DATA_TYPES[settings.data_type]
        plain = request.method is None and request.body is None
        method = self._method if plain else method_of(request, settings)
        hop: Hop = new_hop((target, method, headers, body, False, False))
        if settings.trust_env:
            hop = self._with_netrc(hop, target.authorization)
        return hop if request._stored_response is None else self._revalidating(hop, request._stored_response)

    def next(self, hop: Hop, status: int, locations: list[str], stored: StoredResponse | None = None) -> Hop:
        """The hop that a redirect leads to. `locations`: the values of the Location headers of the response.

        Raises `Refused`: `redirect` for a bad Location; `blocked` for a scheme other than http and https, or a URL that
        robots.txt disallows, or the guard of the run.
        """
        target = redirect_target(hop.target.text, locations)
        refused = None if self.guard is None else self.guard.refusal(target)
        if refused is None and self._robots is not None:
            refused = self._robots.refusal(host_of(target.text), target.text)
        if refused is not None:
            raise Refused(refused.cause, f"a redirect to {target.text}: {refused.message}")
        method, body = hop.method, hop.body
        if (status == 303 and method != "HEAD") or (status in (301, 302) and method == "POST"):
            method, body = "GET", None
        headers, from_netrc = hop.headers, hop.from_netrc and target.authorization is None
        if origin(target.url) != origin(hop.url):
            from_netrc = False
            headers = self.given_headers(hop) if self.trusts(hop, target) else harmless(headers)
            headers = {name: value for name, value in headers.items() if name.lower() != "host"}  # it names this one
        if hop.conditional:
            headers = {name: value for name, value in headers.items() if name not in _REVALIDATION}
        if body is None and hop.body is not None:
            headers = {name: value for name, value in headers.items() if not name.lower().startswith("content-")}
        if target.authorization is not None:
            headers = {name: value for name, value in headers.items() if name.lower() != "authorization"}
            headers["Authorization"] = target.authorization
        hop = Hop(target, method, headers, body, from_netrc=from_netrc)
        if self.settings.trust_env:
            hop = self._with_netrc(hop, target.authorization, redirected=True)
        return hop if stored is None else self._revalidating(hop, stored)

    def url_to_look_up(self, host: str) -> URL | None:
        """The URL of a host whose address may be looked up; None if a proxy does that, or if the guard refuses it."""
        target = parse_url(host)
        refused = self.guard is not None and self.guard.refusal(target) is not None
        return None if refused or self._proxies.proxy_for(target.url) is not None else target.url

    def _revalidating(self, hop: Hop, stored: StoredResponse) -> Hop:
        """The hop as a conditional request, if the stored response came from the same URL.

        An ETag means nothing for another URL. If the user has set preconditions, none are added.
        """
        settings = self.settings
        if stored.open is None and stored.size and (settings.spools or settings.keep_body):
            return hop  # there would be no body after a 304
        if stored.size > settings.max_filesize:
            return hop  # the stored body is larger than the limit of this run
        if hop.target.text != stored.url or not _PRECONDITIONS.isdisjoint(name.lower() for name in hop.headers):
            return hop
        return hop._replace(headers=hop.headers | validators_of(stored), conditional=True)

    def trusts(self, hop: Hop, target: Target) -> bool:
        """Whether another origin gets all headers of a hop: with `location_trusted`, but never from https to http."""
        return self.settings.location_trusted and (hop.target.origin.scheme, target.origin.scheme) != ("https", "http")

    def given_headers(self, hop: Hop) -> dict[str, str]:
        """The headers of a hop without the password of its host from the netrc file, which is for that host alone."""
        if hop.from_netrc:
            return {name: value for name, value in hop.headers.items() if name.lower() != "authorization"}
        return hop.headers

    def _with_netrc(self, hop: Hop, given: str | None, *, redirected: bool = False) -> Hop:
        """The hop with the password that the netrc file has for it.

        `given`: the header made from the URL's userinfo, which may be a login without a password. `redirected`: as in
        `ProxyConfig.authorization_for`.
        """
        login = None
        for name, value in hop.headers.items():
            if name.lower() == "authorization":
                if value != given or (login := login_without_password(value)) is None:
                    return hop
                break
        if (authorization := self._proxies.authorization_for(hop.url, login, redirected=redirected)) is None:
            return hop
        headers = {name: value for name, value in hop.headers.items() if name.lower() != "authorization"}
        return hop._replace(headers=headers | {"Authorization": authorization}, from_netrc=True)


def merge_headers(base: dict[str, str], more: Iterable[tuple[str, str]]) -> dict[str, str]:
    """`base` with the headers of `more`, which replace those with the same names; repeated ones are joined."""
    fresh: dict[str, tuple[str, str]] = {}
    for name, value in more:
        before = fresh.get(name.lower())
        separator = "; " if name.lower() == "cookie" else ", "
        fresh[name.lower()] = (name, value if before is None else f"{before[1]}{separator}{value}".strip(" \t"))
    rest = {name: value for name, value in base.items() if name.lower() not in fresh}
    return rest | dict(fresh.values())


def with_cookies(hop: Hop, jar: CookieJar) -> Hop:
    """The hop with the cookies of the jar, beside those that the user has given."""
    own = {name: value for name, value in hop.headers.items() if name.lower() == "cookie"}
    cookie = jar.header_for(hop.url, next(iter(own.values()), None))
    return hop if cookie is None else hop._replace(headers=merge_headers(hop.headers, [("Cookie", cookie)]))


def request_fields(hop: Hop) -> dict[str, str]:
    """The header fields of the request, secrets included."""
    return _fields(hop.method, host_field(*hop.target.origin), hop.headers, hop.body)


def redacted_head(hop: Hop) -> bytes:
    """The head of the request, without the headers that may hold secrets."""
    shown = _lines(harmless(request_fields(hop)))
    return f"{hop.method} {hop.target.origin_form} HTTP/1.1\r\n{shown}\r\n".encode()


def absolute_form(hop: Hop) -> str:
    """The request target for a proxy: the URL, with a path even where it is empty (RFC 9112, 3.2.2)."""
    scheme, authority = hop.target.origin
    return f"{scheme}://{host_field(scheme, authority)}{hop.target.origin_form}"


def request_head(hop: Hop, host: str, *, absolute: bool, more: dict[str, str]) -> bytes:
    """The head of the request in HTTP/1.1 (RFC 9112, 2.1).

    `host`: the URL's `host_field`. `absolute`: whether the request target is the whole URL, as a proxy needs it.
    `more`: headers that replace those with the same names.
    """
    target = absolute_form(hop) if absolute else hop.target.origin_form
    if not hop.headers and not more and hop.body is None:
        lines = _plain_lines(hop.method, host)
    else:  # not cached, since these may be long, and hold secrets
        lines = _lines(_fields(hop.method, host, merge_headers(hop.headers, more.items()), hop.body))
    head = f"{hop.method} {target} HTTP/1.1\r\n{lines}\r\n"
    return head.encode("utf-8", "surrogateescape")  # a cookie may hold bytes that are not UTF-8


@lru_cache(4096)
def host_field(scheme: str, authority: str) -> str:
    """The Host header for a URL's scheme and raw authority (RFC 9110, 7.2), without the scheme's default port."""
    return URL.build(scheme=scheme, authority=authority, encoded=True).host_port_subcomponent or ""


@lru_cache(4096)
def _plain_lines(method: str, host: str) -> str:
    return _lines(_fields(method, host, {}, None))


def header_lines(headers: dict[str, str], host: str) -> str:
    """The header lines of a GET with these headers and without a body. `host`: the URL's `host_field`."""
    return _lines(_fields("GET", host, headers, None))


def _lines(fields: dict[str, str]) -> str:
    return "".join([f"{name}: {value}\r\n" for name, value in fields.items()])


def _fields(method: str, host: str, own: dict[str, str], body: bytes | None) -> dict[str, str]:
    """All headers of a request: the default ones, and `own`, which replace those with the same names."""
    fields = merge_headers({"Host": host} | DEFAULT_HEADERS, own.items())
    length = length_field(method, body)
    return fields if length is None else merge_headers(fields, [("Content-Length", length)])


def length_field(method: str, body: bytes | None) -> str | None:
    """The Content-Length of a request; None if it has none (RFC 9110, 8.6)."""
    return None if body is None and method in _WITHOUT_BODY else str(len(body or b""))

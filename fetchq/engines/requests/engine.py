"""The blocking engine. The only module that imports requests; urllib3, its transport, is `requests_connection`'s.

requests prepares, pools and sends; reading the response is `wire`'s, connecting is `dial`'s.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from http.cookiejar import DefaultCookiePolicy
from time import perf_counter
from typing import TYPE_CHECKING, Any

import requests
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from yarl import URL

from fetchq.core.disk import close_on_error
from fetchq.core.model import Cause
from fetchq.engines.bandwidth import ByteRate, buffer_for
from fetchq.engines.errors import is_ours, network_failure, no_such_name, out_of_descriptors
from fetchq.engines.requests.connection import POOLS
from fetchq.engines.requests.dial import Address, dial, look_up
from fetchq.engines.requests.response import WireResponse
from fetchq.http.attempt import CONNECT, DNS, RECEIVE, STORE, Attempt, AttemptFailed, current_attempt
from fetchq.http.hops import DEFAULT_HEADERS, Hop, length_field, merged
from fetchq.http.proxies import Routes, first_address, fixed_addresses, proxy_parts
from fetchq.http.revalidation import keep, keeps
from fetchq.http.robots_attempt import Plans
from fetchq.http.url import parse_url

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from fetchq.core.model import Request
    from fetchq.core.settings import Settings
    from fetchq.http.hops import HopPlan
    from fetchq.http.range_resume import Partial
    from fetchq.http.robots_txt import RobotsCache
    from fetchq.http.url import Target

__all__ = ["RequestsEngine"]


class RequestsEngine:
    """One session, for one worker."""

    def __init__(
        self, settings: Settings, context: ssl.SSLContext, book: RobotsCache | None = None, rate: ByteRate | None = None
    ) -> None:
        """`rate`: the limit of all workers together."""
        self._settings = settings
        self._rate = rate
        self._buffer = buffer_for(settings.limit_rate)
        self._routes = Routes(settings)
        self._plans = Plans(settings, self._routes, book)
        self._family = socket.AF_INET if settings.ipv4 else socket.AF_INET6 if settings.ipv6 else socket.AF_UNSPEC
        self._fixed = fixed_addresses(settings)
        self._session = _Session()
        adapter = _Adapter(context)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)
        self.unreliable: set[str] = set()
        """Origins that sent something unasked: it could come late as well, as the answer to the next request."""
        self._aborted = threading.Event()
        self._socket: socket.socket | None = None
        """What `abort` has to break."""
        self._handshake: socket.socket | None = None
        """The same one, while TLS keeps the first object out of service."""
        self.early: bytes | None = None
        """What came before the whole body was sent, if that took longer; emptied as it is read."""

    def attempt(
        self,
        request: Request,
        target: Target,
        partial: Partial | None = None,
        on_sent: Callable[[], None] | None = None,
    ) -> Attempt:
        attempt, plan = self._plans.begin(request, target, partial)
        attempt.on_sent = on_sent
        attempt.engine = self
        current_attempt.set(attempt)
        failed: AttemptFailed | None = None
        try:
            self._follow_hops(attempt, plan)
            if keeps(attempt):
                attempt.lap(RECEIVE)
                keep(attempt)
                attempt.lap(STORE)
        except AttemptFailed as problem:
            failed = _cancelled() if self._aborted.is_set() else problem
        self.use(None)
        if failed is not None and failed.starved:
            self._session.close()  # gives back the descriptors of the connections that are not at work
        attempt.finish(failed)
        return attempt

    def address_of(self, host: str) -> str | None:
        url = parse_url(host).url
        if self._routes.proxy_for(url) is not None:
            return None
        try:
            found = self._addresses(url.raw_host or "", url.port or 0)
        except (AttemptFailed, OSError):
            return None
        return first_address(str(address[0]) for _, address in found)

    def abort(self) -> None:
        self._aborted.set()
        for busy in (self._socket, self._handshake):
            if busy is not None:
                with suppress(OSError):  # it was not connected, or is no longer: then nobody reads from it
                    # Wakes the thread that reads from it. Not the method of an SSLSocket, which is not for two threads.
                    socket.socket.shutdown(busy, socket.SHUT_RDWR)

    def close(self) -> None:
        self._session.close()

    def _follow_hops(self, attempt: Attempt, plan: HopPlan) -> None:
        self._exchange(attempt)
        while attempt.redirecting:
            attempt.follow(plan)
            self._exchange(attempt)

    def _exchange(self, attempt: Attempt) -> None:
        """One hop: from the request to the end of its body."""
        raw: Any = self._send(attempt).raw
        wire: WireResponse = attempt.connection
        try:
            attempt.on_response(wire.status, wire.reason, wire.fields, wire.version_pair)
            if attempt.redirecting and not attempt.drains:
                return
            while data := self._read(attempt, wire):
                if self._rate is not None:
                    self._hold(attempt, self._rate, len(data))
                attempt.on_data(data)
                if attempt.intake is not None and attempt.intake.due:
                    attempt.intake.write()
                    attempt.progress_at = attempt.lap(STORE)
            attempt.on_end()
        finally:
            wire.close()
            if not wire.reusable or self.early is not None or attempt.hop.url.raw_authority in self.unreliable:
                raw.connection.close()
            raw.release_conn()

    def _send(self, attempt: Attempt) -> requests.Response:
        try:
            return self._send_once(attempt)
        except AttemptFailed as problem:
            if not attempt.may_resend(problem):
                raise
        attempt.resent = True
        return self._send_once(attempt)

    def _send_once(self, attempt: Attempt) -> requests.Response:
        proxy = self._routes.proxy_for(attempt.hop.url)
        attempt.begin_exchange(URL(proxy) if proxy else None)
        self.early = None
        try:
            return self._session.send(
                _prepared(attempt.asked),
                stream=True,
                allow_redirects=False,
                timeout=self._settings.timeout,  # of no effect: `dial` and `wire` keep the times
                proxies={"http": proxy, "https": proxy} if proxy else {},
            )
        except AttemptFailed:
            raise
        except Exception as problem:  # a hostile server must not find an exception that gets out
            raise _failure(attempt, problem) from problem

    def _read(self, attempt: Attempt, wire: WireResponse) -> bytes:
        try:
            return wire.piece()
        except OSError as problem:
            raise _failure(attempt, problem) from problem

    def _hold(self, attempt: Attempt, rate: ByteRate, size: int) -> None:
        """Wait until the limit allows what has come."""
        now = perf_counter()
        if (seconds := rate.reserve(size, now) - now) > 0:
            with attempt.on_hold():
                self._aborted.wait(seconds)
            self.check()

    def connect(self, host: str, port: int, attempt: Attempt) -> socket.socket:
        """A connected socket, within the attempt's time. Raises `AttemptFailed`, and OSError."""
        attempt.lap(CONNECT)
        try:
            addresses = self._addresses(host, port)
        finally:
            attempt.lap(DNS)
        now = perf_counter()
        left, what = attempt.time_left(now)
        try:
            sock = dial(addresses, now + left, self.check, self._buffer)
        except TimeoutError:
            raise AttemptFailed(Cause.TIMEOUT, what) from None
        finally:
            attempt.lap(CONNECT)
        with close_on_error(sock):
            sock.settimeout(max(0.001, attempt.time_left(perf_counter())[0]))  # for the TLS handshake
            self.use(sock)
            if "https" in (attempt.hop.url.scheme, attempt.proxy and attempt.proxy.scheme):
                self._handshake = sock.dup()
            self.check()
        return sock

    def _addresses(self, host: str, port: int) -> list[Address]:
        host = self._fixed.get((host.rstrip("."), port), host)
        try:
            return look_up(host, port, self._family)
        except socket.gaierror as problem:
            if (starved := out_of_descriptors()) is not None:
                raise starved from problem
            if problem.errno == getattr(socket, "EAI_ADDRFAMILY", None):
                raise no_such_name() from None
            raise
        except UnicodeError:
            raise no_such_name() from None

    def use(self, sock: socket.socket | None) -> None:
        """This socket is the one at work."""
        self._socket = sock
        if self._handshake is not None:
            self._handshake.close()
            self._handshake = None

    def check(self) -> None:
        """Raise `AttemptFailed` when the engine was aborted."""
        if self._aborted.is_set():
            raise _cancelled()


def _cancelled() -> AttemptFailed:
    return AttemptFailed(Cause.CANCELLED, "the run ended first")


def _failure(attempt: Attempt, problem: Exception) -> AttemptFailed:
    """What an exception means. One that was raised by code of ours is a bug, and is raised again."""
    if is_ours(problem):
        raise problem
    left, what = attempt.time_left(perf_counter())
    if left <= 0:
        return AttemptFailed(Cause.TIMEOUT, what)
    if isinstance(problem, requests.exceptions.ProxyError) and "Tunnel connection failed" in str(problem):
        said = str(problem).partition("Tunnel connection failed: ")[2].rstrip("')\"")
        return AttemptFailed(Cause.CONNECT, f"it answered {said}")
    failed = network_failure(problem, answering=attempt.answering)
    if failed is None:
        return AttemptFailed(Cause.PROTOCOL, f"{type(problem).__name__}: {problem}")
    return AttemptFailed(Cause.TIMEOUT, what) if failed.cause is Cause.TIMEOUT else failed


def _prepared(hop: Hop) -> requests.PreparedRequest:
    """The request to the letter: requests' own preparation would rewrite the URL and add headers."""
    prepared = requests.PreparedRequest()
    prepared.method = hop.method
    prepared.url = hop.text
    headers: dict[str, Any] = dict(merged(DEFAULT_HEADERS, hop.headers.items()))
    # http.client would write Latin-1, or fail.
    headers.update((name, value.encode()) for name, value in hop.headers.items() if not value.isascii())
    prepared.headers = CaseInsensitiveDict(headers)
    prepared.body = hop.body
    if (length := length_field(hop.method, hop.body)) is not None:
        prepared.headers["Content-Length"] = length
    return prepared


class _Session(requests.Session):
    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        return None  # the Attempt follows redirects; requests would read the body to prepare for it


class _Adapter(HTTPAdapter):
    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__(pool_connections=8, pool_maxsize=1)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = POOLS

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options, proxy_ssl_context=self._context)
        manager.pool_classes_by_scheme = POOLS
        return manager

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
        host, _ = super().build_connection_pool_key_attributes(request, verify, cert)
        return host, {"ssl_context": self._context} if host["scheme"] == "https" else {}

    def proxy_headers(self, proxy: str) -> dict[str, str]:
        return proxy_parts(proxy)[1]

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """The context says it all."""

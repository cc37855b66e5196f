"""Makes attempts with requests, for one worker: a thread, or a turn of the serial loop (modes `threads` and `sync`).

requests sends each request on a connection from its pool. `dial` connects, `response` reads the response, and
`connection` hooks both into urllib3, which is below requests.
"""

from __future__ import annotations

from http.cookiejar import DefaultCookiePolicy
from time import perf_counter
from typing import TYPE_CHECKING, Any, Self

import requests
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from yarl import URL

from fetchq.core.model import Cause
from fetchq.engines.bandwidth import ByteRate
from fetchq.engines.early_response import may_finish_upload
from fetchq.engines.errors import network_failure, raised_by_fetchq
from fetchq.engines.handshake import TimedSSLSocket
from fetchq.engines.requests.abort_switch import AbortSwitch
from fetchq.engines.requests.connection import POOLS, check_urllib3
from fetchq.engines.requests.dial import Dialer
from fetchq.engines.requests.exchange import Exchange, Response, current_exchange
from fetchq.engines.socks import is_socks
from fetchq.engines.tls import tls_context
from fetchq.http.addresses import first_address
from fetchq.http.attempt import Attempt
from fetchq.http.failure import AttemptFailed
from fetchq.http.hops import DEFAULT_HEADERS, Hop, HopPlan, length_field, merge_headers
from fetchq.http.keep_alive import ReusePolicy
from fetchq.http.phases import STORE
from fetchq.http.proxies import ProxyConfig, proxy_parts
from fetchq.http.retry import may_resend, was_stale
from fetchq.http.revalidation import load_stored_body, loads_stored_body
from fetchq.http.robots_attempt import robots_plan
from fetchq.http.robots_txt import RobotsRequest
from fetchq.http.stored_part import load_part
from fetchq.http.url import parse_url

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from fetchq.core.model import Request
    from fetchq.core.settings import Settings
    from fetchq.http.cookies import CookieJar
    from fetchq.http.range_resume import Partial
    from fetchq.http.robots_txt import RobotsCache
    from fetchq.http.url import Target

__all__ = ["RequestsEngine"]


class RequestsEngine:
    """The engine of one worker: a session of requests."""

    def __init__(
        self,
        settings: Settings,
        context: ssl.SSLContext,
        robots: RobotsCache | None = None,
        rate: ByteRate | None = None,
        reuse_policy: ReusePolicy | None = None,
        proxies: ProxyConfig | None = None,
        cookies: CookieJar | None = None,
    ) -> None:
        """`rate`, `reuse_policy`, `proxies` and `cookies` are those that all workers share."""
        self._settings = settings
        self._rate = rate
        self._proxies = proxies or ProxyConfig(settings)
        self._plan = HopPlan(settings, self._proxies, robots, cookies=cookies)
        self._robots_plan = self._plan if robots is None else robots_plan(settings, self._proxies)
        self._session = _Session()
        context.sslsocket_class = TimedSSLSocket
        adapter = _Adapter(context)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)
        self._abort_switch = AbortSwitch()
        self._dialer = Dialer(settings, self._abort_switch)
        self._reuse_policy = reuse_policy or ReusePolicy()
        self._unreliable: set[str] = set()

    @classmethod
    def for_workers(
        cls,
        settings: Settings,
        robots: RobotsCache | None = None,
        proxies: ProxyConfig | None = None,
        cookies: CookieJar | None = None,
    ) -> list[Self]:
        """An engine for each worker. They share the TLS context, which takes long to load, and the limits."""
        check_urllib3()
        context = tls_context(settings)
        rate = None if settings.limit_rate is None else ByteRate(settings.limit_rate)
        reuse_policy = ReusePolicy()
        proxies = proxies or ProxyConfig(settings)
        return [cls(settings, context, robots, rate, reuse_policy, proxies, cookies) for _ in range(settings.workers)]

    def attempt(
        self,
        request: Request,
        target: Target,
        partial: Partial | None = None,
        on_sent: Callable[[], None] | None = None,
    ) -> Attempt:
        plan = self._robots_plan if isinstance(request, RobotsRequest) else self._plan
        attempt = Attempt(plan, request, target, partial)
        attempt.on_sent = on_sent
        exchange = Exchange(attempt, self._dialer, self._abort_switch, self._reuse_policy, self._unreliable)
        current_exchange.set(exchange)
        failed: AttemptFailed | None = None
        try:
            if request.part is not None and partial is None:
                with attempt.on_hold(STORE):
                    attempt.partial = load_part(request.part, self._settings)
            self._make_hop(exchange)
            while attempt.redirecting:
                attempt.follow_redirect()
                self._make_hop(exchange)
            if loads_stored_body(attempt):
                attempt.lap_received()
                load_stored_body(attempt)
                attempt.lap(STORE)
        except AttemptFailed as problem:
            failed = self._abort_switch.failure() if self._abort_switch.aborted else problem
        self._abort_switch.watch(None)
        exchange.response = None  # it refers to the exchange: only the garbage collector would free both, and the body
        if failed is not None and failed.local_limit:
            self._session.close()  # frees the descriptors of idle connections
        attempt.finish(failed)
        return attempt

    def address_of(self, host: str) -> str | None:
        url = parse_url(host).url
        if self._proxies.proxy_for(url) is not None:
            return None
        try:
            found = self._dialer.addresses(url.raw_host or "", url.port or 0)
        except (AttemptFailed, OSError):
            return None
        return first_address(str(address[0]) for _, address in found)

    def abort(self) -> None:
        self._abort_switch.abort()

    def close(self) -> None:
        self._session.close()

    def _make_hop(self, exchange: Exchange) -> None:
        """Make one hop, from the request to the end of its response. Raises `AttemptFailed`."""
        attempt = exchange.attempt
        raw: Any = self._send(exchange).raw
        response = exchange.response
        assert response is not None
        try:
            if not attempt.on_response(response.status, response.reason, response.raw_headers, response.version_pair):
                return
            while data := self._read(attempt, response):
                if self._rate is not None:
                    self._hold(attempt, self._rate, len(data))
                if attempt.on_data(data):
                    attempt.body.write()
                    attempt.progress_at = attempt.lap(STORE)
            attempt.on_end()
            if exchange.upload is not None and may_finish_upload(attempt) and response.reusable:
                exchange.upload.finish()
        finally:
            response.close()
            if response.framing.surplus and attempt.hop.method == "HEAD":
                self._unreliable.add(attempt.hop.url.raw_authority)  # the body could also arrive later
            unreliable = attempt.hop.url.raw_authority in self._unreliable
            sent = exchange.upload is None or (exchange.upload.whole and may_finish_upload(attempt))
            if not response.reusable or not sent or unreliable:
                raw.connection.close()
            else:
                raw.connection.make_idle(attempt.response.headers)
            raw.release_conn()

    def _send(self, exchange: Exchange) -> requests.Response:
        attempt = exchange.attempt
        try:
            return self._send_once(exchange)
        except AttemptFailed as problem:
            if was_stale(attempt, problem):
                exchange.note_stale()
            if problem.stray and attempt.reused:
                self._unreliable.add(attempt.hop.url.raw_authority)
            if not may_resend(attempt, problem):
                raise
        attempt.needs_fresh_connection = True
        return self._send_once(exchange)

    def _send_once(self, exchange: Exchange) -> requests.Response:
        attempt = exchange.attempt
        proxy = exchange.proxy = self._proxies.proxy_for(attempt.hop.url)
        url = URL(proxy) if proxy else None
        hop = attempt.begin_exchange(url)
        exchange.upload = exchange.response = None
        try:
            return self._session.send(
                _prepared(hop),
                stream=True,
                allow_redirects=False,
                timeout=self._settings.timeout,  # without effect, since `dial` and `response` enforce the timeouts
                # A connection through a SOCKS proxy is one to the server, as far as requests knows.
                proxies={"http": proxy, "https": proxy} if proxy and not is_socks(url) else {},
            )
        except AttemptFailed:
            raise
        except Exception as problem:  # no exception that a hostile server causes may leave the engine
            raise _failure(attempt, problem) from problem

    def _read(self, attempt: Attempt, response: Response) -> bytes:
        try:
            return response.piece()
        except OSError as problem:
            raise _failure(attempt, problem) from problem

    def _hold(self, attempt: Attempt, rate: ByteRate, size: int) -> None:
        """Wait until the rate limit allows for the bytes received."""
        now = perf_counter()
        if (seconds := rate.reserve(size, now) - now) > 0:
            with attempt.on_hold():
                self._abort_switch.wait(seconds)


def _failure(attempt: Attempt, problem: Exception) -> AttemptFailed:
    """The failure that an exception stands for. An exception of fetchq's own code is a bug, and is raised again."""
    if raised_by_fetchq(problem):
        raise problem
    left, what = attempt.time_left(perf_counter())
    if left <= 0:
        return AttemptFailed(Cause.TIMEOUT, what)
    failed = network_failure(problem, answering=attempt.answering)
    if failed is None:
        return AttemptFailed(Cause.PROTOCOL, f"{type(problem).__name__}: {problem}")
    return AttemptFailed(Cause.TIMEOUT, what) if failed.cause is Cause.TIMEOUT else failed


def _prepared(hop: Hop) -> requests.PreparedRequest:
    """The hop as requests sends it. The library's own preparation would change the URL and add headers."""
    prepared = requests.PreparedRequest()
    prepared.method = hop.method
    prepared.url = hop.text
    headers: dict[str, Any] = dict(merge_headers(DEFAULT_HEADERS, hop.headers.items()))
    # As bytes, since http.client would encode a text as Latin-1, or fail.
    raw = ((name, value.encode("utf-8", "surrogateescape")) for name, value in hop.headers.items())
    headers.update(pair for pair in raw if not pair[1].isascii())
    prepared.headers = CaseInsensitiveDict(headers)
    prepared.body = hop.body
    if (length := length_field(hop.method, hop.body)) is not None:
        prepared.headers["Content-Length"] = length
    return prepared


class _Session(requests.Session):
    """A session that ignores the environment, stores no cookies and follows no redirects."""

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        return None  # the Attempt follows redirects; requests would also read the body


class _Adapter(HTTPAdapter):
    """An adapter to urllib3 that uses fetchq's connection classes and one TLS context."""

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
        """Do nothing: the TLS context verifies certificates."""

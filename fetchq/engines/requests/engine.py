"""Makes attempts with requests, for one worker: a thread, or a turn of the serial loop (modes `threads` and `sync`).

The `adapter`, one of requests, keeps the connections. `dial` connects, `response` reads the response, and
`connection` hooks both into urllib3, which is below requests.
"""

from __future__ import annotations

from math import inf
from time import perf_counter
from typing import TYPE_CHECKING, Self

from yarl import URL

from fetchq.core.gil_turns import GilTurns
from fetchq.core.known import RecentSet
from fetchq.core.model import Cause
from fetchq.engines.bandwidth import ByteRate
from fetchq.engines.early_response import may_finish_upload
from fetchq.engines.errors import network_failure, raised_by_fetchq
from fetchq.engines.fd_limit import IDLE_EACH, fd_budget
from fetchq.engines.requests.abort_switch import AbortSwitch
from fetchq.engines.requests.adapter import Adapter
from fetchq.engines.requests.connection import Urllib3Error, check_urllib3
from fetchq.engines.requests.dial import Dialer
from fetchq.engines.requests.exchange import Exchange, Response, current_exchange
from fetchq.engines.requests.heartbeat import Heartbeat
from fetchq.engines.tls import TlsContexts
from fetchq.http.attempt import Attempt
from fetchq.http.failure import AttemptFailed
from fetchq.http.hops import HopPlan
from fetchq.http.keep_alive import ReusePolicy
from fetchq.http.phases import STORE
from fetchq.http.proxies import ProxyConfig
from fetchq.http.retry import may_resend, was_stale
from fetchq.http.revalidation import load_stored_body, loads_stored_body
from fetchq.http.robots_attempt import robots_plan
from fetchq.http.robots_txt import RobotsRequest
from fetchq.http.stored_part import load_part

if TYPE_CHECKING:
    from collections.abc import Callable

    from fetchq.core.model import Request
    from fetchq.core.settings import Settings
    from fetchq.http.cookies import CookieJar
    from fetchq.http.range_resume import Partial
    from fetchq.http.robots_txt import RobotsCache
    from fetchq.http.target import Target

__all__ = ["RequestsEngine"]


class RequestsEngine:
    """The engine of one worker, with connections of its own."""

    def __init__(
        self,
        settings: Settings,
        contexts: TlsContexts,
        robots: RobotsCache | None = None,
        rate: ByteRate | None = None,
        reuse_policy: ReusePolicy | None = None,
        proxies: ProxyConfig | None = None,
        cookies: CookieJar | None = None,
        heartbeat: Heartbeat | None = None,
        idle: int = IDLE_EACH,
    ) -> None:
        """`idle`: how many idle connections are kept at most, each to another host.

        `contexts`, `rate`, `reuse_policy`, `proxies`, `cookies` and `heartbeat` are those that all workers share.
        """
        self._settings = settings
        self._rate = rate
        self._alone = settings.workers == 1
        self._proxies = proxies or ProxyConfig(settings)
        self._heartbeat = heartbeat or Heartbeat(settings, 1)
        lost_time = self._heartbeat.lost_time
        self._plan = HopPlan(settings, self._proxies, robots, cookies=cookies, lost_time=lost_time)
        self._robots_plan = self._plan if robots is None else robots_plan(settings, self._proxies, lost_time)
        self._keeps_connections = idle > 0
        self._adapter = Adapter(contexts, max(1, idle))
        self._identified = settings.cert is not None
        self._abort_switch = AbortSwitch()
        self._dialer = Dialer(settings, self._abort_switch)
        self._reuse_policy = reuse_policy or ReusePolicy()
        self._unreliable = RecentSet()

    @classmethod
    def for_workers(
        cls,
        settings: Settings,
        robots: RobotsCache | None = None,
        proxies: ProxyConfig | None = None,
        cookies: CookieJar | None = None,
    ) -> list[Self]:
        """An engine for each worker. They share the TLS contexts, which take long to load, and the limits.

        Where the limit of open files leaves no room for an idle connection of each, no connection is kept.
        """
        check_urllib3()
        contexts = TlsContexts(settings)
        rate = None if settings.limit_rate is None else ByteRate(settings.limit_rate)
        reuse_policy = ReusePolicy()
        proxies = proxies or ProxyConfig(settings)
        heartbeat = Heartbeat(settings, settings.workers)
        shared = (robots, rate, reuse_policy, proxies, cookies, heartbeat)
        idle = min(IDLE_EACH, fd_budget(settings).idle // settings.workers)
        engines = [cls(settings, contexts, *shared, idle) for _ in range(settings.workers)]
        heartbeat.start()
        return engines

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
            if request._part is not None and partial is None:
                with attempt.on_hold(STORE):
                    attempt.partial = load_part(request._part, self._settings)
            self._make_hop(exchange)
            if attempt.redirecting:
                self._follow_redirects(exchange)
            if loads_stored_body(attempt):
                attempt.lap_received()
                load_stored_body(attempt)
                attempt.lap(STORE)
        except AttemptFailed as problem:
            failed = self._abort_switch.failure() if self._abort_switch.aborted else problem
        self._abort_switch.watch(None)
        if failed is not None and failed.local_limit:
            self._adapter.close()  # frees the descriptors of idle connections
        attempt.finish(failed)
        return attempt

    def address_of(self, host: str) -> str | None:
        if (url := self._plan.url_to_look_up(host)) is None:
            return None
        return self._dialer.first_address(url.raw_host or "", url.port or 0)

    def abort(self) -> None:
        self._abort_switch.abort()
        self._heartbeat.end()

    def close(self) -> None:
        self._adapter.close()
        self._heartbeat.release()

    def _follow_redirects(self, exchange: Exchange) -> None:
        """Make the hops that redirects lead to. Raises `AttemptFailed`."""
        turns = GilTurns(alone=self._alone)  # a head may be long, and set many cookies
        while exchange.attempt.redirecting:
            exchange.attempt.follow_redirect()
            turns.may_pass()
            self._make_hop(exchange, turns)

    def _make_hop(self, exchange: Exchange, turns: GilTurns | None = None) -> None:
        """Make one hop, from the request to the end of its response. Raises `AttemptFailed`."""
        attempt = exchange.attempt
        response = self._send(exchange)
        try:
            head = response.head()
            if turns is not None:
                turns.may_pass()
            if not attempt.on_head(head):
                return
            at_once = self._rate is None and attempt.takes_whole(head)
            if at_once and (body := response.whole_body()) is not None:
                attempt.on_whole_body(body)
            else:
                self._read_body(attempt, response)
            if exchange.upload is not None and may_finish_upload(attempt) and response.reusable:
                exchange.upload.finish()
        finally:
            if response.framing.surplus and attempt.hop.method == "HEAD":
                self._unreliable.add(attempt.hop.target.origin.authority)  # the body could also arrive later
            unreliable = attempt.hop.target.origin.authority in self._unreliable
            sent = exchange.upload is None or (exchange.upload.whole and may_finish_upload(attempt))
            if not response.reusable or not sent or unreliable or not self._keeps_connections:
                response.connection.close()
            else:
                response.connection.make_idle(attempt.response)
            response.release()

    def _read_body(self, attempt: Attempt, response: Response) -> None:
        turns = GilTurns(alone=self._alone)
        while data := self._read(attempt, response):
            turns.may_pass()
            if self._rate is not None:
                self._hold(attempt, self._rate, len(data))
            if attempt.on_data(data):
                attempt.catch_up()
        if attempt.body.held_back:
            attempt.end_data(inf)
            attempt.catch_up()
        attempt.on_end()

    def _send(self, exchange: Exchange) -> Response:
        attempt = exchange.attempt
        try:
            return self._send_once(exchange)
        except AttemptFailed as problem:
            if was_stale(attempt, problem):
                exchange.note_stale()
            if problem.stray and attempt.reused:
                self._unreliable.add(attempt.hop.target.origin.authority)
            if not may_resend(attempt, problem):
                raise
        attempt.needs_fresh_connection = True
        return self._send_once(exchange)

    def _send_once(self, exchange: Exchange) -> Response:
        """Send the hop, and read the head of its response. Raises `AttemptFailed`."""
        attempt = exchange.attempt
        proxy = exchange.proxy = self._proxies.proxy_for(attempt.hop.url)
        hop = exchange.hop = attempt.begin_exchange(URL(proxy) if proxy else None)
        exchange.upload = None
        try:
            return self._adapter.open(hop, proxy, anonymous=self._identified and attempt.anonymous)
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
    if not isinstance(problem, Urllib3Error) and raised_by_fetchq(problem):
        raise problem
    left, what = attempt.time_left(perf_counter())
    if left <= 0:
        return AttemptFailed(Cause.TIMEOUT, what)
    failed = network_failure(problem, answering=attempt.answering)
    if failed is None:
        return AttemptFailed(Cause.PROTOCOL, f"{type(problem).__name__}: {problem}")
    return AttemptFailed(Cause.TIMEOUT, what) if failed.cause is Cause.TIMEOUT else failed

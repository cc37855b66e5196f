"""Makes attempts over aiohttp's connections, for all workers of a run in one event loop (mode `async`)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

import aiohttp

from fetchq.core.model import Cause
from fetchq.engines.aiohttp.body_receiver import BodyReceiver
from fetchq.engines.aiohttp.connector import Connector
from fetchq.engines.aiohttp.disk import DiskThreads
from fetchq.engines.aiohttp.failures import failure_of
from fetchq.engines.aiohttp.fast_requests import FastRequests
from fetchq.engines.aiohttp.idle_pool import IdlePool, descriptor_of
from fetchq.engines.aiohttp.resolver import Resolver
from fetchq.engines.aiohttp.timeouts import Watchdog
from fetchq.engines.early_response import may_finish_upload
from fetchq.engines.errors import closed_early
from fetchq.engines.fd_limit import fd_budget
from fetchq.engines.hang_up import hung_up
from fetchq.engines.socks import is_socks
from fetchq.http.acceptance import IDEMPOTENT
from fetchq.http.addresses import first_address
from fetchq.http.attempt import Attempt
from fetchq.http.failure import RUN_ENDED, AttemptFailed
from fetchq.http.hops import HopPlan, host_field, request_head
from fetchq.http.phases import CONNECT, STORE
from fetchq.http.proxies import ProxyConfig, proxy_parts
from fetchq.http.retry import may_resend, was_stale
from fetchq.http.revalidation import load_stored_body, loads_stored_body
from fetchq.http.robots_attempt import robots_plan
from fetchq.http.robots_txt import RobotsRequest
from fetchq.http.stored_part import load_part

if TYPE_CHECKING:
    from fetchq.core.model import Request
    from fetchq.core.settings import Settings
    from fetchq.engines.aiohttp.connection import Connection
    from fetchq.http.cookies import CookieJar
    from fetchq.http.hop import Hop
    from fetchq.http.range_resume import Partial
    from fetchq.http.robots_txt import RobotsCache
    from fetchq.http.target import Target

__all__ = ["AiohttpEngine"]


class AiohttpEngine:
    """The engine of a whole run. It belongs to the event loop in which it is created."""

    def __init__(
        self,
        settings: Settings,
        robots: RobotsCache | None = None,
        proxies: ProxyConfig | None = None,
        cookies: CookieJar | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._settings = settings
        self._proxies = proxies or ProxyConfig(settings)
        self._watchdog = Watchdog(settings)
        lost_time = self._watchdog.lost_time
        self._plan = HopPlan(settings, self._proxies, robots, cookies=cookies, lost_time=lost_time)
        self._robots_plan = self._plan if robots is None else robots_plan(settings, self._proxies, lost_time)
        self._resolver = Resolver(settings)
        self._buffer = 65536 if settings.limit_rate is None else 16384
        self._disk = DiskThreads()
        self._connector = Connector(settings, self._resolver, self._disk)
        self._idle: IdlePool[Connection] = IdlePool(fd_budget(settings).idle)
        self._fast = FastRequests(self._plan, self._proxies, self._idle, self._watchdog)
        self._bodies = BodyReceiver(settings, self._disk, self._connector.turns)
        self._unwanted: Callable[[Request], bool] = lambda _: False
        self.cancelled: list[Attempt] = []

    async def attempt(
        self,
        request: Request,
        target: Target,
        partial: Partial | None = None,
        on_sent: Callable[[], None] | None = None,
    ) -> Attempt:
        plan = self._robots_plan if isinstance(request, RobotsRequest) else self._plan
        attempt = Attempt(plan, request, target, partial)
        attempt.on_sent = on_sent
        connection = self._fast.send(attempt)
        if connection is not None and (complete := connection.fast_path.complete) is not None:
            try:
                if await complete:
                    self._fast.end(attempt, connection)
                    return attempt
                if self._unwanted(request):  # after it had left the fast path
                    raise AttemptFailed(Cause.CANCELLED, RUN_ENDED)
            except asyncio.CancelledError:
                connection.abort()
                raise self._lost(attempt) from None
            except Exception as problem:  # noqa: BLE001  # `fail` raises a bug in fetchq again
                self._fast.fail(attempt, connection, problem)
                return attempt
        await self._make(attempt, connection)
        return attempt

    async def _make(self, attempt: Attempt, connection: Connection | None) -> None:
        """Make an attempt. `connection`: the one on which its request was sent, if it has left the fast path."""
        failed: AttemptFailed | None = None
        watchdog = self._watchdog
        task = asyncio.current_task(self._loop)  # without the argument, Python 3.11 makes a system call
        assert task is not None
        watchdog.watched[attempt] = task
        if not watchdog.armed:
            watchdog.arm()
        try:
            if attempt.request._part is not None and attempt.partial is None:
                await self._load_part(attempt, attempt.request._part)
            while await self._exchange(attempt, connection):
                connection = None
                attempt.follow_redirect()
        except AttemptFailed as problem:
            failed = problem
        except asyncio.CancelledError:
            if (failed := watchdog.interrupted.get(attempt)) is None:
                self._lost(attempt)
                raise
        finally:
            attempt.on_sent = None  # the loop may have scheduled a call of it for its next turn
            del watchdog.watched[attempt]
            # Like asyncio.timeout, take back the Watchdog's cancellation; any that is left came from outside.
            if watchdog.interrupted.pop(attempt, None) is not None and task.uncancel() > 0:
                raise self._lost(attempt)
        if failed is None and attempt.unmodified and loads_stored_body(attempt):
            failed = await self._load_stored_body(attempt)
        if failed is not None and failed.local_limit:
            self._idle.close()
        attempt.finish(failed)

    async def address_of(self, host: str) -> str | None:
        if (url := self._plan.url_to_look_up(host)) is None:
            return None
        try:
            async with asyncio.timeout(self._settings.connect_timeout):
                found = await self._resolver.resolve(url.raw_host or "", url.port or 0)
        except (AttemptFailed, TimeoutError):
            return None
        family = self._connector.family
        return first_address(one.host for one in found if family in (socket.AF_UNSPEC, one.family))

    def abort(self) -> None:
        self.cancel(lambda _: True)

    def cancel(self, unwanted: Callable[[Request], bool]) -> None:
        self._unwanted = unwanted
        self._watchdog.interrupt(RUN_ENDED, unwanted)

    async def close(self) -> None:
        self._watchdog.close()
        self._idle.close()
        await self._resolver.close()
        self._disk.close()
        for _ in range(3):
            await asyncio.sleep(0)  # an aborted transport closes its socket in one of the loop's next turns

    def _lost(self, attempt: Attempt) -> asyncio.CancelledError:
        """Note that the task of an attempt was cancelled, so that the attempt will not be returned."""
        attempt.stop_clock()
        self.cancelled.append(attempt)
        return asyncio.CancelledError()

    async def _exchange(self, attempt: Attempt, connection: Connection | None) -> bool:
        """Make one hop, from the request to the end of its response. Returns whether it redirects.

        `connection`: the one on which the request was sent, if it was. Raises `AttemptFailed`.
        """
        content: aiohttp.StreamReader | None = None
        known_end = True
        try:
            while content is None:
                try:
                    if connection is None:
                        connection, hop, head = await self._connect(attempt)
                        complete = self._send(attempt, connection, hop, head)
                        if complete is not None and await complete:
                            return attempt.redirecting
                    message, content = await connection.read()
                except Exception as problem:  # noqa: BLE001  # `failure_of` raises a bug in fetchq again
                    self._check_resend(attempt, failure_of(problem, answering=attempt.answering), connection)
                    connection = None
            assert connection is not None
            if message is None:  # the attempt has taken it on the fast path
                await self._bodies.catch_up(attempt)
            elif not await self._bodies.take_head(attempt, message):
                return attempt.redirecting
            await self._read_body(attempt, connection, content)
        except AttemptFailed as problem:
            known_end = problem.cause is not Cause.PROTOCOL
            raise
        except Exception as problem:  # no exception that a hostile server causes may leave the engine
            raise failure_of(problem, answering=attempt.answering) from problem
        finally:
            if connection is not None:
                whole = known_end and (connection.fast_path.ended if content is None else content.is_eof())
                if connection.end_exchange(whole=whole and (connection.upload is None or may_finish_upload(attempt))):
                    self._idle.add(connection, attempt.response)
                elif connection.sent_body_with_head:
                    self._idle.distrust(host_field(*attempt.hop.target.origin))
        return attempt.redirecting

    def _send(self, attempt: Attempt, connection: Connection, hop: Hop, head: bytes) -> asyncio.Future[bool] | None:
        """Send the hop's request. Returns `FastPath.complete` if it takes the fast path. Raises `AttemptFailed`."""
        bodyless, fast = hop.method == "HEAD", self._fast.allows(attempt)
        return connection.send(attempt, head, hop.body, bodyless=bodyless, buffer=self._buffer, fast=fast)

    async def _read_body(self, attempt: Attempt, connection: Connection, content: aiohttp.StreamReader) -> None:
        """Read the body of a response, and finish the upload of the request, if the response allows that."""
        await self._bodies.receive(attempt, connection, content)
        if connection.problem is not None:
            raise connection.problem
        attempt.trailers = connection.framing.trailers
        if not attempt.response.framed:
            await connection.check_closed_cleanly()
        attempt.on_end()
        if connection.upload is not None and may_finish_upload(attempt) and not connection.should_close:
            await connection.upload.finish()

    def _check_resend(self, attempt: Attempt, failed: AttemptFailed, connection: Connection | None) -> None:
        """End the connection, so that the hop is sent again on a new one. Raises `failed` if it may not be."""
        if connection is not None and was_stale(attempt, failed):
            self._idle.note_stale(connection, attempt.progress_at)
        if failed.stray and attempt.reused:
            self._idle.distrust(host_field(*attempt.hop.target.origin))
        if not may_resend(attempt, failed):
            raise failed
        attempt.needs_fresh_connection = True
        if connection is not None:
            connection.end_exchange(whole=False)

    async def _connect(self, attempt: Attempt) -> tuple[Connection, Hop, bytes]:
        """An idle or a new connection for the attempt's hop, the hop as it is to be sent, and its head.

        The server may have closed an idle connection just now.
        """
        url = attempt.hop.url
        proxy, authorization = proxy_parts(self._proxies.proxy_for(url)) if self._proxies.proxied else (None, {})
        hop = attempt.begin_exchange(proxy)
        host = host_field(*attempt.hop.target.origin)
        absolute = proxy is not None and url.scheme == "http" and not is_socks(proxy)
        head = request_head(hop, host, absolute=absolute, more=authorization if absolute else {})
        key = (url.scheme, host, proxy, "anonymous") if attempt.anonymous else (url.scheme, host, proxy)
        idempotent, idle = hop.method in IDEMPOTENT, self._idle
        while (connection := idle.take(key) if idempotent else await idle.take_for_non_idempotent(key)) is not None:
            if not idempotent:
                attempt.lap(CONNECT)  # the pool may have waited, to see whether the server closes it
            if idle.trusts(connection, host) and not attempt.needs_fresh_connection:
                return connection, hop, head
            connection.close()
        connection = await self._connector.open(attempt, url, proxy, authorization)
        connection.key = key
        if not idempotent and connection.is_connected() and hung_up(descriptor_of(connection.transport)):
            connection.close()
            raise closed_early(answering=False)  # before any of the request was sent, so that it may be tried again
        return connection, hop, head

    async def _load_part(self, attempt: Attempt, path: str) -> None:
        """Load the beginning of the body that an earlier session has kept, which the attempt then continues."""
        with attempt.on_hold(STORE):
            attempt.partial = await self._disk.run(load_part, path, self._settings)

    async def _load_stored_body(self, attempt: Attempt) -> AttemptFailed | None:
        """Load the body that an earlier run has stored and the server has confirmed. Returns the failure, if any."""
        try:
            await self._disk.run_timed(attempt, load_stored_body, attempt)
        except AttemptFailed as problem:
            return problem
        return None

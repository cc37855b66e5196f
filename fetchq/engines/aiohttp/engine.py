"""The async engine. It and the `aiohttp_` modules are the only ones that import aiohttp, the practice server apart."""

from __future__ import annotations

import asyncio
import functools
import socket
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import TYPE_CHECKING

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from fetchq.core.model import Cause
from fetchq.engines.aiohttp.connection import Connection
from fetchq.engines.aiohttp.connector import Connector
from fetchq.engines.aiohttp.failures import failure_of
from fetchq.engines.aiohttp.idle_pool import Resting
from fetchq.engines.aiohttp.resolver import Resolver
from fetchq.engines.aiohttp.timeouts import Watchdog
from fetchq.engines.bandwidth import ByteRate, buffer_for
from fetchq.engines.fd_limit import room_for
from fetchq.engines.tls import tls_context
from fetchq.http.attempt import CONNECT, DNS, RECEIVE, STORE, Attempt, AttemptFailed, current_attempt, header_map
from fetchq.http.hops import Hop, host_field, request_head
from fetchq.http.proxies import Routes, first_address, proxy_parts
from fetchq.http.revalidation import keep, keeps
from fetchq.http.robots_attempt import Plans
from fetchq.http.url import parse_url

if TYPE_CHECKING:
    from aiohttp.connector import AddrInfoType
    from aiohttp.http import RawResponseMessage

    from fetchq.core.model import Request
    from fetchq.core.settings import Settings
    from fetchq.http.body import Intake
    from fetchq.http.range_resume import Partial
    from fetchq.http.robots_txt import RobotsCache
    from fetchq.http.url import Target

__all__ = ["AiohttpEngine"]

_DISK_THREADS = 4


class AiohttpEngine:
    """One for the run. Create it in the event loop that it serves."""

    def __init__(self, settings: Settings, book: RobotsCache | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._settings = settings
        self._routes = Routes(settings)
        self._plans = Plans(settings, self._routes, book)
        self._watchdog = Watchdog(settings)
        self._resolver = Resolver(settings)
        family = socket.AF_INET if settings.ipv4 else socket.AF_INET6 if settings.ipv6 else socket.AF_UNSPEC
        self._rate = None if settings.limit_rate is None else ByteRate(settings.limit_rate)
        self._buffer = 65536 if self._rate is None else 16384
        buffer = buffer_for(settings.limit_rate)
        self._connector = Connector(
            limit=0,  # the workers are the limit
            ssl=tls_context(settings),
            family=family,
            resolver=_ResolverAdapter(self._resolver),
            use_dns_cache=False,  # the Resolver has one, and the time spent waiting for it is counted
            socket_factory=None if buffer is None else functools.partial(_socket, buffer),
        )
        self._resting: Resting[Connection] = Resting(room_for(settings).resting)
        self._unreliable: set[str] = set()
        """Servers that sent what nobody had asked for."""
        self._disk: ThreadPoolExecutor | None = None

    async def attempt(
        self,
        request: Request,
        target: Target,
        partial: Partial | None = None,
        on_sent: Callable[[], None] | None = None,
    ) -> Attempt:
        attempt, plan = self._plans.begin(request, target, partial)
        attempt.on_sent = on_sent
        current_attempt.set(attempt)
        task = asyncio.current_task(self._loop)  # without the loop, Python 3.11 asks the kernel for the process id
        assert task is not None
        failed: AttemptFailed | None = None
        self._watchdog.watch(attempt, task)
        try:
            await self._exchange(attempt)
            while attempt.redirecting:
                attempt.follow(plan)
                await self._exchange(attempt)
        except AttemptFailed as problem:
            failed = problem
        except asyncio.CancelledError:
            if attempt.expired is None:
                raise
            failed = attempt.expired
        finally:
            self._watchdog.forget(attempt)
            attempt.on_sent = None  # which may still be due in the next turn of the loop
            # As asyncio.timeout does: take our own cancellation back; what is left came from outside.
            if attempt.expired is not None and task.uncancel() > 0:
                raise asyncio.CancelledError
        if failed is None and keeps(attempt):
            try:
                await self._in_thread(attempt, keep, attempt)
            except AttemptFailed as problem:
                failed = problem
        if failed is not None and failed.starved:
            self._resting.close()
        attempt.finish(failed)
        return attempt

    async def address_of(self, host: str) -> str | None:
        url = parse_url(host).url
        if self._routes.proxy_for(url) is not None:
            return None
        try:
            async with asyncio.timeout(self._settings.connect_timeout):
                found = await self._resolver.resolve(url.raw_host or "", url.port or 0)
        except (AttemptFailed, TimeoutError):
            return None
        family = self._connector.family
        return first_address(one.host for one in found if family in (socket.AF_UNSPEC, one.family))

    def abort(self) -> None:
        self._watchdog.interrupt_all("the run ended first")

    async def close(self) -> None:
        self._watchdog.close()
        self._resting.close()
        await self._connector.close()
        await self._resolver.close()
        if self._disk is not None:
            self._disk.shutdown()
        for _ in range(3):
            await asyncio.sleep(0)  # a transport that is aborted closes its socket a turn of the loop later, or two

    async def _exchange(self, attempt: Attempt) -> None:
        """One hop: from the request to the end of its body. Raises `AttemptFailed`."""
        content: aiohttp.StreamReader | None = None
        try:
            while content is None:
                try:
                    message, content = await self._ask(attempt, attempt.asked)
                except Exception as problem:  # `failure_of` tells a bug of ours from one of the network
                    if not attempt.may_resend(failure_of(attempt, problem)):
                        raise
                    self._let_go(attempt, whole=False)
                    attempt.resent = True
            headers = header_map(message.raw_headers)  # aiohttp has its own spelling of the names that it knows
            attempt.on_response(message.code, message.reason, headers, message.version)
            if attempt.redirecting and not attempt.drains:
                return
            while not content.at_eof():
                data = await content.readany()
                if self._rate is not None:
                    await self._hold(attempt, self._rate, len(data))
                attempt.on_data(data)
                intake = attempt.intake
                if intake is not None and intake.due:
                    await self._write(attempt, intake)
            if not attempt.framed:
                await _connection_of(attempt).ended_cleanly()
            attempt.on_end()
        except AttemptFailed as problem:
            if problem.cause is Cause.PROTOCOL:
                content = None  # wherever that ends
            raise
        except Exception as problem:  # a hostile server must not find an exception that gets out
            raise failure_of(attempt, problem) from problem
        finally:
            self._let_go(attempt, whole=content is not None and content.is_eof())

    async def _ask(self, attempt: Attempt, hop: Hop) -> tuple[RawResponseMessage, aiohttp.StreamReader]:
        """Send what a hop asks. Returns the head of the final response, and its body as it comes.

        The connection may turn out to have been closed just before.
        """
        url = hop.url
        proxy, authorization = proxy_parts(self._routes.proxy_for(url)) if self._routes.proxied else (None, {})
        attempt.begin_exchange(proxy)
        place = (url.scheme, host_field(url), proxy)
        connection = self._rested(attempt, place)
        if connection is None:
            connection = await self._connector.open(attempt, url, proxy, authorization)
            connection.place = place
        connection.take(attempt)
        absolute = proxy is not None and url.scheme == "http"
        head = request_head(hop, absolute=absolute, more=authorization if absolute else {})
        connection.send(head, hop.body, answered_with_body=hop.method != "HEAD", buffer=self._buffer)
        return await connection.answer()

    def _rested(self, attempt: Attempt, place: Hashable) -> Connection | None:
        """A connection to there that is still good; those that are not, are closed."""
        while (connection := self._resting.take(place)) is not None:
            authority = host_field(attempt.hop.url)
            if connection.stray or connection.should_close:
                # What this server sends unasked could come late as well, as the answer to the next request.
                self._unreliable.add(authority)
            elif not attempt.resent and authority not in self._unreliable:
                return connection
            connection.close()
        return None

    def _let_go(self, attempt: Attempt, *, whole: bool) -> None:
        """The hop needs its connection no longer; `whole`: it has read the response to its end."""
        connection: Connection | None = attempt.connection
        if connection is None:
            return
        attempt.connection = None  # it may be another attempt's in a moment
        if not whole:
            connection.force_close()
        if connection.settle():
            self._resting.add(connection)

    async def _hold(self, attempt: Attempt, rate: ByteRate, size: int) -> None:
        """Wait until the limit allows what has come. Meanwhile aiohttp stops reading from the socket."""
        now = perf_counter()
        if (seconds := rate.reserve(size, now) - now) > 0:
            with attempt.on_hold():
                await asyncio.sleep(seconds)

    async def _write(self, attempt: Attempt, intake: Intake) -> None:
        """The watchdog does not count that time against the server."""
        intake.writing = True
        try:
            await self._in_thread(attempt, intake.write)
        finally:
            attempt.progress_at = perf_counter()
        intake.writing = False

    async def _in_thread(self, attempt: Attempt, work: Callable[..., None], *given: object) -> None:
        """The loop never waits for a disk."""
        if self._disk is None:
            self._disk = ThreadPoolExecutor(_DISK_THREADS, thread_name_prefix="fetchq-disk")
        attempt.lap(RECEIVE)
        try:
            await self._loop.run_in_executor(self._disk, work, *given)
        finally:
            attempt.lap(STORE)


def _connection_of(attempt: Attempt) -> Connection:
    connection: Connection = attempt.connection
    return connection


def _socket(buffer: int, address: AddrInfoType) -> socket.socket:
    """A socket that receives no more than so many bytes ahead."""
    made = socket.socket(*address[:3])
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    return made


class _ResolverAdapter(AbstractResolver):
    """The Resolver, as aiohttp asks for it."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        attempt = current_attempt.get()
        attempt.lap(CONNECT)
        try:
            addresses = await self._resolver.resolve(host, port)
        finally:
            attempt.lap(DNS)
        wanted = [address for address in addresses if family in (socket.AF_UNSPEC, address.family)]
        if not wanted:
            version = "IPv4" if family == socket.AF_INET else "IPv6"
            raise AttemptFailed(Cause.DNS, f"the name has no {version} address", permanent=True)
        return [
            ResolveResult(hostname=host, host=address.host, port=port, family=address.family, proto=0, flags=0)
            for address in wanted
        ]

    async def close(self) -> None:
        """The engine closes the Resolver."""

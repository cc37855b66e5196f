"""Opens aiohttp's connections: name resolution, TCP, proxies and TLS.

This module uses private parts of aiohttp, as `fetchq.engines.aiohttp.connection` does.
"""

from __future__ import annotations

import asyncio
import socket
from math import inf
from time import perf_counter
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from fetchq.core.model import Cause
from fetchq.engines.aiohttp.connection import Connection
from fetchq.engines.aiohttp.opening import Opening, TimedSSLObject, current_opening
from fetchq.engines.aiohttp.tunnel import connect_through_socks, open_tunnel
from fetchq.engines.aiohttp.turns import TurnClock
from fetchq.engines.arrival import connected
from fetchq.engines.bandwidth import buffer_for
from fetchq.engines.errors import closed_early
from fetchq.engines.socks import is_socks, lookup_family
from fetchq.engines.tls import tls_context
from fetchq.http.attempt import Attempt
from fetchq.http.failure import AttemptFailed, not_tls
from fetchq.http.guard import guard_for
from fetchq.http.phases import CONNECT, DNS, LAG, TLS

if TYPE_CHECKING:
    from aiohttp.connector import AddrInfoType
    from yarl import URL

    from fetchq.core.settings import Settings
    from fetchq.engines.aiohttp.resolver import Resolver

__all__ = ["Connector"]

_NO_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=None)
"""The Watchdog enforces all timeouts."""

_create: Any = aiohttp.TCPConnector._wrap_create_connection
_start_tls: Any = aiohttp.TCPConnector._start_tls_connection


class Connector(aiohttp.TCPConnector):
    """Opens connections. It keeps none of them; the engine has an IdlePool."""

    def __init__(self, settings: Settings, resolver: Resolver) -> None:
        self._guard = guard_for(settings)
        self.turns = TurnClock(asyncio.get_running_loop())
        """Follows the turns of the event loop."""
        self._buffer = buffer_for(settings.limit_rate)
        context = tls_context(settings)
        context.sslobject_class = TimedSSLObject
        self._anonymous = context
        """The TLS context for other hosts than that of the row's own URL."""
        if settings.cert is not None:
            self._anonymous = tls_context(settings, anonymous=True)
            self._anonymous.sslobject_class = TimedSSLObject
        super().__init__(
            limit=0,  # the number of workers is the limit
            ssl=context,
            family=socket.AF_INET if settings.ipv4 else socket.AF_INET6 if settings.ipv6 else socket.AF_UNSPEC,
            resolver=_ResolverAdapter(resolver),
            use_dns_cache=False,  # the Resolver has a cache, and the time spent resolving is measured
            socket_factory=self._socket,
        )
        assert hasattr(self, "_factory"), "this aiohttp makes its connections in another way"
        self._factory = self._make  # type: ignore[assignment]  # a subclass

    async def open(self, attempt: Attempt, url: URL, proxy: URL | None, proxy_headers: dict[str, str]) -> Connection:
        """Open a connection for requests to `url`: to its host or to the proxy, for https through a tunnel."""
        opening = Opening(attempt, self.turns)
        current_opening.set(opening)
        try:
            if proxy is None:
                await self._dial(url)
            else:
                socks = is_socks(proxy)
                transport = await (self._dial_through_socks(attempt, url, proxy) if socks else self._dial(proxy))
                if url.scheme == "https":
                    if not socks:
                        await open_tunnel(transport.get_protocol(), attempt, proxy_headers)
                        attempt.lap(CONNECT)
                    await self._start_tls_with(transport, url)
        except BaseException:  # raised again, whatever it is
            for connection in opening.protocols:
                connection.abort()  # aiohttp would wait for a TLS shutdown by a server that may never answer
            raise
        return opening.protocols[-1]

    async def _dial(self, url: URL) -> Any:
        """Connect to the host of a URL, with https over TLS. Returns the transport."""
        request = self._request(url)
        protocol = await self._create_connection(request, [], _NO_TIMEOUT)
        return protocol.transport

    async def _dial_through_socks(self, attempt: Attempt, url: URL, proxy: URL) -> Any:
        """Connect to the host of a URL through a SOCKS proxy. Returns the transport."""
        host, port = url.raw_host or "", url.port or 0
        attempt.proxy = None
        places = [host]
        if (family := lookup_family(proxy, host, self.family)) is not None:
            found = await self._resolver.resolve(host, port, socket.AddressFamily(family))
            places = [one["host"] for one in found]
        for left in range(len(places) - 1, -1, -1):
            attempt.proxy = proxy
            transport = await self._dial(proxy.with_scheme("http"))
            try:
                await connect_through_socks(transport.get_protocol(), attempt, proxy, places[~left], port)
                attempt.lap(CONNECT)
            except AttemptFailed as failed:
                if failed.cause is not Cause.CONNECT or not left:
                    raise
            else:
                break
        return transport

    async def _start_tls_with(self, transport: Any, url: URL) -> None:
        """Start TLS with the host of a URL, at the other end of a tunnel."""
        request = self._request(url)
        request.server_hostname = (url.raw_host or "").rstrip(".")
        await self._start_tls_connection(transport, req=request, timeout=_NO_TIMEOUT)

    def _request(self, url: URL) -> aiohttp.ClientRequest:
        """What aiohttp needs to connect to the host of a URL: it is never sent."""
        anonymous = current_opening.get().attempt.anonymous
        return aiohttp.ClientRequest("GET", url, loop=self._loop, ssl=self._anonymous if anonymous else True)

    def _make(self) -> Connection:
        connection = Connection(self._loop, self.turns)
        current_opening.get().protocols.append(connection)
        return connection

    async def _wrap_create_connection(self, *args: Any, req: Any, timeout: Any, **options: Any) -> Any:  # noqa: ASYNC109  # aiohttp's
        """Connect with TCP, and then start TLS on top of it, so that TCP can be paused (see `Connection.carrier`)."""
        context, name = options.pop("ssl"), options.pop("server_hostname")
        opening = current_opening.get()
        opening.dialled.clear()
        if self._guard is not None and opening.attempt.proxy is None:
            found = options["addr_infos"]  # aiohttp's own list, with which it tries again if no address answers
            found[:] = self._guard.usable(req.url.raw_host or "", found, _address_text)
        transport, plain = await _create(self, *args, req=req, timeout=timeout, **options)
        self._count_connecting(opening, transport, plain)
        if context is None:
            return transport, plain
        if plain.unsolicited:
            raise not_tls()
        req.server_hostname = name  # without the final dot that a name may have
        return await self._secured(transport, req=req, timeout=timeout, client_error=options["client_error"])

    # The name, the parameters and the timeout are those of aiohttp's own method, whose types are private.
    async def _start_tls_connection(self, transport: Any, *, req: Any, timeout: Any) -> Any:  # type: ignore[override]  # noqa: ASYNC109
        """Start TLS through a tunnel that is open: the proxy is not to blame for failures from here on."""
        current_opening.get().attempt.proxy = None
        return await self._secured(transport, req=req, timeout=timeout)

    async def _secured(self, transport: Any, **given: Any) -> tuple[Any, Connection]:
        """Start TLS on top of a transport. Returns the TLS transport, and the connection on it."""
        plain: Connection = transport.get_protocol()
        if transport.is_closing():  # uvloop would fail in a callback, with a traceback on stderr
            raise closed_early(answering=False)
        attempt = current_opening.get().attempt
        attempt.connecting_phase, attempt.tls_known = TLS, True
        secured, opened = await _start_tls(self, transport, **given)
        secured.get_extra_info("ssl_object").handshake.count(attempt)
        connection: Any = opened
        connection.carrier, connection.sock = plain.carrier or transport, plain.sock
        return secured, connection

    def _count_connecting(self, opening: Opening, transport: Any, connection: Connection) -> None:
        """Divide the time since the last lap, in which TCP has connected."""
        descriptor = transport.get_extra_info("socket").fileno()
        for sock, dialled in opening.dialled:
            if sock.fileno() == descriptor:  # those of other addresses are closed
                opening.sock = connection.sock = sock
                began, ended = connected(sock, dialled)
                opening.attempt.laps((LAG, began if len(opening.dialled) == 1 else 0.0), (CONNECT, ended))

    def _socket(self, address: AddrInfoType) -> socket.socket:
        """A socket that is about to connect to an address."""
        made = socket.socket(*address[:3])
        if self._buffer is not None:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._buffer)
        current_opening.get().dialled.append((made, perf_counter()))
        return made


def _address_text(address: AddrInfoType) -> str:
    return str(address[4][0])


class _ResolverAdapter(AbstractResolver):
    """Adapts the Resolver to aiohttp's interface, and measures the time that resolving takes."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        attempt = current_opening.get().attempt
        attempt.lap(LAG)
        asked_at, answered_at = 0.0, inf
        try:
            addresses = await self._resolver.resolve(host, port)
            asked_at, answered_at = self._resolver.times(host)
        finally:
            attempt.laps((LAG, asked_at), (DNS, answered_at))
        usable = [address for address in addresses if family in (socket.AF_UNSPEC, address.family)]
        if not usable:
            version = "IPv4" if family == socket.AF_INET else "IPv6"
            raise AttemptFailed(Cause.DNS, f"the name has no {version} address", permanent=True)
        return [
            ResolveResult(hostname=host, host=address.host, port=port, family=address.family, proto=0, flags=0)
            for address in usable
        ]

    async def close(self) -> None:
        """Do nothing: the engine closes the Resolver."""

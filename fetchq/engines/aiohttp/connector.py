"""Opens the connections of a run: name resolution, TCP, proxies and TLS."""

from __future__ import annotations

import asyncio
import socket
from functools import partial
from math import inf
from time import perf_counter
from typing import TYPE_CHECKING

import aiohappyeyeballs

from fetchq.core.model import Cause
from fetchq.engines.aiohttp.connection import Connection
from fetchq.engines.aiohttp.opening import Opening, TimedSSLObject, current_opening
from fetchq.engines.aiohttp.tunnel import connect_through_socks, open_tunnel
from fetchq.engines.aiohttp.turns import TurnClock
from fetchq.engines.arrival import connected
from fetchq.engines.bandwidth import buffer_for
from fetchq.engines.errors import closed_early
from fetchq.engines.socks import is_socks, lookup_family
from fetchq.engines.tls import TlsContexts
from fetchq.http.addresses import check_family, is_address
from fetchq.http.attempt import Attempt
from fetchq.http.failure import AttemptFailed, not_tls
from fetchq.http.guard import guard_for
from fetchq.http.phases import CONNECT, DNS, LAG, TLS

if TYPE_CHECKING:
    import ssl

    from aiohappyeyeballs import AddrInfoType
    from yarl import URL

    from fetchq.core.settings import Settings
    from fetchq.engines.aiohttp.disk import DiskThreads
    from fetchq.engines.aiohttp.resolver import Resolver

__all__ = ["Connector"]

_NEXT_ADDRESS = 0.25
"""Seconds after which the next address of a host is tried beside the one before (RFC 8305, 5)."""


class Connector:
    """Opens connections. It keeps none of them; the engine has an IdlePool."""

    def __init__(self, settings: Settings, resolver: Resolver, disk: DiskThreads) -> None:
        self._loop = asyncio.get_running_loop()
        self._resolver = resolver
        self._guard = guard_for(settings)
        self.turns = TurnClock(self._loop)
        """Follows the turns of the event loop."""
        self.family = socket.AF_INET if settings.ipv4 else socket.AF_INET6 if settings.ipv6 else socket.AF_UNSPEC
        """The family of the addresses that the run may connect to."""
        self._buffer = buffer_for(settings.limit_rate)
        self._contexts = TlsContexts(settings)
        self._disk = disk

    async def open(self, attempt: Attempt, url: URL, proxy: URL | None, proxy_headers: dict[str, str]) -> Connection:
        """Open a connection for requests to `url`: to its host or to the proxy, for https through a tunnel.

        Raises `AttemptFailed`, and OSError.
        """
        opening = Opening(attempt, self.turns)
        current_opening.set(opening)
        try:
            if proxy is None:
                return await self._connect(opening, url)
            if is_socks(proxy):
                connection = await self._connect_through_socks(opening, url, proxy)
            else:
                connection = await self._connect(opening, proxy)
                if url.scheme == "https":
                    await open_tunnel(connection, attempt, proxy_headers)
                    attempt.lap(CONNECT)
            return await self._secure(opening, connection, url) if url.scheme == "https" else connection
        except BaseException:  # raised again, whatever it is
            for connection in opening.protocols:
                connection.abort()
            raise

    async def _connect(self, opening: Opening, url: URL) -> Connection:
        """Connect to the host of a URL, with https over TLS."""
        addresses = await self._addresses(opening.attempt, url.raw_host or "", url.port or 0)
        connection = await self._dial(opening, addresses)
        return await self._secure(opening, connection, url) if url.scheme == "https" else connection

    async def _connect_through_socks(self, opening: Opening, url: URL, proxy: URL) -> Connection:
        """Connect to the host of a URL through a SOCKS proxy."""
        attempt, host, port = opening.attempt, url.raw_host or "", url.port or 0
        attempt.proxy = None
        places = [host]
        if (family := lookup_family(proxy, host, self.family)) is not None:
            places = await self._look_up(attempt, host, port, family)
        for left in range(len(places) - 1, -1, -1):
            attempt.proxy = proxy
            connection = await self._connect(opening, proxy.with_scheme("http"))
            try:
                await connect_through_socks(connection, attempt, proxy, places[~left], port)
                attempt.lap(CONNECT)
            except AttemptFailed as failed:
                if failed.cause is not Cause.CONNECT or not left:
                    raise
            else:
                break
        return connection

    async def _addresses(self, attempt: Attempt, host: str, port: int) -> list[AddrInfoType]:
        """The addresses of a host that may be connected to, at least one. Raises `AttemptFailed` (`dns`, `blocked`)."""
        if is_address(host):
            if self.family != socket.AF_UNSPEC:
                check_family(host, ipv4=self.family == socket.AF_INET)
            found = [host]
        else:
            found = await self._look_up(attempt, host, port, self.family)
        if self._guard is not None and attempt.proxy is None:
            found = self._guard.usable(host, found, str)
        return [_tcp(one, port) for one in found]

    async def _look_up(self, attempt: Attempt, host: str, port: int, family: int) -> list[str]:
        """The addresses of a name, at least one. Raises `AttemptFailed` (`dns`)."""
        attempt.lap(LAG)
        asked_at, answered_at = 0.0, inf
        try:
            addresses = await self._resolver.resolve(host, port)
            asked_at, answered_at = self._resolver.times(host)
        finally:
            attempt.laps((LAG, asked_at), (DNS, answered_at))
        usable = [address.host for address in addresses if family in (socket.AF_UNSPEC, address.family)]
        if not usable:
            version = "IPv4" if family == socket.AF_INET else "IPv6"
            raise AttemptFailed(Cause.DNS, f"the name has no {version} address", permanent=True)
        return usable

    async def _dial(self, opening: Opening, addresses: list[AddrInfoType]) -> Connection:
        """Connect to one of the addresses with TCP."""
        make = partial(self._make, opening)
        if len(addresses) == 1 and self._buffer is None:
            # With uvloop, a socket of one's own takes four times as much CPU.
            (address,) = addresses
            dialled = perf_counter()
            transport, connection = await self._loop.create_connection(make, *address[4][:2], family=address[0])
        else:
            sockets: dict[socket.socket, float] = {}
            sock = await aiohappyeyeballs.start_connection(
                addresses,
                happy_eyeballs_delay=_NEXT_ADDRESS,
                loop=self._loop,
                socket_factory=partial(self._socket, sockets),
            )
            dialled = sockets[sock]
            transport, connection = await self._loop.create_connection(make, sock=sock)
        opening.sock = connection.sock = transport.get_extra_info("socket")
        began, ended = connected(opening.sock, dialled)
        opening.attempt.laps((LAG, began if len(addresses) == 1 else 0.0), (CONNECT, ended))
        return connection

    async def _secure(self, opening: Opening, plain: Connection, url: URL) -> Connection:
        """Start TLS with the host of a URL, on top of TCP, so that TCP can be paused (see `Connection.carrier`)."""
        attempt = opening.attempt
        context = await self._context_for(attempt)
        transport = plain.transport
        if transport is None or transport.is_closing():  # uvloop would fail in a callback, with a traceback on stderr
            raise closed_early(answering=False)
        if plain.unsolicited:
            raise not_tls()
        attempt.connecting_phase, attempt.tls_known = TLS, True
        connection = self._make(opening)
        name = (url.raw_host or "").rstrip(".")  # certificates have none of the final dot that a name may have
        secured = await self._loop.start_tls(transport, connection, context, server_hostname=name)
        if secured is None:
            raise closed_early(answering=False)
        connection.connection_made(secured)
        secured.get_extra_info("ssl_object").handshake.count(attempt)
        connection.carrier, connection.sock = plain.carrier or transport, plain.sock
        return connection

    async def _context_for(self, attempt: Attempt) -> ssl.SSLContext:
        """The TLS context for a hop: without the client certificate at other hosts than that of the row's own URL."""
        while (context := self._contexts.get(anonymous=attempt.anonymous)) is None:
            await self._disk.run(self._contexts.load)
            attempt.lap(LAG)
        context.sslobject_class = TimedSSLObject
        return context

    def _make(self, opening: Opening) -> Connection:
        connection = Connection(self._loop, self.turns)
        opening.protocols.append(connection)
        return connection

    def _socket(self, made: dict[socket.socket, float], address: AddrInfoType) -> socket.socket:
        """Make a socket that is about to connect to an address, and note when (`time.perf_counter`)."""
        sock = socket.socket(*address[:3])
        if self._buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._buffer)
        made[sock] = perf_counter()
        return sock


def _tcp(host: str, port: int) -> AddrInfoType:
    """The parameters of a socket that connects to an IP address, as `socket.getaddrinfo` has them."""
    if ":" in host:
        return socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port, 0, 0)
    return socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port)

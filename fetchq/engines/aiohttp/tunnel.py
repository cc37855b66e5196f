"""Asks a proxy, on a connection of aiohttp, to connect to the server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

from fetchq.engines.errors import closed_early
from fetchq.engines.socks import negotiate_async
from fetchq.http.tunnel import ConnectAnswer, connect_request

if TYPE_CHECKING:
    from yarl import URL

    from fetchq.engines.aiohttp.connection import Connection
    from fetchq.http.attempt import Attempt

__all__ = ["connect_through_socks", "open_tunnel"]


async def open_tunnel(connection: Connection, attempt: Attempt, authorization: dict[str, str]) -> None:
    """Have an HTTP proxy open a tunnel to the attempt's server. Raises `AttemptFailed`, and OSError."""
    answer = ConnectAnswer()
    with _Conversation(connection) as proxy:
        await proxy.write(connect_request(attempt.hop, authorization))
        while not answer.feed(await proxy.read()):
            pass
    attempt.proxy = None
    answer.check_silence()


async def connect_through_socks(connection: Connection, attempt: Attempt, proxy: URL, host: str, port: int) -> None:
    """Have a SOCKS proxy connect to a server. Raises `AttemptFailed`, and OSError."""
    with _Conversation(connection) as conversation:
        await negotiate_async(proxy, conversation, host, port)
    attempt.proxy = None
    if conversation.received:
        connection.data_received(bytes(conversation.received))  # the server sends first


class _Conversation(asyncio.Protocol):
    """Replaces a connection's protocol during the exchange with the proxy."""

    def __init__(self, connection: Connection) -> None:
        assert connection.transport is not None
        self._connection = connection
        self._transport = connection.transport
        self.received = bytearray()
        """Bytes that were not read."""
        self._ended = False
        self._problem: Exception | None = None
        self._waiting: asyncio.Future[None] | None = None

    def __enter__(self) -> Self:
        self._transport.set_protocol(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._transport.set_protocol(self._connection)

    def data_received(self, data: bytes) -> None:
        self.received += data
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended, self._problem = True, exc
        self._connection.connection_lost(exc)
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def write(self, data: bytes) -> None:
        self._transport.write(data)

    async def read(self) -> bytes:
        """The bytes that have arrived, at least one."""
        await self._arrival_of(1)
        return self._take(len(self.received))

    async def read_exactly(self, n: int) -> bytes:
        await self._arrival_of(n)
        return self._take(n)

    async def close(self) -> None:
        self._transport.abort()

    def _take(self, n: int) -> bytes:
        taken = bytes(self.received[:n])
        del self.received[:n]
        return taken

    async def _arrival_of(self, n: int) -> None:
        while len(self.received) < n:
            if self._ended:
                raise self._problem or closed_early(answering=False)
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting

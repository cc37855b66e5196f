"""How aiohttp opens connections: directly, through proxies, with TLS. A part of the async engine.

Here it reaches under aiohttp's surface, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiohttp

from fetchq.core.model import Cause
from fetchq.engines.aiohttp.connection import Connection
from fetchq.http.attempt import Attempt, AttemptFailed, current_attempt

if TYPE_CHECKING:
    from yarl import URL

__all__ = ["Connector"]

_NO_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=None)
"""The Watchdog keeps the times."""

_create: Any = aiohttp.TCPConnector._wrap_create_connection
_start_tls: Any = aiohttp.TCPConnector._start_tls_connection


class Connector(aiohttp.TCPConnector):
    """Opens connections. It keeps none: what becomes of one when its exchange is over is for the engine to say."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        assert hasattr(self, "_factory"), "this aiohttp makes its connections in another way"
        self._factory = self._make  # type: ignore[assignment]  # a subclass

    async def open(self, attempt: Attempt, url: URL, proxy: URL | None, proxy_headers: dict[str, str]) -> Connection:
        """A new connection to where `url` leads; through the proxy, for https, and else to it."""
        request = aiohttp.ClientRequest("GET", url, loop=self._loop, proxy=proxy, proxy_headers=proxy_headers or None)
        made: list[Connection] = []
        attempt.engine = made
        try:
            await self._create_connection(request, [], _NO_TIMEOUT)
        except BaseException:  # whatever it is, raised again
            for connection in made:
                connection.abort()  # aiohttp would let TLS say good-bye, to somebody who may not listen
            raise
        finally:
            attempt.engine = None
        return made[-1]  # what came before it carries it

    def _make(self) -> Connection:
        connection = Connection(self._loop)
        current_attempt.get().engine.append(connection)
        return connection

    async def _wrap_create_connection(self, *args: Any, req: Any, timeout: Any, **options: Any) -> Any:  # noqa: ASYNC109  # aiohttp's
        """TCP first, and then TLS over it, so that the first can be told to wait (see `Connection.below`)."""
        context, name = options.pop("ssl"), options.pop("server_hostname")
        transport, plain = await _create(self, *args, req=req, timeout=timeout, **options)
        if context is None:
            return transport, plain
        if plain.stray:
            raise AttemptFailed(Cause.TLS, "TLS failed: the server speaks first, and no TLS")
        req.server_hostname = name  # without the dot that a name may end with
        return await self._secured(transport, req=req, timeout=timeout, client_error=options["client_error"])

    async def _start_tls_connection(self, transport: Any, *, req: Any, timeout: Any) -> Any:  # type: ignore[override]  # noqa: ASYNC109
        """The tunnel stands: from here on, it is the origin that is spoken to."""
        current_attempt.get().proxy = None
        return await self._secured(transport, req=req, timeout=timeout)

    async def _secured(self, transport: Any, **given: Any) -> tuple[Any, Connection]:
        """TLS over a transport: its own, and the connection that speaks through it."""
        carrier: Connection = transport.get_protocol()
        secured, opened = await _start_tls(self, transport, **given)
        connection: Any = opened
        connection.below = carrier.below or transport
        return secured, connection

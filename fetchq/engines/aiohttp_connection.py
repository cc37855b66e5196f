"""aiohttp's connections, and what fetchq has to know of them. A part of the async engine.

Here it reaches under aiohttp's surface: only a connection's protocol sees when the first byte came, and whether bytes
came that nobody had asked for. The tests of the engine hold it to that.
"""

from __future__ import annotations

import asyncio
import functools
from collections import OrderedDict
from time import perf_counter
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError

from fetchq.engines.attempt import WAIT, Attempt, AttemptFailed, current_attempt
from fetchq.engines.errors import closed_early
from fetchq.engines.routes import address_text
from fetchq.engines.strict import MAX_INTERIM, MAX_SILENT, ChunkCheck, check_head
from fetchq.engines.upload import PIECE

__all__ = ["Connection", "Connector", "Upload"]


class Connection(ResponseHandler):
    """aiohttp's protocol of one connection, and what fetchq has to know of it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self.used = False
        self.stray = False
        """Bytes came while nothing was asked for: what follows them cannot be trusted."""
        self.remote: str | None = None
        self._attempt: Attempt | None = None
        self._payload_reader: aiohttp.StreamReader | None = None
        self._interim = 0
        self._silent = 0
        self._raw: bytes | None = None
        """The answer so far, until its head is there."""
        self._chunks: ChunkCheck | None = None
        self._ending: asyncio.Future[None] | None = None

    def take(self, attempt: Attempt) -> None:
        """`attempt` sends its request on this connection now."""
        if not self.used:
            self.remote = _remote(self.transport)
            # To be asked for while the connection lives; how it ended can be read from it afterwards.
            self._ending = self.closed
            if self._ending is not None:
                self._ending.add_done_callback(_seen)
        attempt.connected(reused=self.used)
        if attempt.on_sent is not None:
            self._loop.call_soon(attempt.going_out)  # uvloop sends what is written at the end of a turn
        self.used = True
        attempt.remote = self.remote
        attempt.connection = self
        self._attempt, self._payload_reader, self._interim, self._silent = attempt, None, 0, 0
        self._raw, self._chunks = b"", None

    def data_received(self, data: bytes) -> None:
        attempt = self._attempt
        if attempt is None:
            self.stray = self.stray or bool(data)
            super().data_received(data)
            return
        now = attempt.progress_at = perf_counter()
        if not attempt.answering:
            attempt.answering = True
            attempt.lap_at(WAIT, now)
        reader = self._payload_reader
        before = 0 if reader is None else reader.total_bytes
        if self._raw is not None:
            self._raw = self._raw + data if self._raw else data
        elif self._chunks is not None and reader is not None:
            try:
                self._chunks.feed(data)
            except AttemptFailed as problem:
                reader.set_exception(problem)
                self.force_close()
                return
        super().data_received(data)
        reader = self._payload_reader
        if reader is not None and reader.is_eof():
            self._attempt = None
            return
        self._silent = 0 if reader is not None and reader.total_bytes > before else self._silent + len(data)
        if self._silent > MAX_SILENT:
            self.set_exception(HttpProcessingError(message=f"more than {MAX_SILENT} bytes without a body"))
        if reader is not None and self.exception() is not None and reader.exception() is None:
            # aiohttp tells whoever waits for the next message, but not who reads this body.
            reader.set_exception(aiohttp.ClientPayloadError("the body is not valid HTTP"))

    def feed_data(self, data: Any, size: int = 0) -> None:
        message, payload = data
        if 100 <= message.code < 200 and message.code != 101:
            self._interim += 1
            if self._interim > MAX_INTERIM:
                self.set_exception(HttpProcessingError(message=f"more than {MAX_INTERIM} interim responses"))
                self.close()
                return
        else:
            if self._raw is not None and not self._sound(message, payload):
                return
            self._payload_reader = payload
        super().feed_data(data, size)

    def _sound(self, message: Any, payload: Any) -> bool:
        """The head of the answer is there: whether it, and what there is of a body in chunks, is as it should be."""
        assert self._raw is not None
        try:
            _, end = check_head(self._raw, self._interim)
            if message.chunked and payload is not aiohttp.EMPTY_PAYLOAD:
                self._chunks = ChunkCheck()
                self._chunks.feed(self._raw[end:])
        except AttemptFailed as problem:
            self.set_exception(problem)
            return False
        finally:
            self._raw = None
        return True

    def close(self) -> None:
        """At once: TLS would first say good-bye to a server that may not listen, and outlast the run with that."""
        self.abort()

    async def ended_cleanly(self) -> None:
        """Raise `AttemptFailed` when the connection, whose end was the body's end, was reset."""
        if self._ending is None:
            raise closed_early(answering=True)
        await asyncio.wait([self._ending])
        if not self._ending.cancelled() and self._ending.exception() is not None:
            raise closed_early(answering=True, how="reset")


class Upload(aiohttp.Payload):
    """A long body. Each piece that the network takes is progress: a long upload is no read timeout."""

    def __init__(self, body: bytes) -> None:
        super().__init__(body)
        self._size = len(body)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        body: bytes = self._value
        return body.decode(encoding, errors)

    async def write(self, writer: Any) -> None:
        attempt = current_attempt.get()
        transport: asyncio.Transport = attempt.connection.transport
        body = memoryview(self._value)
        try:
            for start in range(0, len(body), PIECE):
                await writer.write(body[start : start + PIECE])
                attempt.progress_at = perf_counter()
        except asyncio.CancelledError:
            transport.abort()  # nobody wants the rest; to close it would first send what still waits
            raise

    async def write_with_length(self, writer: Any, content_length: int | None) -> None:
        await self.write(writer)


_connect = aiohttp.TCPConnector.connect
_start_tls = aiohttp.TCPConnector._start_tls_connection
_release = aiohttp.TCPConnector._release


class Connector(aiohttp.TCPConnector):
    """Times the connecting, and hands out no connection that has bytes on it which nobody asked for."""

    def __init__(self, *, most_resting: int, **options: Any) -> None:
        super().__init__(**options)
        self._most_resting = most_resting
        self._resting: OrderedDict[Connection, None] = OrderedDict()
        self._unreliable: set[str] = set()
        assert hasattr(self, "_factory"), "this aiohttp makes its connections in another way"
        self._factory = functools.partial(Connection, loop=self._loop)  # type: ignore[assignment]  # a subclass

    async def connect(self, req: Any, traces: Any, timeout: Any) -> Any:  # noqa: ASYNC109  # aiohttp's signature
        attempt = current_attempt.get()
        attempt.begin_exchange(req.proxy)
        connection = await _connect(self, req, traces, timeout)
        protocol: Any = connection.protocol
        self._resting.pop(protocol, None)
        while protocol.used and not self._reusable(protocol, attempt):
            connection.close()
            connection = await _connect(self, req, traces, timeout)
            protocol = connection.protocol
            self._resting.pop(protocol, None)
        protocol.take(attempt)
        return connection

    async def _start_tls_connection(self, transport: Any, *, req: Any, timeout: Any) -> Any:  # type: ignore[override]  # noqa: ASYNC109
        """The tunnel stands: from here on, it is the origin that is spoken to."""
        current_attempt.get().proxy = None
        return await _start_tls(self, transport, req=req, timeout=timeout)

    def _reusable(self, protocol: Connection, attempt: Attempt) -> bool:
        if protocol.stray or protocol.should_close:
            # What this server sends unasked could come late as well, as the answer to the next request.
            self._unreliable.add(attempt.hop.url.raw_authority)
            return False
        return not attempt.resent and not (self._unreliable and attempt.hop.url.raw_authority in self._unreliable)

    def _release(self, key: Any, protocol: Any, *, should_close: bool = False) -> None:
        """The connection has done its work. Of those that wait for more, the oldest one too many is closed."""
        _release(self, key, protocol, should_close=should_close)
        if protocol.is_connected():
            self._resting[protocol] = None
            if len(self._resting) > self._most_resting:
                self._resting.popitem(last=False)[0].close()

    def close_resting(self) -> None:
        """This machine is short of descriptors: give back those that are not at work."""
        while self._resting:
            self._resting.popitem()[0].close()


def _remote(transport: asyncio.BaseTransport | None) -> str | None:
    peer = transport.get_extra_info("peername") if transport is not None else None
    return None if peer is None else address_text(peer)


def _seen(ending: asyncio.Future[None]) -> None:
    if not ending.cancelled():
        ending.exception()

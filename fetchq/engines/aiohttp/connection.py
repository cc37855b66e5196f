"""A connection of aiohttp's, and what fetchq has to know of it. A part of the async engine.

Here it reaches under aiohttp's surface: only a connection's protocol sees when the first byte came, and whether bytes
came that nobody had asked for. The tests of the engine hold it to that.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Hashable
from contextlib import suppress
from time import perf_counter
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError
from multidict import istr

from fetchq.engines.errors import closed_early
from fetchq.engines.requests.upload import PIECE
from fetchq.http.attempt import WAIT, Attempt, AttemptFailed
from fetchq.http.proxies import address_text
from fetchq.http.wire_checks import MAX_HEADERS, MAX_INTERIM, MAX_LINE, MAX_SILENT, ChunkCheck, check_after, check_head

if TYPE_CHECKING:
    from aiohttp.http import RawResponseMessage

__all__ = ["Connection"]

_LENGTH = istr("Content-Length")


class Connection(ResponseHandler):
    """aiohttp's protocol of one connection, and what fetchq has to know of it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self.used = False
        self.stray = False
        """Bytes came while nothing was asked for: what follows them cannot be trusted."""
        self.remote: str | None = None
        self.below: asyncio.Transport | None = None
        """The TCP that TLS goes over. What is told to wait is this: with uvloop, TLS that waits loses the end of what
        has come when the server hangs up."""
        self.place: Hashable = None
        """Where it leads."""
        self._attempt: Attempt | None = None
        self._payload_reader: aiohttp.StreamReader | None = None
        self._interim = 0
        self._silent = 0
        self._raw: bytes | None = None
        """The answer so far, until its head is there."""
        self._chunks: ChunkCheck | None = None
        self._left: int | None = None
        """Bytes of the body that are still to come, where its length is known."""
        self._ending: asyncio.Future[None] | None = None
        self._tls: ssl.SSLObject | None = None
        self._upload: asyncio.Task[None] | None = None

    def take(self, attempt: Attempt) -> None:
        """`attempt` sends its request on this connection now."""
        if not self.used:
            self.remote = _remote(self.transport)
            # To be asked for while the connection lives; how it ended can be read from it afterwards.
            self._ending = self.closed
            self._tls = None if self.transport is None else self.transport.get_extra_info("ssl_object")
            if self._ending is not None:
                self._ending.add_done_callback(_seen)
        attempt.connected(reused=self.used)
        if attempt.on_sent is not None:
            self._loop.call_soon(attempt.going_out)  # uvloop sends what is written at the end of a turn
        self.used = True
        attempt.remote = self.remote
        attempt.connection = self
        self._attempt, self._payload_reader, self._interim, self._silent = attempt, None, 0, 0
        self._raw, self._chunks, self._left = b"", None, None

    def send(self, head: bytes, body: bytes | None, *, answered_with_body: bool, buffer: int) -> None:
        """Send a request, and be ready for its answer, of which no more than `buffer` bytes are read ahead.

        Raises `AttemptFailed`.
        """
        transport = self.transport
        if transport is None or transport.is_closing():
            raise closed_early(answering=False)
        self.set_response_params(
            skip_payload=not answered_with_body,
            read_until_eof=True,
            auto_decompress=False,
            read_bufsize=buffer,
            max_line_size=MAX_LINE,
            max_field_size=MAX_LINE,
            max_headers=MAX_HEADERS,
        )
        if not body:
            transport.write(head)
        elif len(body) <= PIECE:
            transport.write(head + body)
        else:
            transport.write(head)
            self._upload = self._loop.create_task(self._send_body(body), name="fetchq-upload")

    async def _send_body(self, body: bytes) -> None:
        """Each piece that the network takes is progress: a long upload is no read timeout."""
        attempt, left = self._attempt, memoryview(body)
        with suppress(OSError):  # whoever waits for the answer is told of that as well
            while left and self.transport is not None and not self.transport.is_closing():
                self.transport.write(left[:PIECE])
                left = left[PIECE:]
                await self._drain_helper()
                await asyncio.sleep(0)  # else the end of the connection shows only when all was written to it
                if attempt is not None:
                    attempt.progress_at = perf_counter()

    async def answer(self) -> tuple[RawResponseMessage, aiohttp.StreamReader]:
        """The head of the final response, and its body as it comes. Raises what aiohttp and the network do."""
        while True:
            message, content = await self.read()
            if not 100 <= message.code < 200 or message.code == 101:
                return message, content

    def settle(self) -> bool:
        """The exchange is over. Whether the connection may serve another one; else it is closed."""
        if self._upload is not None:
            self._upload.cancel()  # an answer may come before all of the request was sent
            self._should_close = self._should_close or not self._upload.done()
            self._upload = None
        if self.should_close or not self.is_connected():
            self.abort()
            return False
        return True

    def data_received(self, data: bytes) -> None:
        attempt = self._attempt
        if attempt is None:
            if self._parser is not None and not self.used:
                super().data_received(data)  # what a proxy says of a tunnel
            elif data:
                self.stray = True
                self._pause_transport_reading()  # there may be no end of it
            return
        now = attempt.progress_at = perf_counter()
        if not attempt.answering:
            attempt.answering = True
            attempt.lap_at(WAIT, now)
        reader = self._payload_reader
        before = 0 if reader is None else reader.total_bytes
        if self._raw is not None:
            self._raw = self._raw + data if self._raw else data
        elif reader is not None:
            try:
                data = self._of_the_body(data)
            except AttemptFailed as problem:
                reader.set_exception(problem)
                self.force_close()
                return
        self._parse(data)
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

    def _of_the_body(self, data: bytes) -> bytes:
        """What of these bytes belongs to the body. Raises `AttemptFailed`.

        The parser would wait for more of another answer in what is behind it.
        """
        after = b""
        if self._chunks is not None:
            self._chunks.feed(data)
            after = self._chunks.after
        elif self._left is not None:
            after = data[self._left :]
            self._left -= len(data) - len(after)
        if after:
            self.force_close()
            check_after(after, bodyless=self._skip_payload)
            data = data[: -len(after)]
        return data

    def _parse(self, data: bytes) -> None:
        """What aiohttp's `data_received` does with an answer; its read timeout and WebSockets are nothing for us."""
        parser: Any = self._parser
        if parser is None or self._upgraded:
            return
        try:
            messages, self._upgraded, _ = parser.feed_data(data)
        except Exception as problem:  # noqa: BLE001  # whatever the parser finds wrong, the server has sent
            what = problem.message if isinstance(problem, HttpProcessingError) else ""
            self.set_exception(HttpProcessingError(message=what), problem)
            if self.transport is not None:
                self.transport.close()
            return
        for message, payload in messages:
            if message.should_close:
                self.force_close()
            self._payload = payload
            bodyless = self._skip_payload or message.code < 200 or message.code in (204, 304)
            self.feed_data((message, aiohttp.EMPTY_PAYLOAD if bodyless else payload))

    def _pause_transport_reading(self) -> None:
        if self.below is None:
            super()._pause_transport_reading()
        else:
            with suppress(RuntimeError):  # it is closing
                self.below.pause_reading()

    def _resume_transport_reading(self) -> None:
        if self.below is None:
            super()._resume_transport_reading()
        else:
            with suppress(RuntimeError):
                self.below.resume_reading()

    def resume_reading(self, resume_parser: bool = True) -> None:
        """aiohttp asks for it with each piece that is read, and would go through all of its parser for nothing."""
        if self._reading_paused or self._buffer_paused:
            super().resume_reading(resume_parser)

    def feed_data(self, data: Any, size: int = 0) -> None:
        if self.exception() is not None:
            return  # what comes after what was wrong is no answer
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
            if payload is aiohttp.EMPTY_PAYLOAD:
                self._left = 0
            elif message.chunked:
                self._chunks = ChunkCheck()
            elif (length := message.headers.get(_LENGTH)) is not None:
                self._left = int(length)  # which aiohttp has read as one
            self._of_the_body(self._raw[end:])
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
        """Raise `AttemptFailed` when the connection, whose end was the body's end, was reset or cut off."""
        if self._ending is None:
            raise closed_early(answering=True)
        await asyncio.wait([self._ending])
        if not self._ending.cancelled() and self._ending.exception() is not None:
            raise closed_early(answering=True, how="reset")
        if self._tls is not None and not _said_good_bye(self._tls):
            raise closed_early(answering=True)


def _remote(transport: asyncio.BaseTransport | None) -> str | None:
    peer = transport.get_extra_info("peername") if transport is not None else None
    return None if peer is None else address_text(peer)


def _said_good_bye(tls: ssl.SSLObject) -> bool:
    """The other end has closed TLS, and not only what carries it: else anybody may have cut it off (RFC 9112, 9.8)."""
    try:
        return not tls.read(1)
    except ssl.SSLZeroReturnError:
        return True
    except ssl.SSLError:
        return False


def _seen(ending: asyncio.Future[None]) -> None:
    if not ending.cancelled():
        ending.exception()

"""Extends the protocol class of aiohttp's connections with fetchq's checks and measurements.

This module uses private parts of aiohttp, since only a connection's protocol knows when the first byte arrived, and
which bytes arrived unsolicited. The engine's tests check that these parts exist.
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

from fetchq.engines.bandwidth import UPLOAD_PIECE
from fetchq.engines.errors import closed_early
from fetchq.http.addresses import address_text
from fetchq.http.failure import AttemptFailed
from fetchq.http.wire_checks import (
    MAX_HEADERS,
    MAX_INTERIM,
    MAX_LINE,
    MAX_SILENT,
    ChunkCheck,
    check_head,
    check_trailing_bytes,
)

if TYPE_CHECKING:
    from fetchq.http.attempt import Attempt
    from fetchq.http.keep_alive import Announced

__all__ = ["Connection"]

_LENGTH = istr("Content-Length")


class Connection(ResponseHandler):
    """The protocol of one connection, which serves one exchange after another."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self.key: Hashable = None
        """The server and the proxy that it leads to. Requests with the same key can share it."""
        self.used = False
        self.idle_since = 0.0
        """When it became idle (`time.perf_counter`)."""
        self.announced: Announced | None = None
        """What its server has announced about it, if anything."""
        self.unsolicited = False
        """Whether bytes arrived while no request was under way, so that later bytes cannot be trusted."""
        self.carrier: asyncio.Transport | None = None
        """The TCP transport below TLS. Reading is paused on this transport: with uvloop, a paused TLS transport loses
        the end of the data if the server closes the connection."""
        self._attempt: Attempt | None = None
        self._remote: str | None = None
        self._closing: asyncio.Future[None] | None = None
        self._tls: ssl.SSLObject | None = None
        self._upload: asyncio.Task[None] | None = None
        # The state of the response under way.
        self._body: aiohttp.StreamReader | None = None
        self._interim = 0
        self._silent = 0
        """Bytes received since the last byte of the body."""
        self._raw: bytes | None = None
        """The bytes of the response so far, until its head has arrived; then None."""
        self._chunks: ChunkCheck | None = None
        self._left: int | None = None
        """Bytes of the body that have not arrived, if its length is known."""

    def send(self, attempt: Attempt, head: bytes, body: bytes | None, *, bodyless: bool, buffer: int) -> None:
        """Send a request, and prepare for its response, of which at most about `buffer` bytes are read ahead.

        `bodyless`: whether the response has no body because the method is HEAD. Raises `AttemptFailed`.
        """
        transport = self.transport
        if transport is None or transport.is_closing():
            raise closed_early(answering=False)  # before any of the request was sent
        if not self.used:
            # Both are only available while the connection is open; they show later how it ended.
            self._closing = self.closed
            self._tls = transport.get_extra_info("ssl_object")
            if self._closing is not None:
                self._closing.add_done_callback(_retrieve)
            peer = transport.get_extra_info("peername")
            self._remote = None if peer is None else address_text(peer)
        attempt.connected(reused=self.used)
        attempt.remote = self._remote
        if attempt.on_sent is not None:
            self._loop.call_soon(attempt.request_sent)  # uvloop sends the data at the end of the loop's turn
        self.used = True
        self._attempt, self._body, self._interim, self._silent = attempt, None, 0, 0
        self._raw, self._chunks, self._left = b"", None, None
        self.set_response_params(
            skip_payload=bodyless,
            read_until_eof=True,
            auto_decompress=False,
            read_bufsize=buffer,
            max_line_size=MAX_LINE,
            max_field_size=MAX_LINE,
            max_headers=MAX_HEADERS,
        )
        if body and len(body) > UPLOAD_PIECE:
            transport.write(head)
            self._upload = self._loop.create_task(self._send_body(attempt, body), name="fetchq-upload")
        else:
            transport.write(head + body if body else head)

    async def _send_body(self, attempt: Attempt, body: bytes) -> None:
        """Send a long body in pieces. Each piece that the network takes is progress, and restarts the read timeout."""
        left = memoryview(body)
        with suppress(OSError):  # the task that reads the response gets this exception, too
            while left and self.transport is not None and not self.transport.is_closing():
                self.transport.write(left[:UPLOAD_PIECE])
                left = left[UPLOAD_PIECE:]
                await self._drain_helper()
                await asyncio.sleep(0)  # otherwise a closed connection would only be noticed after the whole body
                attempt.progress_at = perf_counter()

    def end_exchange(self, *, whole: bool) -> bool:
        """End the exchange. Returns whether the connection can serve another one; otherwise it is closed.

        `whole`: whether the response was read to its end.
        """
        if self._upload is not None:
            self._upload.cancel()  # the response may end before the whole request was sent
            whole = whole and self._upload.done()
            self._upload = None
        if whole and not self.should_close and self.is_connected():
            return True
        self.abort()
        return False

    def data_received(self, data: bytes) -> None:
        attempt = self._attempt
        if attempt is None:
            if self._parser is not None and not self.used:
                super().data_received(data)  # the response of a proxy to CONNECT
            elif data:
                self.unsolicited = True
                self._pause_transport_reading()  # it may never end
            return
        now = attempt.progress_at = perf_counter()
        if not attempt.answering:
            attempt.first_byte(now)
        body = self._body
        before = 0 if body is None else body.total_bytes
        if self._raw is not None:
            self._raw = self._raw + data if self._raw else data
        elif body is not None:
            try:
                data = self._within_body(data)
            except AttemptFailed as problem:
                body.set_exception(problem)
                self.force_close()
                return
        self._parse(data)
        body = self._body
        if body is not None and body.is_eof():
            self._attempt = None
            return
        self._silent = 0 if body is not None and body.total_bytes > before else self._silent + len(data)
        if self._silent > MAX_SILENT:
            self.set_exception(HttpProcessingError(message=f"more than {MAX_SILENT} bytes without a body"))
        if body is not None and self.exception() is not None and body.exception() is None:
            # aiohttp tells whoever reads the next message, but not whoever reads this body.
            body.set_exception(aiohttp.ClientPayloadError("the body is not valid HTTP"))

    def _within_body(self, data: bytes) -> bytes:
        """The bytes of `data` that belong to the body. Raises `AttemptFailed`.

        The parser would take bytes after its end for the beginning of another response, and wait for the rest.
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
            check_trailing_bytes(after, bodyless=self._skip_payload)
            data = data[: -len(after)]
        return data

    def _parse(self, data: bytes) -> None:
        """Parse as aiohttp's `data_received` does, without its read timeout and its WebSockets."""
        parser: Any = self._parser
        if parser is None or self._upgraded:
            return
        try:
            messages, self._upgraded, _ = parser.feed_data(data)
        except Exception as problem:  # noqa: BLE001  # whatever the parser raises, the server's bytes are the reason
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

    def feed_data(self, data: Any, size: int = 0) -> None:
        """Check the head of a response, interim or final, that aiohttp has parsed, and pass it on."""
        if self.exception() is not None:
            return  # data after an error is not a response
        message, payload = data
        if 100 <= message.code < 200 and message.code != 101:
            self._interim += 1
            if self._interim > MAX_INTERIM:
                self.set_exception(HttpProcessingError(message=f"more than {MAX_INTERIM} interim responses"))
                self.close()
                return
        else:
            if (raw := self._raw) is not None:
                self._raw = None
                try:
                    _, end = check_head(raw, self._interim)
                    if payload is aiohttp.EMPTY_PAYLOAD:
                        self._left = 0
                    elif message.chunked:
                        self._chunks = ChunkCheck()
                    elif (length := message.headers.get(_LENGTH)) is not None:
                        self._left = int(length)  # aiohttp has checked that it is one number
                    if self._left is not None and len(raw) - end <= self._left:
                        self._left -= len(raw) - end
                    else:
                        self._within_body(raw[end:])
                except AttemptFailed as problem:
                    self.set_exception(problem)
                    return
            self._body = payload
        super().feed_data(data, size)

    def _pause_transport_reading(self) -> None:
        if self.carrier is None:
            super()._pause_transport_reading()
        else:
            with suppress(RuntimeError):  # the transport is closing
                self.carrier.pause_reading()

    def _resume_transport_reading(self) -> None:
        if self.carrier is None:
            super()._resume_transport_reading()
        else:
            with suppress(RuntimeError):
                self.carrier.resume_reading()

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Resume only if reading is paused: aiohttp calls this for each piece, and would run its parser each time."""
        if self._reading_paused or self._buffer_paused:
            super().resume_reading(resume_parser)

    def close(self) -> None:
        """Close at once. A TLS shutdown would wait for a server that may never answer."""
        self.abort()

    async def check_closed_cleanly(self) -> None:
        """Raise `AttemptFailed` if a connection whose end was the end of the body was reset, or TLS was cut off."""
        if self._closing is None:
            raise closed_early(answering=True)
        await asyncio.wait([self._closing])
        if not self._closing.cancelled() and self._closing.exception() is not None:
            raise closed_early(answering=True, how="reset")
        if self._tls is not None and not _has_close_notify(self._tls):
            raise closed_early(answering=True)


def _has_close_notify(tls: ssl.SSLObject) -> bool:
    """Whether the server has ended TLS itself; otherwise an attacker may have cut the connection (RFC 9112, 9.8)."""
    try:
        return not tls.read(1)
    except ssl.SSLZeroReturnError:
        return True
    except ssl.SSLError:
        return False


def _retrieve(closing: asyncio.Future[None]) -> None:
    """Retrieve the exception of a future, since asyncio logs exceptions that were never retrieved."""
    if not closing.cancelled():
        closing.exception()

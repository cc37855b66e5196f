"""Extends the protocol class of aiohttp's connections with fetchq's checks and measurements.

This module uses private parts of aiohttp, since only a connection's protocol knows when the first byte arrived, and
which bytes arrived unsolicited. The engine's tests check that these parts exist.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Hashable
from time import perf_counter
from typing import TYPE_CHECKING, Any

import aiohttp
from multidict import istr

from fetchq.engines.aiohttp.closing import has_close_notify, retrieve
from fetchq.engines.aiohttp.fast_path import FastPath
from fetchq.engines.aiohttp.head_parser import new_parser, parse_repaired
from fetchq.engines.aiohttp.pausing import PausedBelowTls
from fetchq.engines.aiohttp.upload import Upload, last_bytes, watch_tls
from fetchq.engines.early_response import UPLOAD_PIECE
from fetchq.engines.errors import closed_early
from fetchq.http.addresses import address_text
from fetchq.http.failure import AttemptFailed
from fetchq.http.framing import Chunks, Sized, UntilClosed, check_cut_head, find_head
from fetchq.http.response import keeps_alive
from fetchq.http.wire_checks import check_interim

if TYPE_CHECKING:
    import socket

    from fetchq.engines.aiohttp.turns import TurnClock
    from fetchq.http.attempt import Attempt
    from fetchq.http.framing import Framing
    from fetchq.http.keep_alive import Announced

__all__ = ["Connection"]

_LENGTH = istr("Content-Length")
_CONNECTION = istr("Connection")


class Connection(PausedBelowTls):
    """The protocol of one connection, which serves one exchange after another."""

    def __init__(self, loop: asyncio.AbstractEventLoop, turns: TurnClock) -> None:
        super().__init__(loop=loop)
        self._turns = turns
        self.sock: socket.socket | None = None
        """The socket of the TCP connection."""
        self.key: Hashable = None
        """The server and the proxy that it leads to. Requests with the same key can share it."""
        self.used = False
        self.idle_since = 0.0
        """When it became idle (`time.perf_counter`)."""
        self.announced: Announced | None = None
        """What its server has announced about it, if anything."""
        self.unsolicited = False
        """Whether bytes arrived while no request was under way, so that later bytes cannot be trusted."""
        self._attempt: Attempt | None = None
        self._remote: str | None = None
        self._closing: asyncio.Future[None] | None = None
        self._tls: ssl.SSLObject | None = None
        self.fast_path = FastPath(self)
        self.upload: Upload | None = None
        """The body of the request, if it is long: the response may end before it was sent."""
        # The state of the response under way.
        self._raw = b""
        """The bytes received that belong to no complete head."""
        self._interim = 0
        """How many interim responses have arrived."""
        self._bodyless = False
        """Whether the response has no body because the method is HEAD."""
        self._buffer_limit = 0
        self._body: aiohttp.StreamReader | None = None
        """The body, as soon as the final head has arrived."""
        self.problem: AttemptFailed | None = None
        """Why the body ends where it does, if that is not the end of the message."""

    def send(
        self, attempt: Attempt, head: bytes, body: bytes | None, *, bodyless: bool, buffer: int, fast: bool = False
    ) -> asyncio.Future[bool] | None:
        """Send a request, and prepare for its response, of which at most about `buffer` bytes are read ahead.

        `bodyless`: whether the response has no body because the method is HEAD. `fast`: whether it may take the fast
        path, and returns `FastPath.complete`. Raises `AttemptFailed`.
        """
        transport = self.transport
        if transport is None or transport.is_closing():
            raise closed_early(answering=False)  # before any of the request was sent
        if not self.used:
            # Both are only available while the connection is open; they show later how it ended.
            self._closing = self.closed
            self._tls = transport.get_extra_info("ssl_object")
            if self._closing is not None:
                self._closing.add_done_callback(retrieve)
            self._parser = new_parser(self, self._loop)  # in place of that of a proxy's response to CONNECT
            peer = transport.get_extra_info("peername")
            self._remote = None if peer is None else address_text(peer)
        self._buffer_limit = buffer
        if fast:
            return self.fast_path.send(attempt, head, self._loop)
        self.note_sent(attempt)
        self.expect(attempt, bodyless=bodyless)
        if body and self.carrier is not None:
            watch_tls(self.carrier)
        if body and len(body) > UPLOAD_PIECE:
            transport.write(head)
            self.upload = Upload(self, attempt, body)
        else:
            transport.write(head + body if body else head)
        return None

    def note_sent(self, attempt: Attempt) -> None:
        """Note that the request of an attempt is about to be sent."""
        attempt.connected(reused=self.used)
        attempt.remote = self._remote
        if attempt.on_sent is not None:
            self._loop.call_soon(attempt.request_sent)  # uvloop sends the data at the end of the loop's turn
        self.used = True

    def expect(self, attempt: Attempt, framing: Framing | None = None, *, bodyless: bool = False) -> None:
        """Prepare for the response, or for the rest of its body, if the attempt has taken the head (`framing`)."""
        self.fast_path.forget()
        self._attempt, self._body, self._bodyless = attempt, None, bodyless
        self._raw, self._interim, self.problem = b"", 0, None
        if framing is not None:
            self.framing = framing
            self._body = aiohttp.StreamReader(self, self._buffer_limit, loop=self._loop)
            self.feed_data((None, self._body))  # type: ignore[arg-type]  # there is no message to read
            if framing.rest:
                self.pause_reading()

    def end_exchange(self, *, whole: bool) -> bool:
        """End the exchange. Returns whether the connection can serve another one; otherwise it is closed.

        `whole`: whether the response was read to its end.
        """
        if self.upload is not None:
            whole = self.upload.stop() and whole
            self.upload = None
        if whole and not self.should_close and self.is_connected():
            return True
        self.abort()
        return False

    @property
    def sent_body_with_head(self) -> bool:
        """Whether a body followed the response to HEAD, which has none. That of the next one could arrive later."""
        return self._bodyless and self.framing.surplus

    def data_received(self, data: bytes) -> None:
        fast = self.fast_path.attempt
        attempt = self._attempt if fast is None else fast
        if attempt is None:
            self._refuse(data)
            return
        now = attempt.progress_at = perf_counter()
        turns = self._turns
        if turns.stale:
            turns.begin(now)
        turns.quiet = 0
        since = max(turns.before, attempt.first_byte_at if attempt.answering else attempt.last_lap)
        # On average, midway between the earliest and the latest time.
        arrived = turns.arrival(self.sock, now, since) if turns.vague else (since + turns.polled) / 2
        if fast is not None:
            if (left := self.fast_path.take(data, arrived)) is None:
                return
            data = left
        elif not attempt.answering or (self._interim and self._body is None and not self._raw):
            attempt.first_byte(arrived)
        self._read(attempt, data, arrived)

    def _read(self, attempt: Attempt, data: bytes, arrived: float) -> None:
        """Read the next bytes of the response, for the worker that waits for it."""
        body = self._body
        if body is None:
            try:
                data = self._read_heads(attempt, self._raw + data if self._raw else data, arrived)
            except AttemptFailed as problem:
                self._attempt = None
                self.set_exception(problem)
                return
            body = self._body
            if body is None:
                return
        framing = self.framing
        if data and (data := framing.feed(data)):
            body.feed_data(data)
        if framing.rest:
            self.pause_reading()
        self._check_end(attempt, body, arrived)

    def read_rest(self) -> None:
        """Read on in the bytes that have arrived, if some of them were left (`Framing.rest`)."""
        attempt, body = self._attempt, self._body
        if self.framing.rest and attempt is not None and body is not None:
            body.feed_data(self.framing.feed(b""))
            self.resume_reading()
            self._check_end(attempt, body, perf_counter())

    def _check_end(self, attempt: Attempt, body: aiohttp.StreamReader, arrived: float) -> None:
        framing = self.framing
        if framing.ended:
            attempt.note_last_byte(arrived)
            self._attempt = None
            self.problem = framing.problem
            if framing.surplus or framing.problem is not None:
                self.force_close()
            body.feed_eof()

    def _refuse(self, data: bytes) -> None:
        """Note bytes that nobody has asked for."""
        if data:
            self.unsolicited = True
            self._pause_transport_reading()  # it may never end

    def _read_heads(self, attempt: Attempt, raw: bytes, arrived: float) -> bytes:
        """Read the heads that had `arrived` then: the final one begins the body. Returns the bytes behind that.

        Raises `AttemptFailed`.
        """
        parser: Any = self._parser
        seen = len(self._raw)
        while True:
            head, end = find_head(raw, seen)
            if not end:
                self._raw = raw
                return b""
            try:
                messages = parser.feed_data(head)[0]
            except Exception:  # noqa: BLE001  # whatever it raises, the server's bytes are the reason
                parser = self._parser = new_parser(self, self._loop)
                messages = parse_repaired(parser, head)
            message = messages[0][0]
            raw, seen = raw[end:], 0
            if message.code >= 200:
                break
            self._interim += 1
            check_interim(head, message.code, self._interim)
            attempt.first_byte(arrived)
        bodyless = self._bodyless or message.code in (204, 304)
        if message.should_close and not (
            # The parser does not know that the message ends here (RFC 9112, 6.3).
            bodyless and keeps_alive(message.version, message.headers.getall(_CONNECTION, ()))
        ):
            self.force_close()
        if bodyless:
            self.framing = Sized(0)
        elif message.chunked:
            self.framing = Chunks()
        elif (length := message.headers.get(_LENGTH)) is not None:
            self.framing = Sized(int(length))  # the parser has checked that it is one number
        else:
            self.framing = UntilClosed()
        ended, limit = self.framing.ended, self._buffer_limit
        self._body = body = aiohttp.EMPTY_PAYLOAD if ended else aiohttp.StreamReader(self, limit, loop=self._loop)
        self.feed_data((message, body))
        return raw

    def connection_lost(self, exc: BaseException | None) -> None:
        busy = self._attempt is not None or self.fast_path.attempt is not None
        if exc is not None and busy and self.carrier is None and self.transport is not None:
            for data in last_bytes(self.transport):
                self.data_received(data)
        how = "reset" if isinstance(exc, ConnectionResetError) else "closed"
        if self.fast_path.attempt is not None:
            self.fast_path.connection_lost(how)
        if self._attempt is not None:
            if (body := self._body) is not None:
                self._attempt.last_byte_at = perf_counter()
                self._attempt = None
                if not isinstance(self.framing, UntilClosed):
                    self.problem = closed_early(answering=True, how=how)
                body.feed_eof()
            elif self._raw:
                try:
                    check_cut_head(self._raw)
                except AttemptFailed as problem:
                    self.set_exception(problem)
        super().connection_lost(exc)
        if exc is not None and isinstance(reported := self.exception(), aiohttp.ClientError):
            reported.__cause__ = exc  # aiohttp does so only if the worker is waiting already

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
        if self._tls is not None and not has_close_notify(self._tls):
            raise closed_early(answering=True)

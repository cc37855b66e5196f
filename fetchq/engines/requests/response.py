"""Reads the responses of the blocking engine with h11, in place of http.client.

http.client takes an interim response such as 103 for the final one, accepts Content-Length: -5 and chunk sizes such as
0x5, and only limits the time between two bytes. urllib3 uses the response class of its connection class, which is
WireResponse here.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
from time import perf_counter
from typing import Any

import h11

from fetchq.core.model import Cause
from fetchq.engines.errors import closed_early
from fetchq.engines.requests.exchange import Exchange, current_exchange
from fetchq.http.failure import AttemptFailed
from fetchq.http.wire_checks import (
    MAX_HEADERS,
    MAX_INTERIM,
    MAX_LINE,
    MAX_SILENT,
    RESPONSE_PREFIX,
    ChunkCheck,
    check_head,
    check_trailing_bytes,
    not_http,
)

__all__ = ["WireResponse"]

_LENGTHS = re.compile(rb"^content-length\s*:([^\r\n]*)", re.IGNORECASE | re.MULTILINE)


class WireResponse(http.client.HTTPResponse):
    """A response that h11 parses: `begin` reads its head, and each `piece` some of its body."""

    def __init__(
        self, sock: socket.socket, debuglevel: int = 0, method: str | None = None, url: str | None = None
    ) -> None:
        super().__init__(sock, debuglevel, method, url)
        self._sock = sock
        self._bodyless = method == "HEAD"
        self._exchange = current_exchange.get()
        self._wire = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_SILENT)
        self._wire.send(_request(method or "GET"))
        self._wire.send(h11.EndOfMessage())
        self._head: list[bytes] | None = []
        """The bytes received, until the head is complete."""
        self._chunks: ChunkCheck | None = None
        self._ended = False
        self._peer_closed = False
        self.raw_headers: list[tuple[bytes, bytes]] = []
        self.version_pair = (1, 1)

    def begin(self) -> None:
        """Read the head of the final response. Raises `AttemptFailed`, and OSError."""
        self._exchange.response = self
        event = self._next()
        interim = 0
        while isinstance(event, h11.InformationalResponse):
            interim += 1
            if interim > MAX_INTERIM:
                raise not_http(f"more than {MAX_INTERIM} interim responses")
            if event.status_code == 101:
                raise AttemptFailed(Cause.PROTOCOL, "status 101, though no other protocol was asked for")
            event = self._next()
        self._check_head(event, interim)
        self.status = event.status_code
        self.reason = event.reason.decode("utf-8", "surrogateescape")
        major, _, minor = event.http_version.partition(b".")
        self.version_pair = (int(major), int(minor))
        self.version = 11
        self.raw_headers = event.headers.raw_items()
        self.headers = self.msg = http.client.HTTPMessage()
        self.will_close = False  # the engine closes the connection, or returns it to the pool
        self.chunked = False
        self.length = None

    def _first_bytes(self, data: bytes) -> bytes:
        """The first bytes of a response, beginning with `data`, without the empty lines before it.

        Without this check, h11 would wait for a head if something other than HTTP arrives.
        """
        skipped = 0
        while data and len(text := data.lstrip(b"\r\n")) < len(RESPONSE_PREFIX) and RESPONSE_PREFIX.startswith(text):
            skipped += len(data) - len(text)
            if skipped > MAX_SILENT:
                raise not_http("nothing but empty lines")
            more = _receive(self._sock, self._exchange)
            if not more:
                return text
            data = text + more
        text = data.lstrip(b"\r\n")
        if data and not text.startswith(RESPONSE_PREFIX):
            raise not_http("it does not begin with HTTP/1.")
        return text

    def _check_head(self, response: h11.Response, interim: int) -> None:
        raw = b"".join(self._head or ())
        self._head = None
        start, end = check_head(raw, interim)
        # h11 accepts several equal lengths, but they are a sign of response smuggling.
        lengths = _LENGTHS.findall(raw, start, end)
        if len(lengths) > 1 or any(b"," in length for length in lengths):
            raise not_http("several Content-Length")
        items = response.headers.raw_items()
        longest = max((len(name) + len(value) for name, value in items), default=0)
        if len(items) > MAX_HEADERS or max(longest, len(response.reason)) > MAX_LINE:
            raise not_http("too many headers, or too long ones")
        bodyless = self._bodyless or response.status_code in (204, 304)
        if not bodyless and any(name == b"transfer-encoding" for name, _ in response.headers):
            self._chunks = ChunkCheck()
            self._chunks.feed(raw[end:])

    def piece(self) -> bytes:
        """The next piece of the body; empty at its end. Raises `AttemptFailed`, and OSError."""
        if self._ended:
            return b""
        # The data of one read is joined, since tiny chunks would each take a hundred times their size.
        parts: list[bytes] = []
        event = self._next()
        while isinstance(event, h11.Data):
            parts.append(bytes(event.data))
            event = self._next(wait=False)
        if event is not h11.NEED_DATA:
            self._check_end()
            self._ended = True
        return b"".join(parts)

    def _check_end(self) -> None:
        after = self._wire.trailing_data[0]
        if after:
            check_trailing_bytes(after, bodyless=self._bodyless)

    @property
    def reusable(self) -> bool:
        """Whether the response was read to its end, and nothing arrived after it."""
        return self._ended and self._wire.their_state is h11.DONE and not self._wire.trailing_data[0]

    def _next(self, *, wait: bool = True) -> Any:
        """The next event of the response, EndOfMessage at its end. Without `wait`, NEED_DATA if none is complete."""
        while True:
            try:
                event = self._wire.next_event()
            except h11.RemoteProtocolError as problem:
                raise self._failure(problem) from None
            if event is not h11.NEED_DATA:
                return event
            if not wait:
                return event
            data = _receive(self._sock, self._exchange)
            if self._head is not None:
                if not self._head:
                    data = self._first_bytes(data)
                self._head.append(data)
            elif self._chunks is not None:
                self._chunks.feed(data)
            try:
                self._wire.receive_data(data)
            except h11.RemoteProtocolError as problem:
                raise self._failure(problem) from None
            if not data:
                self._peer_closed = True

    def _failure(self, problem: h11.RemoteProtocolError) -> AttemptFailed:
        if self._peer_closed:
            return closed_early(answering=self._exchange.attempt.answering)
        return not_http(str(problem))


def _receive(sock: socket.socket, exchange: Exchange) -> bytes:
    """The next bytes, empty at the end of the connection. Raises `AttemptFailed`, and OSError."""
    attempt = exchange.attempt
    left, what = attempt.time_left(perf_counter())
    if left <= 0:
        raise AttemptFailed(Cause.TIMEOUT, what)
    sock.settimeout(left)
    data: bytes
    try:
        if data := exchange.early_bytes or b"":
            exchange.early_bytes = b""
        else:
            data = sock.recv(65536)
    except TimeoutError:
        raise AttemptFailed(Cause.TIMEOUT, what) from None
    except ssl.SSLEOFError as problem:
        # The connection was closed without a TLS close_notify (RFC 9112, 9.8). Python raises this for a reset, too.
        exchange.abort_switch.check()
        how = "closed" if problem.reason == "UNEXPECTED_EOF_WHILE_READING" else "reset"
        raise closed_early(answering=attempt.answering, how=how) from None
    exchange.abort_switch.check()  # an abort looks like the end of the connection
    now = perf_counter()
    if data:
        attempt.progress_at = now
        if not attempt.answering:
            attempt.first_byte(now)
    return data


_requests: dict[str, h11.Request] = {}


def _request(method: str) -> h11.Request:
    """A request for h11, which only needs its method to parse the response."""
    if method not in _requests:
        _requests[method] = h11.Request(method=method, target="/", headers=[("Host", "-")])
    return _requests[method]

"""The blocking engine's reading of a response: http.client's place taken by h11.

http.client takes 103 for the answer, accepts Content-Length: -5 and chunk sizes such as 0x5, and keeps no time but the
one between two bytes. urllib3 asks its connection class for the response, so that is where this one comes in.
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
from fetchq.http.attempt import NO_HEADERS, WAIT, Attempt, AttemptFailed, current_attempt, header_map
from fetchq.http.wire_checks import (
    BEGINNING,
    MAX_HEADERS,
    MAX_INTERIM,
    MAX_LINE,
    MAX_SILENT,
    ChunkCheck,
    check_after,
    check_head,
    not_http,
)

__all__ = ["WireResponse", "receive"]

_LENGTHS = re.compile(rb"^content-length\s*:([^\r\n]*)", re.IGNORECASE | re.MULTILINE)


class WireResponse(http.client.HTTPResponse):
    """A response read by h11. `begin` reads the head; `piece` the body, bit by bit."""

    def __init__(
        self, sock: socket.socket, debuglevel: int = 0, method: str | None = None, url: str | None = None
    ) -> None:
        super().__init__(sock, debuglevel, method, url)
        self._sock = sock
        self._bodyless = method == "HEAD"
        self._attempt = current_attempt.get()
        self._wire = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_SILENT)
        self._wire.send(_request(method or "GET"))
        self._wire.send(h11.EndOfMessage())
        self._head: list[bytes] | None = []
        """What came, until the head is there."""
        self._chunks: ChunkCheck | None = None
        self._ended = False
        self.fields = NO_HEADERS
        self.version_pair = (1, 1)

    def begin(self) -> None:
        self._attempt.connection = self
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
        self.fields = header_map(event.headers.raw_items())
        self.headers = self.msg = http.client.HTTPMessage()
        self.will_close = False  # the engine closes the connection, or gives it back
        self.chunked = False
        self.length = None

    def _begun(self, data: bytes) -> bytes:
        """The first bytes of a response, without empty lines before it: h11 would wait for a head that never ends."""
        skipped = 0
        while data and len(text := data.lstrip(b"\r\n")) < len(BEGINNING) and BEGINNING.startswith(text):
            skipped += len(data) - len(text)
            if skipped > MAX_SILENT:
                raise not_http("nothing but empty lines")
            more = receive(self._sock, self._attempt)
            if not more:
                return text
            data = text + more
        text = data.lstrip(b"\r\n")
        if data and not text.startswith(BEGINNING):
            raise not_http("it does not begin with HTTP/1.")
        return text

    def _check_head(self, response: h11.Response, interim: int) -> None:
        raw = b"".join(self._head or ())
        self._head = None
        start, end = check_head(raw, interim)
        # h11 makes one of several equal lengths; where they come from, the next answer may be somebody else's.
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
        """Some of the body; empty at its end. Raises `AttemptFailed`."""
        if self._ended:
            return b""
        # What one read gave, joined: of a body in tiny chunks the pieces would take a hundred times its size.
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
            check_after(after, bodyless=self._bodyless)

    @property
    def reusable(self) -> bool:
        """The response is over, and nothing came after it."""
        return self._ended and self._wire.their_state is h11.DONE and not self._wire.trailing_data[0]

    def _next(self, *, wait: bool = True) -> Any:
        """The next event of the response, EndOfMessage at its end; NEED_DATA where it is not to wait for one."""
        while True:
            try:
                event = self._wire.next_event()
            except h11.RemoteProtocolError as problem:
                raise self._failure(problem) from None
            if event is not h11.NEED_DATA:
                return event
            if not wait:
                return event
            data = receive(self._sock, self._attempt)
            if self._head is not None:
                if not self._head:
                    data = self._begun(data)
                self._head.append(data)
            elif self._chunks is not None:
                self._chunks.feed(data)
            try:
                self._wire.receive_data(data)
            except h11.RemoteProtocolError as problem:
                raise self._failure(problem) from None
            if not data:
                self._attempt.peer_closed = True

    def _failure(self, problem: h11.RemoteProtocolError) -> AttemptFailed:
        if self._attempt.peer_closed:
            return closed_early(answering=self._attempt.answering)
        return not_http(str(problem))


def receive(sock: socket.socket, attempt: Attempt) -> bytes:
    """What comes next, empty at the end. Raises `AttemptFailed` when the attempt's time is up, and OSError."""
    left, what = attempt.time_left(perf_counter())
    if left <= 0:
        raise AttemptFailed(Cause.TIMEOUT, what)
    sock.settimeout(left)
    data: bytes
    try:
        if data := attempt.engine.early:
            attempt.engine.early = b""
        else:
            data = sock.recv(65536)
    except TimeoutError:
        raise AttemptFailed(Cause.TIMEOUT, what) from None
    except ssl.SSLEOFError as problem:
        # TLS was closed without a good-bye, by whomever (RFC 9112, 9.8). Of a reset, Python says much the same.
        attempt.engine.check()
        how = "closed" if problem.reason == "UNEXPECTED_EOF_WHILE_READING" else "reset"
        raise closed_early(answering=attempt.answering, how=how) from None
    attempt.engine.check()  # an abort looks like the end of the connection
    now = perf_counter()
    if data:
        attempt.progress_at = now
        if not attempt.answering:
            attempt.answering = True
            attempt.lap_at(WAIT, now)
    return data


_requests: dict[str, h11.Request] = {}


def _request(method: str) -> h11.Request:
    """What h11 is told was sent: of the real request only the method matters for reading the response."""
    if method not in _requests:
        _requests[method] = h11.Request(method=method, target="/", headers=[("Host", "-")])
    return _requests[method]

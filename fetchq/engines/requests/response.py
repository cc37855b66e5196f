"""Reads the responses of the blocking engine, in place of http.client: heads that are not plain are read with h11.

http.client takes an interim response such as 103 for the final one, accepts Content-Length: -5 and chunk sizes such as
0x5, and only limits the time between two bytes.
"""

from __future__ import annotations

import re
from time import perf_counter
from typing import TYPE_CHECKING, Any

import h11

from fetchq.engines.errors import closed_early
from fetchq.engines.requests.socket_io import arrived_at, receive
from fetchq.http.framing import Chunks, Framing, Sized, UntilClosed, check_cut_head, find_head
from fetchq.http.plain_head import read_plain_head
from fetchq.http.response import keeps_alive, read_head
from fetchq.http.wire_checks import (
    MAX_HEAD,
    MAX_HEADERS,
    MAX_LINE,
    bad_head,
    check_interim,
    repair_head,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fetchq.engines.requests.exchange import Exchange
    from fetchq.http.response import ResponseHead

__all__ = ["WireResponse"]

_CODING = re.compile(rb"^transfer-encoding:([^\r\n]*+)", re.IGNORECASE | re.MULTILINE)


class WireResponse:
    """A response: `begin` reads its head, and each `piece` some of its body."""

    # What urllib3's pool reads of it, beside the status.
    headers: Mapping[str, str] = {}
    version_string = "HTTP/1.1"
    length_remaining = None
    # What it sets.
    retries: Any
    _connection: Any
    _pool: Any

    def __init__(self, sock: Any, exchange: Exchange) -> None:
        self._sock = sock
        self._exchange = exchange
        self._asked = exchange.attempt.hop.method
        self._raw = b""
        """The bytes received that were not looked at."""
        self._plain_head: ResponseHead | None = None
        """The head, if it is plain. Otherwise, the fields below are what h11 has found in it."""
        self._head = b""
        """The bytes of the head that was read last, if it is not plain."""
        self._reason = ""
        self._raw_headers: list[tuple[bytes, bytes]] = []
        self._version = (1, 1)
        self._keeps_alive = False
        self._done = False
        """Whether `piece` has given out all of the body."""
        self.framing: Framing = UntilClosed()
        self.status: int | None = None

    @property
    def connection(self) -> Any:
        """urllib3's connection, on which the response arrives."""
        return self._connection

    def release(self) -> None:
        """Return the connection to its pool, whether it is open or not. Nothing more can be read."""
        self._pool._put_conn(self._connection)  # as urllib3's own responses do

    def begin(self) -> None:
        """Read the head of the final response. Raises `AttemptFailed`, and OSError."""
        self._raw = receive(self._sock, self._exchange)
        found = None if self._asked == "HEAD" else read_plain_head(self._raw)
        if found is None:
            self._read_any_head()
        else:
            head, self._raw = found
            self._plain_head = head
            self.status, self._keeps_alive = head.status, True
            self.framing = Chunks() if head.length is None else Sized(head.length)

    def head(self) -> ResponseHead:
        """The head that `begin` has read. Raises `AttemptFailed`."""
        if self._plain_head is not None:
            return self._plain_head
        return read_head(self._asked, self.status or 0, self._reason, self._raw_headers, self._version)

    def _read_any_head(self) -> None:
        attempt = self._exchange.attempt
        interim = 0
        while isinstance(event := self._next_head(interim), h11.InformationalResponse):
            interim += 1
            check_interim(self._head, event.status_code, interim)
            attempt.first_byte(arrived_at(self._sock, attempt, attempt.progress_at, attempt.last_lap))
        self.status = event.status_code
        self._reason = event.reason.decode("utf-8", "surrogateescape")
        major, _, minor = event.http_version.partition(b".")
        self._version = (int(major), int(minor))
        self._raw_headers = self._as_received(event.headers.raw_items())
        self._begin_body(dict(event.headers))

    def _next_head(self, interim: int) -> h11.Response | h11.InformationalResponse:
        """The next head, after `interim` ones of interim responses. Raises `AttemptFailed`, and OSError."""
        attempt = self._exchange.attempt
        head, end = find_head(self._raw)
        while not end:
            data = receive(self._sock, self._exchange)
            if not data:
                check_cut_head(self._raw)
                raise closed_early(answering=attempt.answering)
            if interim and not self._raw:
                attempt.first_byte(arrived_at(self._sock, attempt, attempt.progress_at, attempt.last_lap))
            seen = len(self._raw)
            self._raw = self._raw + data if seen else data
            head, end = find_head(self._raw, seen)
        self._head, self._raw = head, self._raw[end:]
        return _parsed(head, self._asked)

    def _as_received(self, fields: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """The fields of the final head. h11 writes the value of a Transfer-Encoding in lower case."""
        coding = _CODING.search(self._head)
        if coding is None:
            return fields
        value = coding[1].strip(b" \t")
        return [(name, value if name.lower() == b"transfer-encoding" else given) for name, given in fields]

    def _begin_body(self, fields: dict[bytes, bytes]) -> None:
        """Find out where the body ends (RFC 9112, 6.3). `fields`: the header fields, by their names in lower case."""
        connection = [value.decode("latin-1") for name, value in self._raw_headers if name.lower() == b"connection"]
        self._keeps_alive = keeps_alive(self._version, connection)
        if self._asked == "HEAD" or self.status in (204, 304):
            self.framing = Sized(0)
        elif b"transfer-encoding" in fields:
            self.framing = Chunks()  # h11 knows no other coding
        elif (length := fields.get(b"content-length")) is not None:
            self.framing = Sized(int(length))  # h11 has checked that it is one number

    def whole_body(self) -> bytes | None:
        """The whole body, if it arrived together with a plain head, and nothing else did; None otherwise."""
        if self._plain_head is None or self._plain_head.length != len(self._raw):
            return None
        body, self._raw, self._done, self.framing = self._raw, b"", True, Sized(0)
        attempt = self._exchange.attempt
        attempt.last_byte_at = attempt.first_byte_at
        return body

    def piece(self) -> bytes:
        """The next piece of the body; empty at its end. Raises `AttemptFailed`, and OSError."""
        framing = self.framing
        while not self._done:
            data, self._raw = self._raw, b""
            if data or framing.rest:
                data = framing.feed(data)
                if framing.ended:
                    attempt = self._exchange.attempt
                    attempt.note_last_byte(arrived_at(self._sock, attempt, perf_counter(), attempt.first_byte_at))
            if data:
                return data
            if framing.ended:
                self._end(framing)
            elif framing.rest:
                continue
            elif not (more := receive(self._sock, self._exchange)):
                if not isinstance(framing, UntilClosed):
                    raise closed_early(answering=True)
                self._done = True
            else:
                self._raw = more
        return b""

    def _end(self, framing: Framing) -> None:
        if framing.problem is not None:
            raise framing.problem
        self._done = True
        self._exchange.attempt.trailers = framing.trailers

    @property
    def reusable(self) -> bool:
        """Whether the response was read to its end, and nothing arrived after it."""
        framing = self.framing
        return self._done and framing.ended and not framing.surplus and self._keeps_alive


def _parsed(head: bytes, method: str) -> h11.Response | h11.InformationalResponse:
    """Parse a whole head. Raises `AttemptFailed` (`protocol`)."""
    try:
        found = _parsed_by_h11(head, method)
    except h11.RemoteProtocolError:
        try:
            found = _parsed_by_h11(repair_head(head), method)
        except h11.RemoteProtocolError:
            raise bad_head(head) from None
    fields = found.headers.raw_items()
    longest = max((len(name) + len(value) for name, value in fields), default=0)
    if len(fields) > MAX_HEADERS or max(longest, len(found.reason)) > MAX_LINE:
        raise bad_head(head)
    return found


def _parsed_by_h11(head: bytes, method: str) -> h11.Response | h11.InformationalResponse:
    """Raises `h11.RemoteProtocolError`."""
    wire = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
    wire.send(_request(method))
    wire.send(h11.EndOfMessage())
    wire.receive_data(head)
    event = wire.next_event()
    if not isinstance(event, h11.Response | h11.InformationalResponse):
        raise h11.RemoteProtocolError("no head of a response")
    return event


_requests: dict[str, h11.Request] = {}


def _request(method: str) -> h11.Request:
    """A request for h11, which only needs its method to parse the response."""
    if method not in _requests:
        _requests[method] = h11.Request(method=method, target="/", headers=[("Host", "-")])
    return _requests[method]

"""Asks a proxy, on a blocking socket, to connect to the server."""

from __future__ import annotations

import socket
from time import perf_counter
from typing import TYPE_CHECKING

from fetchq.core.disk import close_on_error
from fetchq.core.model import Cause
from fetchq.engines.errors import closed_early, network_failure
from fetchq.engines.socks import lookup_family, negotiate
from fetchq.http.failure import AttemptFailed
from fetchq.http.phases import CONNECT, DNS
from fetchq.http.tunnel import ConnectAnswer, connect_request

if TYPE_CHECKING:
    from yarl import URL

    from fetchq.engines.requests.exchange import Exchange

__all__ = ["connect_through_socks", "open_tunnel"]


def open_tunnel(sock: socket.socket, exchange: Exchange, authorization: dict[str, str]) -> None:
    """Have an HTTP proxy open a tunnel to the attempt's server. Raises `AttemptFailed`."""
    attempt = exchange.attempt
    proxy = _Conversation(sock, exchange)
    proxy.sendall(connect_request(attempt.hop, authorization))
    answer = ConnectAnswer()
    while not answer.feed(proxy.recv(65536)):
        pass
    attempt.proxy = None
    attempt.lap(CONNECT)
    answer.check_silence()


def connect_through_socks(exchange: Exchange, proxy: URL, host: str, port: int) -> socket.socket:
    """Connect a socket through a SOCKS proxy. Raises `AttemptFailed`, and OSError."""
    attempt = exchange.attempt
    places = _places(exchange, proxy, host, port)
    for left in range(len(places) - 1, -1, -1):
        attempt.proxy = proxy
        sock = exchange.dialer.connect(proxy.raw_host or "", proxy.port or 0, attempt)
        try:
            with close_on_error(sock):
                negotiate(proxy, _Conversation(sock, exchange), places[~left], port)
        except AttemptFailed as failed:
            if failed.cause is not Cause.CONNECT or not left:
                raise
        else:
            break
    attempt.proxy = None
    attempt.lap(CONNECT)
    sock.settimeout(max(0.001, attempt.time_left(perf_counter())[0]))  # for the TLS handshake
    return sock


def _places(exchange: Exchange, proxy: URL, host: str, port: int) -> list[str]:
    """The hosts to ask the SOCKS proxy for, one after the other: the name, or its addresses."""
    attempt, dialer = exchange.attempt, exchange.dialer
    attempt.proxy = None
    if (family := lookup_family(proxy, host, dialer.family)) is None:
        return [host]
    attempt.lap(CONNECT)
    try:
        found = dialer.addresses(host, port)
    finally:
        attempt.lap(DNS)
    places = [str(address[0]) for one, address in found if family in (socket.AF_UNSPEC, one)]
    if not places:
        raise AttemptFailed(Cause.DNS, "the name has no IPv4 address", permanent=True)
    return places


class _Conversation:
    """Sends and receives on a socket, within the time that the attempt has left."""

    def __init__(self, sock: socket.socket, exchange: Exchange) -> None:
        self._sock = sock
        self._exchange = exchange

    def sendall(self, data: bytes) -> None:
        try:
            self._sock.sendall(data)
        except OSError as problem:
            raise self._failure(problem) from None

    def recv(self, size: int) -> bytes:
        """The next bytes, at least one and at most `size`."""
        left, what = self._exchange.attempt.time_left(perf_counter())
        if left <= 0:
            raise AttemptFailed(Cause.TIMEOUT, what)
        self._sock.settimeout(left)
        try:
            data = self._sock.recv(size)
        except OSError as problem:
            raise self._failure(problem) from None
        self._exchange.abort_switch.check()  # an abort looks like the end of the connection
        if not data:
            raise closed_early(answering=False)
        return data

    def close(self) -> None:
        self._sock.close()

    def _failure(self, problem: OSError) -> AttemptFailed:
        self._exchange.abort_switch.check()
        _, what = self._exchange.attempt.time_left(perf_counter())
        if isinstance(problem, TimeoutError) and problem.errno is None:
            return AttemptFailed(Cause.TIMEOUT, what)
        return network_failure(problem, answering=False) or AttemptFailed(Cause.CONNECT, str(problem))

"""Extends urllib3's connections: fetchq dials, reads the responses, and measures the phases."""

from __future__ import annotations

import http.client
import socket
import threading
from time import perf_counter
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from fetchq.core.model import Cause
from fetchq.engines.bandwidth import UPLOAD_PIECE
from fetchq.engines.errors import closed_early
from fetchq.engines.requests.exchange import current_exchange
from fetchq.engines.requests.response import WireResponse
from fetchq.engines.requests.upload import unsolicited_bytes, upload
from fetchq.http.addresses import address_text
from fetchq.http.failure import AttemptFailed
from fetchq.http.hops import absolute_form
from fetchq.http.phases import CONNECT, TLS

__all__ = ["POOLS"]


class _ExchangeMixin:
    """What both connection classes add to urllib3's. They serve the exchange of the running thread."""

    response_class: Any = WireResponse
    timeout: Any
    sock: Any
    used = False

    @property
    def is_connected(self) -> bool:
        """Whether the connection is open, and no unsolicited bytes have arrived."""
        if self.sock is None:
            return False
        try:
            came = unsolicited_bytes(self.sock)
        except OSError:
            return False
        if came:
            exchange = current_exchange.get()
            exchange.unreliable.add(exchange.attempt.hop.url.raw_authority)
        return came is None

    def _new_conn(self) -> socket.socket:
        self.used = False  # urllib3 reuses the object for a new connection
        exchange = current_exchange.get()
        host, port = self._dns_host, self.port  # type: ignore[attr-defined]  # a mix-in
        return exchange.dialer.connect(host, port, exchange.attempt)

    def _tunnel(self) -> None:
        attempt = current_exchange.get().attempt
        # http.client only limits the time between two bytes of the proxy's response, so a timer limits the whole.
        left = max(0.001, attempt.time_left(perf_counter())[0])
        timer = threading.Timer(left, socket.socket.shutdown, (self.sock, socket.SHUT_RDWR))
        timer.start()
        try:
            super()._tunnel()  # type: ignore[misc]  # a mix-in
        except http.client.RemoteDisconnected:  # a ConnectionResetError, although it was closed, or timed out
            left, what = attempt.time_left(perf_counter())
            raise closed_early(answering=False) if left > 0 else AttemptFailed(Cause.TIMEOUT, what) from None
        finally:
            timer.cancel()
            timer.join()
        attempt.proxy = None
        attempt.lap(CONNECT)

    def request(self, method: str, url: str, *args: Any, **options: Any) -> None:
        exchange = current_exchange.get()
        attempt = exchange.attempt
        if self.sock is None:
            try:
                self.connect()  # type: ignore[attr-defined]  # a mix-in
            except (ConnectionResetError, BrokenPipeError, ConnectionAbortedError) as problem:
                # urllib3 would ignore it, as if the request had been sent, and ask for its response.
                raise closed_early(answering=False, how="reset") from problem
        sock = getattr(self.sock, "socket", self.sock)  # in a tunnel through TLS, urllib3 wraps the socket
        exchange.abort_switch.watch(sock)
        exchange.abort_switch.check()
        attempt.remote = address_text(sock.getpeername())
        attempt.connected(reused=self.used)
        self.used = True
        self.timeout = max(0.001, attempt.time_left(perf_counter())[0])
        hop = attempt.hop
        # urllib3 would change the percent-encoding, which makes signed URLs invalid.
        exact = hop.origin_form if url.startswith("/") else absolute_form(hop)
        super().request(method, exact, *args, **options)  # type: ignore[misc]  # a mix-in
        attempt.request_sent()  # after sending, since another thread could run in between

    def send(self, data: Any) -> None:
        if len(data) <= UPLOAD_PIECE or not isinstance(self.sock, socket.socket):
            super().send(data)  # type: ignore[misc]  # a mix-in
        else:
            exchange = current_exchange.get()
            exchange.early_bytes = upload(data, self.sock, exchange)


class _HTTPConnection(_ExchangeMixin, HTTPConnection):
    pass


class _HTTPSConnection(_ExchangeMixin, HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        self.sock.suppress_ragged_eofs = False  # otherwise a reset connection would look like the end of the body
        self.is_verified = self.proxy_is_verified = True  # otherwise urllib3 would warn about --insecure
        attempt = current_exchange.get().attempt
        attempt.lap(TLS)
        attempt.tls_known = True


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


POOLS = {"http": _HTTPPool, "https": _HTTPSPool}
"""The pool classes that urllib3 is to use, by scheme."""

"""urllib3's connections, and what fetchq does otherwise on them. A part of the blocking engine."""

from __future__ import annotations

import http.client
import socket
import threading
from time import perf_counter
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from fetchq.core.model import Cause
from fetchq.engines.errors import closed_early
from fetchq.engines.requests.response import WireResponse
from fetchq.engines.requests.upload import PIECE, upload, waiting
from fetchq.http.attempt import CONNECT, TLS, AttemptFailed, current_attempt
from fetchq.http.proxies import address_text

__all__ = ["POOLS"]


class _Timed:
    """What both connection classes add: fetchq's own connecting and reading, and the phases of the attempt."""

    response_class: Any = WireResponse
    timeout: Any
    sock: Any
    used = False

    @property
    def is_connected(self) -> bool:
        """Nothing has come on it that nobody had asked for, nor its end."""
        if self.sock is None:
            return False
        try:
            came = waiting(self.sock)
        except OSError:
            return False
        if came:
            attempt = current_attempt.get()
            attempt.engine.unreliable.add(attempt.hop.url.raw_authority)
        return came is None

    def _new_conn(self) -> socket.socket:
        self.used = False  # urllib3 keeps the object, and connects it anew
        attempt = current_attempt.get()
        host, port = self._dns_host, self.port  # type: ignore[attr-defined]  # a mix-in
        sock: socket.socket = attempt.engine.connect(host, port, attempt)
        return sock

    def _tunnel(self) -> None:
        attempt = current_attempt.get()
        # http.client only bounds the time between two bytes of the proxy's answer.
        left = max(0.001, attempt.time_left(perf_counter())[0])
        timer = threading.Timer(left, socket.socket.shutdown, (self.sock, socket.SHUT_RDWR))
        timer.start()
        try:
            super()._tunnel()  # type: ignore[misc]  # a mix-in
        except http.client.RemoteDisconnected:  # which passes for a reset
            left, what = attempt.time_left(perf_counter())
            raise closed_early(answering=False) if left > 0 else AttemptFailed(Cause.TIMEOUT, what) from None
        finally:
            timer.cancel()
            timer.join()
        attempt.proxy = None
        attempt.lap(CONNECT)

    def request(self, method: str, url: str, *args: Any, **options: Any) -> None:
        attempt = current_attempt.get()
        if self.sock is None:
            self.connect()  # type: ignore[attr-defined]  # a mix-in
        sock = getattr(self.sock, "socket", self.sock)  # in a tunnel through TLS, urllib3's own socket is around it
        attempt.engine.use(sock)
        attempt.engine.check()
        attempt.remote = address_text(sock.getpeername())
        attempt.connected(reused=self.used)
        self.used = True
        self.timeout = max(0.001, attempt.time_left(perf_counter())[0])
        hop = attempt.hop
        # urllib3 would rewrite the percent-encoding; signed URLs do not survive that.
        exact = hop.url.raw_path_qs if url.startswith("/") else hop.text
        super().request(method, exact, *args, **options)  # type: ignore[misc]  # a mix-in
        attempt.going_out()  # only now: between a clock and the sending, another thread may have its turn

    def send(self, data: Any) -> None:
        if len(data) <= PIECE or not isinstance(self.sock, socket.socket):
            super().send(data)  # type: ignore[misc]  # a mix-in
        else:
            attempt = current_attempt.get()
            attempt.engine.early = upload(data, self.sock, attempt)


class _HTTPConnection(_Timed, HTTPConnection):
    pass


class _HTTPSConnection(_Timed, HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        self.sock.suppress_ragged_eofs = False  # a reset, or any cut, would pass for an end
        self.is_verified = self.proxy_is_verified = True  # else urllib3 warns of --insecure, which was asked for
        attempt = current_attempt.get()
        attempt.lap(TLS)
        attempt.tls_known = True


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


POOLS = {"http": _HTTPPool, "https": _HTTPSPool}
"""What urllib3 is told to pool connections with, by scheme."""

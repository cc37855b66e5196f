"""Extends urllib3's connections: fetchq dials, reads the responses, and measures the phases."""

from __future__ import annotations

import http.client
import socket
import ssl
from time import perf_counter
from typing import TYPE_CHECKING, Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from fetchq.core.settings import SettingsError
from fetchq.engines.arrival import sent_at
from fetchq.engines.early_response import UPLOAD_PIECE
from fetchq.engines.errors import closed_early
from fetchq.engines.handshake import TimedSSLSocket
from fetchq.engines.hang_up import hung_up
from fetchq.engines.requests.exchange import Exchange, current_exchange
from fetchq.engines.requests.response import WireResponse, tcp_of
from fetchq.engines.requests.tunnel import connect_through_socks, open_tunnel
from fetchq.engines.requests.upload import Upload, unsolicited_bytes
from fetchq.engines.socks import is_socks
from fetchq.http.acceptance import IDEMPOTENT
from fetchq.http.addresses import address_text
from fetchq.http.failure import AttemptFailed
from fetchq.http.hops import absolute_form
from fetchq.http.keep_alive import KEEP_ALIVE, Announced, is_reusable_after
from fetchq.http.phases import CONNECT, LAG, TLS, WAIT

if TYPE_CHECKING:
    from multidict import CIMultiDictProxy

__all__ = ["POOLS", "check_urllib3"]

SLOW = 0.004
"""Seconds of sending, above which the kernel is asked when the request was sent."""


class _ExchangeMixin:
    """What both connection classes add to urllib3's. They serve the exchange of the running thread."""

    response_class: Any = WireResponse
    timeout: Any
    sock: Any
    used = False
    idle_since = 0.0
    """When it became idle (`time.perf_counter`)."""
    announced: Announced | None = None
    """What its server has announced about it, if anything."""

    @property
    def is_connected(self) -> bool:
        """Whether the connection is open, no unsolicited bytes have arrived, and the request may be sent on it."""
        if self.sock is None:
            return False
        exchange = current_exchange.get()
        exchange.idle, exchange.announced = perf_counter() - self.idle_since, self.announced
        if exchange.attempt.hop.method in IDEMPOTENT:
            return self._is_open(exchange)
        wait = exchange.reuse_policy.wait_before_reuse(exchange.origin, exchange.idle, exchange.announced)
        if wait is None:
            return False
        try:
            exchange.abort_switch.wait(wait)
            exchange.attempt.lap(CONNECT)
        except AttemptFailed:
            self.close()  # type: ignore[attr-defined]  # a mix-in; urllib3 has taken it from its pool, and forgets it
            raise
        if not self._is_open(exchange):
            return False
        if wait:
            exchange.reuse_policy.found_open(exchange.origin)
        return True

    def _is_open(self, exchange: Exchange) -> bool:
        try:
            received = unsolicited_bytes(self.sock)
        except OSError:
            received = b""
        if received:
            exchange.unreliable.add(exchange.attempt.hop.url.raw_authority)
        elif received is not None:
            exchange.note_stale()
        return received is None

    def make_idle(self, headers: CIMultiDictProxy[str]) -> None:
        """Keep a connection that has become idle, unless the `headers` of its last response rule it out."""
        self.idle_since = perf_counter()
        if KEEP_ALIVE in headers and not is_reusable_after(self, headers):
            self.close()  # type: ignore[attr-defined]  # a mix-in

    def _new_conn(self) -> socket.socket:
        self.used, self.announced = False, None  # urllib3 reuses the object for a new connection
        exchange = current_exchange.get()
        # urllib3 leaves the brackets around the IPv6 address of a proxy.
        host, port = self._dns_host.strip("[]"), self.port  # type: ignore[attr-defined]  # a mix-in
        proxy = exchange.attempt.proxy
        if proxy is not None and is_socks(proxy):
            return connect_through_socks(exchange, proxy, host, port)
        return exchange.dialer.connect(host, port, exchange.attempt)

    def _tunnel(self) -> None:
        authorization = {name: value for name, value in self._tunnel_headers.items() if name == "Proxy-Authorization"}  # type: ignore[attr-defined]  # a mix-in
        open_tunnel(self.sock, current_exchange.get(), authorization)

    def request(self, method: str, url: str, *args: Any, **options: Any) -> None:
        exchange = current_exchange.get()
        attempt = exchange.attempt
        if self.sock is None:
            try:
                self.connect()  # type: ignore[attr-defined]  # a mix-in
            except (ConnectionResetError, BrokenPipeError, ConnectionAbortedError) as problem:
                # urllib3 would ignore it, as if the request had been sent, and ask for its response.
                raise closed_early(answering=False, how="reset") from problem
        sock = tcp_of(self.sock)
        exchange.abort_switch.watch(sock)
        exchange.abort_switch.check()
        if not self.used and attempt.hop.method not in IDEMPOTENT and hung_up(sock.fileno()):
            raise closed_early(answering=False)  # before any of the request was sent, so that it may be tried again
        attempt.remote = address_text(sock.getpeername())
        attempt.connected(reused=self.used)
        began = attempt.progress_at
        self.used = True
        self.timeout = max(0.001, attempt.time_left(perf_counter())[0])
        hop = attempt.hop
        # urllib3 would change the percent-encoding, which makes signed URLs invalid.
        exact = hop.origin_form if url.startswith("/") else absolute_form(hop)
        super().request(method, exact, *args, **options)  # type: ignore[misc]  # a mix-in
        now = perf_counter()
        if now - began > SLOW and exchange.upload is None:
            attempt.laps((LAG, sent_at(sock, now, began)), (WAIT, now))  # the thread has waited for the GIL
        attempt.request_sent()  # after sending, since another thread could run in between

    def send(self, data: Any) -> None:
        if len(data) > UPLOAD_PIECE and isinstance(self.sock, socket.socket):
            exchange = current_exchange.get()
            exchange.upload = Upload(data, self.sock, exchange.attempt, exchange.abort_switch)
            exchange.upload.start()
            return
        try:
            super().send(data)  # type: ignore[misc]  # a mix-in
        except ssl.SSLEOFError:
            return  # like a broken pipe, which urllib3 ignores: the server may have answered before it closed


class _HTTPConnection(_ExchangeMixin, HTTPConnection):
    pass


class _HTTPSConnection(_ExchangeMixin, HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        self._expect_tls()
        return sock

    def _expect_tls(self) -> None:
        attempt = current_exchange.get().attempt
        attempt.connecting_phase, attempt.tls_known = TLS, True

    def _tunnel(self) -> None:
        self._count_handshake()  # that with the proxy
        super()._tunnel()
        self._expect_tls()

    def _count_handshake(self) -> None:
        """Divide the time since the last lap, if the socket has made a TLS handshake."""
        if isinstance(self.sock, TimedSSLSocket):
            self.sock.handshake.count(current_exchange.get().attempt)

    def connect(self) -> None:
        super().connect()
        self.sock.suppress_ragged_eofs = False  # otherwise a reset connection would look like the end of the body
        self.is_verified = self.proxy_is_verified = True  # otherwise urllib3 would warn about --insecure
        self._count_handshake()
        if not isinstance(self.sock, TimedSSLSocket):  # TLS in TLS is no socket
            current_exchange.get().attempt.lap(TLS)


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


POOLS = {"http": _HTTPPool, "https": _HTTPSPool}
"""The pool classes that urllib3 is to use, by scheme."""


def check_urllib3() -> None:
    """Raise `SettingsError` if `import urllib3` gives another package, in which nothing of this module is ever called.

    urllib3-future, which niquests installs, copies itself over urllib3 whenever Python starts.
    """
    if not issubclass(HTTPConnection, http.client.HTTPConnection):
        raise SettingsError(
            "mode",
            "threads and sync need urllib3, but urllib3-future, which comes with niquests, has taken its place; "
            "use async, or an environment without niquests",
        )

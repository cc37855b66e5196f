"""Extends urllib3's connections: fetchq dials, reads the responses, and measures the phases."""

from __future__ import annotations

import http.client
import socket
import ssl
from contextlib import suppress
from time import perf_counter
from typing import TYPE_CHECKING, Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError

from fetchq.core.settings import SettingsError
from fetchq.engines.arrival import sent_at
from fetchq.engines.early_response import UPLOAD_PIECE
from fetchq.engines.errors import closed_early
from fetchq.engines.handshake import TimedSSLSocket
from fetchq.engines.hang_up import hung_up
from fetchq.engines.requests.exchange import Exchange, current_exchange
from fetchq.engines.requests.response import WireResponse
from fetchq.engines.requests.socket_io import send, tcp_of
from fetchq.engines.requests.tunnel import connect_through_socks, open_tunnel
from fetchq.engines.requests.upload import Upload, unsolicited_bytes
from fetchq.engines.socks import is_socks
from fetchq.http.acceptance import IDEMPOTENT
from fetchq.http.addresses import address_text
from fetchq.http.failure import AttemptFailed
from fetchq.http.hops import host_field, request_head
from fetchq.http.keep_alive import Announced, is_reusable_after
from fetchq.http.phases import CONNECT, LAG, TLS, WAIT

if TYPE_CHECKING:
    from fetchq.http.response import ResponseHead

__all__ = ["POOLS", "Urllib3Error", "check_urllib3"]

Urllib3Error = HTTPError
"""The base class of urllib3's exceptions. They have the traceback of the exceptions that they stand for."""

SLOW = 0.004
"""Seconds of sending, above which the kernel is asked when the request was sent."""


class _ExchangeMixin:
    """What both connection classes add to urllib3's. They serve the exchange of the running thread."""

    sock: Any
    used = False
    remote: str | None = None
    """The address of the other side."""
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
            exchange.unreliable.add(exchange.attempt.hop.target.origin.authority)
        elif received is not None:
            exchange.note_stale()
        return received is None

    def make_idle(self, last: ResponseHead) -> None:
        """Keep a connection that has become idle, unless the head of its last response rules it out."""
        self.idle_since = perf_counter()
        if last.announces and not is_reusable_after(self, last.headers):
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

    def request(self, method: str, url: str, body: Any = None, headers: Any = None, **options: Any) -> None:
        """Send the hop of the attempt. `url`: the whole URL if the request goes to a proxy, which `headers` are for."""
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
        if not self.used:
            if attempt.hop.method not in IDEMPOTENT and hung_up(sock.fileno()):
                raise closed_early(answering=False)  # before any of the request was sent, so that it may be tried again
            self.remote = address_text(sock.getpeername())
            if sock is self.sock:
                sock.setblocking(False)
        attempt.remote = self.remote
        attempt.connected(reused=self.used)
        began = attempt.progress_at
        self.used = True
        self._send(exchange, absolute=not url.startswith("/"), more=headers)
        now = perf_counter()
        if now - began > SLOW and exchange.upload is None:
            attempt.laps((LAG, sent_at(sock, now, began)), (WAIT, now))  # the thread has waited for the GIL
        attempt.request_sent()  # after sending, since another thread could run in between

    def _send(self, exchange: Exchange, *, absolute: bool, more: dict[str, str]) -> None:
        hop = exchange.hop
        assert hop is not None
        # Not as urllib3 does it: that would change the percent-encoding, which makes signed URLs invalid.
        head = request_head(hop, host_field(*hop.target.origin), absolute=absolute, more=more)
        long = hop.body is not None and len(hop.body) > UPLOAD_PIECE and isinstance(self.sock, socket.socket)
        with suppress(ssl.SSLEOFError):  # like a broken pipe, which urllib3 ignores: the answer may have come before
            send(self.sock, head if long or not hop.body else head + hop.body, exchange)
        if long:
            exchange.upload = Upload(hop.body or b"", self.sock, exchange.attempt, exchange.abort_switch)
            exchange.upload.start()

    def getresponse(self) -> Any:
        """The response, whose head has been read. Raises `AttemptFailed`, and OSError."""
        response = WireResponse(self.sock, current_exchange.get())
        response.begin()
        return response


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

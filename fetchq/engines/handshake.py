"""Measures TLS handshakes: what the server took, and what had arrived but was not taken.

Python's ssl module lets a context make sockets and objects of other classes, which note when the handshake went on. The
one for an event loop is in `fetchq.engines.aiohttp.opening`.
"""

from __future__ import annotations

import errno
import select
import socket
import ssl
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING

from fetchq.engines.arrival import received_at, sent_at
from fetchq.http.phases import CONNECT, LAG, TLS

if TYPE_CHECKING:
    from fetchq.http.attempt_clock import AttemptClock

__all__ = ["Handshake", "TimedSSLSocket"]


_NOT_CONNECTED = (errno.ENOTCONN, errno.EINVAL)
"""What `recv` raises on a socket that was never connected, which wrap_socket takes."""


class Handshake:
    """The times of one handshake (`time.perf_counter`)."""

    __slots__ = ("arrived", "began")

    def __init__(self) -> None:
        self.began = self.arrived = 0.0
        """When the client's first message was sent, and when the last of the server's arrived."""

    def step(self, sock: socket.socket | None, go_on: Callable[[], None]) -> None:
        """Go on with the handshake. `sock`: the TCP connection, if it is known. Raises what `go_on` raises."""
        if not self.began:
            try:
                go_on()
            finally:
                self.began = perf_counter()
            return
        self.arrived = received_at(sock, perf_counter(), self.began)
        go_on()

    def count(self, clock: AttemptClock) -> None:
        """Divide the time since the attempt's last lap, in which this handshake was made."""
        clock.laps((LAG, self.began), (TLS, self.arrived))
        clock.connecting_phase = CONNECT


class TimedSSLSocket(ssl.SSLSocket):
    """TLS for a thread. In Python's own handshake, the thread may wait for the GIL several times unnoticed."""

    handshake: Handshake

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """Receive bytes. Raises OSError."""
        try:
            return super().recv(buflen, flags)
        except OSError as problem:
            # Until Python 3.12, wrap_socket leaves a socket open whose connection was reset before TLS began.
            if not isinstance(problem, ssl.SSLError) and problem.errno not in _NOT_CONNECTED and self.version() is None:
                self.close()
            raise

    def do_handshake(self, block: bool = False) -> None:
        """Make the handshake within the socket's timeout. Raises OSError, also TimeoutError."""
        timeout = self.gettimeout()
        until = None if timeout is None else perf_counter() + timeout
        self.handshake = handshake = Handshake()
        began = perf_counter()
        poll = select.poll()
        self.settimeout(0)
        try:
            while True:
                try:
                    handshake.step(self, super().do_handshake)
                except ssl.SSLWantReadError:
                    if not handshake.arrived:
                        handshake.began = sent_at(self, handshake.began, began)
                    poll.register(self, select.POLLIN)
                except ssl.SSLWantWriteError:
                    poll.register(self, select.POLLOUT)
                else:
                    return
                if not poll.poll(None if until is None else max(0.0, (until - perf_counter()) * 1000)):
                    raise TimeoutError("the TLS handshake timed out")
        finally:
            self.settimeout(timeout)

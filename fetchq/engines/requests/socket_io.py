"""Sends and receives for an exchange, within the time that its attempt has left.

The sockets are non-blocking: with a timeout, Python asks the system about a socket before each use of it, and changes
its mode with each change of the timeout. Each of these calls releases the GIL, for which all workers wait.
"""

from __future__ import annotations

import select
import socket
import ssl
from math import inf
from time import perf_counter
from typing import TYPE_CHECKING, Any

from fetchq.core.model import Cause
from fetchq.engines.arrival import received_at
from fetchq.engines.errors import closed_early
from fetchq.engines.requests.nonblocking import PIECE, receive_now, send_now
from fetchq.http.failure import AttemptFailed

if TYPE_CHECKING:
    from fetchq.engines.requests.exchange import Exchange
    from fetchq.http.attempt import Attempt

__all__ = ["arrived_at", "receive", "send", "tcp_of"]

_LONGEST = 3600.0
"""The most seconds to wait at a time: poll(2) takes its milliseconds as an int."""
_BLOCKED = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
"""The exceptions of a socket that is not ready."""


def send(sock: Any, data: bytes, exchange: Exchange) -> None:
    """Send all of `data`. Raises `AttemptFailed` (`timeout`, `cancelled`), and OSError.

    `sock` may be urllib3's TLS through TLS, which is no socket, and can only send on one that has a timeout.
    """
    attempt = exchange.attempt
    if not isinstance(sock, socket.socket):
        sock.settimeout(max(0.001, attempt.time_left(perf_counter())[0]))
        sock.sendall(data)
        return
    rest = memoryview(data)[send_now(sock, data) :]
    while rest:
        try:
            rest = rest[sock.send(rest) :]
        except _BLOCKED as blocked:
            _wait(sock, blocked, select.POLLOUT, exchange)


def receive(sock: Any, exchange: Exchange) -> bytes:
    """The next bytes, empty at the end of the connection. Raises `AttemptFailed`, and OSError."""
    attempt = exchange.attempt
    try:
        data = None if exchange.upload is None else exchange.upload.receive()
        if data is None:
            data = _received(sock, exchange)
    except TimeoutError:
        raise AttemptFailed(Cause.TIMEOUT, attempt.time_left(perf_counter())[1]) from None
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
            attempt.first_byte(arrived_at(sock, attempt, now, attempt.last_lap))
    return data


def _received(sock: Any, exchange: Exchange) -> bytes:
    attempt = exchange.attempt
    left, what = attempt.time_left(perf_counter())
    if left <= 0:
        raise AttemptFailed(Cause.TIMEOUT, what)
    if not isinstance(sock, socket.socket):
        sock.settimeout(left)
        inner: bytes = sock.recv(PIECE)
        return inner
    if not attempt.answering:  # nothing has arrived yet, so that trying would be a call for nothing
        _wait_for(sock, select.POLLIN, left)
    while True:
        blocked: OSError | None = None
        try:
            # The rest of a long body comes in pieces that take longer to copy than the GIL to come back.
            data = sock.recv(PIECE) if attempt.answering else receive_now(sock)
            if data is not None:
                return data
        except _BLOCKED as problem:
            blocked = problem
        _wait(sock, blocked, select.POLLIN, exchange)


def _wait(sock: socket.socket, blocked: OSError | None, events: int, exchange: Exchange) -> None:
    """Wait until a socket is ready that was not. TLS may have to send in order to receive, and the reverse."""
    exchange.abort_switch.check()
    left, what = exchange.attempt.time_left(perf_counter())
    if left <= 0:
        raise AttemptFailed(Cause.TIMEOUT, what) from None
    if isinstance(blocked, ssl.SSLWantReadError):
        events = select.POLLIN
    elif isinstance(blocked, ssl.SSLWantWriteError):
        events = select.POLLOUT
    _wait_for(sock, events, left)


def _wait_for(sock: socket.socket, events: int, seconds: float) -> None:
    """Wait at most so long, or less, for these events of `select.poll`, or for the end of the connection."""
    poll = select.poll()
    poll.register(sock, events)
    poll.poll(min(seconds, _LONGEST) * 1000)


def arrived_at(sock: Any, attempt: Attempt, now: float, since: float) -> float:
    """When the data that was read `now` arrived. A thread that runs alone need not wait for the GIL to read it."""
    alone = attempt.settings.workers == 1 or attempt.settings.mode == "sync"
    return received_at(tcp_of(sock), now, since, now if alone else inf)


def tcp_of(sock: Any) -> socket.socket:
    """The TCP socket: in a tunnel through TLS, urllib3 wraps it."""
    found: socket.socket = getattr(sock, "socket", sock)
    return found

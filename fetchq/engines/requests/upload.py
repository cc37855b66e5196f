"""Sends a long body in pieces. Each piece that the network takes is progress, and restarts the read timeout."""

from __future__ import annotations

import re
import ssl
from time import perf_counter
from typing import TYPE_CHECKING

from fetchq.core.model import Cause
from fetchq.engines.bandwidth import UPLOAD_PIECE
from fetchq.engines.requests.dial import POLL_INTERVAL
from fetchq.http.failure import AttemptFailed

if TYPE_CHECKING:
    import socket

    from fetchq.engines.requests.exchange import Exchange

__all__ = ["unsolicited_bytes", "upload"]

_FINAL_RESPONSE = re.compile(rb"(?:\A|\r\n\r\n)(?!HTTP/1\.[01] 1)(?=.)", re.DOTALL)
"""The beginning of a final response; an interim response does not mean that the server stops reading."""


def upload(body: bytes, sock: socket.socket, exchange: Exchange) -> bytes | None:
    """Send `body` on a blocking socket. Raises `AttemptFailed`, and OSError.

    If the server sends its final response before it has the whole body, it may not read the rest, which is then not
    sent. Returns the bytes that arrived meanwhile, or None.
    """
    attempt, left = exchange.attempt, memoryview(body)
    came: bytes | None = None
    while left:
        seconds, what = attempt.time_left(perf_counter())
        if seconds <= 0:
            raise AttemptFailed(Cause.TIMEOUT, what)
        sock.settimeout(min(seconds, POLL_INTERVAL))
        try:
            left = left[sock.send(left[:UPLOAD_PIECE]) :]
            attempt.progress_at = perf_counter()
        except TimeoutError:
            exchange.abort_switch.check()
            if (more := unsolicited_bytes(sock)) is None:
                continue
            came = (came or b"") + more
            if not more or len(came) > UPLOAD_PIECE or _FINAL_RESPONSE.search(came):
                break
    return came


def unsolicited_bytes(sock: socket.socket) -> bytes | None:
    """The bytes that can be read without waiting, empty at the end of the connection; None if there are none.

    Messages of TLS itself do not count. Raises OSError.
    """
    sock.settimeout(0)
    try:
        return sock.recv(UPLOAD_PIECE)
    except (BlockingIOError, ssl.SSLWantReadError):
        return None

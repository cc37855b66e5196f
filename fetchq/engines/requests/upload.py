"""Sending a long body piece by piece: each that the network takes is progress, so that it is no read timeout."""

from __future__ import annotations

import re
import ssl
from time import perf_counter
from typing import TYPE_CHECKING

from fetchq.core.model import Cause
from fetchq.engines.requests.dial import GLANCE
from fetchq.http.failure import AttemptFailed

if TYPE_CHECKING:
    import socket

    from fetchq.http.attempt import Attempt

__all__ = ["PIECE", "upload", "waiting"]

PIECE = 65536
"""Bytes; a body that is no longer is sent at once."""
_ANSWER = re.compile(rb"(?:\A|\r\n\r\n)(?!HTTP/1\.[01] 1)(?=.)", re.DOTALL)
"""At the beginning, or after another one, what is no interim response: those do not mean that the rest is unwanted."""


def upload(body: bytes, sock: socket.socket, attempt: Attempt) -> bytes | None:
    """Send `body` on a blocking socket. Raises `AttemptFailed`, and OSError.

    A server that answers before it has all of it may not read the rest, which is not sent then. Returns what came
    meanwhile, None when nothing did.
    """
    left = memoryview(body)
    came: bytes | None = None
    while left:
        seconds, what = attempt.time_left(perf_counter())
        if seconds <= 0:
            raise AttemptFailed(Cause.TIMEOUT, what)
        sock.settimeout(min(seconds, GLANCE))
        try:
            left = left[sock.send(left[:PIECE]) :]
            attempt.progress_at = perf_counter()
        except TimeoutError:
            attempt.engine.check()
            if (more := waiting(sock)) is None:
                continue
            came = (came or b"") + more
            if not more or len(came) > PIECE or _ANSWER.search(came):
                break
    return came


def waiting(sock: socket.socket) -> bytes | None:
    """What has come unasked; None when nothing has, or nothing but what is TLS's own. Raises OSError."""
    sock.settimeout(0)
    try:
        return sock.recv(PIECE)
    except (BlockingIOError, ssl.SSLWantReadError):
        return None

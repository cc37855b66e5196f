"""Sends long bodies in pieces, and receives the response that arrives meanwhile (`early_response`).

A server may also send its response while it reads, as an echo server does: it would stop reading if the client did not
receive.
"""

from __future__ import annotations

import select
import ssl
from contextlib import suppress
from time import perf_counter
from typing import TYPE_CHECKING

from fetchq.core.model import Cause
from fetchq.engines.early_response import UPLOAD_PIECE, UPLOAD_STALL
from fetchq.engines.requests.dial import POLL_INTERVAL
from fetchq.engines.requests.nonblocking import receive_now
from fetchq.http.failure import AttemptFailed

if TYPE_CHECKING:
    import socket

    from fetchq.engines.requests.abort_switch import AbortSwitch
    from fetchq.http.attempt import Attempt

__all__ = ["Upload", "unsolicited_bytes"]


class Upload:
    """A long body that is being sent. Each piece that the network takes is progress, and restarts the read timeout."""

    def __init__(self, body: bytes, sock: socket.socket, attempt: Attempt, abort_switch: AbortSwitch) -> None:
        self._sock = sock
        self._attempt = attempt
        self._abort_switch = abort_switch
        self._left = memoryview(body)
        self._broken = False
        """Whether the server takes no more of it."""
        self._received: bytes | OSError | None = None
        """What has arrived and was not received yet: bytes, empty at the end of the connection, or its failure."""

    @property
    def whole(self) -> bool:
        """Whether the whole body was sent."""
        return not self._left

    def start(self) -> None:
        """Send until the response begins. Raises `AttemptFailed`."""
        try:
            self._received = self._send()
        except OSError as problem:
            self._received = problem

    def receive(self) -> bytes | None:
        """Send the rest of the body, until the next bytes of the response arrive, which are returned, empty at its end.

        None means that nothing is left to send, and nothing has arrived yet. Raises `AttemptFailed`, and OSError.
        """
        received, self._received = self._received, None
        if isinstance(received, OSError):
            raise received
        return self._send() if received is None else received

    def finish(self) -> None:
        """Send the rest after the response, as long as the server takes it, and no longer than the attempt may last.

        Raises `AttemptFailed` after an abort.
        """
        with suppress(OSError):
            self._send(stall=UPLOAD_STALL)

    def _send(self, stall: float | None = None) -> bytes | None:
        """Send until bytes arrive, which are returned; None if everything was sent, or nothing more can be.

        `stall`: seconds without progress after which to give up. Raises `AttemptFailed`, and OSError.
        """
        attempt = self._attempt
        while self._left and not self._broken:
            if (received := unsolicited_bytes(self._sock)) is not None:
                return received
            try:
                self._left = self._left[self._sock.send(self._left[:UPLOAD_PIECE]) :]
                attempt.progress_at = perf_counter()
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                now = perf_counter()
                seconds, what = attempt.time_left(now)
                if stall is not None and (seconds <= 0 or attempt.progress_at + stall < now):
                    return None
                if seconds <= 0:
                    raise AttemptFailed(Cause.TIMEOUT, what) from None
                self._wait(min(seconds, POLL_INTERVAL))
            except OSError:
                self._broken = True  # recv raises the error, after the bytes that have arrived
        return None

    def _wait(self, seconds: float) -> None:
        """Wait until bytes can be sent or received. Raises `AttemptFailed` after an abort."""
        poll = select.poll()
        poll.register(self._sock, select.POLLIN | select.POLLOUT)
        poll.poll(seconds * 1000)
        self._abort_switch.check()


def unsolicited_bytes(sock: socket.socket) -> bytes | None:
    """The bytes that can be read without waiting, empty at the end of the connection; None if there are none.

    Messages of TLS itself do not count. Raises OSError.
    """
    if sock.gettimeout() != 0:
        sock.settimeout(0)
    try:
        return receive_now(sock)
    except ssl.SSLWantReadError:
        return None

"""Ends what a worker's thread does on its socket, from another thread."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

from fetchq.core.model import Cause
from fetchq.http.failure import AttemptFailed

__all__ = ["AbortSwitch"]


class AbortSwitch:
    """The abort of one worker: it stays on. `abort` may be called from any thread, the rest from the worker's."""

    def __init__(self) -> None:
        self._aborted = threading.Event()
        self._socket: socket.socket | None = None
        """The socket that the worker's thread may be waiting for."""
        self._handshake: socket.socket | None = None
        """A duplicate of it during the TLS handshake, in which the original object is detached."""

    @property
    def aborted(self) -> bool:
        """Whether `abort` was called."""
        return self._aborted.is_set()

    def watch(self, sock: socket.socket | None, *, handshake: bool = False) -> None:
        """The worker uses this socket now, or none. `handshake`: it begins with a TLS handshake."""
        self._socket = sock
        if self._handshake is not None:
            self._handshake.close()
            self._handshake = None
        if handshake and sock is not None:
            self._handshake = sock.dup()

    def check(self) -> None:
        """Raise `AttemptFailed` (`cancelled`) after an abort."""
        if self._aborted.is_set():
            raise self.failure()

    def wait(self, seconds: float) -> None:
        """Sleep, and then `check`; an abort ends the sleep."""
        self._aborted.wait(seconds)
        self.check()

    def failure(self) -> AttemptFailed:
        """The failure of an attempt that was aborted."""
        return AttemptFailed(Cause.CANCELLED, "the run ended first")

    def abort(self) -> None:
        """Wake the worker's thread where it waits for its socket."""
        self._aborted.set()
        for busy in (self._socket, self._handshake):
            if busy is not None:
                with suppress(OSError):  # it is not connected: then no thread reads from it
                    # The method of socket.socket: that of an SSLSocket is not for two threads.
                    socket.socket.shutdown(busy, socket.SHUT_RDWR)

"""Lets another thread end the I/O of a worker's thread."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

from fetchq.core.model import Cause
from fetchq.http.failure import RUN_ENDED, AttemptFailed

__all__ = ["AbortSwitch"]


class AbortSwitch:
    """Aborts one worker, irrevocably. Any thread may call `abort`; only the worker's own may call the other methods."""

    def __init__(self) -> None:
        self._aborted = threading.Event()
        self._socket: socket.socket | None = None
        """The socket that the worker's thread may be waiting for."""
        self._handshake: socket.socket | None = None
        """A duplicate of the socket during the TLS handshake, which detaches the original object."""

    @property
    def aborted(self) -> bool:
        """Whether `abort` was called."""
        return self._aborted.is_set()

    def watch(self, sock: socket.socket | None, *, handshake: bool = False) -> None:
        """Note that the worker now uses this socket, or none. `handshake`: whether a TLS handshake comes first."""
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
        """Sleep, and then `check`. An abort ends the sleep."""
        self._aborted.wait(seconds)
        self.check()

    def failure(self) -> AttemptFailed:
        """The failure of an attempt that was aborted."""
        return AttemptFailed(Cause.CANCELLED, RUN_ENDED)

    def abort(self) -> None:
        """Abort, and wake the worker's thread if it waits for its socket."""
        self._aborted.set()
        for busy in (self._socket, self._handshake):
            if busy is not None:
                with suppress(OSError):  # it is not connected, so no thread waits for it
                    # socket.socket's method, since SSLSocket's own is not thread-safe.
                    socket.socket.shutdown(busy, socket.SHUT_RDWR)

"""Limits the bytes of bodies received per second by a whole run. The clock is handed in.

Bytes that have come cannot be refused: their reader waits before it reads on. The next ones then wait in the buffers of
the connection and, once those are full, at the server; so the buffers are kept small. What they hold when a body is cut
off, for being too large, say, is not counted.
"""

from __future__ import annotations

import threading

__all__ = ["UPLOAD_PIECE", "ByteRate", "buffer_for"]

CATCH_UP = 0.05
"""Seconds that a late reader may catch up on: timers are always late, and would make the run slower than the limit."""
_BUFFERED = 0.25
"""Seconds of the whole rate that one connection's buffer holds: about the round trip time of a far-away server."""
_MIN_BUFFER = 16384
_MAX_BUFFER = 65536
"""Bytes. The kernel begins with about as many, and only grows the buffer where it is read quickly."""
UPLOAD_PIECE = 65536
"""Bytes of a request's body that are sent at a time; a body that is no longer is sent at once."""


class ByteRate:
    """The limit that all readers of a run share: each byte takes 1/rate seconds. Any thread may use it.

    In any span of time, readers go on with no more than `rate` bytes per second of it, plus `CATCH_UP` seconds' worth,
    or plus one piece where that is more.
    """

    __slots__ = ("_free_at", "_lock", "_seconds")

    def __init__(self, rate: float) -> None:
        """`rate`: bytes per second, above 0."""
        self._seconds = 1.0 / rate
        self._free_at: float | None = None
        self._lock = threading.Lock()

    def reserve(self, size: int, now: float) -> float:
        """Take up the time of `size` bytes that have come. Returns when it is over; that may be in the past."""
        with self._lock:
            begin = now if self._free_at is None else max(self._free_at, now - CATCH_UP)
            self._free_at = until = begin + size * self._seconds
        return until


def buffer_for(rate: float | None) -> int | None:
    """The receive buffer of a connection, in bytes; None where the kernel's own is small enough for the rate."""
    if rate is None or rate * _BUFFERED >= _MAX_BUFFER:
        return None
    return max(_MIN_BUFFER, int(rate * _BUFFERED))

"""Limits how many bytes of bodies a whole run receives per second (`--limit-rate`). The clock is a parameter.

Bytes that have arrived cannot be refused, so their reader waits before it reads on. Meanwhile the next bytes fill the
buffers of the connection, and then the server has to wait; so the buffers are kept small. Bytes that are in a buffer
when a body is cut off, for example because it is too large, are not counted.
"""

from __future__ import annotations

import threading

__all__ = ["ByteRate", "buffer_for"]

CATCH_UP = 0.05
"""A late reader may catch up by this many seconds: late timers would otherwise make the run slower than the limit."""
_BUFFERED = 0.25
"""A connection's buffer holds this many seconds' worth of the rate: about the round trip time of a distant server."""
_MIN_BUFFER = 16384
_MAX_BUFFER = 65536
"""The bounds of a receive buffer, in bytes. The kernel starts with about the greater one, and enlarges it by itself."""


class ByteRate:
    """A rate limit that all readers of a run share: each byte takes 1/rate seconds. Any thread may use it.

    In any period, readers receive at most `rate` bytes per second, plus `CATCH_UP` seconds' worth, or plus one piece if
    that is more.
    """

    __slots__ = ("_free_at", "_lock", "_seconds")

    def __init__(self, rate: float) -> None:
        """`rate`: bytes per second, above 0."""
        self._seconds = 1.0 / rate
        self._free_at: float | None = None
        self._lock = threading.Lock()

    def reserve(self, size: int, now: float) -> float:
        """Reserve the time for `size` bytes that have arrived. Returns when it ends, which may be in the past."""
        with self._lock:
            begin = now if self._free_at is None else max(self._free_at, now - CATCH_UP)
            self._free_at = until = begin + size * self._seconds
        return until


def buffer_for(rate: float | None) -> int | None:
    """The receive buffer of a connection, in bytes; None if the kernel's default is small enough for the rate."""
    if rate is None or rate * _BUFFERED >= _MAX_BUFFER:
        return None
    return max(_MIN_BUFFER, int(rate * _BUFFERED))

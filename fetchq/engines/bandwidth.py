"""How many bytes of bodies come in a second, whoever reads them: pure, the clock is handed in.

What has come cannot be sent back; who reads it has to wait before it reads on. The rest then waits in the buffers of
the connection, and, once they are full, at the server: so they are kept small. What they hold when a body is cut off,
because it is too large, say, is not counted.
"""

from __future__ import annotations

import threading

__all__ = ["ByteRate", "buffer_for"]

CATCH_UP = 0.05
"""Seconds by which a reader that comes late may hurry: timers are late, and would slow the run down for good."""
_SHARE = 0.25
"""Seconds of the whole rate that fit into one connection's buffer: as many as a far-away server may need."""
_SMALLEST = 16384
_LARGEST = 65536
"""Bytes; the kernel begins with about as many by itself, and goes on from there only where they are read quickly."""


class ByteRate:
    """One clock for all readers of a run, on which every byte takes its time. Any thread may use it.

    The pieces whose time is over within any span of time come to no more than `rate` bytes a second of it, and to
    `CATCH_UP` seconds more, or to one piece more where that is longer.
    """

    __slots__ = ("_free_at", "_lock", "_seconds")

    def __init__(self, rate: float) -> None:
        """`rate`: bytes a second, above 0."""
        self._seconds = 1.0 / rate
        self._free_at: float | None = None
        self._lock = threading.Lock()

    def reserve(self, size: int, now: float) -> float:
        """So many bytes have come: when their time is over. It may be over already."""
        with self._lock:
            begin = now if self._free_at is None else max(self._free_at, now - CATCH_UP)
            self._free_at = until = begin + size * self._seconds
        return until


def buffer_for(rate: float | None) -> int | None:
    """Bytes that a connection may receive ahead of its reader; None: as many as ever, which is no more than due."""
    if rate is None or rate * _SHARE >= _LARGEST:
        return None
    return max(_SMALLEST, int(rate * _SHARE))

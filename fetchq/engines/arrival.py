"""Asks the kernel when bytes arrived on a TCP connection, which fetchq may have noticed later.

Linux counts that in its TCP_INFO in ticks of 1 to 10 ms, mostly 4. Since version 6.4, the ticks are at multiples of
their length, so that an instant is known to within half a tick; before, to within a whole one. Where there is no
answer, as on other systems, bytes count as having arrived when they were noticed. One question costs less than 1 us.
"""

from __future__ import annotations

import platform
import socket
import struct
import sys
import time
from math import inf
from time import perf_counter
from typing import NamedTuple

__all__ = ["Connected", "connected", "received_at", "sent_at"]

_OPTION: int = getattr(socket, "TCP_INFO", 0) if sys.platform == "linux" else 0
# Of `struct tcp_info` (linux/tcp.h): milliseconds since data was sent, since data was received, and since an ACK was
# received; the round-trip time in microseconds; and how many segments were sent again.
_INFO = struct.Struct("=44xI4xII8xI28xI")
_MONOTONIC_COARSE = 6  # linux/time.h; Python has no name for this clock, which steps from tick to tick
_TICK = time.clock_getres(_MONOTONIC_COARSE) if _OPTION else 0.0
_DOUBTFUL = 3 * _TICK
"""Seconds by which the kernel's answer may be too early: on an idle machine, its count of ticks can be two behind."""
_KNOWN_TICKS = _OPTION and tuple(int(part) for part in platform.release().split(".", 2)[:2]) >= (6, 4)


def _ask(sock: socket.socket | None) -> tuple[int, int, int, int, int] | None:
    if sock is None or not _OPTION:
        return None
    try:
        sent, received, acknowledged, round_trip, resent = _INFO.unpack(
            sock.getsockopt(socket.IPPROTO_TCP, _OPTION, _INFO.size)
        )
    except (OSError, struct.error):  # it is closed; or the system only imitates Linux
        return None
    return sent, received, acknowledged, round_trip, resent


def _instant(ago: int, now: float, since: float) -> float:
    """The time of an event that was `ago` milliseconds ago, counted from tick to tick, and not before `since`."""
    if not ago:
        return now  # without a tick since then, it was noticed at once, most likely
    if not _KNOWN_TICKS:
        return max(now - ago / 1000, since)
    began = now - now % _TICK - ago / 1000
    ended = min(began + _TICK, now)
    return (max(began, since) + ended) / 2 if since < ended else since


def received_at(sock: socket.socket | None, now: float, since: float, woken: float = inf) -> float:
    """When the last data arrived, which was not before `since`.

    `now`: the current time (`time.perf_counter`), which is the answer if the kernel gives none. `woken`: when a caller
    that did nothing but wait for data was told of it. It most likely arrived then, unless it is said to be much older.
    """
    found = _ask(sock)
    if found is None:
        return now
    arrived = _instant(found[1], now, since)
    return woken if woken - _DOUBTFUL < arrived < woken else arrived


def sent_at(sock: socket.socket, now: float, since: float) -> float:
    """When data was sent last, with the parameters of `received_at`."""
    found = _ask(sock)
    return now if found is None else _instant(found[0], now, since)


class Connected(NamedTuple):
    """The times of a TCP handshake (`time.perf_counter`)."""

    began: float
    ended: float


def connected(sock: socket.socket | None, dialled: float) -> Connected:
    """When a new connection was established. `dialled`: when its socket was about to connect."""
    now = perf_counter()
    found = _ask(sock)
    if found is None:
        return Connected(dialled, now)
    _, _, acknowledged, round_trip, resent = found
    ended = _instant(acknowledged, now, dialled)
    took = round_trip / 1_000_000
    if resent:
        return Connected(dialled, ended)
    if abs(dialled + took - ended) <= 2 * _TICK:
        ended = dialled + took
    return Connected(ended - took, ended)

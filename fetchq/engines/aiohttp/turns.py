"""Estimates when the bytes that an event loop has just read had arrived.

A busy loop works in turns: it asks the kernel for all events (polls), and then handles them one after another. Whatever
it handles late in a turn had arrived before the poll, and after the poll of the turn before.
"""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import TYPE_CHECKING

from fetchq.engines.arrival import received_at

if TYPE_CHECKING:
    import socket

__all__ = ["TurnClock"]

PRECISION = 0.008
"""Seconds between two polls from which on the kernel is asked, which answers in steps of up to 4 ms."""
_QUIET_TURNS = 2


class TurnClock:
    """Follows the turns of one event loop while it is busy. Times are those of `time.perf_counter`.

    Whoever handles an event calls `handling_event` first, or does the same. Then `arrived` is the estimate for what has
    just been read, unless `vague`; `arrival` answers in both cases.
    """

    __slots__ = ("_before", "_loop", "_polled", "_polls_first", "_running", "arrived", "quiet", "stale", "vague")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        # asyncio polls before it calls what became ready in the turn before; libuv, below uvloop, polls after that.
        self._polls_first = isinstance(loop, asyncio.BaseEventLoop)
        self._running = False
        self._before = self._polled = self.arrived = perf_counter()
        """`_polled`: the end of the last poll; `_before`: the end of the one before."""
        self.quiet = 0
        """How many turns have begun since the last event."""
        self.stale = True
        """Whether the loop has polled since the estimate was made."""
        self.vague = False
        """Whether the estimate may be wrong by more than half of `PRECISION`."""

    def handling_event(self) -> None:
        """Note that the loop handles an event."""
        if self.stale:
            self.begin(perf_counter())
        self.quiet = 0

    def begin(self, now: float) -> None:
        """Note that the first event of a turn is handled `now`."""
        self.stale = False
        if self._running:
            self._poll_ended(now)
            return
        # The loop has waited for this event, if nothing else has kept it busy.
        self._before, self._polled, self.arrived = self._polled, now, now
        self.vague = now - self._before > PRECISION
        self._running = True
        self._loop.call_soon(self._turn)

    def arrival(self, sock: socket.socket | None, now: float) -> float:
        """When the bytes that the loop has just read from `sock` arrived."""
        # Perhaps after the poll, if that was for earlier bytes: those of TLS itself, for example.
        return max(received_at(sock, now), self._before) if self.vague else self.arrived

    def _turn(self) -> None:
        """Called once a turn, before all that follows from its events."""
        self.quiet += 1
        if self._polls_first:
            self._poll_ended(perf_counter())
        else:
            self.stale = True
        if self.quiet <= _QUIET_TURNS:
            self._loop.call_soon(self._turn)
        else:
            self._running, self.stale, self._polled = False, True, perf_counter()

    def _poll_ended(self, now: float) -> None:
        self._before, self._polled = self._polled, now
        self.arrived = (self._before + now) / 2
        self.vague = now - self._before > PRECISION

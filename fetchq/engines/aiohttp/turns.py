"""Estimates when the bytes that an event loop has just read had arrived.

A busy loop works in turns: it asks the kernel for all events (polls), and then handles them one after another. Whatever
it handles late in a turn had arrived before the poll, and after the poll of the turn before.
"""

from __future__ import annotations

import asyncio
from math import inf
from time import perf_counter
from typing import TYPE_CHECKING

from fetchq.engines.arrival import received_at

if TYPE_CHECKING:
    import socket

__all__ = ["TurnClock"]

PRECISION = 0.009
"""Seconds between two polls from which on the kernel is asked, which knows to within 2 ms, mostly.

Up to there, an estimate midway between the polls is wrong by at most half of it.
"""


class TurnClock:
    """Follows the turns of one event loop while it is busy. Times are those of `time.perf_counter`.

    Whoever handles an event calls `handling_event` first, or does the same. Then what has just been read arrived
    between `before` and `polled`, unless `vague`: then `arrival` tells.
    """

    # fmt: off
    __slots__ = (
        "_enough", "_loop", "_polls_first", "_running", "_waited", "before", "polled", "quiet", "stale", "vague",
    )
    # fmt: on

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        # asyncio polls before it calls what became ready in the turn before; libuv, below uvloop, polls after that.
        self._polls_first = isinstance(loop, asyncio.BaseEventLoop)
        self._enough = 2 if self._polls_first else 1
        """Turns without an event after which the loop counts as idle: it has polled after what followed from events."""
        self._running = False
        self._waited = False
        """Whether the loop had waited for the events of this turn, as far as is known here."""
        self.before = self.polled = perf_counter()
        """The ends of the poll before the last one, and of the last one; the same if the loop waited for an event."""
        self.quiet = 0
        """How many turns have begun since the last event."""
        self.stale = True
        """Whether the loop has polled since then."""
        self.vague = False
        """Whether so much time lies between the polls that the kernel is to be asked."""

    def handling_event(self) -> None:
        """Note that the loop handles an event."""
        if self.stale:
            self.begin(perf_counter())
        self.quiet = 0

    def begin(self, now: float) -> None:
        """Note that the first event of a turn is handled `now`."""
        self.vague = now - self.polled > PRECISION
        self.stale = False
        self._waited = not self._running
        if self._running:
            self.before = self.polled
        else:
            # The loop has waited for this event; or something that is not watched here has kept it busy.
            self.before = self.polled if self.vague else now
            self._running = True
            self._loop.call_soon(self._turn)
        self.polled = now

    def arrival(self, sock: socket.socket | None, now: float, since: float) -> float:
        """When the bytes that the loop has just read from `sock` arrived, if that is `vague`: not before `since`.

        That may be after the poll, if that was for earlier bytes: those of TLS itself, for example.
        """
        return received_at(sock, now, max(since, self.before), self.polled if self._waited else inf)

    def _turn(self) -> None:
        """Called once a turn, before all that follows from its events."""
        now = perf_counter()
        self.quiet += 1
        if self.quiet > self._enough:
            self._running, self.stale = False, True
            if not self._polls_first:  # with asyncio, events may follow that have come since the poll before this turn
                self.polled = now
            return
        if self._polls_first:
            self.vague, self._waited = now - self.polled > PRECISION, False
            self.before, self.polled = self.polled, now
        else:
            self.stale = True
        self._loop.call_soon(self._turn)

"""Receives the responses that leave the fast path, one piece after the other, for the workers that wait for them.

What is decoded, hashed or read in small chunks takes the event loop's time, in which no other attempt goes on. So it is
done in steps. The first one of a body follows at once, since for nearly all bodies it is the only one. The further ones
wait for their turn: between two of them, whichever bodies they are of, the loop does all else that is ready, and while
it is busy with that, only every few turns are for them.
"""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

from fetchq.engines.bandwidth import ByteRate
from fetchq.http.attempt import WAIT_FOR_WINDOW

if TYPE_CHECKING:
    from fetchq.core.settings import Settings
    from fetchq.engines.aiohttp.disk import DiskThreads
    from fetchq.engines.aiohttp.turns import TurnClock
    from fetchq.http.attempt import Attempt
    from fetchq.http.framing import Framing

__all__ = ["FIRST_STEP", "LONG", "BodyReceiver"]

FIRST_STEP = 0.001
"""Seconds for which a piece of a body is decoded at once."""
STEP = 0.001
"""Seconds for which it is decoded in one turn."""
_PATIENCE = 8
"""The most turns of a busy loop that long work waits for its own."""
LONG = 262_144
"""Bytes received from which on each further piece of a body waits for its turn."""
LONG_HEAD = 16_384
"""Bytes of a head from which on it waits for its turn: some take two milliseconds."""


class _Connection(Protocol):
    framing: Framing

    def read_rest(self) -> None:
        """Read on in what was left (`Framing.rest`)."""


class _Content(Protocol):
    def at_eof(self) -> bool:
        """Whether all was read, up to the end."""

    async def readany(self) -> bytes:
        """Wait for bytes, and return all there are; none at the end."""


class BodyReceiver:
    """Receives the bodies of all attempts in one event loop."""

    def __init__(self, settings: Settings, disk: DiskThreads, loop_turns: TurnClock) -> None:
        self._rate = None if settings.limit_rate is None else ByteRate(settings.limit_rate)
        self._disk = disk
        self._loop_turns = loop_turns
        self._turns = asyncio.Lock()

    async def take_head(self, attempt: Attempt, message: Any) -> bool:
        """Let the attempt take a head that aiohttp has parsed (`Attempt.on_response`). A long one waits for its turn.

        So the next request of the same worker comes the later, too.
        """
        if sum([len(value) for _, value in message.raw_headers]) > LONG_HEAD:
            await self._turn()
            attempt.lap_own()
        return attempt.on_response(message.code, message.reason, message.raw_headers, message.version)

    async def receive(self, attempt: Attempt, connection: _Connection, content: _Content) -> None:
        """Take the rest of a body, up to its end. Raises `AttemptFailed`."""
        while not content.at_eof():
            if connection.framing.rest or attempt.body.wire_size > LONG:
                await self._turn()
                attempt.lap_own()
                connection.read_rest()
            data = await content.readany()
            if self._rate is not None:
                await self._hold(attempt, self._rate, len(data))
            if attempt.on_data(data, FIRST_STEP):
                await self.catch_up(attempt)
        if attempt.body.held_back:
            attempt.end_data(FIRST_STEP)
            await self.catch_up(attempt)

    async def catch_up(self, attempt: Attempt) -> None:
        """Write and decode what `on_data` has left of the bytes that it was given. Raises `AttemptFailed`."""
        body = attempt.body
        while True:
            if body.write_due:
                await self._write(attempt)
            if body.rest is None:
                return
            if body.waits:
                await asyncio.sleep(WAIT_FOR_WINDOW)
            await self._turn()
            attempt.decode_on(STEP)

    async def _turn(self) -> None:
        """Wait for the turn, which lasts until the caller waits for something next.

        It comes when nothing has arrived in two turns of the loop, or after `_PATIENCE` of them.
        """
        async with self._turns:
            for _ in range(_PATIENCE):
                await asyncio.sleep(0)
                if self._loop_turns.quiet >= 2:
                    return

    async def _hold(self, attempt: Attempt, rate: ByteRate, size: int) -> None:
        """Wait until the rate limit allows for the bytes received. Meanwhile aiohttp stops reading from the socket."""
        now = perf_counter()
        if (seconds := rate.reserve(size, now) - now) > 0:
            with attempt.on_hold():
                await asyncio.sleep(seconds)

    async def _write(self, attempt: Attempt) -> None:
        """Move the body from memory to the disk. That time does not count for the read timeout."""
        body = attempt.body
        body.writing = True
        try:
            await self._disk.run_timed(attempt, body.write)
        finally:
            attempt.progress_at = perf_counter()
        body.writing = False

"""The fast path: takes a plain response where its bytes arrive, so that its worker is woken once, when it is complete.

Nearly every exchange is on the fast path. On the other way the worker is woken for the head, and again for the body,
which passes through aiohttp's queue and stream. An exchange is on the fast path as long as all of this holds:

| of | condition | where it is checked |
|---|---|---|
| the run | no proxy, cookie jar, netrc file or `limit_rate` | `FastRequests.__init__` |
| the row | a GET with no headers or body of its own; and no part of the response is there yet | \
`FastRequests.allows` |
| the head | all of it arrives at once, and it is plain: see `fetchq.http.plain_head` | `FastPath._take_head` |
| the body | none of it is to be written to the disk yet, and reading and decoding it takes no long work | \
`FastPath._take_body` |

Otherwise the exchange leaves the fast path, with what has arrived so far, and the engine goes on as with any other. The
rules are the same on both ways: `fetchq.http.attempt` and `fetchq.http.framing` have them.
"""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import TYPE_CHECKING, Protocol

from fetchq.engines.aiohttp.body_receiver import FIRST_STEP, LONG
from fetchq.engines.errors import closed_early
from fetchq.http.framing import Chunks, Sized
from fetchq.http.plain_head import read_plain_head

if TYPE_CHECKING:
    from fetchq.http.attempt import Attempt
    from fetchq.http.framing import Framing

__all__ = ["FastPath"]

_WHOLE: Framing = Sized(0)
"""Stands for the framing of a body that arrived whole, together with its head."""


class _Connection(Protocol):
    transport: asyncio.Transport | None

    def note_sent(self, attempt: Attempt) -> None:
        """Note that the request of an attempt is about to be sent."""

    def expect(self, attempt: Attempt, framing: Framing | None = None) -> None:
        """Prepare for the response, or for the rest of its body, if the attempt has taken the head (`framing`)."""

    def force_close(self) -> None:
        """Do not use the connection again."""


class FastPath:
    """The fast path of a connection, and the exchange that is on it."""

    __slots__ = ("_connection", "_framing", "attempt", "complete")

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection
        self.attempt: Attempt | None = None
        """The attempt whose exchange is on the fast path; None if there is none."""
        self.complete: asyncio.Future[bool] | None = None
        """What the worker waits for.

        The result is whether the response is complete, and the attempt has taken it. Otherwise `Connection.read` has
        it: the message, or None if the attempt has taken that, and the rest of the body. The exception is why the
        attempt has failed.
        """
        self._framing: Framing | None = None
        """That of the body, as soon as the head was taken."""

    def send(self, attempt: Attempt, head: bytes, loop: asyncio.AbstractEventLoop) -> asyncio.Future[bool]:
        """Send a request on the connection, which is idle. Returns `complete`."""
        connection = self._connection
        assert connection.transport is not None
        connection.note_sent(attempt)
        self.attempt, self._framing = attempt, None
        self.complete = complete = loop.create_future()
        connection.transport.write(head)
        return complete

    @property
    def ended(self) -> bool:
        """Whether the last response came to its end here, so that the connection can be used again."""
        return self._framing is not None and self._framing.ended and self._framing.problem is None

    def forget(self) -> None:
        """Note that the next response, or the rest of this one, does not take the fast path."""
        self._framing = None

    def take(self, data: bytes, arrived: float) -> bytes | None:
        """Take the next bytes of the response, which had `arrived` then.

        Returns None, or those that are not taken if the exchange leaves the fast path.
        """
        attempt, framing = self.attempt, self._framing
        assert attempt is not None
        if not attempt.answering:
            attempt.first_byte(arrived)
        try:
            if framing is None:
                return self._take_head(attempt, data, arrived)
            return self._take_body(attempt, framing, data, arrived)
        except Exception as problem:  # noqa: BLE001  # raised in the worker's task: the event loop would only log it
            self.fail(problem)
            return None

    def fail(self, problem: Exception) -> None:
        """End the exchange: the attempt has failed."""
        complete, self.attempt = self.complete, None
        if complete is not None and not complete.done():
            complete.set_exception(problem)

    def connection_lost(self, how: str) -> None:
        """End the exchange, since the connection has ended. `how`: as in `closed_early`."""
        attempt = self.attempt
        if self._framing is None or attempt is None:
            self._leave()
        else:
            attempt.last_byte_at = perf_counter()
            self.fail(closed_early(answering=True, how=how))

    def _take_head(self, attempt: Attempt, data: bytes, arrived: float) -> bytes | None:
        found = read_plain_head(data)
        if found is None:
            self._leave()
            return data
        response, body = found
        attempt.on_head(response)
        if response.length is None:
            framing: Framing = Chunks()
        elif response.length == len(body) and attempt.takes_whole(response):
            self._framing = _WHOLE
            attempt.last_byte_at = arrived
            attempt.on_whole_body(body)
            self._end()
            return None
        else:
            framing = Sized(response.length)
        self._framing = framing
        return self._take_body(attempt, framing, body, arrived)

    def _take_body(self, attempt: Attempt, framing: Framing, data: bytes, arrived: float) -> bytes | None:
        if data:
            data = framing.feed(data)
        if framing.ended:
            attempt.note_last_byte(arrived)
        if data and (attempt.on_data(data, FIRST_STEP) or framing.rest):
            self._leave()
            return b""
        if not framing.ended:
            if attempt.body.wire_size > LONG:
                self._leave()
                return b""
            return None
        if framing.surplus or framing.problem is not None:
            self._connection.force_close()
        if framing.problem is not None:
            raise framing.problem
        if framing.trailers:
            attempt.trailers = framing.trailers
        attempt.on_end()
        self._end()
        return None

    def _end(self) -> None:
        complete, self.attempt = self.complete, None
        if complete is not None and not complete.done():  # the worker may have been cancelled
            complete.set_result(True)

    def _leave(self) -> None:
        """Let the worker go on with the response."""
        attempt, complete, self.attempt = self.attempt, self.complete, None
        assert attempt is not None
        self._connection.expect(attempt, self._framing)
        if complete is not None and not complete.done():
            complete.set_result(False)

"""Sends long bodies of requests, and saves the response of a server that closes meanwhile (`early_response`).

asyncio and uvloop drop a connection whose write failed, together with the bytes that have arrived but were not read:
these are read here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

from fetchq.core.quantities import NO_LIMIT
from fetchq.engines.early_response import UPLOAD_PIECE, UPLOAD_STALL

if TYPE_CHECKING:
    from fetchq.http.attempt import Attempt

__all__ = ["Upload", "last_bytes", "watch_tls"]


class _Connection(Protocol):
    transport: asyncio.Transport | None

    async def _drain_helper(self) -> None:
        """Wait until the transport takes more (aiohttp's)."""


class Upload:
    """A long body that is being sent. Each piece that the network takes is progress, and restarts the read timeout."""

    def __init__(self, connection: _Connection, attempt: Attempt, body: bytes) -> None:
        self._connection = connection
        self._attempt = attempt
        self._left = memoryview(body)
        self._task = asyncio.get_running_loop().create_task(self._send(), name="fetchq-upload")

    def stop(self) -> bool:
        """Send no more. Returns whether the whole body was sent."""
        self._task.cancel()
        return not self._left

    async def finish(self) -> None:
        """Send the rest after the response, as long as the server takes it, and no longer than the attempt may last."""
        attempt, taken = self._attempt, -1.0
        until = attempt.began + (attempt.settings.timeout or NO_LIMIT)
        attempt.keep_response()
        while not self._task.done() and taken != attempt.progress_at and (left := until - perf_counter()) > 0:
            taken = attempt.progress_at
            await asyncio.wait([self._task], timeout=min(UPLOAD_STALL, left))

    async def _send(self) -> None:
        connection = self._connection
        with suppress(OSError):  # the task that reads the response gets this exception, too
            while self._left and connection.transport is not None and not connection.transport.is_closing():
                connection.transport.write(self._left[:UPLOAD_PIECE])
                await connection._drain_helper()
                self._left = self._left[UPLOAD_PIECE:]
                self._attempt.progress_at = perf_counter()
                await asyncio.sleep(0)  # otherwise a closed connection would only be noticed after the whole body


def watch_tls(carrier: asyncio.Transport) -> None:
    """Give TLS the last bytes of its TCP transport, also if the connection fails."""
    if not isinstance(tls := carrier.get_protocol(), _TlsReader):
        carrier.set_protocol(_TlsReader(carrier, tls))


def last_bytes(transport: asyncio.BaseTransport) -> Iterator[bytes]:
    """The bytes that have arrived on a TCP connection that has just failed, and whose socket is still open."""
    sock = transport.get_extra_info("socket")
    with suppress(OSError), sock.dup() as copy:  # after them, recv raises the error of the connection
        while data := copy.recv(UPLOAD_PIECE):
            yield data


class _TlsReader(asyncio.BufferedProtocol):
    """Stands between a TCP transport and its TLS, and gives TLS the last bytes before the connection is lost."""

    def __init__(self, transport: asyncio.Transport, tls: asyncio.BaseProtocol) -> None:
        self._transport = transport
        self._tls: Any = tls  # a BufferedProtocol; uvloop's has another base class

    def get_buffer(self, sizehint: int) -> memoryview:
        buffer: memoryview = self._tls.get_buffer(sizehint)
        return buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._tls.buffer_updated(nbytes)

    def eof_received(self) -> bool | None:
        stays: bool | None = self._tls.eof_received()
        return stays

    def pause_writing(self) -> None:
        self._tls.pause_writing()

    def resume_writing(self) -> None:
        self._tls.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None:
            for data in last_bytes(self._transport):
                self._give(data)
        self._tls.connection_lost(exc)

    def _give(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            buffer = self.get_buffer(len(left))
            size = min(len(buffer), len(left))
            buffer[:size] = left[:size]
            self._tls.buffer_updated(size)
            left = left[size:]

"""Pauses reading on aiohttp's connections in a way that loses no data, also over TLS."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from aiohttp.client_proto import ResponseHandler

from fetchq.http.framing import Sized

if TYPE_CHECKING:
    from fetchq.http.framing import Framing

__all__ = ["PausedBelowTls"]

_NO_BODY = Sized(0)


class PausedBelowTls(ResponseHandler):
    """The protocol class of aiohttp's connections, except that reading is paused on the TCP transport below TLS."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self.framing: Framing = _NO_BODY
        """That of the response under way. While it has a `rest`, no more bytes are read."""
        self.carrier: asyncio.Transport | None = None
        """The TCP transport below TLS. Reading is paused on this transport: with uvloop, a paused TLS transport loses
        the end of the data if the server closes the connection."""

    @property
    def should_close(self) -> bool:
        """Whether the connection must not be used again. aiohttp's property also asks for what is never used here."""
        return self._should_close or self._exception is not None or len(self._buffer) > 0

    def pause_reading(self) -> None:
        self._reading_paused = True
        self._pause_transport_reading()

    def resume_reading(self, resume_parser: bool = True) -> None:
        if self._reading_paused and not self.framing.rest:
            self._reading_paused = False
            self._resume_transport_reading()

    def _pause_transport_reading(self) -> None:
        if self.carrier is None:
            super()._pause_transport_reading()
        else:
            with suppress(RuntimeError):  # the transport is closing
                self.carrier.pause_reading()

    def _resume_transport_reading(self) -> None:
        if self.carrier is None:
            super()._resume_transport_reading()
        else:
            with suppress(RuntimeError):
                self.carrier.resume_reading()

"""Holds what is known of a connection while it is being opened, and measures its TLS handshake."""

from __future__ import annotations

import ssl
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fetchq.engines.handshake import Handshake

if TYPE_CHECKING:
    import socket

    from fetchq.engines.aiohttp.connection import Connection
    from fetchq.engines.aiohttp.turns import TurnClock
    from fetchq.http.attempt import Attempt

__all__ = ["Opening", "TimedSSLObject", "current_opening"]


@dataclass(slots=True)
class Opening:
    """A connection that is being opened."""

    attempt: Attempt
    turns: TurnClock
    protocols: list[Connection] = field(default_factory=list)
    """In the order in which they were made: with TLS through a tunnel, each one carries the next."""
    sock: socket.socket | None = None
    """That of the TCP connection."""


current_opening: ContextVar[Opening] = ContextVar("fetchq-opening")
"""The connection that the running task opens, by which the hook inside ssl finds its attempt. It is set
before there is a socket: uvloop calls `do_handshake` in the context in which the TCP transport was made."""


class TimedSSLObject(ssl.SSLObject):
    """TLS for an event loop, which measures its handshake."""

    handshake: Handshake | None = None

    def do_handshake(self) -> None:
        opening = current_opening.get()
        if self.handshake is None:
            self.handshake = Handshake()
        else:
            opening.turns.handling_event()
        self.handshake.step(opening.sock, super().do_handshake)

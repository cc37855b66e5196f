"""Holds the exchange of a worker's thread, by which the hooks inside urllib3 find the attempt that they serve."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Hashable

    from fetchq.core.known import RecentSet
    from fetchq.engines.requests.abort_switch import AbortSwitch
    from fetchq.engines.requests.dial import Dialer
    from fetchq.engines.requests.upload import Upload
    from fetchq.http.attempt import Attempt
    from fetchq.http.framing import Framing
    from fetchq.http.hop import Hop
    from fetchq.http.keep_alive import Announced, ReusePolicy
    from fetchq.http.response import ResponseHead

__all__ = ["Exchange", "Response", "current_exchange"]


class Response(Protocol):
    """The response under way: what the engine uses of `response.WireResponse`."""

    framing: Framing
    """Where the body ends."""

    def head(self) -> ResponseHead:
        """The head, which has been read. Raises `AttemptFailed`."""

    def whole_body(self) -> bytes | None:
        """The whole body, if it has arrived; otherwise each `piece` is some of it."""

    def piece(self) -> bytes:
        """The next piece of the body; empty at its end. Raises `AttemptFailed`, and OSError."""

    @property
    def reusable(self) -> bool:
        """Whether the response was read to its end, and nothing arrived after it."""

    @property
    def connection(self) -> Any:
        """urllib3's connection, on which the response arrives."""

    def release(self) -> None:
        """Return the connection to its pool, whether it is open or not. Nothing more can be read."""


@dataclass(slots=True)
class Exchange:
    """The request and response of an attempt on the connections of one worker, for one hop after another."""

    attempt: Attempt
    dialer: Dialer
    abort_switch: AbortSwitch
    reuse_policy: ReusePolicy
    unreliable: RecentSet
    """Authorities that sent unsolicited bytes, which could also arrive later, and pass for the response to the next
    request."""
    proxy: str | None = None
    hop: Hop | None = None
    """The hop as it is sent: that of the attempt, with cookies."""
    idle: float = 0.0
    """Seconds for which the reused connection had been idle."""
    announced: Announced | None = None
    """What its server has announced about it."""
    upload: Upload | None = None
    """The body of the request, if it is long: the response may begin before it was sent."""

    @property
    def origin(self) -> Hashable:
        """The server and the proxy that the hop is sent to."""
        return *self.attempt.hop.target.origin, self.proxy

    def note_stale(self) -> None:
        """Note that the server has closed the reused connection while it was idle, or just after it was used."""
        self.reuse_policy.found_closed(self.origin, self.idle, self.announced)


current_exchange: ContextVar[Exchange] = ContextVar("fetchq-exchange")

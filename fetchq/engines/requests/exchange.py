"""The exchange that a worker's thread makes: how the hooks inside urllib3 find the attempt that they work for."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from fetchq.engines.requests.abort_switch import AbortSwitch
    from fetchq.engines.requests.dial import Dialer
    from fetchq.http.attempt import Attempt

__all__ = ["Exchange", "current_exchange"]


class Response(Protocol):
    """The response under way, as `response.WireResponse` reads it."""

    status: int
    reason: str
    raw_headers: list[tuple[bytes, bytes]]
    version_pair: tuple[int, int]
    """Of HTTP, as (1, 1)."""

    def piece(self) -> bytes:
        """Some of the body; empty at its end. Raises `AttemptFailed`, and OSError."""

    @property
    def reusable(self) -> bool:
        """The response was read to its end, and nothing came after it."""

    def close(self) -> None: ...


@dataclass(slots=True)
class Exchange:
    """One attempt's request and response on the connections of one worker; it serves each hop in turn."""

    attempt: Attempt
    dialer: Dialer
    abort_switch: AbortSwitch
    unreliable: set[str]
    """Authorities that sent bytes unsolicited: such bytes could come late as well, as the response to the next
    request."""
    response: Response | None = None
    """The final response of the hop, from its first byte on."""
    early: bytes | None = None
    """What came before a long body was sent whole; None where nothing did. Emptied as it is read."""


current_exchange: ContextVar[Exchange] = ContextVar("fetchq-exchange")

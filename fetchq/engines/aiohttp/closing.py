"""Says how connections have ended: with the end of TLS, or without."""

from __future__ import annotations

import asyncio
import ssl

__all__ = ["has_close_notify", "retrieve"]


def has_close_notify(tls: ssl.SSLObject) -> bool:
    """Whether the server has ended TLS itself; otherwise an attacker may have cut the connection (RFC 9112, 9.8)."""
    try:
        return not tls.read(1)
    except ssl.SSLZeroReturnError:
        return True
    except ssl.SSLError:
        return False


def retrieve(closing: asyncio.Future[None]) -> None:
    """Retrieve the exception of a future, since asyncio logs exceptions that were never retrieved."""
    if not closing.cancelled():
        closing.exception()

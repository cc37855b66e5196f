"""Defines the exception that ends an attempt: its cause, its message, and what the retry policy must know about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fetchq.core.model import Cause

if TYPE_CHECKING:
    from yarl import URL

__all__ = ["RUN_ENDED", "AttemptFailed", "message_of", "not_tls", "status_failure"]

RUN_ENDED = "the run ended first"
"""The error text of rows that are cancelled because the run ends."""


class AttemptFailed(Exception):
    """Ends an attempt.

    `permanent`: whether another attempt would fail in the same way. `local_limit`: whether the attempt failed because
    this machine has no file descriptors or memory left, so that the server is not to blame. `stray`: whether what came
    has no head that can be read, so that it may be what followed an earlier response on this connection.
    """

    def __init__(
        self,
        cause: Cause,
        message: str,
        *,
        permanent: bool = False,
        local_limit: bool = False,
        stray: bool = False,
    ) -> None:
        super().__init__(message)
        self.cause = cause
        self.message = message
        self.permanent = permanent
        self.local_limit = local_limit
        self.stray = stray


def status_failure(status: int | None, reason: str | None, note: str = "") -> AttemptFailed:
    """The failure of a whole response whose status is not accepted. `note`: a remark for its message."""
    return AttemptFailed(Cause.STATUS, f"{status} {reason or ''}".rstrip() + note)


def not_tls() -> AttemptFailed:
    """The failure for a server that sends bytes before the client has begun TLS."""
    return AttemptFailed(Cause.TLS, "TLS failed: the server sent something else first")


def message_of(failed: AttemptFailed, proxy: URL | None) -> str:
    """The error message of a failed attempt. It names the proxy, without its password, if the proxy is what failed."""
    if proxy is None or failed.local_limit or failed.cause is Cause.CANCELLED:
        return failed.message
    return f"the proxy {proxy.host_subcomponent}:{proxy.port}: {failed.message}"

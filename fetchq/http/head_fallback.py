"""Decides whether a GET follows a HEAD, in a run that only looks whether its URLs answer (`--head`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fetchq.core.model import Cause

if TYPE_CHECKING:
    from fetchq.core.settings import Settings
    from fetchq.http.attempt import Attempt

__all__ = ["falls_back_to_get"]

_REFUSED = frozenset({403, 405, 501})
"""The statuses of servers that do not answer a HEAD as they would answer a GET."""
_NO_ANSWER = frozenset({Cause.CONNECT, Cause.INCOMPLETE, Cause.PROTOCOL, Cause.TIMEOUT})
"""The causes of attempts that had no valid answer."""


def falls_back_to_get(attempt: Attempt, settings: Settings) -> bool:
    """Whether a failed HEAD has shown nothing about its URL, so that it is asked for with a GET.

    Many servers, and what stands before them, refuse a HEAD or do not answer it, though they should answer it like a
    GET (RFC 9110, 9.3.2).
    """
    if not settings.head or attempt.method != "HEAD":
        return False
    if attempt.cause is Cause.STATUS:
        return attempt.status in _REFUSED
    connected = attempt.sent and attempt.connecting_since is None
    return connected and attempt.cause in _NO_ANSWER

"""Says how long bodies are sent, and whether the rest of one is sent after its response.

A server may respond before it has read the whole request: the response counts (RFC 9112, 9.5 and 9.6).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fetchq.http.attempt import Attempt

__all__ = ["UPLOAD_PIECE", "UPLOAD_STALL", "may_finish_upload"]

UPLOAD_PIECE = 65_536
"""Bytes of a request's body that are sent at a time; a body up to this size is sent at once."""
UPLOAD_STALL = 1.0
"""Seconds without progress after which the rest of a body is not sent any more, if the response has ended."""


def may_finish_upload(attempt: Attempt) -> bool:
    """Whether the rest of a request's body may still be sent after its response, if the server keeps the connection.

    After an error or a redirect, nobody needs the rest: closing the connection costs less (RFC 9112, 9.5). Such a
    connection is not reused either: the server may not read the rest, and close.
    """
    status = attempt.response.status
    return status is not None and status < 300

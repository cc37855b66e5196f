"""Describes the request that an attempt has sent, for a web archive."""

from __future__ import annotations

from datetime import UTC, datetime
from time import time
from typing import TYPE_CHECKING

from fetchq.core.sent_request import SentRequest
from fetchq.http.hops import redacted_head

if TYPE_CHECKING:
    from fetchq.http.attempt import Attempt

__all__ = ["sent_request"]


def sent_request(attempt: Attempt) -> SentRequest:
    """The request of a finished attempt, with the redirects before it, and without secrets."""
    hop, history, body = attempt.hop, attempt.history, attempt.body
    earlier = 0.0 if history is None else sum(one.elapsed for one in history.hops)
    return SentRequest(
        head=redacted_head(hop),
        with_body=hop.body is not None,
        at=datetime.fromtimestamp(time() - attempt.held - sum(attempt.phases) + earlier, UTC),
        headers=attempt.headers,
        body_origin=body.origin,
        decoded=body.decoded,
        redirects=() if history is None else history.archived,
    )

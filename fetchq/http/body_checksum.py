"""Compares a whole body with the checksum of its row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fetchq.core.checksum import digest_in
from fetchq.core.model import Cause, Complete
from fetchq.http.failure import AttemptFailed

if TYPE_CHECKING:
    from fetchq.http.attempt_state import AttemptState

__all__ = ["checksum_failure"]


def checksum_failure(attempt: AttemptState) -> AttemptFailed | None:
    """The failure of a body that is not the one that its row asks for, which is then not kept; None if it is.

    It is the decoded body that is compared, which is what is stored. Another attempt would get the same again, unless
    the end of the body may be missing (`unverified`), or it was put together from the parts of several responses.
    """
    assert attempt.request.checksum is not None
    body, stored = attempt.body, attempt.stored_response
    found = stored.sha256 if attempt.unmodified and stored is not None else body.digest
    if found == digest_in(attempt.request.checksum):
        return None
    body.digest, body.content = None, b""  # the failure of the attempt discards the rest
    attempt.unmodified = False
    whole = attempt.complete is Complete.YES and attempt.continued is None
    return AttemptFailed(Cause.CHECKSUM, f"the body has sha256:{found}", permanent=whole)

"""The exception that ends an attempt without success: its cause, and what the retry policy has to know of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fetchq.core.model import Cause

__all__ = ["AttemptFailed"]


class AttemptFailed(Exception):
    """Ends the attempt.

    `permanent`: another attempt would fail in the same way. `local_limit`: this machine has no descriptors or memory
    left; the server is not to blame.
    """

    def __init__(self, cause: Cause, message: str, *, permanent: bool = False, local_limit: bool = False) -> None:
        super().__init__(message)
        self.cause = cause
        self.message = message
        self.permanent = permanent
        self.local_limit = local_limit

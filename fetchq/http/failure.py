"""Defines the exception that ends an attempt: its cause, and what the retry policy has to know about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fetchq.core.model import Cause

__all__ = ["RUN_ENDED", "AttemptFailed"]

RUN_ENDED = "the run ended first"
"""The error text of rows that are cancelled because the run ends."""


class AttemptFailed(Exception):
    """Ends an attempt.

    `permanent`: whether another attempt would fail in the same way. `local_limit`: whether the attempt failed because
    this machine has no file descriptors or memory left, so that the server is not to blame.
    """

    def __init__(self, cause: Cause, message: str, *, permanent: bool = False, local_limit: bool = False) -> None:
        super().__init__(message)
        self.cause = cause
        self.message = message
        self.permanent = permanent
        self.local_limit = local_limit

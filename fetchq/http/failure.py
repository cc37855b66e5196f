"""How an attempt ends that does not succeed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fetchq.core.model import Cause

__all__ = ["AttemptFailed"]


class AttemptFailed(Exception):
    """Ends the attempt. `permanent`: trying again cannot help. `starved`: this machine ran out of descriptors."""

    def __init__(self, cause: Cause, message: str, *, permanent: bool = False, starved: bool = False) -> None:
        super().__init__(message)
        self.cause = cause
        self.message = message
        self.permanent = permanent
        self.starved = starved

"""Decides whether the status of a complete response is a success, by the settings `accept` and `retry_on`.

A status from 400 up that is in `accept` is a success even if it is in `retry_on`: only the user can have added it to
`accept`. A lower one in `retry_on`, such as a 202 that means "not ready yet", is not: only the user can have added it
there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from fetchq.core.settings import Settings

__all__ = ["IDEMPOTENT", "ends_well", "final_statuses", "retried_note"]

IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
"""Methods whose requests have the same effect if they are sent twice (RFC 9110, 9.2.2)."""


class Responded(Protocol):
    """The attributes of an attempt with a complete response that this module uses."""

    @property
    def settings(self) -> Settings: ...
    @property
    def status(self) -> int | None: ...
    @property
    def method(self) -> str:
        """The method of the row."""


def final_statuses(settings: Settings) -> frozenset[int]:
    """The statuses that are a success for any row."""
    return frozenset(status for status in settings.accept if status >= 400 or status not in settings.retry_on)


def ends_well(attempt: Responded) -> bool:
    """Whether a complete response, whose status is none of `final_statuses`, is a success.

    It is if it is accepted, and its request must not be sent again.
    """
    return attempt.status in attempt.settings.accept and attempt.method not in IDEMPOTENT


def retried_note(status: int | None, settings: Settings) -> str:
    """A remark for the error of a response whose status is accepted, but is retried."""
    return ", which is in --retry-on" if status in settings.accept else ""

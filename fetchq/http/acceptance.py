"""Decides whether the status of a whole response ends its row well, by the settings `accept` and `retry_on`.

A status from 400 up that is accepted is final: the user accepts it, since the default does not. A lower one that is in
`retry_on` is not: the user has put it there, for a 202 that means "not ready yet", say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from fetchq.core.settings import Settings

__all__ = ["IDEMPOTENT", "ends_well", "final_statuses", "retried_note"]

IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
"""Methods whose requests have the same effect if they are sent twice (RFC 9110, 9.2.2)."""


class Responded(Protocol):
    """The attributes of an attempt with a whole response that this module uses."""

    @property
    def settings(self) -> Settings: ...
    @property
    def status(self) -> int | None: ...
    @property
    def method(self) -> str:
        """The method of the row."""


def final_statuses(settings: Settings) -> frozenset[int]:
    """The statuses that end any row well."""
    return frozenset(status for status in settings.accept if status >= 400 or status not in settings.retry_on)


def ends_well(attempt: Responded) -> bool:
    """Whether a whole response, whose status is none of the final ones, ends its row well.

    It does if it is accepted, and its request must not be sent again.
    """
    return attempt.status in attempt.settings.accept and attempt.method not in IDEMPOTENT


def retried_note(status: int | None, settings: Settings) -> str:
    """A remark for the error of a response that is accepted, and yet does not end its row well."""
    return ", which is in --retry-on" if status in settings.accept else ""

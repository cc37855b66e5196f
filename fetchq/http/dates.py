"""Reads the dates of header fields."""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime

__all__ = ["http_date"]


def http_date(text: str) -> float | None:
    """The wall-clock seconds of an HTTP-date (RFC 9110, 5.6.7); None if it is not a date."""
    try:
        date = parsedate_to_datetime(text)
        # Without a time zone it is UTC, not local time.
        return (date if date.tzinfo is not None else date.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, IndexError, OverflowError):
        return None

"""Reads the dates of header fields and cookies."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

__all__ = ["cookie_date", "http_date"]

_DELIMITERS = re.compile(r"[\t -/;-@\[-`{-~]+")
_TIME = re.compile(r"([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?![0-9])")
_DAY = re.compile(r"([0-9]{1,2})(?![0-9])")
_YEAR = re.compile(r"([0-9]{2,4})(?![0-9])")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def http_date(text: str) -> float | None:
    """The wall-clock seconds of an HTTP-date (RFC 9110, 5.6.7); None if it is not a date."""
    try:
        date = parsedate_to_datetime(text)
        # Without a time zone it is UTC, not local time.
        return (date if date.tzinfo is not None else date.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, IndexError, OverflowError):
        return None


def cookie_date(text: str) -> float | None:
    """The wall-clock seconds of a cookie's Expires, in any form that servers use (RFC 6265, 5.1.1); None if invalid."""
    clock = day = month = year = None
    for token in _DELIMITERS.split(text[:100]):
        if clock is None and (found := _TIME.match(token)):
            clock = found
        elif day is None and (found := _DAY.match(token)):
            day = int(found[1])
        elif month is None and token[:3].lower() in _MONTHS:
            month = _MONTHS.index(token[:3].lower()) + 1
        elif year is None and (found := _YEAR.match(token)):
            year = int(found[1])
    if clock is None or day is None or month is None or year is None:
        return None
    if year < 100:
        year += 2000 if year < 70 else 1900
    try:
        moment = datetime(year, month, day, int(clock[1]), int(clock[2]), int(clock[3]), tzinfo=UTC)
    except ValueError:
        return None
    return moment.timestamp() if year >= 1601 else None

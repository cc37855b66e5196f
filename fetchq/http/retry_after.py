"""Reads Retry-After, and decides whether the run waits as long as a server asks for (RFC 9110, 10.2.3)."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from fetchq.http.dates import http_date

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fetchq.core.settings import Settings

__all__ = ["asked_text", "exceeded_limit", "retry_after"]


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """The seconds that Retry-After asks for, at least 0; None if it is missing or invalid.

    A date is compared with the response's Date header, if there is one, since the clocks of the server and of this
    machine may differ; otherwise with `now`, in wall-clock seconds.
    """
    text = headers.get("Retry-After")
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text[:15])
    due = http_date(text)
    if due is None:
        return None
    sent = http_date(headers.get("Date", ""))
    return max(0.0, due - (now if sent is None else sent))


def exceeded_limit(asked: float, settings: Settings, left: float = inf) -> str | None:
    """The limit of the run that a wait of `asked` seconds exceeds, as a clause; None if the run waits for so long.

    `left`: seconds until the deadline. In a durable run, only the whole `deadline` counts, since a later session
    goes on with the rows that still wait at the end of this one.
    """
    if asked > settings.max_retry_after:
        return f"--max-retry-after is {_seconds(settings.max_retry_after)}"
    if settings.deadline is not None and asked > settings.deadline:
        return f"--deadline is {_seconds(settings.deadline)}"
    if settings.output is None and asked > left:
        return f"--deadline leaves {_seconds(max(0.0, left))}"
    return None


def asked_text(asked: float) -> str:
    """The wait that a server asks for, as a clause."""
    return f"Retry-After asks for {_seconds(asked)}"


def _seconds(seconds: float) -> str:
    return f"{round(seconds, 3):.15g} s"

"""Pure decisions: is a failed attempt tried again, and when. No clock and no randomness of their own.

Delays follow "exponential backoff and full jitter"; Retry-After is RFC 9110, 10.2.3.
"""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from typing import TYPE_CHECKING, Protocol

from fetchq.core.model import Cause

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fetchq.core.settings import Settings

__all__ = ["IDEMPOTENT", "Outcome", "Signal", "retry_after", "retry_delay", "retryable", "signal_of"]

IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
"""RFC 9110, 9.2.2: sending one of these twice does what sending it once does."""

LONGEST_WAIT = 30.0
"""Seconds; the exponential backoff grows no further."""

_TRANSIENT = frozenset({Cause.CONNECT, Cause.DNS, Cause.TIMEOUT, Cause.TOO_SLOW, Cause.INCOMPLETE})
_NOT_PROCESSED = frozenset({425, 429, 503})


class Outcome(Protocol):
    """What the policy looks at in a finished attempt."""

    @property
    def cause(self) -> Cause | None: ...
    @property
    def permanent(self) -> bool:
        """The failure is known not to pass: there is no such name."""

    @property
    def sent(self) -> bool:
        """Some of the request may have reached a server."""

    @property
    def method(self) -> str: ...
    @property
    def status(self) -> int | None: ...
    @property
    def headers(self) -> Mapping[str, str]: ...


def retry_delay(outcome: Outcome, attempts: int, settings: Settings, *, jitter: float, now: float) -> float | None:
    """Seconds until the next attempt, or None when this outcome is final.

    `attempts`: how many were made, this one included. `jitter`: from 0 to 1. `now`: wall-clock seconds, for a
    Retry-After that names a date.
    """
    if outcome.cause is None or attempts > settings.retries or not _may_repeat(outcome, settings):
        return None
    # Beyond 2**60 the product would only be cut off again, and far beyond it a float overflows.
    backoff = jitter * min(LONGEST_WAIT, settings.retry_wait * 2.0 ** min(attempts - 1, 60))
    if outcome.status not in settings.retry_on:
        return backoff
    asked = retry_after(outcome.headers, now)
    return backoff if asked is None else max(backoff, min(asked, settings.max_retry_after))


def _may_repeat(outcome: Outcome, settings: Settings) -> bool:
    if outcome.cause is Cause.STATUS:
        if outcome.status not in settings.retry_on:
            return False
        return outcome.method in IDEMPOTENT or outcome.status in _NOT_PROCESSED
    if outcome.cause not in _TRANSIENT or outcome.permanent:
        return False
    return outcome.method in IDEMPOTENT or not outcome.sent


class Signal(Enum):
    """What an attempt says of its host."""

    GOOD = auto()
    ANSWERED = auto()
    """It is there; more cannot be told."""
    FAILED = auto()
    """As an overloaded host would have it."""
    REFUSED = auto()
    """It wants to be asked less."""
    DOWN = auto()
    """There was no connection."""


_BROKEN = frozenset({Cause.CONNECT, Cause.INCOMPLETE, Cause.TIMEOUT})
_CONNECTING = frozenset({Cause.CONNECT, Cause.DNS, Cause.TIMEOUT})


def signal_of(outcome: Outcome, settings: Settings, now: float) -> tuple[Signal, float | None]:
    """What an attempt says of its host, and for how many seconds that wants to be left alone, where it says so.

    `now`: wall-clock seconds.
    """
    cause = outcome.cause
    if cause is None:
        return Signal.GOOD, None
    if cause is Cause.STATUS:
        status = outcome.status
        if status in (429, 503) or status in settings.retry_on:
            asked = retry_after(outcome.headers, now)
            if status == 429 or asked is not None:
                return Signal.REFUSED, None if asked is None else min(asked, settings.max_retry_after)
        return (Signal.FAILED if status == 503 else Signal.GOOD), None
    if cause in _CONNECTING and not outcome.sent:
        return Signal.DOWN, None
    return (Signal.FAILED if cause in _BROKEN else Signal.ANSWERED), None


def retryable(retry_on: Iterable[int]) -> str:
    """The failures that may pass with time, as an SQL condition over the columns of the record."""
    causes = ", ".join(f"'{cause}'" for cause in sorted({*_TRANSIENT, Cause.STORE}))
    statuses = ", ".join(map(str, sorted(retry_on)))
    return f"cause IN ({causes}) OR (cause = 'status' AND status IN ({statuses}))"


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """The seconds that Retry-After asks for, None when it is missing or nonsense. Never negative.

    A date is read against the server's own Date header where there is one: its clock may be wrong, but both come
    from it.
    """
    text = headers.get("Retry-After")
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text[:15])
    due = _date(text)
    if due is None:
        return None
    sent = _date(headers.get("Date", ""))
    return max(0.0, due - (now if sent is None else sent))


def _date(text: str) -> float | None:
    try:
        date = parsedate_to_datetime(text)
        # Without a zone it is UTC (RFC 9110, 5.6.7), not the time of this machine's place.
        return (date if date.tzinfo is not None else date.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, IndexError, OverflowError):
        return None

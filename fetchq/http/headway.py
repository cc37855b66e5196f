"""Judges how much of its body an attempt has received: whether it counts as failed, and what a timeout means.

A download that breaks off again and again is completed if each attempt makes headway. One that ran out of time and
cannot be resumed would run out of time again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from fetchq.core.model import Cause
from fetchq.core.quantities import NO_LIMIT
from fetchq.http.failure import AttemptFailed
from fetchq.http.phases import DECODE, RECEIVE, STORE

if TYPE_CHECKING:
    from fetchq.core.settings import Settings
    from fetchq.http.body import ReceivedBody
    from fetchq.http.range_resume import Partial
    from fetchq.http.response import ResponseHead

__all__ = ["MIN_HEADWAY", "explain_timeout", "made_headway", "must_start_over"]

MIN_HEADWAY = 262_144
"""An attempt that adds at least this many decoded bytes to a body does not count as failed.

It bounds the attempts: a row has at most `max_filesize / MIN_HEADWAY` that do not count.
"""


class Receiving(Protocol):
    """The attributes of an attempt that this module uses."""

    settings: Settings
    began: float
    progress_at: float
    phases: list[float]
    response: ResponseHead
    body: ReceivedBody
    cause: Cause | None
    partial: Partial | None
    continued: Partial | None


def made_headway(attempt: Receiving, headways: int) -> bool:
    """Whether a failed attempt has received enough new bytes of a body that the next attempt can resume.

    `headways`: how many attempts have made headway before. After the first, a body that starts over is no headway.
    """
    if attempt.partial is None or attempt.partial.body is not attempt.body:
        return False
    before = 0 if attempt.continued is None else attempt.continued.size
    return (before > 0 or headways == 0) and attempt.body.size - before >= MIN_HEADWAY


def must_start_over(attempt: Receiving) -> bool:
    """Whether an attempt has failed because the server's parts of the body do not fit together."""
    if attempt.continued is None:
        return False
    if attempt.cause is Cause.DECODE:  # perhaps two codings were joined
        attempt.continued.ranges_unusable = True
        return True
    return attempt.cause is Cause.INCOMPLETE and attempt.body is not attempt.continued.body


def explain_timeout(attempt: Receiving, failed: AttemptFailed, now: float) -> AttemptFailed:
    """The failure of an attempt that timed out at `now`, which says how far its body had come.

    If its bytes still came when `timeout` ended it, and no attempt can continue it, the failure is permanent.
    """
    settings, body = attempt.settings, attempt.body
    before = 0 if attempt.continued is None else attempt.continued.wire_size
    received = body.wire_size - before
    if settings.timeout is None:
        return failed
    read_timeout = settings.read_timeout or NO_LIMIT
    longest_silence = min(settings.timeout, read_timeout)
    by_timeout = attempt.began + settings.timeout <= attempt.progress_at + read_timeout
    if received <= 0 or body.writing or not by_timeout or now - attempt.progress_at > longest_silence / 2:
        return failed
    phases = attempt.phases
    speed = received / max(phases[RECEIVE] + phases[DECODE] + phases[STORE], 0.001)
    total = attempt.response.total or attempt.response.length
    what = f"--timeout {settings.timeout:g} s ended it at {_of(body.wire_size, total)}, at {_size(speed)}/s"
    return AttemptFailed(Cause.TIMEOUT, what, permanent=attempt.partial is None)


def _of(received: int, total: int | None) -> str:
    """A size out of a total one, such as "8.1 of 20 MB"."""
    if total is None:
        return _size(received)
    number, _, unit = _size(received).partition(" ")
    complete = _size(total)
    return f"{number} of {complete}" if complete.endswith(f" {unit}") else f"{number} {unit} of {complete}"


def _size(size: float) -> str:
    """A size in two digits or more, with a decimal unit."""
    for unit in ("B", "kB", "MB"):
        if size < 999.5:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 9.95 else f"{size:.1f} {unit}".replace(".0 ", " ")
        size /= 1000
    return f"{size:.1f} GB"

"""What becomes of a result when its body has been stored, or could not be."""

from __future__ import annotations

from dataclasses import replace

from fetchq.frozen import changer
from fetchq.model import Cause, Result, Timing
from fetchq.spool import KeptBody

__all__ = ["not_stored", "stored", "with_kept_body"]


_with_path = changer(Result, "path", "spool", "sent", "timing", "elapsed")
_with_store = changer(Timing, "store")


def stored(result: Result, path: str, seconds: float) -> Result:
    """Its body is at `path`; writing it took so many seconds."""
    timing = _with_store(result.timing, result.timing.store + seconds)
    return _with_path(result, path, None, None, timing, result.elapsed + seconds)


def not_stored(result: Result, error: str) -> Result:
    """Its body could not be stored, and why."""
    return replace(result, ok=False, cause=Cause.STORE, error=error, path=None, spool=None, sent=None)


def with_kept_body(result: Result) -> Result:
    """The result; with the body that an earlier run has of it, where that is wanted."""
    spool = result.spool
    if not isinstance(spool, KeptBody):
        return result
    try:
        body = spool.read() if spool.wanted else b""
    except OSError as problem:
        return not_stored(result, f"the body of the earlier run cannot be read: {problem.strerror}")
    return replace(result, body=body, spool=spool if spool.stored else None)

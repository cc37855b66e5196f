"""What becomes of a result when its body has been stored, or could not be."""

from __future__ import annotations

from dataclasses import replace

from fetchq.core.fast_dataclass import fast_replacer
from fetchq.core.model import Cause, Result, Timing

__all__ = ["not_stored", "stored"]


_with_path = fast_replacer(Result, "path", "spool", "sent", "timing", "elapsed")
_with_store = fast_replacer(Timing, "store")


def stored(result: Result, path: str, seconds: float) -> Result:
    """Its body is at `path`; writing it took so many seconds."""
    timing = _with_store(result.timing, result.timing.store + seconds)
    return _with_path(result, path, None, None, timing, result.elapsed + seconds)


def not_stored(result: Result, error: str) -> Result:
    """Its body could not be stored, and why."""
    return replace(result, ok=False, cause=Cause.STORE, error=error, path=None, spool=None, sent=None)

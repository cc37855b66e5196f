"""What becomes of a result when its body has been stored, or could not be."""

from __future__ import annotations

from dataclasses import replace

from fetchq.model import Cause, Result

__all__ = ["not_stored", "stored"]


def stored(result: Result, path: str, seconds: float) -> Result:
    """Its body is at `path`; writing it took so many seconds."""
    timing = replace(result.timing, store=result.timing.store + seconds)
    return replace(result, path=path, spool=None, sent=None, timing=timing, elapsed=result.elapsed + seconds)


def not_stored(result: Result, error: str) -> Result:
    """Its body could not be stored, and why."""
    return replace(result, ok=False, cause=Cause.STORE, error=error, path=None, spool=None, sent=None)

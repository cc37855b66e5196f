"""Records in a Result that its body was stored, or could not be stored."""

from __future__ import annotations

from dataclasses import replace

from fetchq.core.fast_dataclass import fast_replacer
from fetchq.core.model import Cause, Result, Timing

__all__ = ["mark_not_stored", "mark_stored"]


_with_path = fast_replacer(Result, "path", "_spool", "_sent", "timing", "elapsed")
_with_store = fast_replacer(Timing, "store")


def mark_stored(result: Result, path: str, seconds: float) -> Result:
    """The Result after its body was stored at `path`, which took `seconds`."""
    timing = _with_store(result.timing, result.timing.store + seconds)
    return _with_path(result, path, None, None, timing, result.elapsed + seconds)


def mark_not_stored(result: Result, error: str) -> Result:
    """The Result after its body could not be stored, with the cause `store` and this error text."""
    return replace(result, ok=False, cause=Cause.STORE, error=error, path=None, _spool=None, _sent=None)

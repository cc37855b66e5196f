"""Changes a Result whose body has been stored, or could not be stored."""

from __future__ import annotations

from dataclasses import replace

from fetchq.core.fast_dataclass import fast_replacer
from fetchq.core.model import Cause, Result, Timing

__all__ = ["not_stored", "stored"]


_with_path = fast_replacer(Result, "path", "spool", "sent", "timing", "elapsed")
_with_store = fast_replacer(Timing, "store")


def stored(result: Result, path: str, seconds: float) -> Result:
    """The Result of a body that is stored at `path`; storing it took that many seconds."""
    timing = _with_store(result.timing, result.timing.store + seconds)
    return _with_path(result, path, None, None, timing, result.elapsed + seconds)


def not_stored(result: Result, error: str) -> Result:
    """The Result of a body that could not be stored; `error` says why."""
    return replace(result, ok=False, cause=Cause.STORE, error=error, path=None, spool=None, sent=None)

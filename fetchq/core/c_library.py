"""The functions of the C library, to be called without releasing the GIL."""

from __future__ import annotations

from typing import Any

try:
    import ctypes
except ImportError:
    ctypes = None  # type: ignore[assignment]  # Python was built without libffi

__all__ = ["c_library", "ctypes"]


def c_library() -> Any:
    """The C library, whose calls keep the GIL and set `ctypes.get_errno()`. Only where `ctypes` is not None."""
    return ctypes.PyDLL(None, use_errno=True)  # CDLL would release it

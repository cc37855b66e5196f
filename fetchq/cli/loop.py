"""Chooses the event loop of the command line: uvloop if it is installed.

The library leaves this choice to its callers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

__all__ = ["loop_factory"]


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The `loop_factory` for `asyncio.Runner`; None for asyncio's default event loop."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop

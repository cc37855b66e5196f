"""The event loop of the command line: uvloop where it is installed. The library leaves the choice to its caller."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

__all__ = ["loop_factory"]


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """For `asyncio.Runner`; None is asyncio's own choice."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop

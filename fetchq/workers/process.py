"""Sets up a process that does nothing but fetch, its event loop and its memory, and tells its peak memory.

The library leaves both to the processes of its callers.
"""

from __future__ import annotations

import gc
import resource
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

__all__ = ["loop_factory", "peak_memory", "tune_memory"]

_KEPT = 2 << 20
"""glibc then returns free memory only above twice as many bytes."""


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The `loop_factory` for `asyncio.Runner`: uvloop if it is installed; None for asyncio's default event loop."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def tune_memory() -> None:
    """Let the garbage collector run less often: it finds next to nothing, and takes a sixth of a busy run.

    What a batch of Results frees is kept for the next one: without that, each batch gives its memory back to the system
    and takes it anew, page by page.
    """
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    bytes(_KEPT)  # glibc adjusts its thresholds to the largest block that was freed (mallopt(3), M_MMAP_THRESHOLD)


def peak_memory() -> int:
    """The most bytes that this process has had in memory."""
    try:
        # Unlike ru_maxrss, it starts anew when the program does: before that, the process was a copy of its parent.
        with open("/proc/self/status", encoding="ascii") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024  # kilobytes elsewhere

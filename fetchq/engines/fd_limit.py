"""How many files this process may have open, and so how many attempts fit: each connection is one."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from fetchq.core.settings import Settings

__all__ = ["Room", "room_for"]

_RESERVE = 64
"""For the program's own files: the source, the ledger, look-ups, whatever it opens meanwhile."""
_UNKNOWN = 1_000_000
"""Where a system has no such limit, or none that it tells."""


class Room(NamedTuple):
    """What fits beside the files that are open already."""

    attempts: int
    """At a time; at least one."""
    resting: int
    """Connections that may be kept for the next attempts."""


def room_for(settings: Settings) -> Room:
    """How many attempts and resting connections fit. The process's limit is raised where it is too low, and may be."""
    each = 3 if settings.stores else 2  # two addresses may be tried at once, and a large body is a file
    workers = settings.workers
    resting = 2 * workers + 16
    used = _in_use() + _RESERVE
    free = _limit(used + each * workers + resting) - used
    attempts = max(1, min(workers, free // each))
    return Room(attempts, max(0, min(resting, free - each * attempts)))


def _limit(wanted: int) -> int:
    """The limit, `wanted` if that can be had."""
    try:
        import resource
    except ImportError:
        return _UNKNOWN
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _UNKNOWN
    if soft < wanted:
        better = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(OSError, ValueError):  # macOS names a hard limit that it does not grant
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, better), hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _in_use() -> int:
    with suppress(OSError):
        return len(os.listdir("/dev/fd"))
    return _RESERVE

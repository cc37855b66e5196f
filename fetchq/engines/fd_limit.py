"""Budgets the file descriptors of this process: how many attempts and idle connections its limit allows."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from fetchq.core.settings import Settings

__all__ = ["IDLE_EACH", "FdBudget", "fd_budget"]

IDLE_EACH = 8
"""To how many hosts a worker of the blocking modes keeps an idle connection of its own."""

_RESERVE = 64
"""File descriptors for other purposes: the source, the ledger, lookups, and whatever else the program opens."""
_NO_LIMIT = 1_000_000
"""Used as the limit if the system has none, or none that can be read."""


class FdBudget(NamedTuple):
    """What the limit allows in addition to the files that are open already."""

    attempts: int
    """How many attempts may be made at a time; at least one."""
    idle: int
    """How many idle connections may be kept for later attempts."""


def fd_budget(settings: Settings) -> FdBudget:
    """The budget of a run. Raises a limit that is too low, as far as the system allows."""
    each = 3 if settings.stores else 2  # two addresses are tried at once, and a large body is in a file
    workers = settings.workers
    idle = 2 * workers + 16 if settings.mode == "async" else IDLE_EACH * workers
    used = _in_use() + _RESERVE
    free = _limit(used + each * workers + idle) - used
    attempts = max(1, min(workers, free // each))
    return FdBudget(attempts, max(0, min(idle, free - each * attempts)))


def _limit(wanted: int) -> int:
    """The limit of open files, raised to `wanted` if possible."""
    try:
        import resource
    except ImportError:
        return _NO_LIMIT
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _NO_LIMIT
    if soft < wanted:
        better = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(OSError, ValueError):  # macOS reports a hard limit that it does not grant
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, better), hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _in_use() -> int:
    with suppress(OSError):
        return len(os.listdir("/dev/fd"))
    return _RESERVE

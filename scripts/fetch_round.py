"""Prints the CPU microseconds per URL that fetch_iter takes, also with a fetchq from before this file was written.

Arguments: what comes before the number of a URL, how many URLs, and how many are fetched before, unmeasured; with 0
it runs in valgrind.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import resource
import sys

try:
    import uvloop
except ImportError:
    uvloop = None

FILES = 1000
"""How many different URLs there are."""


async def _fetch(base: str, count: int) -> None:
    from fetchq import fetch_iter  # here, since scripts/against.py only asks for FILES

    urls = (f"{base}{number % FILES}" for number in range(count))
    kept = 0
    async for result in fetch_iter(urls, workers=64, insecure=True):
        kept += result.ok and result.sha256 is not None
    assert kept == count, kept


async def _measured(base: str, count: int, warm: int) -> float:
    if warm:
        await _fetch(base, warm)
    before = resource.getrusage(resource.RUSAGE_SELF)
    await _fetch(base, count)
    after = resource.getrusage(resource.RUSAGE_SELF)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / count * 1e6


def _neglect_slowness() -> None:
    """Let a loop that valgrind slows down do as a quick one does, which need not ask the kernel when data arrived."""
    with contextlib.suppress(ImportError):  # an older fetchq never asks
        from fetchq.engines.aiohttp import turns

        turns.PRECISION = math.inf


if __name__ == "__main__":
    if sys.argv[3] == "0":
        _neglect_slowness()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if uvloop else None) as runner:
        print(runner.run(_measured(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))

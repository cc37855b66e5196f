"""What a run leaves behind: threads, descriptors, tasks, and objects that warn when they are collected."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from time import perf_counter
from typing import Any

from support.waiting import HUNG


def _put_the_rest_aside() -> None:
    """Have the collector pass over what is there by now: a test looks at what it makes itself.

    Else each call of `gc.collect` would go through all that pytest and the libraries hold, for a quarter of a second.
    """
    gc.collect()
    gc.freeze()


def _descriptors() -> Counter[str]:
    found: Counter[str] = Counter()
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # the listing's own is closed by now
            found[os.readlink(f"/proc/self/fd/{name}")] += 1
    return found


def _threads() -> set[threading.Thread]:
    # Those of a loop's default executor are the loop's, and end with it; pycares keeps one for all its resolvers.
    def of_a_run(thread: threading.Thread) -> bool:
        return not thread.name.startswith("asyncio_") and "_run_safe_shutdown_loop" not in thread.name

    return {thread for thread in filter(of_a_run, threading.enumerate()) if thread.is_alive()}


@contextmanager
def nothing_left() -> Iterator[None]:
    """What begins inside, a server as well, must have ended with it: descriptors, threads, and objects that warn."""
    _put_the_rest_aside()
    descriptors, threads = _descriptors(), _threads()
    yield
    gc.collect()
    # Spelled out: pytest shows no values of an assertion in a module that is imported.
    assert not (left := _threads() - threads), left
    until = perf_counter() + HUNG
    while _descriptors() - descriptors and perf_counter() < until:
        threading.Event().wait(0.01)  # that thread of pycares closes them, and tells nobody
    assert not (open_ := _descriptors() - descriptors), open_


@asynccontextmanager
async def calm_loop() -> AsyncIterator[None]:
    """Around a run: afterwards the loop has no task but this one, and had nothing to complain about.

    Inside, asyncio's debug mode makes each call from another thread that is not safe an error.
    """
    _put_the_rest_aside()
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    complaints: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    before = asyncio.all_tasks()
    try:
        yield
        assert not (tasks := asyncio.all_tasks() - before), tasks
        await settled()  # an exception that nobody has retrieved is told of when its future goes
        assert not complaints, complaints
    finally:
        loop.set_debug(False)
        loop.set_exception_handler(None)


async def settled() -> None:
    """Drop what nobody has any more, and wait for what the loop does to close it."""
    for _ in range(3):
        gc.collect()
        await asyncio.sleep(0)
        if others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(others, timeout=HUNG)


def left_threads() -> list[str]:
    """The threads that a run should have taken along."""
    names = [thread.name for thread in threading.enumerate()]
    return [name for name in names if name.startswith("fetchq-") and name != "fetchq-server"]

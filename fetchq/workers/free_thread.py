"""Calls blocking code where an event loop may be running already, as in a notebook."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

__all__ = ["in_free_thread"]

T = TypeVar("T")


def in_free_thread(work: Callable[[], T]) -> T:
    """Call `work` in this thread or, if an event loop runs in it, in another thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return work()
    outcome: list[T] = []
    problem: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(work())
        except BaseException as found:  # noqa: BLE001  # raised in the caller's thread
            problem.append(found)

    thread = threading.Thread(target=run, name="fetchq")
    thread.start()
    thread.join()
    if problem:
        raise problem[0]
    return outcome[0]

"""How long the tests wait for what should happen, and for what should not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


PATIENCE = 60.0
"""Seconds after which a test or a server gives up on the other. No test that passes waits for them to go by."""
HUNG = 4.0
"""Seconds after which a call that should have returned at once is taken for hung."""
A_MOMENT = 0.2
"""Seconds given to something that must not happen."""


async def ended(task: asyncio.Task[Any]) -> bool:
    """Wait for `task`, whatever it comes to; False when it hangs."""
    done, _ = await asyncio.wait([task], timeout=HUNG)
    return bool(done)


def in_time(work: Callable[[], T], most: float = HUNG) -> T:
    """`work`, in a thread; fails when it hangs. `most`: seconds; more for work that a busy machine slows."""
    outcome: list[T] = []
    problem: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(work())
        except BaseException as found:  # noqa: BLE001  # it is raised where the test is
            problem.append(found)

    thread = threading.Thread(target=run, name="in_time", daemon=True)
    thread.start()
    thread.join(most)
    assert not thread.is_alive(), "it hangs"
    if problem:
        raise problem.pop()
    return outcome[0]

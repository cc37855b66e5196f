"""Gathers the Results of a run without an event loop, which come one by one, and sends many at a time."""

from __future__ import annotations

import queue
import threading
from contextlib import contextmanager, suppress
from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fetchq.core.model import Result

__all__ = ["sending"]

_MOST = 500
"""The most Results that wait, and about the most that are sent at a time."""


@contextmanager
def sending(send: Callable[[list[Result]], None], linger: float) -> Iterator[Callable[[Sequence[Result]], None]]:
    """Yields a function that takes Results, and has a thread `send` those that come within `linger` seconds together.

    On leaving, all have been sent. Raises what `send` raises, on leaving, or when the function is called.
    """
    waiting: queue.Queue[Sequence[Result] | None] = queue.Queue(_MOST)
    problems: list[BaseException] = []

    def work() -> None:
        try:
            while (first := waiting.get()) is not None:
                batch, ended = _gathered(list(first), waiting, perf_counter() + linger)
                send(batch)
                if ended:
                    return
        except BaseException as problem:  # noqa: BLE001  # raised where the Results come from
            problems.append(problem)
            while waiting.get() is not None:
                pass

    thread = threading.Thread(target=work, name="fetchq-send", daemon=True)
    thread.start()

    def put(results: Sequence[Result]) -> None:
        if problems:
            raise problems[0]
        waiting.put(results)

    try:
        yield put
    finally:
        waiting.put(None)
        thread.join()
    if problems:
        raise problems[0]


def _gathered(
    batch: list[Result], waiting: queue.Queue[Sequence[Result] | None], until: float
) -> tuple[list[Result], bool]:
    """The batch with what comes until that time, and whether nothing more will come."""
    while len(batch) < _MOST:
        left = until - perf_counter()
        more: Sequence[Result] | None = ()
        with suppress(queue.Empty):
            more = waiting.get(timeout=max(left, 0.0)) if left > 0 else waiting.get_nowait()
        if more is None:
            return batch, True
        if not more:
            break
        batch += more
    return batch, False

"""Reads a source that may block for ever, such as a pipe, in such a way that a run can stop reading it."""

from __future__ import annotations

import queue
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fetchq.core.model import Request
    from fetchq.workers.run_state import RunControl

__all__ = ["interruptible"]

_POLL = 0.1
"""Seconds between two checks whether the run still reads its source."""


def interruptible(source: Iterable[list[Request]], control: RunControl) -> Iterator[list[Request]]:
    """The batches of `source`, read in a thread, until the run stops reading its source.

    In the thread of the run itself, a read that blocks would delay a signal, or the deadline. Raises what `source`
    raises.
    """
    batches: queue.Queue[list[Request] | BaseException | None] = queue.Queue(4)

    def read() -> None:
        try:
            for batch in source:
                batches.put(batch)
            batches.put(None)
        except BaseException as problem:  # noqa: BLE001  # raised in the thread of the run
            batches.put(problem)

    threading.Thread(target=read, name="fetchq-pipe", daemon=True).start()
    while control.reads_source:
        with suppress(queue.Empty):
            batch = batches.get(timeout=_POLL)
            if batch is None:
                return
            if isinstance(batch, BaseException):
                raise batch
            yield batch

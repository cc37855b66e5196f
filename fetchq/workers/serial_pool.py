"""The pool of mode `sync`: one thread, in which the workers take turns."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from itertools import cycle
from time import perf_counter, time
from typing import TYPE_CHECKING, Any

from fetchq.inputs.lines import SourceError
from fetchq.scheduling.job import Job, JobKind
from fetchq.scheduling.schedule import READ_AHEAD
from fetchq.workers.blocking_pool import BlockingPool

if TYPE_CHECKING:
    from fetchq.core.model import Request, Result

__all__ = ["SerialPool"]


class SerialPool(BlockingPool):
    """One request at a time: worker 1 fetches, then worker 2, and so on round."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._source_ended = False
        self._woken = threading.Event()

    def batches(self, source: Iterable[list[Request]]) -> Iterator[list[Result]]:
        schedule = self._schedule
        unread = iter(source)
        problem: SourceError | None = None
        settled_now: list[Result] = []
        turns = cycle([(number, self.desk.timer()) for number in range(1, len(self._engines) + 1)])
        while True:
            now = perf_counter()
            if self.desk.stopping:
                schedule.end(now)
            schedule.release(now)
            if schedule:
                job = schedule.take(now)
                number, timer = next(turns)
                if job.kind is JobKind.ROW:
                    settled, attempt = self._answer(job, number, timer)
                    schedule.done(job, attempt, perf_counter(), time())
                    if isinstance(settled, float):
                        schedule.hold(job, perf_counter(), settled)
                    else:
                        settled_now.append(settled)
                else:
                    self._do_internal(job, number, timer, nullcontext())
                if not settled_now or (len(settled_now) < READ_AHEAD and schedule.next_is_hopeless()):
                    continue
                yield settled_now  # at once: nobody knows how long the next one takes
                settled_now = []
            elif not self._source_ended and schedule.hungry():
                try:
                    self._read(unread)
                except SourceError as found:  # raised when what was read before is done
                    problem, self._source_ended = found, True
            elif (due := schedule.next_due()) is not None:
                self._woken.wait(max(0.0, due - perf_counter()))
            elif problem is not None:
                raise problem
            else:
                return

    def _read(self, unread: Iterator[list[Request]]) -> None:
        batch = next(unread, None)
        if batch is None:
            self._source_ended = True
            return
        now = perf_counter()
        for request in batch:
            self._schedule.add(Job(request, now), now)

    def stop(self, *, end_source: bool = True) -> None:
        self.desk.stopping = True
        if end_source:
            self._source_ended = True
        self._woken.set()

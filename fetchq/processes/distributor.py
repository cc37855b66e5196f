"""Reads the list in a thread, and distributes its rows to the processes of the run, as they ask for more."""

from __future__ import annotations

import threading
from math import inf
from time import perf_counter
from typing import TYPE_CHECKING

from fetchq.processes.lane_balancer import LaneBalancer
from fetchq.scheduling.backlog import Backlog, long_size
from fetchq.workers.run import WORKER_START_DELAY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from fetchq.core.model import Request
    from fetchq.core.settings import Settings
    from fetchq.processes.messages import Released
    from fetchq.processes.process_handle import ProcessHandle
    from fetchq.processes.router import Router

__all__ = ["RowDistributor"]

_MOST_SAMPLED = 20_000
"""The most rows that are read before the hosts are assigned to processes."""
_STALLED = 1.0
"""Seconds without rows after which the source is taken to keep the processes waiting."""
_JOIN_TIMEOUT = 0.5
"""Seconds that the thread has to end."""


class RowDistributor:
    """Distributes the rows of a list. At most `lookahead` of those read may wait, beside those under way.

    Its lock is taken before that of a process, never after it.
    """

    def __init__(self, source: Iterable[list[Request]], settings: Settings, on_problem: Callable[[], None]) -> None:
        """`on_problem` is called, in the thread that reads, when the source has raised `problem`."""
        self._source = source
        self._on_problem = on_problem
        self._changed = threading.Condition()
        self._sampled: list[Request] = []
        self._handles: Sequence[ProcessHandle] = ()
        self._router: Router | None = None
        self._has_rate = settings.rate is not None
        self._lane_balancer: LaneBalancer | None = None
        """Moves lanes between the processes; None in a run with a rate, whose parts move instead."""
        self._backlog = Backlog(settings.lookahead + settings.workers)
        self._came = 0.0
        """When the source last yielded rows (`time.perf_counter`)."""
        self.ended = False
        """Whether no more rows will be read."""
        self.problem: BaseException | None = None
        """The exception that has ended the source."""
        self._thread = threading.Thread(target=self._read, name="fetchq-source", daemon=True)

    def sample(self) -> list[Request]:
        """Begin to read. Returns the first rows, for which it waits for a moment, or until there are many."""
        self._thread.start()
        with self._changed:
            self._changed.wait_for(lambda: self.ended or len(self._sampled) >= _MOST_SAMPLED, WORKER_START_DELAY)
            return list(self._sampled)

    def distribute_to(self, handles: Sequence[ProcessHandle], router: Router) -> None:
        """Give the rows to these processes from now on, those first that were read already."""
        with self._changed:
            self._handles, self._router = handles, router
            if not self._has_rate:
                self._lane_balancer = LaneBalancer(handles, router)
            sampled, self._sampled = self._sampled, []
            self._distribute(sampled)
            self._react()

    def done(self, rows: Sequence[Request]) -> None:
        """Note that these rows have their Results."""
        with self._changed:
            self._backlog.waiting -= len(rows)
            if self._backlog.weighs:  # some may have come before the first row that was weighed
                self._backlog.bytes = max(0, self._backlog.bytes - sum(map(long_size, rows)))
            if self._lane_balancer is not None:
                self._lane_balancer.finished(rows)
            self._react()

    def answered(self, answers: Iterable[tuple[int, int, Released]]) -> None:
        """Note which lanes a process has released: for each, the number of the move, the lane, and its answer."""
        with self._changed:
            if self._lane_balancer is not None:
                self._lane_balancer.answered(answers)
            self._react()

    def started(self, handle: ProcessHandle) -> None:
        """Note that a process has started. If it follows one that has died, that one will answer no more."""
        with self._changed:
            if self._lane_balancer is not None:
                self._lane_balancer.undo_from(handle)
            self._react()

    def wake(self) -> None:
        """Note that a process may need rows."""
        with self._changed:
            self._react()

    def stop(self) -> None:
        """Read no more rows. The thread is left behind if it is blocked in a read."""
        with self._changed:
            self.ended = True
            if self._lane_balancer is not None:
                self._lane_balancer.undo_all()
            for handle in self._handles:
                handle.end()
            self._changed.notify_all()

    def join(self) -> None:
        """Wait for the thread to end, after `stop`; one that is blocked in a read is left behind."""
        if self._thread.ident is not None:
            self._thread.join(_JOIN_TIMEOUT)

    def _read(self) -> None:
        try:
            for batch in self._source:
                if not self._put(batch):
                    return
        except BaseException as problem:  # noqa: BLE001  # raised in the thread that iterates the run
            self.problem = problem
            self._on_problem()
        with self._changed:
            self.ended = True
            self._react()

    def _react(self) -> None:
        """React to a change: let lanes move to processes that run short of rows, and end those that get no more."""
        balancer, now = self._lane_balancer, perf_counter()
        if balancer is not None:
            balancer.undo_late()
        # As long as rows come, a process that runs short gets some of them, and no host needs to move.
        supplied = not self.ended and not self._backlog.full() and now - self._came < _STALLED
        for handle in self._handles:
            if handle.ended or not handle.rows.short:
                continue
            last = self.ended and not balancer  # while lanes are on their way, their rows may come back
            begun = not supplied and balancer is not None and balancer.begin(handle, inf if last else now)
            if last and not begun:
                handle.end()
        self._changed.notify_all()

    def _put(self, batch: list[Request]) -> bool:
        """Distribute a batch, once there is room. Returns False if reading was stopped meanwhile."""
        with self._changed:
            while self._full() and not self.ended:
                self._changed.wait()
            if self.ended:
                return False
            self._came = perf_counter()
            if self._router is None:
                self._sampled += batch
                if len(self._sampled) >= _MOST_SAMPLED:
                    self._changed.notify_all()
            else:
                self._distribute(batch)
            return True

    def _full(self) -> bool:
        if self._router is None:
            return len(self._sampled) >= _MOST_SAMPLED
        return self._backlog.full() or not any(handle.rows.short for handle in self._handles)

    def _distribute(self, rows: list[Request]) -> None:
        assert self._router is not None
        self._backlog.looked_at(rows)
        self._backlog.waiting += len(rows)
        if self._backlog.weighs:
            self._backlog.bytes += sum(map(long_size, rows))
        for handle, part in zip(self._handles, self._router.divide(rows), strict=True):
            if self._lane_balancer is not None:
                part = self._lane_balancer.held_back(handle, part)
            if part:
                handle.rows.give(part)

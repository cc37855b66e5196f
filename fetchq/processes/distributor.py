"""Reads the list in a thread, and distributes its rows to the processes of the run, as they ask for more."""

from __future__ import annotations

import threading
from time import perf_counter
from typing import TYPE_CHECKING

from fetchq.processes.lane_balancer import LaneBalancer
from fetchq.scheduling.backlog import Backlog, long_size
from fetchq.workers.run import WORKER_START_DELAY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from fetchq.core.model import Request
    from fetchq.core.settings import Settings
    from fetchq.processes.process_handle import ProcessHandle
    from fetchq.processes.router import Router

__all__ = ["RowDistributor"]

_MOST_SAMPLED = 20_000
"""The most rows that are read before the hosts are assigned to processes."""
_JOIN_TIMEOUT = 0.5
"""Seconds that the thread has to end."""


class RowDistributor:
    """Distributes the rows of a list. At most `lookahead` of those read may wait, beside those under way."""

    def __init__(self, source: Iterable[list[Request]], settings: Settings, on_problem: Callable[[], None]) -> None:
        """`on_problem` is called, in the thread that reads, when the source has raised `problem`."""
        self._source = source
        self._on_problem = on_problem
        self._changed = threading.Condition()
        self._sampled: list[Request] = []
        self._handles: Sequence[ProcessHandle] = ()
        self._router: Router | None = None
        self._lanes: LaneBalancer | None = None
        """Moves lanes between the processes; None in a run with a rate, whose parts move instead."""
        self._moves_lanes = settings.rate is None
        self._stopped = False
        self._backlog = Backlog(settings.lookahead + settings.workers)
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
            if self._moves_lanes:
                self._lanes = LaneBalancer(handles, router)
            sampled, self._sampled = self._sampled, []
            self._distribute(sampled)
            if self._stopped:
                self._end_handles()
            self._changed.notify_all()

    def done(self, rows: Sequence[Request]) -> None:
        """Note that these rows have their Results."""
        with self._changed:
            self._backlog.waiting -= len(rows)
            if self._backlog.weighs:  # some may have come before the first row that was weighed
                self._backlog.bytes = max(0, self._backlog.bytes - sum(map(long_size, rows)))
            if self._lanes is not None:
                self._lanes.finished(rows)
            self._changed.notify_all()

    def answered(self, number: int, lane: int, *, released: bool) -> None:
        """Note whether a process has released the lane, in the move with that number."""
        with self._changed:
            if self._lanes is not None:
                self._lanes.answered(number, lane, released=released)
            self._changed.notify_all()

    def died(self, handle: ProcessHandle) -> None:
        """Note that a process has died, and that the one that follows it will have its rows."""
        with self._changed:
            if self._lanes is not None:
                self._lanes.undo_from(handle)
            self._changed.notify_all()

    def wake(self) -> None:
        """Note that a process may need rows."""
        with self._changed:
            self._changed.notify_all()

    def stop(self) -> None:
        """Read no more rows. The thread is left behind if it is blocked in a read."""
        with self._changed:
            self.ended = self._stopped = True
            if self._lanes is not None:
                self._lanes.undo_all()
            self._end_handles()
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
            self._changed.notify_all()
            while not self._stopped and (self._router is None or not all(handle.ended for handle in self._handles)):
                self._balance()
                self._changed.wait()

    def _balance(self) -> None:
        """Let lanes move to the processes that run short of rows, and end those that will get no more."""
        if self._lanes is not None:
            self._lanes.undo_late()
        for handle in self._handles:
            if handle.ended or not handle.rows.short or (self._lanes is not None and self._lanes.concerns(handle)):
                continue
            if self._lanes is not None and self._lanes.begin(handle, perf_counter()):
                continue
            if self.ended:
                handle.end()

    def _put(self, batch: list[Request]) -> bool:
        """Distribute a batch, once there is room. Returns False if reading was stopped meanwhile."""
        with self._changed:
            while self._full() and not self.ended:
                self._balance()
                self._changed.wait()
            if self.ended:
                return False
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
            if self._lanes is not None:
                part = self._lanes.held_back(handle, part)
            if part:
                handle.rows.give(part)

    def _end_handles(self) -> None:
        for handle in self._handles:
            handle.end()

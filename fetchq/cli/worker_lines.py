"""Orders the lines about what workers do (`--verbose`): starts of attempts, failures that are retried, and Results."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

from fetchq.reports.text import retry_line, start_line

if TYPE_CHECKING:
    from fetchq.core.model import Request, Result
    from fetchq.workers.retry_event import RetryEvent

__all__ = ["START_DELAY", "WorkerLines"]

START_DELAY = 0.02
"""Seconds for which a line is delayed, since the Result of the worker's last request may still follow."""
_RESULT_TIMEOUT = 0.25
"""Seconds after which a start is shown even if no Result of the worker's last request came."""


class _Waiting(NamedTuple):
    since: float
    row: int
    worker: int
    line: Callable[[], str]
    ends: bool
    """Whether the worker's attempt has ended with it."""


class WorkerLines:
    """Lines that are not shown yet, so that those of a worker come in the order of what it did."""

    def __init__(self) -> None:
        self._waiting: list[_Waiting] = []
        self._busy: set[int] = set()
        """Workers for which a start was shown, but no end since."""

    def started(self, request: Request, worker: int) -> None:
        """Add the start of an attempt."""
        self._add(request.index, worker, lambda: start_line(request, worker), ends=False)

    def retried(self, event: RetryEvent) -> None:
        """Add an attempt that is followed by another one."""
        self._add(event.request.index, event.worker, lambda: retry_line(event), ends=True)

    def _add(self, row: int, worker: int, line: Callable[[], str], *, ends: bool) -> None:
        self._waiting.append(_Waiting(perf_counter(), row, worker, line, ends))

    def before(self, result: Result) -> list[str]:
        """The lines of a worker up to the last one about the row of this Result, which is shown next."""
        worker = result.worker
        self._busy.discard(worker or 0)
        mine = [one for one in self._waiting if one.worker == worker]
        last = max((at for at, one in enumerate(mine) if one.row == result.index), default=-1)
        shown = mine[: last + 1]
        self._waiting = [one for one in self._waiting if one not in shown]
        return [one.line() for one in shown]

    def due(self, now: float) -> list[str]:
        """The lines that were kept back for long enough."""
        lines: list[str] = []
        waiting: list[_Waiting] = []
        kept_back: set[int] = set()
        for one in self._waiting:
            delay = _RESULT_TIMEOUT if one.worker in self._busy and not one.ends else START_DELAY
            if one.worker in kept_back or now - one.since < delay:
                waiting.append(one)
                kept_back.add(one.worker)
                continue
            lines.append(one.line())
            (self._busy.discard if one.ends else self._busy.add)(one.worker)
        self._waiting = waiting
        return lines

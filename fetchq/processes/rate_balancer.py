"""Divides the rate of a run anew, as the rows that wait are for other processes than at first."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from fetchq.processes.messages import Kind
from fetchq.processes.shares import RATE_PERIOD, rates_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fetchq.processes.process_handle import ProcessHandle

__all__ = ["RateBalancer"]

_INTERVAL = 0.5
"""Seconds between two looks at what waits."""
_WORTH_IT = 0.1
"""The part of the rate that must change hands; it costs a second, in which nobody has that part."""


class RateBalancer:
    """Moves parts of the rate from processes with few rows to those with many, in a thread of its own.

    In no period of a second are more requests sent than the rate allows: what one process gives up is given to another
    one when the first has said so, and its starts of the last second count no more.
    """

    def __init__(self, rate: float, handles: Sequence[ProcessHandle]) -> None:
        self._rate = rate
        self._handles = handles
        self._ended = threading.Event()
        self._waiting: set[ProcessHandle] = set()
        """The processes that are still to say that they are slower."""
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._balance, name="fetchq-rate-balancer", daemon=True)
        self._thread.start()

    def acknowledged(self, handle: ProcessHandle) -> None:
        """Note that a process has its new share, or has ended."""
        with self._changed:
            self._waiting.discard(handle)
            self._changed.notify_all()

    def end(self) -> None:
        """End the thread."""
        self._ended.set()
        with self._changed:
            self._changed.notify_all()
        self._thread.join()

    def _balance(self) -> None:
        while not self._ended.wait(_INTERVAL):
            rates = rates_of(self._rate, [handle.rows.left for handle in self._handles])
            changes = [
                (handle, rate, rate - (handle.share.rate or 0.0))
                for handle, rate in zip(self._handles, rates, strict=True)
            ]
            if max(change for _, _, change in changes) < max(1.0, _WORTH_IT * self._rate):
                continue
            with self._changed:
                self._waiting = {handle for handle, _, change in changes if change < 0 and not handle.is_over}
            for handle, rate, change in changes:
                if change < 0:
                    _give(handle, rate)
            with self._changed:
                self._changed.wait_for(lambda: not self._waiting or self._ended.is_set())
            if self._ended.wait(RATE_PERIOD):
                return
            for handle, rate, change in changes:
                if change > 0:
                    _give(handle, rate)


def _give(handle: ProcessHandle, rate: float) -> None:
    handle.share = replace(handle.share, rate=rate)
    handle.tell(Kind.SHARE, handle.share)

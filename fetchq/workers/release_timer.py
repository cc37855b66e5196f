"""Releases the jobs that a schedule holds back when they are due, with a timer of the event loop."""

from __future__ import annotations

import asyncio
from math import inf
from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from fetchq.scheduling.schedule import Schedule

__all__ = ["ReleaseTimer"]

_TICK = 0.001
"""The shortest delay in seconds; an event loop's clock is not more precise."""


class ReleaseTimer:
    """A timer that is set to the next time at which the schedule has something to release."""

    def __init__(self, schedule: Schedule, on_release: Callable[[], None]) -> None:
        """`on_release` is called after each release."""
        self._schedule = schedule
        self._on_release = on_release
        self._handle: asyncio.TimerHandle | None = None
        self._due = inf

    def arm(self) -> None:
        """Set the timer to the next release, unless it is set to an earlier time, at which it will be set again."""
        due = self._schedule.next_due()
        if due is None or due >= self._due:
            return
        if self._handle is not None:
            self._handle.cancel()
        self._due = due
        loop = asyncio.get_running_loop()
        self._handle = loop.call_later(max(_TICK, due - perf_counter()), self._release)

    def cancel(self) -> None:
        """Stop the timer, until `arm` is called."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
            self._due = inf

    def _release(self) -> None:
        self._handle = None
        self._due = inf
        self._schedule.release(perf_counter())
        self._on_release()

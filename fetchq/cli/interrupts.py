"""Handles SIGINT and SIGTERM: the first stops the run; the second, or the end of a grace period, aborts it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Self

__all__ = ["Interrupts"]

GRACE = 5.0
"""Seconds that running requests get to finish after the first signal."""
LAST_RESORT = 2.0
"""Seconds after which the process exits where an aborted run does not end."""
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """The handler of both signals while a command runs. `number` is the first signal that came."""

    def __init__(self) -> None:
        self.number: int | None = None
        self.early: int | None = None
        """A signal that came before a run began, and was raised as an exception."""
        self._stop: Callable[[], None] | None = None
        self._abort: Callable[[], None] = lambda: None
        self._say: Callable[[str], None] = lambda _: None
        self._run_over = False
        self._timers: list[threading.Timer] = []
        self._previous_handlers: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._previous_handlers = {number: signal.signal(number, self._handle) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        self._cancel_timers()
        for number, handler in self._previous_handlers.items():
            # An interrupted process is about to exit, and ignores further signals.
            signal.signal(number, handler if self.number is None else signal.SIG_IGN)

    @contextmanager
    def of_run(self, stop: Callable[[], None], abort: Callable[[], None], say: Callable[[str], None]) -> Iterator[None]:
        """Inside this block a signal stops or aborts the run, and `say` prints that. All three must be thread-safe."""
        self._stop, self._abort, self._say = stop, abort, say
        if self.early is not None:  # code that was being imported has swallowed it
            self._handle(self.early, None)
        try:
            yield
        finally:
            self._stop, self._run_over = None, True
            self._cancel_timers()

    def _handle(self, number: int, _: object) -> None:
        if self._stop is None and not self._run_over:
            self.early = number
            raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)
        first = self.number is None
        self.number = self.number or number
        if self._stop is None:
            return  # the run is over; only its summary is still to be shown
        # The interrupted thread may hold a lock of the run, so another thread does the work.
        threading.Thread(target=self._stop_run if first else self._abort_run, daemon=True).start()

    def _stop_run(self) -> None:
        self._after(GRACE, self._abort_run)
        if self._stop is not None:
            self._say(f"stopping: what is under way gets {GRACE:g} s to finish; Ctrl-C again ends it now")
            self._stop()

    def _abort_run(self) -> None:
        # A write to a pipe whose reader has stopped reading blocks for ever.
        self._after(LAST_RESORT, lambda: os._exit(128 + (self.number or 0)))
        with suppress(RuntimeError):  # the loop has just ended
            self._abort()

    def _after(self, seconds: float, act: Callable[[], None]) -> None:
        timer = threading.Timer(seconds, act)
        timer.daemon = True
        self._timers.append(timer)
        timer.start()

    def _cancel_timers(self) -> None:
        for timer in self._timers:
            timer.cancel()

"""SIGINT and SIGTERM: the first stops a run; after a while, or at the second one, it is aborted."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Self

__all__ = ["Interrupts"]

GRACE = 5.0
"""Seconds that what is under way gets to finish after the first signal."""
LAST_RESORT = 2.0
"""Seconds after which a run that was aborted, and cannot end, is cut off."""
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Owns both signals for as long as the command runs. `number` is the first one that came."""

    def __init__(self) -> None:
        self.number: int | None = None
        self.early: int | None = None
        """One that came before there was a run to stop, and was raised as an exception."""
        self._stop: Callable[[], None] | None = None
        self._abort: Callable[[], None] = lambda: None
        self._say: Callable[[str], None] = lambda _: None
        self._over = False
        self._timers: list[threading.Timer] = []
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._handle) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        self._cancel_timers()
        for number, handler in self._before.items():
            # What was interrupted is about to exit, and needs no further signal for it.
            signal.signal(number, handler if self.number is None else signal.SIG_IGN)

    @contextmanager
    def of_run(self, stop: Callable[[], None], abort: Callable[[], None], say: Callable[[str], None]) -> Iterator[None]:
        """While this lasts a signal stops, or aborts, the run, and `say` tells of it. Any thread may call the three."""
        self._stop, self._abort, self._say = stop, abort, say
        if self.early is not None:  # what was being imported has swallowed it
            self._handle(self.early, None)
        try:
            yield
        finally:
            self._stop, self._over = None, True
            self._cancel_timers()

    def _handle(self, number: int, _: object) -> None:
        if self._stop is None and not self._over:
            self.early = number
            raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)
        first = self.number is None
        self.number = self.number or number
        if self._stop is None:
            return  # only the summary is left
        # A handler may interrupt this thread while it holds a lock of the run: the work is left to another one.
        threading.Thread(target=self._begin_to_stop if first else self._give_up, daemon=True).start()

    def _begin_to_stop(self) -> None:
        self._after(GRACE, self._give_up)
        if self._stop is not None:
            self._say(f"stopping: what is under way gets {GRACE:g} s to finish; Ctrl-C again ends it now")
            self._stop()

    def _give_up(self) -> None:
        # Whoever should read the records may have stopped reading: then a write waits for ever.
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

"""Handles SIGINT and SIGTERM: the first signal stops the run; a second one, or the end of a grace period, aborts it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Self

__all__ = ["SIGNALS", "Interrupts"]

GRACE_PERIOD = 5.0
"""Seconds that attempts under way have to finish after the first signal."""
EXIT_TIMEOUT = 2.0
"""Seconds after which the process exits if an aborted run does not end."""
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Handles both signals while a command runs. `number`: the first signal received during a run."""

    def __init__(self) -> None:
        self.number: int | None = None
        self.early: int | None = None
        """A signal received before a run began, which was raised as an exception."""
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
            # An interrupted process is about to exit, so further signals are ignored. While it exits, Python would give
            # them back to the system, which would end the process with another status.
            interrupted = self.number is not None or self.early is not None
            signal.signal(number, signal.SIG_IGN if interrupted else handler)

    @contextmanager
    def during_run(
        self, stop: Callable[[], None], abort: Callable[[], None], say: Callable[[str], None]
    ) -> Iterator[None]:
        """Let signals stop or abort the run during this block; `say` prints a message. All must be thread-safe."""
        self._stop, self._abort, self._say = stop, abort, say
        if self.early is not None:  # code that was being imported has swallowed the exception
            self._handle(self.early, None)
        try:
            yield
        finally:
            self._stop, self._run_over = None, True
            self._cancel_timers()

    def _handle(self, number: int, _: object) -> None:
        if self._stop is None and not self._run_over:
            if self.early is not None:
                os._exit(128 + number)  # a second exception could meet the handling of the first one
            self.early = number
            raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)
        first = self.number is None
        self.number = self.number or number
        if self._stop is None:
            return  # the run has ended, and only its summary is still shown
        # The interrupted thread may hold a lock of the run, so another thread stops the run.
        threading.Thread(target=self._stop_run if first else self._abort_run, daemon=True).start()

    def _stop_run(self) -> None:
        self._after(GRACE_PERIOD, self._abort_run)
        if (stop := self._stop) is not None:
            self._say(f"stopping: what is under way gets {GRACE_PERIOD:g} s to finish; Ctrl-C again ends it now")
            with suppress(RuntimeError):  # the run has ended meanwhile, and its event loop has closed
                stop()

    def _abort_run(self) -> None:
        # The run may never end, for example because a write to a pipe blocks that is no longer read.
        self._after(EXIT_TIMEOUT, lambda: os._exit(128 + (self.number or 0)))
        with suppress(RuntimeError):  # the event loop has just closed
            self._abort()

    def _after(self, seconds: float, act: Callable[[], None]) -> None:
        timer = threading.Timer(seconds, act)
        timer.daemon = True
        self._timers.append(timer)
        timer.start()

    def _cancel_timers(self) -> None:
        for timer in self._timers:
            timer.cancel()

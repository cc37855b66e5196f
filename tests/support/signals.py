"""Signals to this process and to others."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from fetchq.cli import interrupts
from support.waiting import PATIENCE


class Handled:
    """Counts the signals that runs in this process have dealt with: one to stop, one to give up."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self._changed = threading.Condition()
        for name in ("_stop_run", "_abort_run"):
            monkeypatch.setattr(interrupts.Interrupts, name, self._counted(getattr(interrupts.Interrupts, name)))

    def _counted(self, deal: Callable[[interrupts.Interrupts], None]) -> Callable[[interrupts.Interrupts], None]:
        def deal_and_count(one: interrupts.Interrupts) -> None:
            deal(one)
            with self._changed:
                self.count += 1
                self._changed.notify_all()

        return deal_and_count

    def wait_for(self, count: int, seconds: float = PATIENCE) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self.count >= count, seconds)

    @contextmanager
    def send(self, number: signal.Signals, *whens: Callable[[], object]) -> Iterator[None]:
        """Send this process a signal as each of `whens` returns true, one after the other has been dealt with."""

        def send() -> None:
            for sent, when in enumerate(whens, 1):
                if not when():
                    return
                os.kill(os.getpid(), number)
                while self.count < sent and not over.is_set():
                    # CPython does not see a signal that comes just as its main thread begins to wait for a lock.
                    if not self.wait_for(sent, 1.0) and not over.is_set():
                        os.kill(os.getpid(), number)

        over = threading.Event()
        thread = threading.Thread(target=send)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


PATIENT = "from fetchq.cli import interrupts; interrupts.GRACE_PERIOD = 3600"
"""A patch for `Cli.start`: after its first signal only a second one ends a run whose server hangs."""


def signal_twice(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send a signal, and once more when the first was dealt with: two in a row may arrive as one."""
    process.send_signal(number)
    assert process.stderr is not None
    assert process.stderr.readline().startswith(b"stopping: ")
    process.send_signal(number)


def press(process: subprocess.Popen[bytes], number: signal.Signals, *, every: float, seconds: float) -> None:
    """Send a signal again and again until the process ends; fail when it does not."""
    for _ in range(max(1, round(seconds / every))):
        process.send_signal(number)
        try:
            process.wait(every)
        except subprocess.TimeoutExpired:
            continue
        return
    process.kill()
    pytest.fail(f"{number.name} does not end it")

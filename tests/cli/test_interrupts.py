"""The handler of signals, at moments that a process meets once in a thousand runs."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from fetchq.cli.interrupts import Interrupts


@pytest.mark.parametrize("closed", [False, True], ids=["over", "loop closed"])
def test_a_run_that_ends_while_a_signal_is_handled_needs_no_stop(closed: bool) -> None:
    stopped = []

    def stop() -> None:
        stopped.append(True)
        if closed:
            raise RuntimeError("Event loop is closed")

    interrupts = Interrupts()
    with ExitStack() as run:
        run.enter_context(interrupts.during_run(stop, lambda: None, lambda _: run.close()))
        interrupts._stop_run()
    assert stopped == [True]

"""A source that may block for ever is read in a thread, from which a run that stops turns away."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from support.leaks import nothing_left
from support.waiting import HUNG, PATIENCE, in_time

from fetchq.core.model import Request
from fetchq.workers.pipe_reader import interruptible
from fetchq.workers.run_state import RunControl


def test_all_batches_come_in_order_and_then_it_ends() -> None:
    batches = [[Request("http://h/", index)] for index in range(20)]
    with nothing_left():
        assert list(interruptible(batches, RunControl())) == batches


def test_what_the_source_raises_is_raised_after_what_it_gave() -> None:
    def source() -> Iterator[list[Request]]:
        yield [Request("http://h/")]
        raise LookupError("no more")

    reader = interruptible(source(), RunControl())
    assert next(reader) == [Request("http://h/")]
    with pytest.raises(LookupError, match="no more"):
        next(reader)


def test_a_read_that_blocks_does_not_keep_a_run_that_is_stopped() -> None:
    release = threading.Event()

    def source() -> Iterator[list[Request]]:
        yield [Request("http://h/")]
        release.wait(PATIENCE)

    control = RunControl()
    with nothing_left():
        reader = interruptible(source(), control)
        next(reader)
        stopper = threading.Timer(0.05, control.stop)
        stopper.start()
        try:
            assert in_time(lambda: list(reader)) == []
        finally:
            release.set()
            stopper.join()
            for thread in threading.enumerate():
                if thread.name == "fetchq-pipe":
                    thread.join(HUNG)

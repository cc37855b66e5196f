"""What a process sends to its run."""

from __future__ import annotations

import os
from contextlib import suppress

from support.waiting import PATIENCE

from fetchq.processes.messages import Kind, read_message
from fetchq.processes.sender import MessageSender


def test_a_notice_does_not_wait_for_a_full_pipe_and_comes_before_what_is_sent_later() -> None:
    reading, writing = os.pipe()
    sender = MessageSender(writing)
    large = b"x" * 100_000  # more than the pipe has room for
    for number in range(3):
        sender.notice(Kind.STARTED, large + bytes([number]))
    with os.fdopen(reading, "rb") as stream:
        came = [read_message(stream) for _ in range(3)]
        sender.notice(Kind.LIMIT)
        sender.send(Kind.REPORT, b"last")
        came += [read_message(stream) for _ in range(2)]
    assert came == [*((Kind.STARTED, large + bytes([n])) for n in range(3)), (Kind.LIMIT, b""), (Kind.REPORT, b"last")]
    sender.notice(Kind.LIMIT)  # nobody reads any more, which ends the thread
    assert sender._thread is not None
    sender._thread.join(PATIENCE)
    with suppress(BrokenPipeError):
        sender._stream.close()

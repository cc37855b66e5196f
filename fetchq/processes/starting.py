"""Starts the processes of a run, with a pipe from each: as copies of this one where that is safe, else anew."""

from __future__ import annotations

import fcntl
import os
import tempfile
from contextlib import ExitStack, suppress
from typing import IO, TYPE_CHECKING, NamedTuple

from fetchq.core.process_error import ProcessDiedError
from fetchq.workers.forked_process import ForkedProcess, can_fork
from fetchq.workers.python_process import start_python

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from fetchq.core.settings import Settings

__all__ = ["StartedProcess", "start_copies", "start_process"]

_PIPE_SIZE = 1 << 20
"""Bytes of a pipe for messages: the most that Linux gives every user."""


class StartedProcess(NamedTuple):
    """A process that waits for its task."""

    process: subprocess.Popen[bytes] | ForkedProcess
    messages: int
    """The descriptor from which its messages are read."""
    output: int
    """The descriptor to which it writes them, which is open in that process alone."""
    errors: IO[bytes]
    """The file with what it writes to its standard error."""

    def discard(self) -> None:
        """End the process, from which nobody reads messages."""
        self.end()
        os.close(self.messages)

    def end(self) -> None:
        """End the process, if it has not ended by itself, and close its pipe and its file."""
        self.process.kill()
        self.process.wait()
        assert self.process.stdin is not None
        with suppress(OSError):
            self.process.stdin.close()
        self.errors.close()


def start_copies(settings: Settings, count: int) -> list[StartedProcess]:
    """Start so many processes for a run with these settings, as copies of this one; none if that is not safe.

    Raises `ProcessDiedError`.
    """
    if not can_fork():
        return []
    from fetchq.processes.child import main
    from fetchq.workers.async_run import preload

    preload(settings.mode)  # else each copy would import it
    copies: list[StartedProcess] = []
    try:
        while len(copies) < count:
            copies.append(_started(lambda output, errors: ForkedProcess(main, keep=output, stderr=errors)))
    except BaseException:  # raised again, whatever it is
        for copy in copies:
            copy.discard()
        raise
    return copies


def start_process() -> StartedProcess:
    """Start a process. Raises `ProcessDiedError`."""
    return _started(lambda output, errors: start_python("fetchq.processes.child", pass_fds=(output,), stderr=errors))


def _message_pipe() -> tuple[int, int]:
    """The descriptors of a pipe that takes a whole message, so that its ends need not wait for each other."""
    reading, writing = os.pipe()
    with suppress(AttributeError, OSError):  # not on Linux, or the user has too many pipes of that size
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
    return reading, writing


def _started(start: Callable[[int, IO[bytes]], subprocess.Popen[bytes] | ForkedProcess]) -> StartedProcess:
    with ExitStack() as on_failure:
        try:
            reading, writing = _message_pipe()
            on_failure.callback(os.close, reading)
            with os.fdopen(writing, "wb"):
                errors = on_failure.enter_context(tempfile.TemporaryFile())
                started = StartedProcess(start(writing, errors), reading, writing, errors)
        except OSError as problem:
            raise ProcessDiedError(f"a process cannot be started: {problem.strerror or problem}") from None
        on_failure.pop_all()
        return started

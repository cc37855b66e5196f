"""Starts processes as copies of this one, which costs a hundredth of what a new Python takes to import fetchq.

A copy of a process with several threads may wait for ever for a lock that another thread held, and libraries of macOS
do not bear it at all. So this is only for Linux, and for a process with one thread, such as the command line at first.
"""

from __future__ import annotations

import io
import os
import pickle
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import IO, Any, NoReturn

__all__ = ["ForkedProcess", "can_fork"]


def can_fork() -> bool:
    """Whether this process can be copied: it is on Linux, and has one thread."""
    try:
        return sys.platform == "linux" and len(os.listdir("/proc/self/task")) == 1
    except OSError:  # without /proc
        return False


class ForkedProcess:
    """A copy of this process that does a task, as `start_python` starts one that imports everything anew.

    It has what a `subprocess.Popen` has: `stdin`, `wait` and `kill`. `hand_over` sends it the task.
    """

    def __init__(self, main: Callable[[Any], None], *, keep: int, stderr: IO[bytes]) -> None:
        """`main` is called with the task. `keep`: the only descriptor of this process that it has. Raises OSError."""
        reading, writing = os.pipe()
        try:
            pid = os.fork()
        except OSError:
            os.close(reading)
            os.close(writing)
            raise
        if pid == 0:
            _run(main, reading, keep, stderr)
        os.close(reading)
        self.pid = pid
        self.stdin: IO[bytes] = os.fdopen(writing, "wb")
        self._status: int | None = None

    def wait(self) -> int:
        """Wait for its end. Returns its exit status, or the negative number of the signal that has ended it."""
        if self._status is None:
            self._status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._status

    def kill(self) -> None:
        """End it, if it has not ended."""
        if self._status is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


def _run(main: Callable[[Any], None], reading: int, keep: int, stderr: IO[bytes]) -> NoReturn:
    """Be the copy: forget what the process was, do the task, and end."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        os.setsid()  # so that Ctrl-C does not reach it
        os.dup2(reading, 0)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(stderr.fileno(), 2)
        os.closerange(3, keep)  # a lock or a pipe that it kept open would outlive the process that it is a copy of
        os.closerange(keep + 1, os.sysconf("SC_OPEN_MAX"))
        stdin = io.BufferedReader(io.FileIO(0, closefd=False))
        sys.stdin = io.TextIOWrapper(stdin)
        sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
        pickle.load(stdin)  # noqa: S301  # the search path, which it has
        main(pickle.load(stdin))  # noqa: S301  # from the process that it is a copy of
        status = 0
    except EOFError:  # there is no task for it
        status = 0
    except BaseException:  # noqa: BLE001  # the interpreter would show it, too
        traceback.print_exc()
    finally:
        with suppress(OSError):
            sys.stderr.flush()
        os._exit(status)

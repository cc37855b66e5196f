"""Starts processes that run a part of fetchq, by their program, with nothing of this process but its search path.

So they work from a notebook and from a script without `if __name__ == "__main__"`, too. What a process has to do comes
through its standard input, since arguments and variables could be seen by other users of the machine. While that pipe
is open, the process that has started it lives.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from contextlib import suppress
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["exit_text", "hand_over", "start_python"]

_PROGRAM = """
import pickle, sys
sys.path[:] = pickle.load(sys.stdin.buffer)
from {module} import main
main(pickle.load(sys.stdin.buffer))
"""
"""Searches modules where this process searches them, and not first of all in the current folder."""


def start_python(
    module: str, *, pass_fds: Sequence[int] = (), stdout: int | None = None, stderr: IO[bytes] | int | None = None
) -> subprocess.Popen[bytes]:
    """Start a process that calls `main` of this module of fetchq, with what `hand_over` sends it."""
    warnings = [f"-W{option}" for option in sys.warnoptions]
    return subprocess.Popen(  # noqa: S603  # this Python, and a program that is a constant
        [sys.executable, "-P", *warnings, "-c", _PROGRAM.format(module=module)],
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=stderr,
        pass_fds=pass_fds,
        start_new_session=True,  # so that Ctrl-C does not reach it, but this process, which ends it
    )


def hand_over(stdin: IO[bytes], task: object) -> None:
    """Send a process what it has to do. If it has ended already, its exit status and its errors tell why."""
    with suppress(BrokenPipeError):
        for what in (sys.path, task):
            pickle.dump(what, stdin)
        stdin.flush()


def exit_text(status: int) -> str:
    """How a process has ended, by its exit status: `was ended by signal 9, perhaps for lack of memory`."""
    if status < 0:
        perhaps = ", perhaps for lack of memory" if status == -9 else ""
        return f"was ended by signal {-status}{perhaps}"
    return f"ended with exit status {status}"

"""Makes a measured run in a process of its own, so that its CPU time and its memory are its own."""

from __future__ import annotations

import pickle
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from fetchq.core.settings import SettingsError
from fetchq.core.text import one_line
from fetchq.workers.python_process import exit_text, hand_over, start_python

if TYPE_CHECKING:
    from fetchq.http.cookies import Cookie
    from fetchq.reports.measurements import MeasuredRun

__all__ = ["MARK", "RunFailedError", "Task", "run_in_process"]

MARK = b"\0fetchq\0"
"""Comes before the report on the standard output, where the site's own start-up code may have written something."""


class RunFailedError(RuntimeError):
    """The process of a run has ended without a report. `output` is what it wrote to its standard error."""

    def __init__(self, message: str, output: str) -> None:
        super().__init__(message, output)
        self.message = message
        self.output = output

    def __str__(self) -> str:
        last = self.output.strip().rpartition("\n")[2]
        return f"{self.message}: {one_line(last)}" if last else self.message


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a process has to do."""

    settings: dict[str, Any]
    """The settings, by name; without `cookie_jar`."""
    cookies: tuple[Cookie, ...] | None
    """The cookies that all rows share at first; None without a `cookie_jar`."""
    round: int
    rows: int
    """How many rows the list has."""
    row_file: int
    """The descriptor of the list's file."""
    outcome_file: int
    """The descriptor of the file for the outcomes of the rows."""
    warm_up: bool
    """Whether to open the connections before the clock starts."""


def run_in_process(task: Task, outcomes: BinaryIO) -> tuple[MeasuredRun, bytes]:
    """Make a run. Returns what it measured, and the content of its table of outcomes.

    Raises `SettingsError` if the run cannot begin, and `RunFailedError`. Whatever ends the wait, such as
    KeyboardInterrupt, ends the process.
    """
    with tempfile.TemporaryFile() as errors:
        process = start_python(
            "fetchq.comparison.child",
            pass_fds=(task.row_file, task.outcome_file),
            stdout=subprocess.PIPE,
            stderr=errors,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            with process.stdout:
                hand_over(process.stdin, task)
                written = process.stdout.read()
            status = process.wait()
        finally:
            process.kill()
            process.wait()
            with suppress(BrokenPipeError):  # what it has not read
                process.stdin.close()
        errors.seek(0)
        output = errors.read().decode(errors="replace")
    _, _, report = written.partition(MARK)
    if status or not report:
        raise RunFailedError(f"the process of a run {exit_text(status)}", output)
    found = pickle.loads(report)  # noqa: S301  # from the process that this one has started
    if isinstance(found, SettingsError):
        raise found
    outcomes.seek(0)
    return found, outcomes.read()

"""Shows a run on the terminal: records on stdout; progress, log and summary on stderr."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence
from time import perf_counter
from typing import TYPE_CHECKING

import click

from fetchq.cli import say
from fetchq.cli.progress import progress_for
from fetchq.cli.stdout_sink import one_device, stdout_sink
from fetchq.cli.worker_lines import START_DELAY, WorkerLines
from fetchq.core.prepared_results import Preparation
from fetchq.reports.text import HEADING

if TYPE_CHECKING:
    from fetchq.cli.display import Display
    from fetchq.cli.log_file import LogFile
    from fetchq.core.model import Request, Result
    from fetchq.inputs.source import Source
    from fetchq.reports.summary import Summary
    from fetchq.reports.text import Paint
    from fetchq.workers.retry_event import RetryEvent

__all__ = ["Screen"]

_HEADS = frozenset({"headers", "hops"})
"""What records can include without a body."""
_BLOCKED_AFTER = 0.5
"""Seconds after which a write to stdout counts as blocked, because nobody reads stdout."""


class Screen:
    """Shows a run on the terminal, and is its Sink. Any thread may call its methods."""

    def __init__(self, display: Display, *, source: Source, summary: Summary, log: LogFile | None = None) -> None:
        """`log`: also gets what is shown of rows and retries, and what is said."""
        self._display = display
        self._summary = summary
        self._verbose = display.verbose
        self._log = log
        self._lock = threading.RLock()
        colour = not display.no_color and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        self.paint: Paint | None = _paint if colour and sys.stderr.isatty() else None
        shared = one_device()
        lines = shared and display.writes_text
        self._progress = progress_for(display, source, colour=colour, lines=lines)
        write_out = self._progress.write_out if shared else None
        self._plain = not (colour and sys.stdout.isatty())
        """Whether the records on stdout have no colours."""
        self._sink = stdout_sink(display, write_out, None if self._plain else _paint)
        self.columns = _columns()
        """The columns of the terminal that stderr is; None if it is not one."""
        self._heading = [HEADING] if lines and not display.quiet else []
        self._workers = WorkerLines()
        self._ended = threading.Event()
        self._ticker: threading.Thread | None = None

    def started(self, request: Request, worker: int) -> None:
        """Show that a worker begins an attempt (only with --verbose, or in a log of level debug)."""
        if self._log is not None:
            self._log.started(request, worker)
        if self._verbose:
            with self._lock:
                self._workers.started(request, worker)
                self._show_soon()

    def retried(self, event: RetryEvent) -> None:
        """Show why an attempt is followed by another one (only with --verbose, or in a log)."""
        if self._log is not None:
            self._log.retried(event)
        if self._verbose:
            with self._lock:
                self._workers.retried(event)
                self._show_soon()

    def _show_soon(self) -> None:
        if self._ticker is None:
            self._ticker = threading.Thread(target=self._tick, name="fetchq-screen", daemon=True)
            self._ticker.start()

    def write(self, results: Sequence[Result]) -> None:
        """Show these Results, or write their records to stdout. Raises OSError if stdout cannot be written."""
        with self._lock:
            if self._log is not None:
                self._log.done(results)
            self._show_heading()
            if self._verbose:
                for result in results:
                    self._progress.write(self._workers.before(result))
                    self._write([result])
            else:
                self._write(results)

    def flush(self) -> None:
        """Do nothing: `write` flushes."""

    def preparation(self) -> Preparation | None:
        """What other processes can do of what `write` does with Results; None where it needs the Results."""
        display = self._display
        if self._sink is None:
            return Preparation()
        chosen = display.only not in (None, "all") or not _HEADS.issuperset(display.include)
        if chosen or self._log is not None or self._verbose:
            return None
        if display.records == "text":
            return Preparation("text") if self._plain else None
        if display.records != "jsonl":
            return None
        return Preparation("jsonl", tuple(display.include), tuple(display.passed), tuple(display.fields))

    def advance(self, results: Sequence[Result]) -> None:
        """Show the progress after these Results are done and the summary has counted them."""
        with self._lock:
            self._progress.advance(results, self._summary)

    def _show_heading(self) -> None:
        if self._heading:
            self._progress.write(self._heading)
            self._heading = []

    def _write(self, results: Sequence[Result]) -> None:
        if self._sink is not None:
            self._sink.write(results)
            self._sink.flush()

    def finish(self) -> None:
        """Show the lines that were kept back, and end the progress display."""
        self._ended.set()
        if self._ticker is not None:
            self._ticker.join()
        with self._lock:
            self._progress.write(self._workers.due(float("inf")))
            self._progress.close()

    def say(self, text: str) -> None:
        """Write a line for the user to stderr."""
        with self._lock:
            self._progress.write([text])

    def say_at_once(self, text: str) -> None:
        """Write a line to stderr, even while a write to stdout, which holds the lock, is blocked."""
        if self._log is not None:
            self._log.warn(text)
        if not self._lock.acquire(timeout=_BLOCKED_AFTER):
            say(text)
            return
        try:
            self._progress.write([text])
        finally:
            self._lock.release()

    def _tick(self) -> None:
        while not self._ended.wait(START_DELAY):
            with self._lock:
                if lines := self._workers.due(perf_counter()):
                    self._show_heading()
                    self._progress.write(lines)


def _columns() -> int | None:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or None
    except (OSError, ValueError):
        return None


def _paint(text: str, colour: str) -> str:
    return click.style(text, fg=colour)

"""Shows a run on the terminal: records on stdout; progress, log and summary on stderr."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from fetchq.cli import say
from fetchq.cli.progress import progress_for
from fetchq.reports.text import HEADING, result_line, start_line
from fetchq.store.sinks import sink_for

if TYPE_CHECKING:
    from fetchq.cli.display import Display
    from fetchq.core.model import Request, Result
    from fetchq.inputs.source import Source
    from fetchq.reports.summary import Summary
    from fetchq.reports.text import Paint
    from fetchq.store.sinks.base import Sink

__all__ = ["Screen"]

_START_DELAY = 0.02
"""Seconds for which the line of a start is delayed, since the Result of the worker's last request may still follow."""
_RESULT_TIMEOUT = 0.25
"""Seconds after which a start is shown even if no Result of the worker's last request came, as before a retry."""
_MOST_HELD = 1_000_000
"""Bytes of lines that are written at a time to a stdout that is also stderr."""
_BLOCKED_AFTER = 0.5
"""Seconds after which a write to stdout counts as blocked, because nobody reads stdout."""


class Screen:
    """Shows a run on the terminal, and is its Sink. Any thread may call its methods."""

    def __init__(
        self,
        display: Display,
        *,
        source: Source,
        summary: Summary,
        records: bool = True,
    ) -> None:
        self._summary = summary
        self._display = display
        self._lock = threading.RLock()
        colour = not display.no_color and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        self.paint: Paint | None = _paint if colour and sys.stderr.isatty() else None
        chosen = display.records
        shared = _one_device()
        lines = not records or (chosen == "text" and shared)
        self._progress = progress_for(display, source, colour=colour, lines=lines)
        stdout: Any = _SharedStdout(self._progress.write_out) if shared else sys.stdout.buffer
        if not records:
            self._sink: Sink | None = None
        elif chosen == "text":
            self._sink = _TextSink(stdout, _paint if colour and sys.stdout.isatty() else None)
        else:
            self._sink = sink_for(chosen, stdout, display.include, display.passed)
        self.columns = _columns()
        """The columns of the terminal that stderr is; None if it is not one."""
        self._heading = [HEADING] if lines and not display.quiet else []
        self._starts = _PendingStarts()
        self._ended = threading.Event()
        self._ticker: threading.Thread | None = None

    def started(self, request: Request, worker: int) -> None:
        """Show that a worker begins an attempt (only with --verbose)."""
        with self._lock:
            self._starts.add(request, worker)
            if self._ticker is None:
                self._ticker = threading.Thread(target=self._tick, name="fetchq-screen", daemon=True)
                self._ticker.start()

    def write(self, results: Sequence[Result]) -> None:
        """Show these Results, or write their records to stdout. Raises OSError if stdout cannot be written."""
        with self._lock:
            self._show_heading()
            if self._display.verbose:
                for result in results:
                    self._progress.write(self._starts.before(result))
                    self._write([result])
            else:
                self._write(results)

    def flush(self) -> None:
        """Do nothing: `write` flushes."""

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
        elif not self._display.quiet:
            self._progress.write([result_line(result, self.paint) for result in results])

    def finish(self) -> None:
        """Show the starts that were kept back, and end the progress display."""
        self._ended.set()
        if self._ticker is not None:
            self._ticker.join()
        with self._lock:
            self._progress.write(self._starts.due(float("inf")))
            self._progress.close()

    def say(self, text: str) -> None:
        """Write a line for the user to stderr."""
        with self._lock:
            self._progress.write([text])

    def say_at_once(self, text: str) -> None:
        """Write a line to stderr, even while a write to stdout, which holds the lock, is blocked."""
        if not self._lock.acquire(timeout=_BLOCKED_AFTER):
            say(text)
            return
        try:
            self._progress.write([text])
        finally:
            self._lock.release()

    def _tick(self) -> None:
        while not self._ended.wait(_START_DELAY):
            with self._lock:
                if starts := self._starts.due(perf_counter()):
                    self._show_heading()
                    self._progress.write(starts)


class _PendingStarts:
    """Starts of attempts that are not shown yet, so that the lines of a worker come in the order of what it did."""

    def __init__(self) -> None:
        self._waiting: list[tuple[float, Request, int]] = []
        self._busy: set[int] = set()
        """Workers for which a start was shown, but no Result since."""

    def add(self, request: Request, worker: int) -> None:
        self._waiting.append((perf_counter(), request, worker))

    def before(self, result: Result) -> list[str]:
        """The lines of a worker's starts up to that of this Result, which is shown next."""
        worker = result.worker
        self._busy.discard(worker or 0)
        mine = [start for start in self._waiting if start[2] == worker]
        last = max((at for at, start in enumerate(mine) if start[1].index == result.index), default=-1)
        shown = mine[: last + 1]
        self._waiting = [start for start in self._waiting if start not in shown]
        return [start_line(request, number) for _, request, number in shown]

    def due(self, now: float) -> list[str]:
        """The lines of the starts that were kept back for long enough."""
        lines, waiting = [], []
        for start in self._waiting:
            since, request, worker = start
            if now - since >= (_RESULT_TIMEOUT if worker in self._busy else _START_DELAY):
                lines.append(start_line(request, worker))
                self._busy.add(worker)
            else:
                waiting.append(start)
        self._waiting = waiting
        return lines


class _TextSink:
    """Writes a line of text for each Result."""

    def __init__(self, stream: BinaryIO, paint: Paint | None) -> None:
        self._stream = stream
        self._paint = paint

    def write(self, results: Sequence[Result]) -> None:
        lines = [result_line(result, self._paint) for result in results]
        self._stream.write("".join([f"{line}\n" for line in lines]).encode(errors="backslashreplace"))

    def flush(self) -> None:
        self._stream.flush()


class _SharedStdout:
    """Stands for stdout if it is the same terminal or file as stderr. The progress display writes its lines."""

    def __init__(self, write_out: Callable[[bytes], None]) -> None:
        self._write_out = write_out
        self._held = bytearray()

    def write(self, text: bytes) -> None:
        self._held += text
        if len(self._held) >= _MOST_HELD:
            self.flush()

    def flush(self) -> None:
        held, self._held = self._held, bytearray()
        if held:
            self._write_out(bytes(held))


def _one_device() -> bool:
    """Whether stdout and stderr are the same terminal or file."""
    try:
        out, err = os.fstat(sys.stdout.fileno()), os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):  # one of them has no file descriptor
        return False
    return (out.st_dev, out.st_ino) == (err.st_dev, err.st_ino)


def _columns() -> int | None:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or None
    except (OSError, ValueError):
        return None


def _paint(text: str, colour: str) -> str:
    return click.style(text, fg=colour)

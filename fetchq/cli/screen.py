"""What a person sees: records on stdout; progress, log and summary on stderr."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

import click

from fetchq.sinks import sink_for
from fetchq.views.text import rate_text, result_line, start_line

if TYPE_CHECKING:
    from fetchq.model import Request, Result
    from fetchq.settings import Display
    from fetchq.sinks.base import Sink
    from fetchq.sources import Source
    from fetchq.summary import Summary

__all__ = ["Screen"]

LONG_RUN = 10.0
"""Seconds after which a run that is watched by nobody begins to show dots."""
_TOGETHER = 0.02
"""Seconds in which lines of a worker's end and its next start are put in order."""


class Progress(Protocol):
    """Shows how far a run is."""

    def advance(self, summary: Summary) -> None: ...
    def write(self, lines: Sequence[str]) -> None:
        """Write lines beside the progress, whole."""

    def close(self) -> None: ...


class Screen:
    """The sink of the command line, and everything it shows. Its methods may be called from any thread."""

    def __init__(
        self,
        display: Display,
        *,
        source: Source,
        summary: Summary,
        on_commit: Callable[[Sequence[Result]], None] | None = None,
        records: bool = True,
    ) -> None:
        self._summary = summary
        self._on_commit = on_commit
        self._display = display
        self._lock = threading.RLock()
        self._stdout: BinaryIO = sys.stdout.buffer
        colour = not display.no_color and not os.environ.get("NO_COLOR")
        self._paint_out = _paint if colour and sys.stdout.isatty() else _leave
        self.paint = _paint if colour and sys.stderr.isatty() else _leave
        self._sink = self._make_sink() if records else None
        self._progress = _progress(display, source, colour=colour)
        self._starts: list[tuple[float, Request, int]] = []
        self._ticking = threading.Event()
        self._ticker: threading.Thread | None = None

    def _make_sink(self) -> Sink:
        chosen = "jsonl" if self._display.json else self._display.format
        return _LinesSink(self) if chosen == "text" else sink_for(chosen, self._stdout, self._display.include)

    # --- the run ---

    def started(self, request: Request, worker: int) -> None:
        """A worker begins an attempt (shown with --verbose)."""
        with self._lock:
            self._starts.append((perf_counter(), request, worker))
            if self._ticker is None:
                self._ticker = threading.Thread(target=self._tick, name="fetchq-screen", daemon=True)
                self._ticker.start()

    def commit(self, results: Sequence[Result]) -> None:
        """Write these results; then they count as done. Raises OSError when stdout cannot be written."""
        with self._lock:
            if self._starts:
                self._show_starts_of(results)
            if self._sink is not None:
                self._sink.write(results)
                self._sink.flush()
            elif not self._display.quiet:
                self._progress.write([result_line(result, self.paint) for result in results])
            for result in results:
                self._summary.add(result)
            if self._on_commit is not None:
                self._on_commit(results)
            self._progress.advance(self._summary)

    def finish(self) -> None:
        """The run is over: no more progress."""
        self._ticking.set()
        if self._ticker is not None:
            self._ticker.join()
        self._show_starts(perf_counter())
        self._progress.close()

    def say(self, text: str) -> None:
        """A line for the person, on stderr."""
        with self._lock:
            self._progress.write([text])

    # --- lines ---

    def write_lines(self, results: Sequence[Result]) -> None:
        lines = [result_line(result, self._paint_out) for result in results]
        if self._shares_terminal:
            self._progress.write(lines)
            return
        self._stdout.write("".join(f"{line}\n" for line in lines).encode(errors="backslashreplace"))

    def flush_lines(self) -> None:
        self._stdout.flush()

    @property
    def _shares_terminal(self) -> bool:
        """One device shows both streams: the bar must know of every line."""
        return isinstance(self._progress, _Bar) and sys.stdout.isatty()

    def _show_starts_of(self, results: Sequence[Result]) -> None:
        """The starts that came before these ends."""
        done = {(result.index, result.worker) for result in results}
        workers = {result.worker for result in results}
        seen: set[int] = set()
        waiting = []
        for start in self._starts:
            _, request, worker = start
            if worker in workers and worker not in seen:
                self._progress.write([start_line(request, worker)])
                if (request.index, worker) in done:
                    seen.add(worker)
            else:
                waiting.append(start)
        self._starts = waiting

    def _show_starts(self, before: float) -> None:
        with self._lock:
            for _, request, worker in [start for start in self._starts if start[0] <= before]:
                self._progress.write([start_line(request, worker)])
            self._starts = [start for start in self._starts if start[0] > before]

    def _tick(self) -> None:
        while not self._ticking.wait(_TOGETHER):
            self._show_starts(perf_counter() - _TOGETHER)


class _LinesSink:
    def __init__(self, screen: Screen) -> None:
        self.write = screen.write_lines
        self.flush = screen.flush_lines


class _Nothing:
    def advance(self, summary: Summary) -> None:
        pass

    def write(self, lines: Sequence[str]) -> None:
        click.echo("".join(f"{line}\n" for line in lines), err=True, nl=False)

    def close(self) -> None:
        pass


class _Dots(_Nothing):
    """A dot for a number of URLs, x where one of them failed; the more there are, the more a dot stands for."""

    ACROSS = 50
    LINES = 10

    def __init__(self, *, after: float) -> None:
        self._from = perf_counter() + after
        self._each = 1
        self._column = 0
        self._lines = 0
        self._shown = 0
        self._failed = 0

    def advance(self, summary: Summary) -> None:
        if perf_counter() < self._from:
            self._shown, self._failed = summary.total, summary.failed
            return
        while summary.total - self._shown >= self._each:
            self._shown += self._each
            click.echo("." if summary.failed == self._failed else "x", err=True, nl=False)
            self._failed = summary.failed
            self._column += 1
            if self._column == self.ACROSS:
                self._end_line(summary)

    def _end_line(self, summary: Summary) -> None:
        click.echo(f"  {self._shown} done, {summary.failed} failed", err=True)
        self._column = 0
        self._lines += 1
        if self._lines % self.LINES == 0:
            self._each *= 10

    def write(self, lines: Sequence[str]) -> None:
        self.close()
        super().write(lines)

    def close(self) -> None:
        if self._column:
            click.echo(err=True)
            self._column = 0


class _Bar:
    """rich's bar: done of total, once that is known, rate, failures, time left."""

    def __init__(self, source: Source, *, colour: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self._console = Console(stderr=True, no_color=not colour, highlight=False)
        self._rich = RichProgress(
            BarColumn(),
            TextColumn("{task.fields[done]}"),
            TextColumn("{task.fields[rate]} URL/s"),
            TextColumn("{task.fields[failed]} failed"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._task = self._rich.add_task("", total=source.total, done="0 done", rate="-", failed=0)
        self._since = perf_counter()
        self._total = source.total
        self._rich.start()
        if source.total is None and source.finite:
            threading.Thread(target=self._count, args=(source,), name="fetchq-count", daemon=True).start()

    def _count(self, source: Source) -> None:
        self._total = source.count()
        self._rich.update(self._task, total=self._total)

    def advance(self, summary: Summary) -> None:
        rate = rate_text(summary.total / max(1e-3, perf_counter() - self._since))
        done = f"{summary.total} done" if self._total is None else f"{summary.total}/{self._total}"
        self._rich.update(self._task, completed=summary.total, done=done, failed=summary.failed, rate=rate)

    def write(self, lines: Sequence[str]) -> None:
        # All at once, and without having rich look at them: it takes half a millisecond to print a line.
        self._console.print(_Raw("".join(f"{line}\n" for line in lines)), end="")

    def close(self) -> None:
        self._rich.stop()


class _Raw:
    """Text that rich writes as it is."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __rich_console__(self, console: Any, options: Any) -> Iterator[Any]:
        from rich.segment import Segment

        yield Segment(self._text)


def _progress(display: Display, source: Source, *, colour: bool) -> Progress:
    if display.progress == "none" or (display.quiet and display.progress == "auto"):
        return _Nothing()
    if display.progress == "dots":
        return _Dots(after=0.0)
    # A log file never gets a bar, also when it is asked for.
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        return _Bar(source, colour=colour)
    return _Dots(after=0.0 if display.progress == "bar" else LONG_RUN)


def _paint(text: str, colour: str) -> str:
    return click.style(text, fg=colour)


def _leave(text: str, colour: str) -> str:
    return text

"""Shows the progress of a run as a bar, as dots or not at all, and prints lines without disturbing it."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from time import perf_counter
from typing import TYPE_CHECKING, Protocol

import click

from fetchq.core.cause import Cause
from fetchq.core.prepared_results import PreparedResults

if TYPE_CHECKING:
    from fetchq.cli.display import Display
    from fetchq.core.model import Result
    from fetchq.inputs.source import Source
    from fetchq.reports.summary import Summary

__all__ = ["Progress", "progress_for"]

LONG_RUN = 10.0
"""Seconds after which a run whose stderr is not a terminal begins to show dots."""


class Progress(Protocol):
    """Shows the progress of a run on stderr."""

    def advance(self, results: Sequence[Result], summary: Summary) -> None:
        """Show that these Results are done; `summary` includes them already."""

    def write(self, lines: Sequence[str]) -> None:
        """Write complete lines to stderr, without disturbing the progress."""

    def write_out(self, text: bytes) -> None:
        """Write lines to stdout, if that is the same terminal or file as stderr. Raises OSError."""

    def close(self) -> None: ...


class _NoProgress:
    """Shows no progress, and writes lines."""

    def advance(self, results: Sequence[Result], summary: Summary) -> None:
        pass

    def write(self, lines: Sequence[str]) -> None:
        self._echo("".join(f"{line}\n" for line in lines))

    def write_out(self, text: bytes) -> None:
        sys.stdout.buffer.write(text)
        sys.stdout.buffer.flush()

    def close(self) -> None:
        pass

    def _echo(self, text: str) -> None:
        with suppress(OSError):  # an error of writing to stderr is ignored
            click.echo(text, err=True, nl=False)


class _Dots(_NoProgress):
    """Shows a dot for a number of URLs, or an x if one of them failed. The number grows tenfold every 10 lines."""

    COLUMNS = 50
    LINES = 10

    def __init__(self, *, after: float) -> None:
        self._starts_at = perf_counter() + after
        self._per_dot = 1
        self._column = 0
        self._lines = 0
        self._pending = 0
        self._any_failed = False

    def advance(self, results: Sequence[Result], summary: Summary) -> None:
        if perf_counter() < self._starts_at:
            return
        failures = _failures(results)
        done = summary.done - len(failures)
        failed = summary.failed - sum(failures)
        for has_failed in failures:
            done += 1
            failed += has_failed
            self._pending += 1
            self._any_failed = self._any_failed or bool(has_failed)
            if self._pending >= self._per_dot:
                self._show_dot(done, failed)

    def _show_dot(self, done: int, failed: int) -> None:
        self._echo("x" if self._any_failed else ".")
        self._pending, self._any_failed = 0, False
        self._column += 1
        if self._column == self.COLUMNS:
            self._echo(f"  {done} done, {failed} failed\n")
            self._column = 0
            self._lines += 1
            if self._lines % self.LINES == 0:
                self._per_dot *= 10

    def write(self, lines: Sequence[str]) -> None:
        self.close()
        super().write(lines)

    def write_out(self, text: bytes) -> None:
        self.close()
        super().write_out(text)

    def close(self) -> None:
        if self._column:
            self._echo("\n")
            self._column = 0


def _failures(results: Sequence[Result]) -> Sequence[int]:
    """A number for each row that is done, 1 if it has failed, else 0."""
    if isinstance(results, PreparedResults):
        return results.failed
    return [not result.ok for result in results if result.cause is not Cause.CANCELLED]


class _Bar:
    """Shows a bar, which disappears at the end."""

    def __init__(self, source: Source, *, colour: bool) -> None:
        from fetchq.reports.progress_bar import ProgressBar

        self._bar = ProgressBar(source.total, colour=colour, transient=True)
        self._bar.start()
        if source.total is None and source.rereadable:
            threading.Thread(target=self._count, args=(source,), name="fetchq-count", daemon=True).start()

    def _count(self, source: Source) -> None:
        self._bar.set_total(source.count())

    def advance(self, results: Sequence[Result], summary: Summary) -> None:
        self._bar.advance(summary)

    def write(self, lines: Sequence[str]) -> None:
        self._bar.write("".join(f"{line}\n" for line in lines))

    def write_out(self, text: bytes) -> None:
        self._bar.write(text.decode(errors="replace"))

    def close(self) -> None:
        self._bar.close()


def progress_for(display: Display, source: Source, *, colour: bool, lines: bool) -> Progress:
    """The progress display for these settings. `lines`: whether stderr gets a line for each Result anyway."""
    if display.progress == "none" or (display.quiet and display.progress == "auto"):
        return _NoProgress()
    if display.progress == "dots":
        return _Dots(after=0.0)
    # A file never gets a bar, even with --progress bar.
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        return _Bar(source, colour=colour)
    if display.progress == "bar":
        return _Dots(after=0.0)
    return _NoProgress() if lines else _Dots(after=LONG_RUN)

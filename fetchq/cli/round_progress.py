"""Shows on stderr how far a comparison is: a line for each round, which grows with each run."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import click

from fetchq.core.text import printable
from fetchq.reports.text import seconds_text

if TYPE_CHECKING:
    from fetchq.reports.measurements import MeasuredRun

__all__ = ["RoundProgress"]


class RoundProgress:
    """Shows the progress of a comparison. It says nothing if `quiet`."""

    def __init__(self, rounds: int, *, variants: int, quiet: bool) -> None:
        self._rounds = rounds
        self._variants = variants
        self._quiet = quiet
        self._in_line = 0
        """How many runs the current line has."""

    def show(self, round: int, name: str, run: MeasuredRun) -> None:
        """Show that a run is done; the round 0 is the one that does not count."""
        if not self._in_line:
            self._echo(f"round {round} of {self._rounds}: " if round else "warm-up: ")
        self._echo(f"{', ' if self._in_line else ''}{printable(name)} {seconds_text(run.duration)}")
        self._in_line += 1
        if self._in_line == self._variants:
            self.close()

    def close(self) -> None:
        """End the line."""
        if self._in_line:
            self._echo("\n")
            self._in_line = 0

    def _echo(self, text: str) -> None:
        if not self._quiet:
            with suppress(OSError):  # an error of writing to stderr is ignored
                click.echo(text, err=True, nl=False)

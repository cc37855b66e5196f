"""Draws the progress of a run as a bar with rich: on stderr, or in a notebook."""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from fetchq.reports.text import rate_text

if TYPE_CHECKING:
    from fetchq.reports.summary import Summary

__all__ = ["ProgressBar"]

_REDRAW_AFTER = 0.1
"""Seconds between two drawings in a notebook."""


class ProgressBar:
    """Shows URLs done, their total once it is known, rate, failures and remaining time. Any thread may call it.

    A stderr that is no terminal gets the last state alone.
    """

    def __init__(self, total: int | None, *, colour: bool = True, transient: bool = False) -> None:
        """`transient`: whether the bar disappears when it is closed."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, Task, TextColumn, TimeRemainingColumn
        from rich.text import Text

        class Left(TimeRemainingColumn):
            def render(self, task: Task) -> Text:
                text = super().render(task)
                return text.append(" left") if text.plain.strip() else text

        self._console = Console(stderr=True, no_color=not colour, highlight=False)
        self._rich = Progress(
            BarColumn(),
            TextColumn("{task.fields[done]}"),
            TextColumn("{task.fields[rate]} URL/s"),
            TextColumn("{task.fields[failed]} failed"),
            Left(),
            console=self._console,
            transient=transient,
        )
        self._total = total
        self._completed = 0
        self._task = self._rich.add_task("", total=total, done=self._done, rate="-", failed=0)
        self._since = perf_counter()
        self._drawn_at = 0.0
        self._notebook: Any = None

    @property
    def _done(self) -> str:
        return f"{self._completed} done" if self._total is None else f"{self._completed}/{self._total}"

    def start(self) -> None:
        """Begin to show the bar, and to count the time."""
        self._since = perf_counter()
        if not self._console.is_jupyter:
            self._rich.start()
            return
        from IPython.display import display  # rich itself needs ipywidgets to change what a notebook shows

        self._notebook = display(self._rich, display_id=True)  # type: ignore[no-untyped-call]  # of IPython

    def set_total(self, total: int | None) -> None:
        """Show out of how many."""
        self._total = total
        self._rich.update(self._task, total=total, done=self._done)

    def advance(self, summary: Summary) -> None:
        """Show the numbers of the run so far."""
        now = perf_counter()
        self._completed = summary.done
        rate = rate_text(summary.done / max(1e-3, now - self._since))
        self._rich.update(self._task, completed=summary.done, done=self._done, failed=summary.failed, rate=rate)
        if self._notebook is not None and now - self._drawn_at >= _REDRAW_AFTER:
            self._drawn_at = now
            self._notebook.update(self._rich)

    def write(self, text: str) -> None:
        """Write lines without disturbing the bar."""
        # As a raw text, since rich takes half a millisecond for a line that it parses.
        self._console.print(_RawText(text), end="", soft_wrap=True)

    def close(self) -> None:
        """Show the last state, and stop."""
        if self._notebook is None:
            self._rich.stop()
        else:
            self._notebook.update(self._rich)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()


class _RawText:
    """A text that rich writes unchanged."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __rich_console__(self, console: Any, options: Any) -> Iterator[Any]:
        from rich.segment import Segment

        yield Segment(self._text)

"""Defines `Results`: the list of the Results of a run, with its Summary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fetchq.core.html_table import html_table
from fetchq.core.model import Cause, Result
from fetchq.reports.data_frames import DataFrames
from fetchq.reports.summary import Summary
from fetchq.reports.text import bytes_text, count_text, seconds_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["Results"]

_MOST_SHOWN = 6
"""How many Results the repr shows."""
_MOST_ROWS = 20
"""How many Results a notebook shows."""


class Results(list[Result], DataFrames):
    """The Results of a run, in the order of the input: a list with the run's `summary`."""

    __slots__ = ("_summary",)

    def __init__(self, results: Iterable[Result] = (), summary: Summary | Callable[[], Summary] | None = None) -> None:
        """`summary`: may be a function that makes it when it is first read; it must be one that can be pickled."""
        super().__init__(results)
        self._summary = summary

    @property
    def summary(self) -> Summary:
        """The numbers of the run."""
        if not isinstance(self._summary, Summary):
            self._summary = Summary() if self._summary is None else self._summary()
        return self._summary

    def __repr__(self) -> str:
        """The repr of a list, with "..." after the first few Results.

        `asyncio.run` in Python 3.11 computes the repr of what it returns, and discards it.
        """
        more = ", ..." if len(self) > _MOST_SHOWN else ""
        return f"[{', '.join(map(repr, self[:_MOST_SHOWN]))}{more}]"

    @classmethod
    def __get_pydantic_core_schema__(cls, *_: object) -> Any:
        from fetchq.core.pydantic_schema import schema_of

        return schema_of(cls, lambda results: [one.to_record() for one in results], is_list=True)

    def _repr_html_(self) -> str:
        """A table of the first Results under a line about all of them, for notebooks."""
        rows = [
            (one.index, one.status, seconds_text(one.elapsed), bytes_text(one.size), one.url, one.cause and one.error)
            for one in self[:_MOST_ROWS]
        ]
        first = f", the first {len(rows)} of them here" if len(rows) < len(self) else ""
        unfinished = sum(one.cause is Cause.CANCELLED for one in self)
        failed = sum(not one.ok for one in self) - unfinished
        outcome = f"{failed} failed" + (f", {unfinished} unfinished" if unfinished else "")
        caption = f"{count_text(len(self), 'Result')}{first}: {outcome}, in {seconds_text(self.summary.duration)}"
        if self.summary.verdict is not None:
            caption += f"\n{self.summary.verdict.text}"
        return html_table(rows, heading=("", "status", "time", "size", "URL", "error"), caption=caption)

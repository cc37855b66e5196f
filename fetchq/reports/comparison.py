"""Defines the result of a comparison, which shows itself as text, as HTML in a notebook, and as JSON."""

from __future__ import annotations

from typing import Any

from fetchq._version import __version__
from fetchq.reports.compare_json import to_json
from fetchq.reports.compare_markup import html_of
from fetchq.reports.compare_text import comparison_lines
from fetchq.reports.measurements import Measurements

__all__ = ["Comparison"]


class Comparison(Measurements):
    """What a comparison has found. `str()` and notebooks show it as a table with a conclusion."""

    __slots__ = ()

    def to_json(self) -> dict[str, Any]:
        """The object that `fetchq compare --json` prints; the README describes it."""
        return {"fetchq": __version__, **to_json(self)}

    def __str__(self) -> str:
        return "\n".join(comparison_lines(self))

    def _repr_html_(self) -> str:
        return html_of(self)

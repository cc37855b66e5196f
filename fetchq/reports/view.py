"""Defines what shows a run in a file: a view, which sees each Result, and at the end the Summary."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from fetchq.core.model import Result
    from fetchq.core.settings import Settings
    from fetchq.reports.summary import Summary

__all__ = ["VIEWS", "View", "views_for"]


class View(Protocol):
    """Shows a run. Its methods block, so in an event loop they are called in a thread."""

    def add(self, results: Sequence[Result]) -> None:
        """Show these Results, which are done. Raises OSError."""

    def close(self, summary: Summary) -> None:
        """Show the end of the run, and complete the file. Called once, however the run ended. Raises OSError."""


VIEWS: dict[str, Callable[[Settings], View]] = {}
"""The views by the name of the setting that asks for them, which is the path of the file.

Each raises `SettingsError` if that cannot be written.
"""


def views_for(settings: Settings) -> list[View]:
    """The views that the settings ask for. Raises `SettingsError` if a file cannot be written."""
    return [make(settings) for name, make in VIEWS.items() if getattr(settings, name) is not None]

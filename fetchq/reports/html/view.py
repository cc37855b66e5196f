"""The report as a view of a run (`--report FILE.html`)."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from fetchq.core.atomic_file import atomic_write
from fetchq.reports.html.run_report import RunReport
from fetchq.reports.text import count_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fetchq.core.model import Result
    from fetchq.core.settings import Settings
    from fetchq.reports.summary import Summary

__all__ = ["ReportView"]


class ReportView:
    """Writes the report of a run to the file that `Settings.report` names, when the run has ended."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._report = RunReport()
        self._origin: datetime | None = None
        """When the first row began that was done."""

    def add(self, results: Sequence[Result]) -> None:
        """Add these Results to the report."""
        add = self._report.add
        for result in results:
            started = result.started
            if started is None:
                add(result, None)
                continue
            if self._origin is None:
                self._origin = started
            add(result, (started - self._origin).total_seconds())

    def close(self, summary: Summary) -> None:
        """Write the file. Raises OSError."""
        assert self._settings.report is not None
        page = self._report.page(
            summary,
            subtitle=self._subtitle(),
            workers=self._settings.workers,
            unknown="the time of its workers was not measured.",
        )
        with atomic_write(self._settings.report) as stream:
            stream.write(page)

    def _subtitle(self) -> str:
        settings = self._settings
        parts = [f"mode {settings.mode}", count_text(settings.workers, "worker")]
        if self._origin is not None:
            parts.append(f"begun {self._origin:%Y-%m-%d %H:%M:%S} UTC")
        if settings.output is not None:
            parts.append(f"this session of the run in {settings.output}")
        return ", ".join(parts)

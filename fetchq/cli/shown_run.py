"""Fetches a list and shows all of it: the records, and then the summary on stderr and in the log."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, takewhile
from typing import TYPE_CHECKING

from fetchq.cli.config_file import config_line
from fetchq.cli.drive import drive
from fetchq.cli.screen import Screen
from fetchq.cli.source_notes import source_notes
from fetchq.cli.status import EXIT_FATAL, EXIT_USAGE
from fetchq.core.text import printable
from fetchq.inputs.lines import SourceError
from fetchq.inputs.sampling import ListTooLongError
from fetchq.reports.summary import Summary
from fetchq.reports.summary_text import given_up_text, summary_lines, wrapped
from fetchq.reports.text import no_urls_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fetchq.cli.display import Display
    from fetchq.cli.log_file import LogFile
    from fetchq.core.settings import Settings
    from fetchq.inputs.source import Source
    from fetchq.store.session import Session

__all__ = ["fetch_shown"]


def fetch_shown(
    settings: Settings,
    display: Display,
    source: Source,
    sources: Sequence[str],
    session: Session | None,
    log: LogFile | None,
) -> int:
    """Fetch all of the source and show the Results; `session`: that of a durable run. Returns the exit status."""
    summary = Summary()
    screen = Screen(display, source=source, summary=summary, log=log)
    told = _tell(screen, source.remarks)
    logged = display.verbose or log is not None
    watched = display.verbose or (log is not None and log.starts)
    try:
        status = drive(
            settings, source, screen, summary, session=session, on_done=screen.advance, watched=watched, logged=logged
        )
    except SourceError as problem:
        screen.say(f"fetchq: {problem}")
        status = EXIT_USAGE if isinstance(problem, ListTooLongError) else EXIT_FATAL
    _tell(screen, [remark for remark in source.remarks if remark not in told])  # of a pipe
    if not display.quiet:
        notes = wrapped(source_notes(source, sources, failed=status == 1), screen.columns)
        for line in chain(_summary(source, summary, screen, settings), notes):
            screen.say(line)
        if not summary.total and status == 0 and (session is None or not session.done):
            screen.say(no_urls_text(sources))
    given_up = given_up_text(summary)
    if session is not None:
        from fetchq.cli.durable import end_session

        status = end_session(session, status, screen.say, given_up, quiet=display.quiet)
    elif given_up is not None and not display.quiet:
        hint = f"{given_up}; with -o DIR, fetchq retry DIR could fetch what is missing later"
        for line in wrapped([hint], screen.columns):
            screen.say(line)
    if log is not None:
        _log_end(log, summary, settings, status)
    return status


def _tell(screen: Screen, remarks: Sequence[str]) -> Sequence[str]:
    """Show what the user should know of the lists. Returns it."""
    for remark in remarks:
        screen.say(f"fetchq: {printable(remark)}")
    return remarks


def _summary(source: Source, summary: Summary, screen: Screen, settings: Settings) -> Iterator[str]:
    """The lines of the summary, and what it does not know: where settings came from, and how the list was read."""
    if (line := config_line()) is not None:
        yield line
    if source.seed is not None:
        yield f"shuffled with --shuffle {source.seed}"
    yield from summary_lines(summary, paint=screen.paint, insecure=settings.insecure, columns=screen.columns)
    if summary.total and not source.ended:
        yield "the rest of the list was not read"


def _log_end(log: LogFile, summary: Summary, settings: Settings, status: int) -> None:
    """Log the sentences of the summary, and the exit status."""
    for line in takewhile(bool, summary_lines(summary, insecure=settings.insecure)):
        log.info(line)
    log.info(f"ends with exit status {status}")

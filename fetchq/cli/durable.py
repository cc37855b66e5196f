"""Opens and closes the session of a durable run, for the commands that fetch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from shlex import quote
from typing import TYPE_CHECKING

import click

from fetchq.cli.status import EXIT_FATAL, EXIT_UNFINISHED, FatalError
from fetchq.core.disk import StorageError
from fetchq.core.text import printable
from fetchq.inputs.lines import SourceError
from fetchq.reports.text import done_text
from fetchq.store.folder import FolderError

if TYPE_CHECKING:
    from fetchq.store.session import Session

__all__ = ["all_done_text", "end_session", "open_session"]


@contextmanager
def open_session(begin: Callable[[], Session]) -> Iterator[Session]:
    """Open the session with `begin`, and close it at the end. Errors become messages of one line for the user."""
    try:
        session = begin()
    except (FolderError, SourceError) as problem:
        raise click.UsageError(str(problem)) from None
    except OSError as problem:
        raise click.UsageError(f"{str(problem.filename)!r} cannot be used: {problem.strerror}") from None
    except StorageError as problem:
        raise FatalError(str(problem)) from None
    with session:
        if session.warning is not None:
            click.echo(f"fetchq: {printable(session.warning)}", err=True)
        try:
            yield session
        except StorageError as problem:  # an error of the ledger, before or after the fetching
            raise FatalError(str(problem)) from None


def end_session(
    session: Session, status: int, say: Callable[[str], None], given_up: str | None = None, *, quiet: bool = False
) -> int:
    """Record the end of the run in its ledger, and say how to go on if rows are left, or hosts were given up.

    `status`: the exit status of this session. `given_up`: how many hosts were given up, as a clause; None for none.
    `quiet`: whether to say nothing of a run that is done.
    Returns the exit status of the whole run, with all its sessions.
    """
    try:
        if status in (0, 1, EXIT_UNFINISHED):
            session.end()
        left, failed = session.left, session.failed
    except StorageError as problem:
        say(f"fetchq: {problem}")
        return EXIT_FATAL
    folder = str(session.folder)
    if left != 0 and session.ledger.in_place:
        done = done_text(session.ledger.count())
        say(printable(f"{folder}: {done}; go on with: fetchq resume {quote(folder)}"))
    elif left == 0 and session.done and not quiet:
        say(printable(f"{folder}: {all_done_text(session)}"))
    if given_up is not None and session.ledger.in_place:
        say(printable(f"{folder}: {given_up}; fetch what is missing with: fetchq retry {quote(folder)}"))
    return 1 if status == 0 and failed else status


def all_done_text(session: Session) -> str:
    """The line for a run that has no rows left to fetch."""
    rows, failed = session.ledger.count(), session.failed
    if rows == 1:
        return f"the only row is done, and {'failed' if failed else 'ok'}"
    return f"all {rows:,} rows are done, {failed:,} of them failed"

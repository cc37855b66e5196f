"""Runs `fetchq resume DIR`: continues a durable run."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import click

from fetchq.cli.completable import by_metavar
from fetchq.cli.fetch import check_views, fetch_and_show
from fetchq.cli.options import GroupedCommand, add_options, read_options
from fetchq.core.option import option_of
from fetchq.core.settings import DURABLE_GROUP, Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from fetchq.store.session import Session

__all__ = ["FIXED_OPTIONS", "command", "continue_run"]

FIXED_OPTIONS = (
    *(one.name for one in fields(Settings) if option_of(one).group == DURABLE_GROUP and one.name != "refresh"),
    "input_format",
    "url_column",
    "passed",
    "strict_columns",
    "base_url",
    "limit",
    "shuffle",
    "dry_run",
)
"""Options that cannot change after the first session of a run."""


@click.argument("folder", metavar="DIR", shell_complete=by_metavar)
def resume(folder: str, **given: Any) -> int:
    """Go on with the run in DIR, however it ended: what is done stays done.

    The run's own settings apply, and options given here replace them. Those that read or write a file, send a secret or
    change who is reached, such as --header, --proxy or --insecure, are never taken from a folder, nor are very high
    limits: give them again.
    """
    from fetchq.cli.durable import open_session
    from fetchq.cli.stored import refuse_job
    from fetchq.store.open_session import session_in_folder

    refuse_job(folder)
    with open_session(lambda: session_in_folder(folder, refresh=given["refresh"])) as session:
        return continue_run(session, given)


def continue_run(session: Session, given: dict[str, Any], retried: Callable[[Settings], str] | None = None) -> int:
    """Fetch the rows that are left, and those that meet the SQL condition that `retried` returns.

    Returns the exit status.
    """
    from fetchq.cli.durable import all_done_text
    from fetchq.core.text import printable
    from fetchq.store.ledger_connection import ConditionError
    from fetchq.store.manifest import stored_inputs, stored_reading

    if session.finished and retried is None:
        click.echo(f"fetchq: {all_done_text(session)}", err=True)
        return 1 if session.failed else 0
    folder = str(session.folder)
    settings, display = read_options(given, session.settings, output=folder)
    display = replace(display, passed=stored_reading(session.ledger).get("passed") or ())
    inputs = stored_inputs(session.ledger)
    check_views(settings, display, [one["path"] for one in inputs if one["kind"] == "file"])
    if retried is not None:
        before = session.warning
        try:
            session.retry(retried(settings))
        except ConditionError as problem:
            raise click.UsageError(str(problem)) from None
        if session.warning not in (None, before):
            click.echo(f"fetchq: {printable(session.warning)}", err=True)
    if session.finished:
        click.echo(f"fetchq: no row is to be fetched again: {all_done_text(session)}", err=True)
        return 1 if session.failed else 0
    return fetch_and_show(settings, display, session.source, [folder], session)


command = click.command(cls=GroupedCommand, context_settings={"max_content_width": 110})(
    add_options(resume, exclude=FIXED_OPTIONS, for_existing_run=True)
)

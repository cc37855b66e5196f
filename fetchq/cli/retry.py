"""Runs `fetchq retry DIR`: fetches the failed rows of a durable run again."""

from __future__ import annotations

from typing import Any

import click

from fetchq.cli.completable import by_metavar
from fetchq.cli.options import GroupedCommand, add_options
from fetchq.cli.resume import FIXED_OPTIONS, continue_run

__all__ = ["command"]


@click.argument("folder", metavar="DIR", shell_complete=by_metavar)
@click.option("--where", metavar="SQL", help="Which rows, instead: a condition over the columns of the record.")
def retry(folder: str, where: str | None, **given: Any) -> int:
    """Fetch again the rows of DIR that failed and may do better: those with a cause or a status that is retried.

    --where "cause = 'timeout'" chooses other ones; the columns are those of the record, timing as timing_wait and so
    on, and the column index needs quotes. What the rows were before is kept in the ledger's table history. Rows that
    the run has not come to yet are fetched, too. The run's own settings apply as for fetchq resume.
    """
    from fetchq.cli.durable import open_session
    from fetchq.cli.stored import refuse_job
    from fetchq.http.retry import retryable
    from fetchq.store.open_session import session_in_folder

    refuse_job(folder)
    with open_session(lambda: session_in_folder(folder, refresh=given["refresh"])) as session:
        return continue_run(session, given, lambda settings: retryable(settings.retry_on) if where is None else where)


command = click.command(cls=GroupedCommand, context_settings={"max_content_width": 110})(
    add_options(retry, exclude=FIXED_OPTIONS, for_existing_run=True)
)

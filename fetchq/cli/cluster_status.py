"""Runs `fetchq cluster status JOB/`: shows how far a job is."""

from __future__ import annotations

from shlex import quote

import click

from fetchq.cli.completable import by_metavar
from fetchq.cli.job_text import state_lines
from fetchq.cli.opened_job import job_errors, opened_job
from fetchq.core.text import printable

__all__ = ["command"]


@click.command("status", context_settings={"max_content_width": 110})
@click.argument("job", metavar="JOB", shell_complete=by_metavar)
def command(job: str) -> int:
    """Show which shards of JOB are done, which are being run, and which have failed and why."""
    storage, found = opened_job(job)
    from fetchq.cluster.state import job_state

    with job_errors():
        state = job_state(storage, found)
    for line in state_lines(state, found):
        click.echo(printable(line))
    if len(state.done) == len(found.shards):
        click.echo(printable(f"all is done; fetchq cluster finish {quote(job)} writes its manifest"))
    elif not state.held:
        click.echo(printable(f"go on with: fetchq cluster run {quote(job)} --on local:2"))
    if state.done:
        click.echo(printable(f"records of the shards that are done: {storage.shown}/records/*.parquet"))
    return 0

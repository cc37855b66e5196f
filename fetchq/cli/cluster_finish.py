"""Runs `fetchq cluster finish JOB/`: writes the manifest of a job that is done."""

from __future__ import annotations

import click

from fetchq.cli.completable import by_metavar
from fetchq.cli.opened_job import job_errors, opened_job
from fetchq.core.text import printable

__all__ = ["command"]


@click.command("finish", context_settings={"max_content_width": 110})
@click.argument("job", metavar="JOB", shell_complete=by_metavar)
def command(job: str) -> int:
    """Write JOB/manifest.json, which lists all data files with size and SHA-256, and delete what attempts have left.

    It needs all shards to be done; fetchq export reads a job before that, too.
    """
    storage, found = opened_job(job)
    from fetchq.cluster.state import MANIFEST, finish_job

    with job_errors():
        files = finish_job(storage, found)
    click.echo(
        printable(f"{storage.shown}/{MANIFEST} lists {files:,} files; records: {storage.shown}/records/*.parquet")
    )
    return 0

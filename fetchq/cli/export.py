"""Runs `fetchq export DIR`: writes the records of a durable run in another format."""

from __future__ import annotations

import sys

import click

from fetchq.cli.completable import by_metavar
from fetchq.store.sinks import RECORD_FORMATS

__all__ = ["command"]


@click.command("export", context_settings={"max_content_width": 110})
@click.argument("folder", metavar="DIR", shell_complete=by_metavar)
@click.option("--format", "form", type=click.Choice(RECORD_FORMATS), help="Else by the name of FILE, else jsonl.")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    shell_complete=by_metavar,
    help="Write FILE, which appears when it is whole; else stdout.",
)
@click.option("--where", metavar="SQL", default="1", help="Which rows: a condition over the columns of the record.")
@click.option(
    "--include",
    type=click.Choice(["headers", "hops"]),
    multiple=True,
    help="Put the redirects into the records, or the headers, of a run with --save-headers.",
)
def command(folder: str, form: str | None, output: str | None, where: str, include: tuple[str, ...]) -> int:
    """Write the records of the durable run in DIR, by index, as --json or --format csv would have.

    DIR may also be a job of fetchq cluster: the records of the shards that are done, by shard, and then by index.

    --where "cause = 'timeout'" chooses rows; the columns are those of the record, timing as timing_wait and so on, and
    the column index needs quotes. Parquet is for pandas, polars and DuckDB, since its columns have types; it needs
    pyarrow: pip install "fetchq[parquet]".
    """
    from fetchq.cli.opened_job import job_records
    from fetchq.cli.output_file import check_target, writing
    from fetchq.cli.stored import is_job, read_errors, stored_run
    from fetchq.core.atomic_file import atomic_write
    from fetchq.store.export import format_of_name, write_records

    include = tuple(dict.fromkeys(include))
    if output == "-":
        output = None
    form = form or format_of_name(output or "")
    if form == "parquet":
        _check_parquet(output)
    with job_records(folder) if is_job(folder) else stored_run(folder) as run:
        if "headers" in include and not run.keeps_headers:
            raise click.UsageError(
                f"--include headers: the run in {folder!r} kept none; --save-headers does, when it begins"
            )
        if output is None:
            with read_errors():
                write_records(run, form, sys.stdout.buffer, where, include)
            return 0
        check_target(output, folder)
        with writing(output), read_errors(), atomic_write(output) as stream:
            write_records(run, form, stream, where, include)
    return 0


def _check_parquet(output: str | None) -> None:
    try:
        import fetchq.store.sinks.records_parquet  # noqa: F401  # only to find out whether it can be imported
    except ImportError:
        raise click.UsageError('Parquet needs pyarrow: pip install "fetchq[parquet]"') from None
    if output is None and sys.stdout.isatty():
        raise click.UsageError("Parquet is not for a terminal: name a FILE (-o), or send stdout elsewhere")

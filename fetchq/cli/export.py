"""Runs `fetchq export DIR`: writes the records of a durable run in another format."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from fetchq.store.sinks import RECORD_FORMATS

__all__ = ["command"]


@click.command("export", context_settings={"max_content_width": 110})
@click.argument("folder", metavar="DIR")
@click.option("--format", "form", type=click.Choice(RECORD_FORMATS), help="Else by the name of FILE, else jsonl.")
@click.option("-o", "--output", metavar="FILE", help="Write FILE, which appears when it is whole; else stdout.")
@click.option("--where", metavar="SQL", default="1", help="Which rows: a condition over the columns of the record.")
@click.option("--include", type=click.Choice(["hops"]), multiple=True, help="Put the redirects into the records.")
def command(folder: str, form: str | None, output: str | None, where: str, include: tuple[str, ...]) -> int:
    """Write the records of the durable run in DIR, by index, as --json or --format csv would have.

    --where "cause = 'timeout'" chooses rows; the columns are those of the record, timing as timing_wait and so on, and
    the column index needs quotes. Parquet is for pandas, polars and DuckDB, since its columns have types; it needs
    pyarrow: pip install "fetchq[parquet]".
    """
    from fetchq.cli.stored import read_errors, stored_run
    from fetchq.core.atomic_file import atomic_write
    from fetchq.store.export import format_of_name, write_records

    if output == "-":
        output = None
    form = form or format_of_name(output or "")
    if form == "parquet":
        _check_parquet(output)
    with stored_run(folder) as run:
        if output is None:
            with read_errors():
                write_records(run, form, sys.stdout.buffer, where, include)
            return 0
        _check_target(output, folder)
        with _writing(output), read_errors(), atomic_write(output) as stream:
            write_records(run, form, stream, where, include)
    return 0


def _check_parquet(output: str | None) -> None:
    try:
        import fetchq.store.sinks.records_parquet  # noqa: F401  # only to find out whether it can be imported
    except ImportError:
        raise click.UsageError('Parquet needs pyarrow: pip install "fetchq[parquet]"') from None
    if output is None and sys.stdout.isatty():
        raise click.UsageError("Parquet is not for a terminal: name a FILE (-o), or send stdout elsewhere")


def _check_target(output: str, folder: str) -> None:
    from fetchq.store.folder import RESERVED_NAMES

    if not output or os.path.isdir(output):
        raise click.UsageError(f"{output!r} is {'a folder' if output else 'no name of a file'}")
    if not os.path.isdir(os.path.dirname(output) or "."):
        raise click.UsageError(f"there is no folder {os.path.dirname(output)!r}")
    place, name = os.path.split(os.path.realpath(output))
    if place == os.path.realpath(folder) and name in RESERVED_NAMES:
        raise click.UsageError(f"{output!r} is the run's own; name another FILE")


@contextmanager
def _writing(output: str) -> Iterator[None]:
    """Turn an error of writing FILE into exit status 3, with a message of one line."""
    from fetchq.cli.status import FatalError

    try:
        yield
    except BrokenPipeError:  # FILE is a pipe whose reader has exited
        raise
    except OSError as problem:
        raise FatalError(f"{output!r} cannot be written: {problem.strerror or problem}") from None

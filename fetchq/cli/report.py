"""Runs `fetchq report DIR`: shows a durable run as a page with charts."""

from __future__ import annotations

import os
import sys

import click

from fetchq.cli.completable import by_metavar

__all__ = ["command"]

_NAME = "report.html"


@click.command("report", context_settings={"max_content_width": 110})
@click.argument("folder", metavar="DIR", shell_complete=by_metavar)
@click.option(
    "-o", "--output", metavar="FILE.html", shell_complete=by_metavar, help="Else report.html in DIR; - is stdout."
)
def command(folder: str, output: str | None) -> int:
    """Write a page about the durable run in DIR: where its time went, what failed, which hosts and URLs were slow.

    The page is one file that needs no network. It covers all sessions of the run, which may still be going on. `fetchq
    SOURCE --report FILE.html` writes the same page about a run that need not be durable.
    """
    from fetchq.cli.output_file import check_target, writing
    from fetchq.cli.stored import read_errors, stored_run
    from fetchq.core.atomic_file import atomic_write
    from fetchq.core.text import printable
    from fetchq.reports.html.stored import stored_report

    if output is None:
        output = os.path.join(folder, _NAME)
    with stored_run(folder) as run, read_errors():
        if output != "-":
            check_target(output, folder)
        page = stored_report(run)
    if output == "-":
        sys.stdout.buffer.write(page)
        return 0
    with writing(output), atomic_write(output) as stream:
        stream.write(page)
    click.echo(printable(f"fetchq: the report is {output}"), err=True)
    return 0

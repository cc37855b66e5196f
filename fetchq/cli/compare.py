"""Runs `fetchq compare`: fetches the same list in several ways, again and again, and shows which is faster."""

from __future__ import annotations

from dataclasses import fields, replace
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any

import click

from fetchq.cli.completable import by_metavar
from fetchq.cli.config_file import config_line
from fetchq.cli.options import (
    GroupedCommand,
    GroupedOption,
    add_options,
    read_comparison_options,
    read_options,
    usage_message,
)
from fetchq.cli.status import EXIT_UNFINISHED, FatalError
from fetchq.comparison.options import MOST_ROWS
from fetchq.comparison.rounds import run_rounds
from fetchq.comparison.variants import OF_ONE_RUN, plan_variants
from fetchq.core.option import option_of
from fetchq.core.settings import Settings, SettingsError
from fetchq.reports.text import no_urls_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fetchq.cli.display import Display
    from fetchq.comparison.options import ComparisonOptions
    from fetchq.comparison.row_file import RowFile
    from fetchq.comparison.variants import Plan
    from fetchq.reports.comparison import Comparison

__all__ = ["check_report", "command", "compare_and_show"]

_NO_TERMINAL = (100, 24)
"""The columns and lines to assume if stdout is not a terminal."""
_LEFT_OUT = (
    *("format", "json", "include", "fields", "only", "shuffle", "dry_run", "progress", "verbose", "log_file"),
    *("log_level", "no_color", *OF_ONE_RUN),
)
_VARIABLE = frozenset(one.name for one in fields(Settings) if option_of(one).flags and not option_of(one).repeatable)


class _FormOption(GroupedOption):
    group = "Comparison"


@click.argument("sources", nargs=-1, metavar="SOURCE...", required=True, shell_complete=by_metavar)
@click.option("--json", "as_json", cls=_FormOption, is_flag=True, help="Print all figures as one JSON object.")
@click.option("--markdown", cls=_FormOption, is_flag=True, help="Print the table as Markdown.")
@click.option(
    "--report", cls=_FormOption, metavar="FILE.html", shell_complete=by_metavar, help="Write a page with charts, too."
)
def compare(sources: tuple[str, ...], as_json: bool, markdown: bool, report: str | None, **given: Any) -> int:
    """Fetch the URLs of each SOURCE in several ways, again and again, and find out which is faster, and by how much.

    Each option of fetching may be given several times: every combination of their values is a variant. If none is given
    several times, the three modes are compared. The variants take turns in random order, and each run is a
    process of its own.

    Before its clock starts, a run fetches the first rows, one for each worker, to open the connections (but see
    --cold, which --deadline implies). Rows whose method is not GET, HEAD, OPTIONS or TRACE are not sent for that.

    The comparison goes to stdout. Exit status as for `fetchq SOURCE`.

    \b
      fetchq compare urls.txt --mode sync --mode async --workers 2 --workers 20
    """
    if as_json and markdown:
        raise click.UsageError("--markdown: not together with --json")
    values = {name: value for name, value in given.items() if name in _VARIABLE and value}
    others = {name: None if name in _VARIABLE else value for name, value in given.items() if name not in values}
    _, display = read_options(dict(others))
    options = read_comparison_options(dict(others))
    plans = plan_variants(values, lambda chosen: read_options(others | chosen, **OF_ONE_RUN)[0])
    if not display.quiet and (line := config_line()) is not None:
        click.echo(line, err=True)
    with _open_rows(sources, display, options.limit) as rows:
        if not rows.count:
            click.echo(no_urls_text(sources), err=True)
            return 0
        if report is not None:
            check_report(report, plans, sources)
        form = "json" if as_json else "markdown" if markdown else "text"
        return compare_and_show(plans, rows, options, quiet=display.quiet, form=form, report=report)


def _open_rows(sources: Sequence[str], display: Display, limit: int | None) -> RowFile:
    from fetchq.comparison.row_file import RowFile, TooManyRowsError
    from fetchq.inputs.lines import SourceError
    from fetchq.inputs.opening import open_sources

    try:
        with open_sources(sources, **replace(display, limit=None).reading) as source:  # `limit` is below
            return RowFile(source, limit=limit, most=MOST_ROWS)
    except SourceError as problem:
        raise click.UsageError(str(problem)) from None
    except TooManyRowsError as problem:
        raise click.UsageError(f"the list has {problem}: --limit N compares only the first N") from None


def compare_and_show(
    plans: Sequence[Plan],
    rows: RowFile,
    options: ComparisonOptions,
    *,
    quiet: bool,
    form: str = "text",
    report: str | None = None,
) -> int:
    """Make all runs, and print the comparison as `form`: text, json or markdown. Returns the exit status.

    `report`: a file to write it to as a page with charts, which `check_report` has accepted.
    """
    from fetchq.cli.round_progress import RoundProgress
    from fetchq.comparison.process import RunFailedError

    progress = RoundProgress(options.rounds, variants=len(plans), quiet=quiet)
    try:
        comparison = run_rounds(plans, rows, options, progress.show)
    except SettingsError as problem:
        raise click.UsageError(usage_message(problem)) from None
    except RunFailedError as problem:
        progress.close()
        click.echo(problem.output, err=True, nl=False)
        raise FatalError(str(problem)) from None
    finally:
        progress.close()
    try:
        for line in _lines(comparison, form):
            click.echo(line)
    finally:  # the runs took long, so the page is written even if stdout is full, or nobody reads it
        if report is not None:
            _write_report(comparison, report)
    if any(variant.unfinished for variant in comparison.variants):
        return EXIT_UNFINISHED
    return 1 if any(variant.failed for variant in comparison.variants) else 0


def check_report(path: str, plans: Sequence[Plan], lists: Sequence[str] = ()) -> None:
    """Refuse a file that cannot be written, or that the runs need for something else, before the first run."""
    from fetchq.reports.view import check_files

    try:
        for plan in plans:
            check_files(replace(plan.settings, report=path), lists)
    except SettingsError as problem:
        raise click.UsageError(usage_message(problem)) from None


def _write_report(comparison: Comparison, path: str) -> None:
    from fetchq.cli.output_file import writing
    from fetchq.core.atomic_file import atomic_write
    from fetchq.reports.html.comparison_page import comparison_page

    with writing(path), atomic_write(path) as stream:
        stream.write(comparison_page(comparison))


def _lines(comparison: Comparison, form: str) -> list[str]:
    if form == "json":
        import orjson

        from fetchq.core.text import without_surrogates

        return [orjson.dumps(without_surrogates(comparison.to_json())).decode()]
    if form == "markdown":
        from fetchq.reports.compare_markup import markdown_lines

        return markdown_lines(comparison)
    from fetchq.reports.compare_text import comparison_lines
    from fetchq.reports.timeline_text import timelines

    columns = get_terminal_size(_NO_TERMINAL).columns
    return [*timelines(comparison, columns=columns), *comparison_lines(comparison, columns=columns)]


command = click.command(cls=GroupedCommand, context_settings={"max_content_width": 110})(
    add_options(compare, exclude=_LEFT_OUT, for_comparison=True)
)

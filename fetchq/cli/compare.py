"""Runs `fetchq compare`: fetches the same list in several modes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any

import click

from fetchq.cli.display import Display
from fetchq.cli.fetch import no_urls
from fetchq.cli.options import GroupedCommand, add_options, read_options, usage_message
from fetchq.core.option import option_of
from fetchq.core.settings import DURABLE_GROUP, MODES, REPORTS_GROUP, Settings, SettingsError

if TYPE_CHECKING:
    from fetchq.core.model import Result
    from fetchq.inputs.source import Source
    from fetchq.reports.compare import ModeRun

__all__ = ["command", "compare_and_show"]

_OF_ONE_RUN: dict[str, Any] = {
    one.name: one.default for one in fields(Settings) if option_of(one).group in (DURABLE_GROUP, REPORTS_GROUP)
}
"""Settings that a comparison overrides, whatever a config file says, since they name files of one run."""
_NO_TERMINAL = (120, 24)
"""The columns and lines to assume if stdout is not a terminal."""
_LEFT_OUT = ("mode", "format", "json", "include", *_OF_ONE_RUN)


@click.argument("sources", nargs=-1, metavar="SOURCE...", required=True)
@click.option(
    "--mode", "modes", multiple=True, type=click.Choice(MODES), help="A mode to run; repeatable. All three by default."
)
def compare(sources: tuple[str, ...], modes: tuple[str, ...], **given: Any) -> int:
    """Fetch the URLs of each SOURCE in several modes, one after the other, and show them side by side.

    The comparison goes to stdout. Exit status as for `fetchq SOURCE`.
    """
    settings, display = read_options(given, keep_body=False, **_OF_ONE_RUN)
    from fetchq.inputs.lines import SourceError
    from fetchq.inputs.opening import open_sources

    try:
        source = open_sources(sources, input_format=display.input_format, url_column=display.url_column)
    except SourceError as problem:
        raise click.UsageError(str(problem)) from None
    with source:
        if not source.rereadable:
            raise click.UsageError("compare reads its list once for each mode: give it a file, not a pipe")
        if source.count() == 0:
            click.echo(no_urls(sources), err=True)
            return 0
        return compare_and_show(settings, display, source, modes or ("sync", "threads", "async"))


def compare_and_show(settings: Settings, display: Display, source: Source, modes: Sequence[str]) -> int:
    """Fetch in each mode; show the Results on stderr and the comparison on stdout. Returns the exit status."""
    for mode in modes:  # so that an invalid setting is refused before the first mode begins
        _in_mode(settings, mode)
    from fetchq.cli.drive import drive
    from fetchq.cli.screen import Screen
    from fetchq.reports.compare import compare
    from fetchq.reports.compare_text import compare_lines, timelines
    from fetchq.reports.text import count_text

    def fetch(settings: Settings, run: ModeRun) -> int:
        screen = Screen(display, source=source, summary=run.summary, records=False)

        def on_done(results: Sequence[Result]) -> None:
            run.add(results)
            screen.advance(results)

        if not display.quiet:
            screen.say(f"mode {settings.mode}, {count_text(settings.workers, 'worker')}")
        try:
            return drive(settings, source, screen, run.summary, on_done=on_done, verbose=display.verbose)
        except SettingsError as problem:
            raise click.UsageError(usage_message(problem)) from None

    runs, status = compare(settings, modes, fetch)
    columns = get_terminal_size(_NO_TERMINAL).columns
    for line in [*timelines(runs, columns=columns), *compare_lines([(run.mode, run.summary) for run in runs])]:
        click.echo(line)
    return status


def _in_mode(settings: Settings, mode: str) -> Settings:
    try:
        return replace(settings, mode=mode)
    except SettingsError as problem:
        raise click.UsageError(usage_message(problem)) from None


command = click.command(cls=GroupedCommand, context_settings={"max_content_width": 110})(
    add_options(compare, exclude=_LEFT_OUT)
)

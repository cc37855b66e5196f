"""Runs `fetchq SOURCE...`, the default command: fetches the URLs of all sources."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from fetchq.cli import COMMANDS
from fetchq.cli.options import GroupedCommand, add_options, read_options, usage_message
from fetchq.core.settings import SettingsError
from fetchq.core.text import printable

if TYPE_CHECKING:
    from fetchq.cli.display import Display
    from fetchq.cli.screen import Screen
    from fetchq.core.settings import Settings
    from fetchq.inputs.source import Source
    from fetchq.store.session import Session

__all__ = ["command", "fetch_and_show", "no_urls"]

_NEAR = 0.75
"""A word with at least this similarity (0 to 1) to a command counts as mistyped."""


@click.argument("sources", nargs=-1, metavar="SOURCE...")
def fetch(sources: tuple[str, ...], **given: Any) -> int:
    """Fetch the URLs of each SOURCE: a file (text, CSV, JSON Lines, also .gz and .zst), a URL, or - (standard input).

    Records go to stdout; progress and the summary to stderr. Sizes take k, M, G; times take seconds or 500ms, 2m.
    The options below but --config can be set in the environment (FETCHQ_WORKERS=20) and in the config file
    (workers = 20); --no-insecure, say, switches off a flag that is set there.

    Exit status: 0 every URL ok; 1 some were not; 2 wrong usage, nothing was fetched; 3 the run could not go on;
    130, 143 interrupted.
    """
    if not sources:
        raise click.UsageError("a SOURCE is needed: a file of URLs, a URL, or - for standard input (--help tells more)")
    _check_names(sources)
    asked_for = given["include"]
    settings, display = read_options(given)
    if asked_for and display.records == "text":  # an include in a config file is ignored
        raise click.UsageError("--include: a line of text has no room for it; add --json or --format csv")

    if settings.output is not None:
        _check_environment(settings, sources)
        from fetchq.cli.durable import open_session
        from fetchq.store.open_session import session_for_sources

        with open_session(lambda: session_for_sources(settings, sources, **display.reading)) as session:
            return fetch_and_show(settings, display, session.source, sources, session)
    from fetchq.inputs.lines import SourceError
    from fetchq.inputs.opening import open_sources

    try:
        check_views(settings, sources)
        source = open_sources(sources, **display.reading)
    except SourceError as problem:
        raise click.UsageError(str(problem)) from None
    with source:
        return fetch_and_show(settings, display, source, sources)


def fetch_and_show(
    settings: Settings, display: Display, source: Source, sources: Sequence[str], session: Session | None = None
) -> int:
    """Fetch all of the source and show the Results; `session`: that of a durable run. Returns the exit status."""
    from fetchq.cli.config_file import config_line
    from fetchq.cli.drive import drive
    from fetchq.cli.screen import Screen
    from fetchq.cli.status import EXIT_FATAL
    from fetchq.inputs.lines import SourceError
    from fetchq.reports.summary import Summary
    from fetchq.reports.summary_text import given_up_text, summary_lines

    settings = replace(settings, keep_body=False, record_bodies=_needs_bodies(display))
    summary = Summary()
    screen = Screen(display, source=source, summary=summary)
    told = _tell(screen, source.remarks)
    try:
        status = drive(
            settings, source, screen, summary, session=session, on_done=screen.advance, verbose=display.verbose
        )
    except SettingsError as problem:
        raise click.UsageError(usage_message(problem)) from None
    except SourceError as problem:
        screen.say(f"fetchq: {problem}")
        status = EXIT_FATAL
    _tell(screen, [remark for remark in source.remarks if remark not in told])  # of a pipe
    if not display.quiet:
        if (line := config_line()) is not None:
            screen.say(line)
        for line in summary_lines(summary, paint=screen.paint, insecure=settings.insecure, columns=screen.columns):
            screen.say(line)
        if not summary.total and status == 0:
            screen.say(no_urls(sources))
    given_up = given_up_text(summary)
    if session is None:
        if given_up is not None and not display.quiet:
            screen.say(f"{given_up}; with -o DIR, fetchq retry DIR could fetch what is missing later")
        return status
    from fetchq.cli.durable import end_session

    return end_session(session, status, screen.say, given_up)


def _tell(screen: Screen, remarks: Sequence[str]) -> Sequence[str]:
    """Show what the user should know of the lists. Returns it."""
    for remark in remarks:
        screen.say(f"fetchq: {printable(remark)}")
    return remarks


def _check_environment(settings: Settings, sources: Sequence[str]) -> None:
    """Refuse what the run would refuse, before it has a folder: the environment, hosts, files to write."""
    from fetchq.cli.output_folder import check_output_folder
    from fetchq.http.guard import guard_for
    from fetchq.http.proxies import ProxyConfig

    check_output_folder(settings.output or "")
    check_views(settings, sources)
    try:
        ProxyConfig(settings)
        guard_for(settings)
    except SettingsError as problem:
        raise click.UsageError(usage_message(problem)) from None


def check_views(settings: Settings, lists: Sequence[str]) -> None:
    """Refuse a file to show the run in that cannot be written, or is one of these lists."""
    from fetchq.reports.view import check_files

    try:
        check_files(settings, lists)
    except SettingsError as problem:
        raise click.UsageError(usage_message(problem)) from None


def _check_names(sources: Sequence[str]) -> None:
    """Refuse a SOURCE that is not a file but a misplaced or mistyped command, with a hint."""
    from difflib import get_close_matches

    for source in sources:
        if not source.isalpha() or os.path.exists(source):
            continue
        if source in COMMANDS:
            hint = f"the command comes first: fetchq {source} ..."
        elif near := get_close_matches(source, COMMANDS, n=1, cutoff=_NEAR):
            hint = f"did you mean: fetchq {near[0]} ...?"
        else:
            continue
        raise click.UsageError(f"there is no file {source!r} ({hint})")


def no_urls(sources: Sequence[str]) -> str:
    """The message for a list without URLs."""
    from fetchq.core.text import printable

    return printable(f"fetchq: no URLs in {', '.join(sources)}")


def _needs_bodies(display: Display) -> bool:
    """Whether bodies must be kept until the records are written, because these include them."""
    return display.records != "text" and not {"text", "base64"}.isdisjoint(display.include)


command = click.command(cls=GroupedCommand, context_settings={"max_content_width": 110})(add_options(fetch))

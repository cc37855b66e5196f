"""Runs `fetchq SOURCE...`, the default command: fetches the URLs of all sources."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from fetchq.cli import COMMANDS
from fetchq.cli.completable import by_metavar
from fetchq.cli.options import GroupedCommand, add_options, read_options, usage_message
from fetchq.cli.value_sources import source_of
from fetchq.core.nearest import nearest
from fetchq.core.settings import SettingsError

if TYPE_CHECKING:
    from fetchq.cli.display import Display
    from fetchq.core.settings import Settings
    from fetchq.inputs.source import Source
    from fetchq.store.session import Session

__all__ = ["check_views", "command", "fetch_and_show"]

_NEAR = 0.75
"""A word with at least this similarity (0 to 1) to a command counts as mistyped."""


@click.argument("sources", nargs=-1, metavar="SOURCE...", shell_complete=by_metavar)
def fetch(sources: tuple[str, ...], **given: Any) -> int:
    """Fetch the URLs of each SOURCE: a file (text, CSV, JSON Lines, also .gz and .zst), a URL, or - (standard input).

    Of a page (Markdown, HTML, a sitemap), the links are fetched.

    Records go to stdout; progress and the summary to stderr. Sizes take k, M, G; times take seconds or 500ms, 2m.
    The options below but --config can be set in the environment (FETCHQ_WORKERS=20) and in the config file
    (workers = 20); --no-insecure, say, switches off a flag that is set there.

    Exit status: 0 every URL ok; 1 some were not; 2 wrong usage, nothing was fetched; 3 the run could not go on;
    4 it ended before its list was done (--deadline, --max-failures, --fail-fast); 130, 143 interrupted.
    """
    if not sources:
        raise click.UsageError("a SOURCE is needed: a file of URLs, a URL, or - for standard input (--help tells more)")
    _check_names(sources)
    asked_for = given["include"]
    settings, display = read_options(given)
    if asked_for and display.records in ("text", "none"):  # an include in a config file is ignored
        raise click.UsageError(
            f"{source_of('include', '--include')}: a line of text has no room for it; add --json or --format csv"
        )
    if settings.head and _needs_bodies(display):
        raise click.UsageError("--include: with --head, there are no bodies")
    if settings.output is not None and not display.dry_run:
        _check_environment(settings, display, sources)
        return _fetch_durably(settings, display, sources)
    from fetchq.inputs.lines import SourceError
    from fetchq.inputs.opening import open_sources

    try:
        check_views(settings, display, sources)
        source = open_sources(sources, **display.reading)
    except SourceError as problem:
        raise click.UsageError(str(problem)) from None
    with source:
        if display.dry_run:
            from fetchq.cli.dry_run import show_requests

            return show_requests(settings, display, source)
        return fetch_and_show(settings, display, source, sources)


def _fetch_durably(settings: Settings, display: Display, sources: Sequence[str]) -> int:
    from fetchq.cli.durable import open_session
    from fetchq.store.open_session import session_for_sources

    with open_session(lambda: session_for_sources(settings, sources, **display.reading)) as session:
        if session.finished and session.source.rereadable:  # of a pipe, it is checked that it is the same as before
            return _show_all_done(settings, display, sources, session)
        return fetch_and_show(settings, display, session.source, sources, session)


def _show_all_done(settings: Settings, display: Display, sources: Sequence[str], session: Session) -> int:
    """Say, and log, that the run has no rows left to fetch. Returns the exit status."""
    from fetchq.cli.durable import all_done_text
    from fetchq.cli.log_file import opened_log

    text, status = all_done_text(session), 1 if session.failed else 0
    if not display.quiet:
        click.echo(f"fetchq: {text}", err=True)
    with opened_log(display, settings, sources) as log:
        if log is not None:
            log.info(text)
            log.info(f"ends with exit status {status}")
    return status


def fetch_and_show(
    settings: Settings, display: Display, source: Source, sources: Sequence[str], session: Session | None = None
) -> int:
    """Fetch all of the source and show the Results; `session`: that of a durable run. Returns the exit status."""
    from fetchq.cli.log_file import opened_log
    from fetchq.cli.shown_run import fetch_shown

    settings = replace(settings, keep_body=False, record_bodies=_needs_bodies(display))
    try:
        with opened_log(display, settings, sources) as log:
            return fetch_shown(settings, display, source, sources, session, log)
    except SettingsError as problem:
        raise click.UsageError(usage_message(problem)) from None


def _check_environment(settings: Settings, display: Display, sources: Sequence[str]) -> None:
    """Refuse what the run would refuse, before it has a folder: the environment, hosts, files to write."""
    from fetchq.cli.output_folder import check_output_folder
    from fetchq.http.guard import guard_for
    from fetchq.http.proxies import ProxyConfig

    check_output_folder(settings.output or "")
    check_views(settings, display, sources)
    try:
        ProxyConfig(settings)
        guard_for(settings)
    except SettingsError as problem:
        raise click.UsageError(usage_message(problem)) from None


def check_views(settings: Settings, display: Display, lists: Sequence[str]) -> None:
    """Refuse a file to show the run in, or its log, that cannot be written, or is one of these lists."""
    from fetchq.cli.log_file import check_log_file
    from fetchq.reports.view import check_files

    try:
        check_files(settings, lists)
        check_log_file(display, settings, lists)
    except SettingsError as problem:
        raise click.UsageError(usage_message(problem)) from None


def _check_names(sources: Sequence[str]) -> None:
    """Refuse a SOURCE that is not a file but a misplaced or mistyped command, with a hint."""
    for source in sources:
        if not source.isalpha() or os.path.exists(source):
            continue
        if source in COMMANDS:
            hint = f"the command comes first: fetchq {source} ..."
        elif (near := nearest(source, COMMANDS, _NEAR)) is not None:
            hint = f"did you mean: fetchq {near} ...?"
        else:
            continue
        raise click.UsageError(f"there is no file {source!r} ({hint})")


def _needs_bodies(display: Display) -> bool:
    """Whether bodies must be kept until the records are written, because these include them."""
    return display.records != "text" and not {"text", "base64"}.isdisjoint(display.include)


command = click.command(cls=GroupedCommand, context_settings={"max_content_width": 110})(add_options(fetch))

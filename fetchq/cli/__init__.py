"""Defines the command group and the entry point of the command line.

    fetch, resume, retry, compare, demo     the commands that fetch; durable opens the session of a run's folder
       |
       |  options reads options and variables; config_file: the config files; display: settings of the command line
       |  value_sources says which of them has set a value; sectioned_help lays out the help of the options
       v
    drive                  runs a pipeline: interrupts (signals), status (exit status)
       |
       v
    shown_run              the records as they come, and then the summary; dry_run: only what would be asked
       |
       v
    screen, progress       what is shown on stderr; stdout_sink: the records on stdout; worker_lines: of --verbose
    log_file               what is appended to a log; round_progress: of a comparison

    cluster                the group of the commands that fetch in shards: cluster_prepare, cluster_run and so on
    opened_job, job_text   open a job, and word what has become of it

    export, diff, report   the commands that read runs; stored opens their folders
    output_file            the FILE that a command is to write: report, comparison, export
    serve, practice/       the practice server
    completion, man        what shells and man(1) want to know; completable: what a value can be completed to

A command's module is imported when the command is called: `fetchq --version` needs none of them.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from contextlib import suppress
from importlib import import_module
from typing import Any

import click
from click_default_group import DefaultGroup

from fetchq._version import __version__
from fetchq.cli.interrupts import Interrupts
from fetchq.cli.sectioned_help import GroupedCommand, sections

__all__ = ["COMMANDS", "cli", "discard_stdout", "main", "say"]

COMMANDS = {
    "fetch": "Fetch URLs; the default, its name may be left out.",
    "compare": "Fetch the same URLs in several ways, and tell which is faster.",
    "demo": "See sync, threads and async on four slow URLs.",
    "resume": "Go on with a durable run (-o), however it ended.",
    "retry": "Fetch the failed rows of a durable run again.",
    "cluster": "Fetch a list in shards, on one machine or on many.",
    "export": "Write the records of a durable run as JSON Lines, CSV or Parquet.",
    "diff": "Compare two durable runs.",
    "report": "Show a durable run as a page with charts.",
    "serve": "Run the practice server.",
    "completion": "Print the script that completes commands and options in a shell.",
    "man": "Print the man page.",
}


class _Group(GroupedCommand, DefaultGroup):  # type: ignore[misc]  # click-default-group has no types
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            # DefaultGroup reads here that the word is the first argument of the default command.
            ctx.arg0 = cmd_name  # type: ignore[attr-defined]  # DefaultGroup adds it
            cmd_name = self.default_cmd_name
        command: click.Command = import_module(f"fetchq.cli.{cmd_name}").command
        command.context_class = self.context_class  # which lays out the help
        return command

    def help_sections(self, ctx: click.Context) -> dict[str, list[tuple[str, str]]]:
        fetch = self.get_command(ctx, "fetch")
        assert fetch is not None
        return sections([*fetch.get_params(ctx), *self.params], ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_options(ctx, formatter)
        self.format_commands(ctx, formatter)

    def format_short_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_short_help(ctx, formatter)
        self.format_commands(ctx, formatter)


@click.group(
    cls=_Group,
    default="fetch",
    default_if_no_args=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    options_metavar="",
    subcommand_metavar="[SOURCE]... [OPTIONS]",
)
@click.version_option(__version__, "-V", "--version", message="fetchq %(version)s")
def cli() -> None:
    """Fetch a list of URLs: fast, safely, and see where the time went.

    A SOURCE is a file of URLs (text, CSV or JSON Lines, also .gz and .zst), a page with links (Markdown, HTML, a
    sitemap), a URL, or - for standard input. Records go to stdout; progress and the summary to stderr. Sizes take k, M,
    G; times take seconds or 500ms, 2m. The options below but --config can be set in the environment
    (FETCHQ_WORKERS=20) and in the config file (workers = 20); --no-insecure, say, switches off a flag that is set
    there.

    Exit status: 0 every URL ok; 1 some were not; 2 wrong usage, nothing was fetched; 3 the run could not go on;
    4 it ended before its list was done (--deadline, --max-failures, --fail-fast); 130, 143 interrupted.

    \b
      fetchq urls.txt --workers 20
      cat urls.txt | fetchq - --json | jq .status
    """


def main(args: list[str] | None = None) -> Any:
    """Run the command line and exit: 0 all ok, 1 some not, 2 wrong usage, 3 could not go on, 4 unfinished, 130/143."""
    _open_closed_streams()
    if sys.stderr is None:  # it is closed: messages are lost, the records are not
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115  # for as long as the process lives
    _buffer_stdout()
    try:
        status = _run(args)
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        status = 1  # the reader of stdout has left
        discard_stdout()
    except OSError as problem:
        say(f"fetchq: this cannot be written: {problem.strerror}")
        status = 3
        discard_stdout()
    sys.exit(status)


def _run(args: list[str] | None) -> int:
    if sys.stdout is None:
        say("fetchq: standard output is closed")
        return 2
    if "_FETCHQ_COMPLETE" in os.environ:  # a shell asks for the completions of a word
        cli.get_command(click.Context(cli), "completion")  # whose module tells click how to answer
    interrupts = Interrupts()
    try:
        with interrupts:
            status = cli.main(args=args, prog_name="fetchq", standalone_mode=False, obj=interrupts)
    except click.ClickException as problem:
        from fetchq.core.text import one_line

        say(f"fetchq: {one_line(problem.format_message())}")
        return problem.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 128 + (interrupts.early or signal.SIGINT)
    except Exception:  # raised again, unless an interrupt caused it
        if interrupts.early is None:
            raise
        return 128 + interrupts.early  # code that was being imported has turned the interrupt into this exception
    return status if isinstance(status, int) else 0


def _open_closed_streams() -> None:
    """Open descriptors below 3 that are closed: else a connection could get one, and receive what is printed."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free descriptor, this one


def _buffer_stdout() -> None:
    """Put a buffer before stdout where PYTHONUNBUFFERED, or `python -u`, leaves it out. Each command flushes it.

    A write to the bare file may take only the first bytes, when a signal comes or the disk is full, and drops the rest.
    """
    if isinstance(getattr(sys.stdout, "buffer", None), io.RawIOBase):
        sys.stdout = open(  # noqa: SIM115  # for as long as the process lives
            sys.stdout.fileno(), "w", encoding=sys.stdout.encoding, errors=sys.stdout.errors, closefd=False
        )


def say(text: str) -> None:
    """Print a line on stderr. An error of writing it is ignored."""
    with suppress(OSError):
        click.echo(text, err=True)


def discard_stdout() -> None:
    """Redirect stdout to the null device, so that the interpreter does not fail to flush it at exit."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
    os.close(devnull)

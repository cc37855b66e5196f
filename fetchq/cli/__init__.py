"""The command line. Commands are imported when they are called: `fetchq --version` needs none of them."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import click
from click_default_group import DefaultGroup

from fetchq import __version__

__all__ = ["cli", "main"]

_COMMANDS = {
    "fetch": "Fetch URLs; the default, its name may be left out.",
    "compare": "Fetch the same URLs in several modes, side by side.",
    "demo": "See sync, threads and async on four slow URLs.",
    "serve": "Run the practice server.",
}


class _Group(DefaultGroup):  # type: ignore[misc]  # click-default-group has no types
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            # Where DefaultGroup looks for what was no command, but the first argument of the default one.
            ctx.arg0 = cmd_name  # type: ignore[attr-defined]
            cmd_name = self.default_cmd_name
        command: click.Command = import_module(f"fetchq.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        fetch = self.get_command(ctx, "fetch")
        if fetch is not None:
            fetch.format_options(ctx, formatter)
        self.format_commands(ctx, formatter)


@click.group(
    cls=_Group,
    default="fetch",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    options_metavar="",
    subcommand_metavar="[SOURCE]... [OPTIONS]",
)
@click.version_option(__version__, "-V", "--version", message="fetchq %(version)s")
def cli() -> None:
    """Fetch a list of URLs: fast, safely, and see where the time went.

    A SOURCE is a file of URLs (text, CSV or JSON Lines, also .gz and .zst), a URL, or - for standard input.

    \b
      fetchq urls.txt --workers 20
      cat urls.txt | fetchq - --json | jq .status
    """


def main(args: list[str] | None = None) -> Any:
    """Run the command line and exit: 0 all ok, 1 some not, 2 wrong usage, 3 could not go on, 130/143 interrupted."""
    try:
        status = cli.main(args=args, prog_name="fetchq", standalone_mode=False)
    except click.ClickException as problem:
        click.echo(f"fetchq: {problem.format_message()}", err=True)
        status = problem.exit_code
    except click.Abort:
        status = 130
    sys.exit(status if isinstance(status, int) else 0)

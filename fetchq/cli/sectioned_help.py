"""Lays out the help of a command: the options used most come first, then the others under the headings of their groups.

`--help` shows all of them, `-h` those that are used most.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

__all__ = ["MOST_USED", "GroupedCommand", "GroupedOption", "sections"]

MOST_USED = ("workers", "mode", "per_host", "rate", "timeout", "retries", "headers", "output", "json", "only")
"""The options that come first in the help, by the names of their settings, in this order."""
_FIRST = "Most used"
"""The heading of these options."""
_LAST = "Other"
"""The heading of options without a group."""
_INDENT = 6
"""The columns by which a description is indented that has its own lines."""


class GroupedOption(click.Option):
    """An option that the help lists under the heading of its group."""

    group = _LAST
    on_by_default = False
    """Whether it is a flag whose default is true."""

    @property
    def unlisted(self) -> list[str]:
        """The form of a flag that does not change its default. The help leaves it out, since it explains it once."""
        return self.opts if self.on_by_default else self.secondary_opts

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        both_forms = self.opts, self.secondary_opts
        self.opts, self.secondary_opts = self.secondary_opts if self.on_by_default else self.opts, []
        try:
            return super().get_help_record(ctx)
        finally:
            self.opts, self.secondary_opts = both_forms


def sections(parameters: Iterable[click.Parameter], ctx: click.Context) -> dict[str, list[tuple[str, str]]]:
    """The options of a command with their descriptions, by the headings of the help, in its order.

    Each option is in one section: `MOST_USED` come first, and then the groups, in the order of `parameters`.
    """
    found: dict[str, list[tuple[str, str]]] = {_FIRST: []}
    most: dict[str, tuple[str, str]] = {}
    for parameter in parameters:
        record = parameter.get_help_record(ctx)
        if record is None or not record[1]:
            continue
        if parameter.name in MOST_USED and isinstance(parameter, GroupedOption):
            most[parameter.name] = record
        else:
            found.setdefault(getattr(parameter, "group", _LAST), []).append(record)
    found[_FIRST] = [most[name] for name in MOST_USED if name in most]
    return {heading: records for heading, records in found.items() if records}


class _Formatter(click.HelpFormatter):
    """Lays out the help so that no word is broken, however narrow the terminal is."""

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        rows = list(rows)
        first = min(max(len(term) for term, _ in rows), col_max)
        longest = max((len(word) for _, text in rows for word in text.split()), default=0)
        if self.width - first - col_spacing - self.current_indent < longest:
            col_max = _INDENT  # longer terms get a line of their own, and the descriptions the width
        super().write_dl(rows, col_max, col_spacing)


class _Context(click.Context):
    formatter_class = _Formatter


class GroupedCommand(click.Command):
    """A command with a help in sections, `--help`, and a short one, `-h`."""

    context_class = _Context
    own_sections: tuple[str, ...] = (_LAST,)
    """The headings, beside that of `MOST_USED`, that the short help shows, too."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, _with_optional_values(args))

    def get_help_option_names(self, ctx: click.Context) -> list[str]:
        return ["--help"]

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        *others, whole_help = super().get_params(ctx)
        return [*others, _SHORT_HELP, whole_help]

    def help_sections(self, ctx: click.Context) -> dict[str, list[tuple[str, str]]]:
        """The options, by the headings under which the help lists them."""
        return sections(self.get_params(ctx), ctx)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        found = super().shell_complete(ctx, incomplete)
        if incomplete.startswith("--no-"):
            return found
        unlisted = {flag for one in self.get_params(ctx) if isinstance(one, GroupedOption) for flag in one.unlisted}
        return [one for one in found if one.value not in unlisted] or found

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for heading, records in self.help_sections(ctx).items():
            with formatter.section(heading):
                formatter.write_dl(records)

    def format_short_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the beginning of the help, and the options that are used most."""
        self.format_usage(ctx, formatter)
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text((self.help or "").partition("\n\n")[0])
        shown = {_FIRST, *self.own_sections}
        for heading, records in self.help_sections(ctx).items():
            if heading in shown:
                with formatter.section(heading):
                    formatter.write_dl(records)
        formatter.write_paragraph()
        formatter.write_text(f"{ctx.command_path} --help lists all options.")


def _with_optional_values(args: list[str]) -> list[str]:
    """The arguments, in which --shuffle has a value: the number that follows it, or "random".

    click would take the next argument for its value, whatever that is.
    """
    options, separator, rest = args, [], []
    if "--" in args:
        at = args.index("--")
        options, separator, rest = args[:at], ["--"], args[at + 1 :]
    given = [
        "--shuffle=random"
        if one == "--shuffle" and not (at + 1 < len(options) and options[at + 1].isdecimal())
        else one
        for at, one in enumerate(options)
    ]
    return [*given, *separator, *rest]


def _show_short_help(ctx: click.Context, _: click.Parameter, value: Any) -> None:
    if not value or ctx.resilient_parsing:
        return
    assert isinstance(ctx.command, GroupedCommand)
    formatter = ctx.make_formatter()
    ctx.command.format_short_help(ctx, formatter)
    click.echo(formatter.getvalue().rstrip("\n"), color=ctx.color)
    ctx.exit()


_SHORT_HELP = GroupedOption(
    ["-h", "_short_help"],
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_short_help,
    help="Show the options that are used most.",
)

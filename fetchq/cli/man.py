"""Runs `fetchq man`: prints the man page, which is made of the help of all commands."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator
from inspect import cleandoc
from typing import TYPE_CHECKING

import click

from fetchq._version import __version__
from fetchq.cli.sectioned_help import GroupedCommand, sections

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["command", "man_page"]

_STATUS = "Exit status: "
"""The beginning of the paragraph of the help that becomes a section of its own."""
_FILES = {
    "fetchq.toml": "Settings, in the current folder; those that may harm its user are refused there.",
    "~/.config/fetchq/fetchq.toml": "Your own settings; ~/Library/Application Support/fetchq/fetchq.toml on macOS.",
    "DIR/run.db": "The ledger of a durable run: an SQLite file.",
    "DIR/bodies/": "The bodies of a durable run.",
}
_OWN_VARIABLES = {"NO_COLOR": "No colours."}


@click.command("man", context_settings={"max_content_width": 110})
def command() -> int:
    """Print the man page: fetchq man | man -l - shows it, and man/man1/fetchq.1 is the place to keep it."""
    root = click.get_current_context().find_root()
    assert isinstance(root.command, click.Group)
    click.echo(man_page(root.command, root), nl=False)
    return 0


def man_page(group: click.Group, ctx: click.Context) -> str:
    """The man page of the command line, in the macros of man(7)."""
    assert isinstance(group, GroupedCommand)
    summary, *description = _paragraphs(group.help)
    status = [one for one in description if one.startswith(_STATUS)]
    options = group.help_sections(ctx)
    lines = [
        f'.TH FETCHQ 1 "" "fetchq {__version__}" "User Commands"',
        *_section("NAME", [r"fetchq \- " + _escaped(summary[0].lower() + summary[1:].rstrip("."))]),
        *_section("SYNOPSIS", _synopsis(group, ctx)),
        *_section("DESCRIPTION", _text(one for one in description if one not in status)),
        ".SH OPTIONS",
        *_options(options),
        ".SH COMMANDS",
        *_commands(group, ctx, options),
        *_section("EXIT STATUS", _text(one.removeprefix(_STATUS) for one in status)),
        *_section("ENVIRONMENT", _text([_ENVIRONMENT]) + _terms(_OWN_VARIABLES.items())),
        *_section("FILES", _terms(_FILES.items())),
        *_section("SEE ALSO", [r"\fBcurl\fR(1), \fBwget2\fR(1), \fBaria2c\fR(1)"]),
    ]
    return "\n".join(lines) + "\n"


_ENVIRONMENT = (
    "Each option of fetching and comparing but --config can be set in a variable that is named like it: "
    "FETCHQ_WORKERS is --workers. A repeatable one has a value on each line."
)


def _synopsis(group: click.Group, ctx: click.Context) -> list[str]:
    lines = [r"\fBfetchq\fR [\fISOURCE\fR]... [\fIOPTIONS\fR]"]
    for name in group.list_commands(ctx):
        if name != "fetch":
            lines += [".br", rf"\fBfetchq {_escaped(name)}\fR {_escaped(_usage(group, ctx, name))}".rstrip()]
    return lines


def _usage(group: click.Group, ctx: click.Context, name: str) -> str:
    found = group.get_command(ctx, name)
    assert found is not None
    with click.Context(found, parent=ctx, info_name=name) as own:
        return " ".join(found.collect_usage_pieces(own))


def _commands(group: click.Group, ctx: click.Context, known: Mapping[str, list[tuple[str, str]]]) -> Iterator[str]:
    """The commands but the default one, each with its options, without those that have been described before."""
    described = {term for records in known.values() for term, _ in records}
    for name in group.list_commands(ctx):
        found = group.get_command(ctx, name)
        assert found is not None
        if name != "fetch":
            with click.Context(found, parent=ctx, info_name=name) as own:
                yield from _command(found, own, f"fetchq {name}", described)


def _command(found: click.Command, own: click.Context, name: str, described: Container[str]) -> Iterator[str]:
    """A command, with its options that are not `described`; and then those of a group."""
    yield f".SS {_quoted(name)}"
    yield from _text(_paragraphs(found.help))
    for records in sections(found.get_params(own), own).values():
        yield from _terms(one for one in records if one[0] not in described and not one[0].endswith("--help"))
    if isinstance(found, click.Group):
        for part in found.list_commands(own):
            command = found.get_command(own, part)
            assert command is not None
            with click.Context(command, parent=own, info_name=part) as inner:
                yield from _command(command, inner, f"{name} {part}", described)


def _options(options: Mapping[str, list[tuple[str, str]]]) -> Iterator[str]:
    for heading, records in options.items():
        yield f".SS {_quoted(heading)}"
        yield from _terms(records)


def _section(heading: str, lines: Iterable[str]) -> list[str]:
    return [f".SH {_quoted(heading)}", *lines]


def _terms(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """A list of terms, in bold, with their descriptions."""
    return [line for term, text in pairs for line in (".TP", rf"\fB{_escaped(term)}\fR", _line(text))]


def _text(paragraphs: Iterable[str]) -> list[str]:
    """Paragraphs of running text. One that click is not to wrap, which a backspace says, stays as it is."""
    found: list[str] = []
    for one in paragraphs:
        found += [".PP"] if found else []
        if one.startswith("\b"):
            found += [".nf", *map(_line, one.splitlines()[1:]), ".fi"]
        else:
            found.append(_line(" ".join(one.split())))
    return found


def _paragraphs(text: str | None) -> list[str]:
    """The paragraphs of a docstring."""
    return [one for one in re.split(r"\n\s*\n", cleandoc(text or "")) if one.strip()]


def _line(text: str) -> str:
    """A line of text; it must not begin like a request."""
    escaped = _escaped(text)
    return rf"\&{escaped}" if escaped.startswith((".", "'")) else escaped


def _quoted(text: str) -> str:
    return '"' + _escaped(text).replace('"', r"\(dq") + '"'


def _escaped(text: str) -> str:
    """The text with the characters that mean something to roff as groff_char(7) names them."""
    return (
        text.replace("\\", r"\e")
        .replace("-", r"\-")
        .replace("'", r"\(aq")
        .replace("`", r"\(ga")
        .replace("^", r"\(ha")
        .replace("~", r"\(ti")
    )

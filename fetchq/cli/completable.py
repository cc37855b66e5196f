"""Says what the value of an option or an argument can be completed to in a shell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click
    from click.shell_completion import CompletionItem

__all__ = ["by_metavar", "completions"]

_PATHS = {"DIR": "dir", "OLD": "dir", "NEW": "dir", "FILE": "file", "SOURCE": "file"}
"""The kinds of paths that click's completion knows, by how a metavar begins."""


def completions(choices: Sequence[str], metavar: str | None, incomplete: str) -> list[CompletionItem[str]]:
    """The `choices` that begin like this; or else what makes the shell complete the path that `metavar` stands for."""
    from click.shell_completion import CompletionItem  # here, since only a shell that completes needs it

    found = [CompletionItem(one) for one in choices if one.startswith(incomplete)]
    kind = next((kind for begin, kind in _PATHS.items() if metavar is not None and metavar.startswith(begin)), None)
    return found if kind is None else [*found, CompletionItem(incomplete, type=kind)]


def by_metavar(_: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """The completions of a parameter with a metavar such as FILE, for click's `shell_complete=`."""
    return completions((), parameter.metavar, incomplete)

"""Tells where the value of a setting comes from, so that messages name it: an option, a variable or a config file.

It also finds variables that look like settings, and are none.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

import click
from click.core import ParameterSource

from fetchq.core.nearest import nearest
from fetchq.core.text import printable

__all__ = ["PREFIX", "check_variables", "ignored_variables", "note_config_keys", "source_of", "variable_of"]

PREFIX = "FETCHQ_"
"""What the names of all variables begin with."""
_OF_SCRIPTS = frozenset(
    {"BENCH_SAY", "BENCH_TMP", "BROWSER", "PYWB", "REQUIRE_ALL", "TEST_PROCESSES", "UPDATE_GOLDEN"}
)  # fmt: skip
"""The variables, without the prefix, that the scripts and tests of the repository use."""
_KEYS = "fetchq.config_keys"
"""The key of click's context under which `note_config_keys` keeps where the config files have which setting."""
_IGNORED = "fetchq.ignored_variables"
"""The key of click's context under which `check_variables` keeps the variables that it knows nothing about."""
_NEAR = 0.8
"""A name with at least this similarity (0 to 1) to that of a setting counts as misspelt."""


def variable_of(option: click.Parameter) -> str | None:
    """The name of the variable that sets this option; None if none does."""
    names = option.envvar or ()
    return next((name for name in ([names] if isinstance(names, str) else names) if os.environ.get(name)), None)


def note_config_keys(keys: Mapping[str, str]) -> None:
    """Remember where the config files have which settings, such as "fetchq.toml: workers", by the settings' names."""
    click.get_current_context().meta[_KEYS] = keys


def source_of(name: str, flag: str) -> str:
    """Where the value of the setting `name` comes from: `flag`, the name of its option, unless it is known better."""
    context = click.get_current_context(silent=True)
    if context is None:
        return flag
    source = context.get_parameter_source(name)
    if source is ParameterSource.ENVIRONMENT:
        option = next(one for one in context.command.params if one.name == name)
        return variable_of(option) or flag
    if source is ParameterSource.COMMANDLINE:
        return flag
    return printable(context.meta.get(_KEYS, {}).get(name, flag))


def check_variables(known: Iterable[str]) -> None:
    """Raise `click.UsageError` for a variable whose name is a misspelt one of `known`; remember those like none."""
    known = frozenset(known)
    unknown = {name.removeprefix(PREFIX) for name in os.environ if name.startswith(PREFIX) and name not in known}
    ignored = sorted(unknown - _OF_SCRIPTS)
    if ignored:
        settings = [name.removeprefix(PREFIX) for name in known]
        for name in ignored:
            if (near := nearest(name.upper(), settings, _NEAR)) is not None:
                message = f"{PREFIX}{name}: there is no such setting; did you mean {PREFIX}{near}?"
                raise click.UsageError(printable(message))
    click.get_current_context().meta[_IGNORED] = [PREFIX + name for name in ignored]


def ignored_variables() -> list[str]:
    """The variables that look like those of settings, and are like none."""
    found: list[str] = click.get_current_context().meta.get(_IGNORED, [])
    return found

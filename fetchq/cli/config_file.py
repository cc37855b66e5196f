"""Reads the config files: the one that --config names, or else the user's own and `fetchq.toml` in the current folder.

The folder may come from somebody else. So its file is named in the summary, and settings that read or overwrite files,
send secrets or change who is reached (`Origin`) are refused there, and very high limits, too. Its other settings
replace those of the user's own.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import Field
from pathlib import Path
from typing import Any

import click

from fetchq.cli.value_sources import ignored_variables, note_config_keys
from fetchq.core.nearest import hint
from fetchq.core.option import Origin, SettingOption, option_of
from fetchq.core.text import printable

__all__ = ["config_line", "read_config"]

_NAME = "fetchq.toml"
_LONGEST = 16_384
"""The most bytes of a config file: reading TOML may take time that grows with the square of its length."""
_FILES = "fetchq.config_files"
"""The key of click's context under which `read_config` keeps the names of the files."""


def read_config(path: str | None, known: Sequence[Field[Any]]) -> dict[str, Any]:
    """The settings of the config files, by the names of their fields. Raises `click.UsageError`.

    `path`: the file that --config names. `known`: the fields that a file may set.
    """
    if path is not None:
        found = {path: _read(Path(path), known)}
    else:
        own, here = _own_file(), Path(_NAME)
        found = {str(own): _read(own, known)} if own.is_file() else {}
        if here.is_file() and not (found and own.samefile(here)):
            found[_NAME] = _read(here, known)
            _refuse(found[_NAME], known)
    click.get_current_context().meta[_FILES] = [name for name, values in found.items() if values]
    note_config_keys({name: f"{file}: {name}" for file, values in found.items() for name in values})
    return {name: value for values in found.values() for name, value in values.items()}


def config_line() -> str | None:
    """The line that names the config files from which this command has read settings, and variables that it ignores.

    None if there are neither.
    """
    files = click.get_current_context().meta.get(_FILES)
    ignored = ignored_variables()
    parts = [f"settings from {' and '.join(files)}"] if files else []
    parts += [f"ignored: {', '.join(ignored)}, since no setting has such a name"] if ignored else []
    return printable("; ".join(parts)) if parts else None


def _own_file() -> Path:
    from platformdirs import user_config_dir

    return Path(user_config_dir("fetchq")) / _NAME


def _refuse(values: dict[str, Any], known: Sequence[Field[Any]]) -> None:
    """Raise UsageError for settings that are not taken from the folder in which one happens to stand."""
    refused = [one.name for one in known if one.name in values and _is_for_user(option_of(one), values[one.name])]
    if refused:
        raise click.UsageError(
            f"the config file {os.path.abspath(_NAME)!r} may not set {', '.join(refused)}, since this folder may come "
            "from somebody else: name the file with --config, or set that in your own"
        )


def _is_for_user(option: SettingOption, value: object) -> bool:
    try:
        return option.origin is not Origin.ANYWHERE or option.is_for_user(value)
    except ValueError:
        return False  # the message about a wrong value says more


def _bounded(file: Path) -> bytes:
    """The content of a config file. Raises OSError, and ValueError if it is longer than any that a person writes."""
    with open(file, "rb") as stream:
        content = stream.read(_LONGEST + 1)
    if len(content) > _LONGEST:
        raise ValueError(f"it is longer than {_LONGEST:,} bytes")
    return content


def _read(file: Path, known: Sequence[Field[Any]]) -> dict[str, Any]:
    import tomllib

    try:
        found = tomllib.loads(_bounded(file).decode())
    except (OSError, ValueError, RecursionError) as problem:  # also what is no TOML, or has a number with many digits
        reason = problem.strerror if isinstance(problem, OSError) else problem
        raise click.UsageError(f"the config file {str(file)!r} cannot be read: {reason}") from None
    # A key is the name of an option without its dashes, or the name of a field.
    names = {one.name: one.name for one in known}
    names |= {flag.lstrip("-"): one.name for one in known for flag in option_of(one).flags if flag.startswith("--")}
    if (unknown := next((name for name in found if name not in names), None)) is not None:
        raise click.UsageError(
            printable(f"the config file {str(file)!r} has an unknown setting: {unknown}{hint(unknown, names)}")
        )
    return {names[name]: value for name, value in found.items()}

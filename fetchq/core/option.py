"""Defines what a setting is: a dataclass field with a parser, bounds, command-line flags and a help text.

The command line's options, the environment variables and the keys of the config file are derived from these fields.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from enum import Enum, auto
from typing import Any, Self

from fetchq.core.nearest import hint

__all__ = [
    "HiddenValues",
    "Origin",
    "SettingOption",
    "SettingsError",
    "ValidatedSettings",
    "option_of",
    "setting",
    "settings_text",
    "unexpected_keyword",
]

_UNITS = {"S": "seconds", "BYTES": "bytes", "BYTES/s": "bytes per second", "N/s": "per second"}
"""The units of settings, by the metavar of their options."""


class Origin(Enum):
    """Where a setting may come from, beside its user: the command line, the environment and the user's own config file.

    A folder may come from somebody else, with the ledger of a run in it, or with a config file.
    """

    ANYWHERE = auto()
    """Also a `fetchq.toml` in the current folder, and the ledger of the run that is resumed."""
    LEDGER = auto()
    """Also that ledger, but no such file: the setting changes what is asked of the servers in the user's own list."""
    USER = auto()
    """Only the user: the setting reads or overwrites a file, sends a secret, or changes who is reached."""


class SettingsError(ValueError):
    """A setting has an invalid value. `name` is the name of its field in `Settings`."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(name, message)
        self.name = name
        self.message = message

    def __str__(self) -> str:
        return f"{self.name}: {self.message}"


@dataclass(frozen=True, slots=True)
class SettingOption:
    """The metadata of a settings field: how it is parsed, and how its command-line option looks."""

    group: str
    """The heading under which the help lists the option."""
    flags: tuple[str, ...]
    """The option's names, short ones first; empty for a setting that only Python callers have."""
    parser: Callable[[object], Any]
    """Turns a text, or a value of the right type, into the field's value. Raises ValueError."""
    help: str
    python_help: str | None
    """The help text for Python callers, where they use the setting in another way than the command line."""
    metavar: str | None
    minimum: float | None
    above: float | None
    """The value must be greater than this."""
    maximum: float | None
    repeatable: bool
    """Whether the option may be given several times."""
    default_text: str | None
    """The default as a person would type it, where `str(default)` is something else."""
    origin: Origin
    """Where its value may come from."""
    folder_maximum: float | None
    """The greatest value that may come from a folder: a greater one might take all memory, or the whole disk."""
    is_limit: bool
    """Whether None, and the text `none`, mean that there is no limit."""
    choices: tuple[str, ...]
    """The texts that the option takes, where there are only a few; empty for the others."""

    def parse(self, given: object) -> Any:
        """Parse a text or a value, and check the bounds. Returns the field's value. Raises ValueError."""
        if given is None or (self.is_limit and isinstance(given, str) and given.strip().lower() == "none"):
            return None
        value = self.parser(given)
        if self.minimum is not None and value < self.minimum:
            raise ValueError(f"{given} is below {self.minimum:g}")
        if self.above is not None and value <= self.above:
            hint = "; 'none' means no limit" if self.is_limit else ""
            raise ValueError(f"{given} is not above {self.above:g}{hint}")
        if self.maximum is not None and value > self.maximum:
            raise ValueError(f"it is above {self.maximum:g}")
        return value

    def is_for_user(self, given: object) -> bool:
        """Whether only the user may set this value, which is above `folder_maximum`. Raises ValueError."""
        return self.folder_maximum is not None and given is not None and self.parse(given) > self.folder_maximum


def setting(
    default: Any,
    flags: str,
    parser: Callable[[object], Any],
    help: str,
    *,
    group: str,
    python_help: str | None = None,
    metavar: str | None = None,
    minimum: float | None = None,
    above: float | None = None,
    maximum: float | None = None,
    repeatable: bool = False,
    secret: bool = False,
    default_text: str | None = None,
    origin: Origin = Origin.ANYWHERE,
    folder_maximum: float | None = None,
    is_limit: bool = False,
    choices: tuple[str, ...] = (),
) -> Any:
    """A dataclass field with its SettingOption.

    `flags` are separated by spaces. A `secret` is left out of the repr. A `metavar` such as "a|b" gives the `choices`.
    """
    option = SettingOption(
        group=group,
        flags=tuple(flags.split()),
        parser=parser,
        help=help,
        python_help=python_help,
        metavar=metavar,
        minimum=minimum,
        above=above,
        maximum=maximum,
        repeatable=repeatable,
        default_text=default_text,
        origin=origin,
        folder_maximum=folder_maximum,
        is_limit=is_limit,
        choices=choices or (tuple(metavar.split("|")) if metavar and "|" in metavar else ()),
    )
    return field(default=default, metadata={"option": option}, repr=not secret)


def unexpected_keyword(function: str, given: Iterable[str], known: Iterable[str]) -> TypeError | None:
    """The error for a keyword argument that `function` does not take, with the most similar one that it does take.

    None where all of the arguments `given` are `known`.
    """
    known = tuple(known)
    unexpected = next((name for name in given if name not in known), None)
    if unexpected is None:
        return None
    near = hint(unexpected, known, quoted=True)
    return TypeError(f"{function}() got an unexpected keyword argument {unexpected!r}{near}")


class HiddenValues(dict[str, Any]):
    """Keyword arguments, of whose values a traceback that shows variables shows none, since some may be secret."""

    def __repr__(self) -> str:
        return f"<{', '.join(self)}>"

    @classmethod
    def taken_from(cls, options: Any) -> Self:
        """The keyword arguments that a function was called with, whose own dictionary is empty then."""
        taken = cls(options)
        options.clear()
        return taken


def option_of(a_field: Any) -> SettingOption:
    """The SettingOption of a field that `setting` has made."""
    option: SettingOption = a_field.metadata["option"]
    return option


def settings_text(kind: Any) -> str:
    """A line for each setting of a dataclass, with default, unit and meaning, under the headings of the help."""
    import re

    lines: list[str] = []
    group = None
    for one in fields(kind):
        option = option_of(one)
        if option.group != group:
            group = option.group
            lines += ["", f"{group}:"]
        default = repr(one.default if option.default_text is None else option.default_text)
        unit = "|".join(option.choices) or _UNITS.get(option.metavar or "")
        # The help text of an option may name another option, such as --min-speed; Python callers know it as min_speed.
        meaning = re.sub(r"--([a-z-]+)", lambda match: match[1].replace("-", "_"), option.python_help or option.help)
        lines.append(f"    {one.name}={default}{f' ({unit})' if unit else ''}: {meaning}")
    return "\n".join(lines[1:])


class ValidatedSettings:
    """Base class of dataclasses whose fields are settings: a new instance parses and checks each of its values.

    Raises SettingsError, and TypeError for a keyword argument that is not a field.
    """

    __slots__ = ("_given",)
    _given: frozenset[str]
    """The names of the fields that the caller has given; the others have their defaults."""

    def __new__(cls, *args: object, **given: object) -> Self:
        # The error that the dataclass's own __init__ raises suggests no other name in Python 3.11 and 3.12.
        names = [one.name for one in fields(cls)]  # type: ignore[arg-type]  # the subclasses are dataclasses
        problem = unexpected_keyword(cls.__name__, given, names)
        if problem is not None:
            raise problem
        self = super().__new__(cls)
        object.__setattr__(self, "_given", frozenset(given))  # the subclasses are frozen
        return self

    def __post_init__(self) -> None:
        for one in fields(self):  # type: ignore[arg-type]  # the subclasses are dataclasses
            given, option = getattr(self, one.name), option_of(one)
            if given is None and one.default is not None and not option.is_limit:
                raise SettingsError(one.name, "a value is needed")
            try:
                object.__setattr__(self, one.name, option.parse(given))
            except ValueError as problem:
                raise SettingsError(one.name, str(problem)) from None

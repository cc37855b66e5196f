"""Defines what a setting is: a dataclass field with a parser, bounds, command-line flags and a help text.

The command line's options, the environment variables and the keys of the config file are derived from these fields.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

__all__ = ["SettingOption", "SettingsError", "ValidatedSettings", "option_of", "setting"]


class SettingsError(ValueError):
    """A setting has a value that it cannot have. `name` is the field's name."""

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
    """The heading of the help under which the option is listed."""
    flags: tuple[str, ...]
    """The option's names, short ones first. Empty for a setting that only Python callers have."""
    parser: Callable[[object], Any]
    """From a text, or a value of the right type, to the field's value. Raises ValueError."""
    help: str
    metavar: str | None
    minimum: float | None
    above: float | None
    """The value must be greater than this."""
    maximum: float | None
    repeatable: bool
    """The option may be given several times."""
    default_text: str | None
    """The default as a person would type it, where `str(default)` is something else."""

    def parse(self, given: object) -> Any:
        """The field's value for what was given, within the bounds. Raises ValueError."""
        if given is None:
            return None
        value = self.parser(given)
        if self.minimum is not None and value < self.minimum:
            raise ValueError(f"{given} is below {self.minimum:g}")
        if self.above is not None and value <= self.above:
            raise ValueError(f"{given} is not above {self.above:g}")
        if self.maximum is not None and value > self.maximum:
            raise ValueError(f"it is above {self.maximum:g}")
        return value


def setting(
    default: Any,
    flags: str,
    parser: Callable[[object], Any],
    help: str,
    *,
    group: str,
    metavar: str | None = None,
    minimum: float | None = None,
    above: float | None = None,
    maximum: float | None = None,
    repeatable: bool = False,
    secret: bool = False,
    default_text: str | None = None,
) -> Any:
    """A dataclass field with its SettingOption. `flags` are separated by spaces; a secret is left out of the repr."""
    option = SettingOption(
        group, tuple(flags.split()), parser, help, metavar, minimum, above, maximum, repeatable, default_text
    )
    return field(default=default, metadata={"option": option}, repr=not secret)


def option_of(a_field: Any) -> SettingOption:
    """The SettingOption of one of `dataclasses.fields(...)`."""
    option: SettingOption = a_field.metadata["option"]
    return option


class ValidatedSettings:
    """Base of the dataclasses whose fields are settings: an instance parses and checks each of its values.

    Raises SettingsError.
    """

    __slots__ = ()

    def __post_init__(self) -> None:
        for one in fields(self):  # type: ignore[arg-type]  # the subclasses are dataclasses
            given = getattr(self, one.name)
            if given is None and one.default is not None:
                raise SettingsError(one.name, "a value is needed")
            try:
                object.__setattr__(self, one.name, option_of(one).parse(given))
            except ValueError as problem:
                raise SettingsError(one.name, str(problem)) from None

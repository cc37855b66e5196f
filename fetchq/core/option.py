"""What a setting is made of: a field of a frozen dataclass that knows how it is read, bounded, called and explained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

__all__ = ["Checked", "Knob", "SettingsError", "knob", "knob_of"]


class SettingsError(ValueError):
    """A setting has a value that it cannot have. `name` is the field's name."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(name, message)
        self.name = name
        self.message = message

    def __str__(self) -> str:
        return f"{self.name}: {self.message}"


@dataclass(frozen=True, slots=True)
class Knob:
    """What the front ends need to know of a field."""

    group: str
    flags: tuple[str, ...]
    read: Callable[[object], Any]
    help: str
    metavar: str | None
    low: float | None
    """The least value."""
    above: float | None
    """A value it must exceed."""
    high: float | None
    """The greatest value."""
    many: bool
    """The option may be given several times."""
    shown: str | None
    """The default as a person would type it, where that is not plain from the value."""

    def value(self, given: object) -> Any:
        """The field's value for what was given. Raises ValueError."""
        if given is None:
            return None
        value = self.read(given)
        if self.low is not None and value < self.low:
            raise ValueError(f"{given} is below {self.low:g}")
        if self.above is not None and value <= self.above:
            raise ValueError(f"{given} is not above {self.above:g}")
        if self.high is not None and value > self.high:
            raise ValueError(f"it is above {self.high:g}")
        return value


def knob(
    default: Any,
    flags: str,
    read: Callable[[object], Any],
    help: str,
    *,
    group: str,
    metavar: str | None = None,
    low: float | None = None,
    above: float | None = None,
    high: float | None = None,
    many: bool = False,
    secret: bool = False,
    shown: str | None = None,
) -> Any:
    """A field with its Knob. `flags` is empty where only Python can set it; a secret is not part of the repr."""
    metadata = {"knob": Knob(group, tuple(flags.split()), read, help, metavar, low, above, high, many, shown)}
    return field(default=default, metadata=metadata, repr=not secret)


def knob_of(a_field: Any) -> Knob:
    """The Knob of one of `dataclasses.fields(...)`."""
    found: Knob = a_field.metadata["knob"]
    return found


class Checked:
    """Reads every field through its knob, so that a Settings in hand is a valid one."""

    __slots__ = ()

    def __post_init__(self) -> None:
        for one in fields(self):  # type: ignore[arg-type]  # the subclasses are dataclasses
            given = getattr(self, one.name)
            if given is None and one.default is not None:
                raise SettingsError(one.name, "a value is needed")
            try:
                object.__setattr__(self, one.name, knob_of(one).value(given))
            except ValueError as problem:
                raise SettingsError(one.name, str(problem)) from None

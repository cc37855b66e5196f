"""Leaves fields of a dataclass out of what shows its objects to people and to other libraries."""

from __future__ import annotations

from dataclasses import Field, InitVar, field, make_dataclass
from typing import Any

__all__ = ["every_field", "every_value", "set_every_value", "unlist_fields"]


def unlist_fields(kind: type, *names: str) -> None:
    """Leave out these fields, which need defaults, of `dataclasses.fields`, and so of `asdict` and `astuple`.

    They become what a field of the type `InitVar` is: an argument of the constructor, which `dataclasses.replace`
    keeps. The methods that the dataclass has already do with them what they did; only `__getstate__` and `__setstate__`
    have to be `every_value` and `set_every_value`.
    """
    known = _by_name(kind)
    unlisted = [(name, InitVar[Any], field(default=known[name].default)) for name in names]
    known.update(_by_name(make_dataclass("Unlisted", unlisted, init=False, repr=False, eq=False)))


def every_field(kind: type) -> list[Field[Any]]:
    """The fields of a dataclass with slots, also those that are not listed, but no argument that is no field."""
    slots = {name for base in kind.__mro__ for name in base.__dict__.get("__slots__", ())}
    return [one for one in _by_name(kind).values() if one.name in slots]


def every_value(one: object) -> list[Any]:
    """The values of the fields of an object of such a dataclass: its state, from which it is copied and unpickled."""
    return [getattr(one, known.name) for known in every_field(type(one))]


def set_every_value(one: object, state: list[Any]) -> None:
    """Give a new object of such a dataclass the values of its fields."""
    for known, value in zip(every_field(type(one)), state, strict=True):
        object.__setattr__(one, known.name, value)


def _by_name(kind: Any) -> dict[str, Field[Any]]:
    found: dict[str, Field[Any]] = kind.__dataclass_fields__
    return found

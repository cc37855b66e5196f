"""Making frozen objects at the price of ordinary ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Any, ParamSpec, TypeVar

__all__ = ["changer", "maker"]

P = ParamSpec("P")
T = TypeVar("T")


def maker(frozen: Callable[P, T]) -> Callable[P, T]:
    """A function that makes objects of a frozen, slotted dataclass, with its parameters, three times as fast.

    A frozen dataclass sets each of its fields through `object.__setattr__`. Here an ordinary object with the same slots
    is filled, and then becomes one of `frozen`: Python allows that, since both are laid out alike.
    """
    kind: Any = frozen
    names = [one.name for one in fields(kind)]
    draft = type(f"{kind.__name__}Draft", (), {"__slots__": tuple(names)})
    defaults = {f"default_{one.name}": one.default for one in fields(kind) if one.default is not MISSING}
    parameters = [f"{name}=default_{name}" if f"default_{name}" in defaults else name for name in names]
    lines = [f"def make({', '.join(parameters)}):", " draft = new(Draft)"]
    lines += [f" draft.{name} = {name}" for name in names]
    lines += [" draft.__class__ = Kind", " return draft"]
    scope: dict[str, Any] = {"new": object.__new__, "Draft": draft, "Kind": kind, **defaults}
    exec("\n".join(lines), scope)  # noqa: S102  # as dataclasses itself does; only field names go in
    made: Callable[P, T] = scope["make"]
    return made


def changer(frozen: Callable[..., T], *names: str) -> Callable[..., T]:
    """A function that takes such an object and new values of the fields `names`, and makes the changed object.

    `dataclasses.replace` for hot paths, ten times as fast.
    """
    kind: Any = frozen
    make = maker(kind)
    values = [one.name if one.name in names else f"old.{one.name}" for one in fields(kind)]
    lines = [f"def change(old, {', '.join(names)}):", f" return make({', '.join(values)})"]
    scope: dict[str, Any] = {"make": make}
    exec("\n".join(lines), scope)  # noqa: S102  # as above
    changed: Callable[..., T] = scope["change"]
    return changed

"""Generates fast constructors and copying functions for frozen dataclasses, for the hot path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING
from typing import Any, ParamSpec, TypeVar

from fetchq.core.lazy_field import LazyField
from fetchq.core.unlisted_fields import every_field

__all__ = ["fast_constructor", "fast_draft", "fast_replacer"]

P = ParamSpec("P")
T = TypeVar("T")


def fast_draft(frozen: Callable[..., T]) -> tuple[Callable[[], Any], Callable[[Any], T]]:
    """Two functions that construct objects of a frozen, slotted dataclass with many fields.

    The first returns a draft, whose fields are to be assigned; those that have defaults have them already. The second
    makes the draft an object of the dataclass. Thirty arguments by keyword would take four times as long.
    """
    kind: Any = frozen
    draft = _draft_class(kind)
    defaults = {one.name: one.default for one in every_field(kind) if one.default is not MISSING}
    lines = ["def begin():", " draft = Draft()"]
    lines += [f" draft.{name} = default_{name}" for name in defaults]
    lines += [" return draft", "def finish(draft):", " draft.__class__ = Kind", " return draft"]
    scope: dict[str, Any] = {"Draft": draft, "Kind": kind} | {f"default_{name}": defaults[name] for name in defaults}
    exec("\n".join(lines), scope)  # noqa: S102  # as dataclasses does; only field names go in
    return scope["begin"], scope["finish"]


def _draft_class(kind: Any) -> type:
    """A subclass whose objects are made without arguments, and can be changed.

    It has no slots of its own: objects of a subclass like that can become objects of their base class in less time than
    those of another class with the same slots.
    """
    base: Any = object
    own = {name: getattr(base, name) for name in ("__init__", "__setattr__", "__delattr__")}
    slots = {one.name: kind.__dict__[one.name] for one in every_field(kind)}
    slots |= {name: slot.slot for name, slot in slots.items() if isinstance(slot, LazyField)}
    return type(f"{kind.__name__}Draft", (kind,), {"__slots__": ()} | own | slots)


def fast_constructor(frozen: Callable[P, T]) -> Callable[P, T]:
    """A function that constructs objects of a frozen, slotted dataclass three times as fast as its own constructor.

    The function has the same parameters. The constructor of a frozen dataclass sets each field through
    `object.__setattr__`. The function instead sets the fields of an object of a subclass that is not frozen, and then
    assigns its `__class__`, which Python allows for classes of the same layout.
    """
    kind: Any = frozen
    defaults = {f"default_{one.name}": one.default for one in every_field(kind) if one.default is not MISSING}
    names = [one.name for one in every_field(kind)]
    parameters = [f"{name}=default_{name}" if f"default_{name}" in defaults else name for name in names]
    made: Callable[P, T] = _generate(kind, f"make({', '.join(parameters)})", {name: name for name in names}, defaults)
    return made


def fast_replacer(frozen: Callable[..., T], *names: str) -> Callable[..., T]:
    """A function like `dataclasses.replace`, but ten times as fast.

    It takes an object and the new values of the fields `names`, as positional arguments in that order. What a class
    keeps unparsed (`lazy_field`) stays so.
    """
    kind: Any = frozen
    values = {one.name: one.name if one.name in names else f"old.{one.name}" for one in every_field(kind)}
    scope: dict[str, Any] = {}
    for name in values.keys() - names:
        if isinstance(lazy := kind.__dict__[name], LazyField):
            values[name], scope[f"kept_{name}"] = f"kept_{name}(old)", lazy.kept
    changed: Callable[..., T] = _generate(kind, f"change(old, {', '.join(names)})", values, scope)
    return changed


def _generate(kind: Any, signature: str, values: dict[str, str], scope: dict[str, Any]) -> Any:
    """The function with this signature that constructs an object from the expressions for its fields."""
    lines = [f"def {signature}:", " draft = Draft()"]
    lines += [f" draft.{name} = {value}" for name, value in values.items()]
    lines += [" draft.__class__ = Kind", " return draft"]
    scope |= {"Draft": _draft_class(kind), "Kind": kind}
    exec("\n".join(lines), scope)  # noqa: S102  # as dataclasses does; only field names go in
    return scope[signature.partition("(")[0]]

"""Keeps a field of a slotted class as it came, and parses it when it is first read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["LazyField", "keep_unparsed"]


def keep_unparsed(kind: type, name: str, raw: type, parse: Callable[[Any], object]) -> Callable[[Any], Any]:
    """Let objects of a slotted class keep a field as a `raw`, until somebody reads it: then it is parsed.

    Returns the function that tells how an object keeps it.
    """
    lazy = LazyField(kind.__dict__[name], raw, parse)
    setattr(kind, name, lazy)
    return lazy.kept


class LazyField:
    """Stands before the slot of a class, and parses what is in it."""

    def __init__(self, slot: Any, raw: type, parse: Callable[[Any], object]) -> None:
        self.slot = slot
        self._raw, self._parse = raw, parse
        self.kept: Callable[[Any], Any] = slot.__get__
        """How an object keeps the field."""

    def __get__(self, owner: Any, kind: type | None = None) -> Any:
        if owner is None:
            return self
        kept = self.kept(owner)
        if isinstance(kept, self._raw):
            kept = self._parse(kept)
            self.slot.__set__(owner, kept)
        return kept

    def __set__(self, owner: Any, kept: object) -> None:
        self.slot.__set__(owner, kept)

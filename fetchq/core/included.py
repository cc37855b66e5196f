"""Checks the argument `include`, which names what a record or a table has beside its fields."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from fetchq.core.nearest import hint

__all__ = ["included"]


def included(include: Iterable[str], known: Collection[str]) -> list[str]:
    """The words of `include`, which may also be one word, each once. Raises ValueError for one that is not `known`."""
    wanted = [include] if isinstance(include, str) else list(dict.fromkeys(include))
    for word in wanted:
        if word not in known:
            raise ValueError(f"include: {word!r} is none of {', '.join(known)}{hint(word, known, quoted=True)}")
    return wanted

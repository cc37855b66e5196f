"""Finds the right word that is most similar to a wrong one, for messages of errors."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["hint", "nearest"]

_SIMILAR = 0.6
"""The default similarity of difflib, from 0 to 1, from which on a word counts as misspelt."""


def nearest(word: str, known: Iterable[str], similarity: float = _SIMILAR) -> str | None:
    """The most similar of the `known` words; None if none has at least this similarity (0 to 1)."""
    from difflib import get_close_matches  # here, since it takes long to load, and is needed only for an error

    return next(iter(get_close_matches(word, list(known), 1, similarity)), None)


def hint(word: str, known: Iterable[str], *, quoted: bool = False) -> str:
    """The end of a message about a wrong word: `; did you mean ...?`, or nothing. `quoted`: as Python quotes it."""
    near = nearest(word, known)
    return "" if near is None else f"; did you mean {near!r}?" if quoted else f"; did you mean {near}?"

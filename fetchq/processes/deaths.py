"""Counts the deaths of a process, to tell a row that kills it from misfortunes."""

from __future__ import annotations

__all__ = ["DeathCount"]

_MOST_DEATHS = 3
"""How often a process may die with the same rows, and be followed by another one. Then they are the likely reason."""


class DeathCount:
    """The latest deaths of one process of a run, and of those that followed it, which had some row in common."""

    def __init__(self) -> None:
        self._deaths = 0
        self._suspects: frozenset[int] = frozenset()
        """The rows that all of these had, by index."""

    def add(self, rows: frozenset[int]) -> bool:
        """Count a death, with these rows under way. Returns whether there were too many."""
        if rows and not rows & self._suspects:
            self._deaths, self._suspects = 0, rows
        self._deaths += 1
        self._suspects &= rows
        return self._deaths > _MOST_DEATHS

    def __str__(self) -> str:
        """How many others died before, for messages."""
        return f"so did {_MOST_DEATHS} before it{', with the same rows' if self._suspects else ''}"

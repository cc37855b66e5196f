"""Adds up the seconds between each start and the stop that follows; the clock is a parameter."""

from __future__ import annotations

__all__ = ["Stopwatch"]


class Stopwatch:
    """A stopwatch, which is stopped at first."""

    __slots__ = ("_since", "total")

    def __init__(self) -> None:
        self.total = 0.0
        """Seconds for which it had run when it was last stopped."""
        self._since: float | None = None

    def read(self, now: float) -> float:
        """Seconds for which it has run until now."""
        return self.total if self._since is None else self.total + max(0.0, now - self._since)

    def start(self, now: float) -> None:
        """Start it, unless it runs."""
        if self._since is None:
            self._since = now

    def stop(self, now: float) -> None:
        """Stop it, if it runs."""
        if self._since is not None:
            self.total += max(0.0, now - self._since)
            self._since = None

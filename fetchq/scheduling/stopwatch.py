"""A stopwatch that is told the time: it adds up the seconds between each start and the stop that follows."""

from __future__ import annotations

__all__ = ["Stopwatch"]


class Stopwatch:
    """Stopped at first."""

    __slots__ = ("_since", "total")

    def __init__(self) -> None:
        self.total = 0.0
        """Seconds it had run for when it was stopped last."""
        self._since: float | None = None

    def read(self, now: float) -> float:
        """Seconds it has run for until now."""
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

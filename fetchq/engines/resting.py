"""Connections that wait for another request to where they lead."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from time import monotonic
from typing import Generic, Protocol, TypeVar

__all__ = ["KEPT_FOR", "Resting"]

KEPT_FOR = 30.0
"""Seconds after which a connection that nobody has asked for is closed."""


class _Closable(Protocol):
    def close(self) -> None: ...

    def is_connected(self) -> bool: ...


C = TypeVar("C", bound=_Closable)


class Resting(Generic[C]):
    """At most so many; of one too many, the one that has rested longest is closed. For one event loop."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._since: OrderedDict[C, float] = OrderedDict()
        """Since when each has rested, by `time.monotonic`: the longest first."""
        self._places: dict[object, dict[C, None]] = {}
        """Where they lead; in each place, the longest first."""
        self._of: dict[C, object] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._since)

    def add(self, place: object, connection: C) -> None:
        """A connection has nothing to do. `place`: where it leads."""
        self._since[connection] = monotonic()
        self._of[connection] = place
        self._places.setdefault(place, {})[connection] = None
        if len(self._since) > self._most:
            self._drop(next(iter(self._since))).close()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(KEPT_FOR, self._sweep)

    def take(self, place: object) -> C | None:
        """A connection to there; None where none is left. Of several, the one that has rested shortest."""
        while (there := self._places.get(place)) is not None:
            connection = self._drop(next(reversed(there)))
            if connection.is_connected():
                return connection
        return None

    def close(self) -> None:
        """Close them all."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._since:
            self._drop(next(iter(self._since))).close()

    def _drop(self, connection: C) -> C:
        del self._since[connection]
        place = self._of.pop(connection)
        there = self._places[place]
        del there[connection]
        if not there:
            del self._places[place]
        return connection

    def _sweep(self) -> None:
        """Close those that have rested long enough; and forget those that the server has closed."""
        self._timer = None
        now = monotonic()
        for connection in [one for one, since in self._since.items() if now - since >= KEPT_FOR]:
            self._drop(connection).close()
        if self._since:
            oldest = next(iter(self._since.values()))
            self._timer = asyncio.get_running_loop().call_later(oldest + KEPT_FOR - now, self._sweep)

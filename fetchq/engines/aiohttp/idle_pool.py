"""Connections that wait for another request to where they lead."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Hashable
from time import monotonic
from typing import Generic, Protocol, TypeVar

__all__ = ["KEPT_FOR", "Resting"]

KEPT_FOR = 30.0
"""Seconds after which a connection that nobody has asked for is closed."""


class _Connection(Protocol):
    place: Hashable
    """Where it leads."""

    def close(self) -> None: ...

    def is_connected(self) -> bool: ...


C = TypeVar("C", bound=_Connection)


class Resting(Generic[C]):
    """At most so many; of one too many, the one that has rested longest is closed. For one event loop."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._since: OrderedDict[C, float] = OrderedDict()
        """Since when each has rested, by `time.monotonic`: the longest first."""
        self._places: dict[Hashable, dict[C, None]] = {}
        """The same by where they lead."""
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._since)

    def add(self, connection: C) -> None:
        """A connection has nothing to do."""
        self._since[connection] = monotonic()
        there = self._places.get(connection.place)
        if there is None:
            there = self._places[connection.place] = {}
        there[connection] = None
        if len(self._since) > self._most:
            self._drop(next(iter(self._since))).close()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(KEPT_FOR, self._sweep)

    def take(self, place: Hashable) -> C | None:
        """A connection to there; None where none is left. Of several, the one that has rested shortest."""
        while (there := self._places.get(place)) is not None:
            connection = self._drop(next(reversed(there)))
            if connection.is_connected():
                return connection
            connection.close()  # at once: it may be saying good-bye in TLS, to a server that does not listen
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
        there = self._places[connection.place]
        del there[connection]
        if not there:
            del self._places[connection.place]
        return connection

    def _sweep(self) -> None:
        """Close those that have rested long enough; and those that the server has closed."""
        self._timer = None
        now = monotonic()
        for connection in [one for one, since in self._since.items() if now - since >= KEPT_FOR]:
            self._drop(connection).close()
        if self._since:
            oldest = next(iter(self._since.values()))
            self._timer = asyncio.get_running_loop().call_later(oldest + KEPT_FOR - now, self._sweep)

"""Keeps the idle connections of an event loop for later requests."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Hashable
from time import monotonic
from typing import Generic, Protocol, TypeVar

__all__ = ["IDLE_TIMEOUT", "IdlePool"]

IDLE_TIMEOUT = 30.0
"""Seconds after which an idle connection is closed."""


class _Connection(Protocol):
    key: Hashable
    """The server and the proxy that it leads to. Requests with the same key can share it."""

    def close(self) -> None: ...

    def is_connected(self) -> bool: ...


C = TypeVar("C", bound=_Connection)


class IdlePool(Generic[C]):
    """A pool of at most `size` idle connections. If there are more, it closes the one that has been idle longest."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._idle_since: OrderedDict[C, float] = OrderedDict()
        """When each connection became idle (`time.monotonic`), the longest idle one first."""
        self._by_key: dict[Hashable, dict[C, None]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._idle_since)

    def add(self, connection: C) -> None:
        """Keep a connection that has become idle."""
        self._idle_since[connection] = monotonic()
        same = self._by_key.get(connection.key)
        if same is None:
            same = self._by_key[connection.key] = {}
        same[connection] = None
        if len(self._idle_since) > self._size:
            self._remove(next(iter(self._idle_since))).close()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(IDLE_TIMEOUT, self._sweep)

    def take(self, key: Hashable) -> C | None:
        """Remove and return the connection with this key that became idle last; None if there is none."""
        while (same := self._by_key.get(key)) is not None:
            connection, _ = same.popitem()
            del self._idle_since[connection]
            if not same:
                del self._by_key[key]
            if connection.is_connected():
                return connection
            connection.close()  # it may be in a TLS shutdown that the server never answers
        return None

    def close(self) -> None:
        """Close all connections."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._idle_since:
            self._remove(next(iter(self._idle_since))).close()

    def _remove(self, connection: C) -> C:
        del self._idle_since[connection]
        same = self._by_key[connection.key]
        del same[connection]
        if not same:
            del self._by_key[connection.key]
        return connection

    def _sweep(self) -> None:
        """Close the connections that have been idle for too long, including those that the server has closed."""
        self._timer = None
        now = monotonic()
        for connection in [one for one, since in self._idle_since.items() if now - since >= IDLE_TIMEOUT]:
            self._remove(connection).close()
        if self._idle_since:
            oldest = next(iter(self._idle_since.values()))
            self._timer = asyncio.get_running_loop().call_later(oldest + IDLE_TIMEOUT - now, self._sweep)

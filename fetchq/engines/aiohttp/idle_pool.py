"""Keeps the idle connections of an event loop for later requests."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Hashable
from time import perf_counter
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from fetchq.core.known import RecentSet
from fetchq.engines.hang_up import readable
from fetchq.http.keep_alive import Announced, ReusePolicy, is_reusable_after

if TYPE_CHECKING:
    from fetchq.http.response import ResponseHead

__all__ = ["IDLE_TIMEOUT", "IdlePool", "descriptor_of"]

IDLE_TIMEOUT = 30.0
"""Seconds after which an idle connection is closed."""


class _Connection(Protocol):
    key: Hashable
    """The server and the proxy that it leads to. Requests with the same key can share it."""
    idle_since: float
    """When it became idle (`time.perf_counter`)."""
    announced: Announced | None
    """What its server has announced about it, if anything."""

    unsolicited: bool
    """Whether bytes arrived while no request was under way, so that later bytes cannot be trusted."""

    @property
    def transport(self) -> asyncio.BaseTransport | None: ...

    def close(self) -> None: ...

    def is_connected(self) -> bool: ...


C = TypeVar("C", bound=_Connection)


class IdlePool(Generic[C]):
    """A pool of at most `size` idle connections. If there are more, it closes the one that has been idle longest."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._policy = ReusePolicy()
        self._idle: OrderedDict[C, None] = OrderedDict()
        """The connections but for the latest one, the longest idle one first."""
        self._by_key: dict[Hashable, dict[C, None]] = {}
        """The same connections, for each key in the same order."""
        self._latest: C | None = None
        """The connection that became idle last: nearly always the one that is taken next, for which it stays here."""
        self._distrusted = RecentSet()
        """Hosts that sent unsolicited bytes, so that no connection to them is reused."""
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._idle) + (self._latest is not None)

    def add(self, connection: C, response: ResponseHead) -> None:
        """Keep a connection that has become idle, unless its last response rules it out."""
        if response.announces and not is_reusable_after(connection, response.headers):
            connection.close()
            return
        connection.idle_since = perf_counter()
        if self._latest is not None:
            self._shelve()
        self._latest = connection
        if len(self._idle) >= self._size:
            self._shelve()
            self._remove(next(iter(self._idle))).close()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(IDLE_TIMEOUT, self._sweep)

    def take(self, key: Hashable) -> C | None:
        """Remove and return the connection with this key that became idle last; None if there is none."""
        while True:
            connection = self._latest
            if connection is not None and connection.key == key:
                self._latest = None
            elif (same := self._by_key.get(key)) is not None:
                connection = self._remove(next(reversed(same)))
            else:
                return None
            if connection.is_connected():
                return connection
            self.note_stale(connection)
            connection.close()  # it may be in a TLS shutdown that the server never answers

    def trusts(self, connection: C, host: str) -> bool:
        """Whether no other bytes than those of a response are to be expected on an idle connection to this host."""
        if connection.unsolicited:
            # Unsolicited bytes of this host could also arrive later, and pass for the response to the next request.
            self._distrusted.add(host)
        return host not in self._distrusted

    def distrust(self, host: str) -> None:
        """Reuse no more connections to this host, since bytes may follow its responses."""
        self._distrusted.add(host)

    async def take_for_non_idempotent(self, key: Hashable) -> C | None:
        """Like `take`, for a request that cannot be sent twice: only a connection that will most likely stay open."""
        connection = self.take(key)
        if connection is None:
            return None
        wait = self._policy.wait_before_reuse(key, perf_counter() - connection.idle_since, connection.announced)
        if wait is None:
            connection.close()
            return None  # the others have been idle for longer
        try:
            if wait:
                await asyncio.sleep(wait)
            for _ in range(3):  # the loop sees in its next turns whether these bytes are the end of the connection
                if not connection.is_connected() or not readable(descriptor_of(connection.transport)):
                    break
                await asyncio.sleep(0)
        except BaseException:  # raised again, whatever it is
            connection.close()
            raise
        if connection.is_connected():
            if wait:
                self._policy.found_open(key)
            return connection
        self.note_stale(connection)
        connection.close()
        return None

    def note_stale(self, connection: C, used_at: float | None = None) -> None:
        """Note that the server has closed a connection while it was idle, or just after it was used (`used_at`)."""
        idle = (perf_counter() if used_at is None else used_at) - connection.idle_since
        self._policy.found_closed(connection.key, idle, connection.announced)

    def close(self) -> None:
        """Close all connections."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._shelve()
        while self._idle:
            self._remove(next(iter(self._idle))).close()

    def _shelve(self) -> None:
        """Put the latest connection beside the others."""
        connection, self._latest = self._latest, None
        if connection is not None:
            self._idle[connection] = None
            self._by_key.setdefault(connection.key, {})[connection] = None

    def _remove(self, connection: C) -> C:
        del self._idle[connection]
        same = self._by_key[connection.key]
        del same[connection]
        if not same:
            del self._by_key[connection.key]
        return connection

    def _sweep(self) -> None:
        """Close the connections that have been idle for too long, including those that the server has closed."""
        self._timer = None
        self._shelve()
        now = perf_counter()
        for connection in [one for one in self._idle if now - one.idle_since >= IDLE_TIMEOUT]:
            self._remove(connection).close()
        if self._idle:
            oldest = next(iter(self._idle)).idle_since
            self._timer = asyncio.get_running_loop().call_later(oldest + IDLE_TIMEOUT - now, self._sweep)


def descriptor_of(transport: asyncio.BaseTransport | None) -> int:
    """The file descriptor of an open connection."""
    assert transport is not None
    descriptor: int = transport.get_extra_info("socket").fileno()
    return descriptor

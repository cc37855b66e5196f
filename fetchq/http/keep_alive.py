"""Decides which idle connections may carry a request that cannot be sent twice, such as a POST.

A server may close an idle connection at any moment, also when a request is already on its way (RFC 9112, 9.3.1 and
9.5). An idempotent request is then sent again; any other fails, although the server may never have seen it. So such a
request uses only a connection that its server is not about to close, as far as its Keep-Alive headers and its earlier
connections tell, and a new one otherwise. Times are seconds of one clock, which is a parameter.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import TYPE_CHECKING, Protocol

from multidict import istr

from fetchq.core.known import Known, RecentSet

if TYPE_CHECKING:
    from multidict import CIMultiDictProxy

__all__ = ["KEEP_ALIVE", "Announced", "ReusePolicy", "is_reusable_after"]

KEEP_ALIVE = istr("Keep-Alive")

LONGEST_IDLE = 1.0
"""Seconds that a connection may have been idle if its server announces nothing. Common servers close after 2 or more:
gunicorn after 2, uvicorn, hypercorn, Apache and lighttpd after 5, nginx after 75."""
MARGIN = 1.0
"""A connection is not reused within this many seconds of its announced end: the request takes time to arrive."""
PROOF = 0.02
"""Seconds for which a server must have kept a connection open once: some close it after each answer, unannounced."""

_PARAMETER = re.compile(r"""(?:^|[,;\s])(timeout|max)\s*=\s*"?([0-9]{1,9})""", re.IGNORECASE)


class Announced:
    """What the Keep-Alive headers of one connection have announced (RFC 2068, 19.7.1.1)."""

    __slots__ = ("_answers", "_max", "timeout")

    def __init__(self) -> None:
        self.timeout: int | None = None
        """Seconds after which the server closes the connection if it is idle."""
        self._answers = 0
        self._max: int | None = None

    def read(self, value: str) -> bool:
        """Read the header of the next response. Returns whether the server takes another request after it.

        `max` is the number of requests that are left where it falls, as in Apache, and otherwise that of the whole
        connection, as in Node.
        """
        timeout, most = _parameters[value]
        if timeout is not None:
            self.timeout = timeout
        self._answers += 1
        if most is None:
            return True
        falls, self._max = self._max is not None and most < self._max, most
        return most > (0 if falls else self._answers)


class _Connection(Protocol):
    announced: Announced | None
    """What its server has announced about it, if anything."""


def is_reusable_after(connection: _Connection, headers: CIMultiDictProxy[str]) -> bool:
    """Note the Keep-Alive headers of a response. Returns whether its connection takes another request."""
    if connection.announced is None:
        connection.announced = Announced()
    return connection.announced.read(", ".join(headers.getall(KEEP_ALIVE)))


def _read_parameters(value: str) -> tuple[int | None, int | None]:
    """`timeout` and `max` of a Keep-Alive header; None for what is missing or not a number."""
    found = {name.lower(): int(number) for name, number in _PARAMETER.findall(value)}
    return found.get("timeout"), found.get("max")


_parameters = Known(_read_parameters)


class ReusePolicy:
    """Decides for a whole run which connections may carry a request that cannot be sent twice. Any thread may use it.

    An origin is any key for what a connection leads to.
    """

    def __init__(self) -> None:
        self._close_early = RecentSet()
        """Origins at which the server has closed a connection that should have been safe for such a request."""
        self._keep_open = RecentSet()
        """Origins at which a connection was still open after `PROOF`."""

    def wait_before_reuse(self, origin: Hashable, idle: float, announced: Announced | None) -> float | None:
        """Seconds to wait before a connection that has been idle for `idle` seconds may be used; None if it may not.

        After a wait, call `found_open` or `found_closed`.
        """
        if origin in self._close_early or idle >= _limit(announced):
            return None
        return 0.0 if origin in self._keep_open else max(0.0, PROOF - idle)

    def found_open(self, origin: Hashable) -> None:
        """Note that an idle connection was still open after the wait."""
        self._keep_open.add(origin)

    def found_closed(self, origin: Hashable, idle: float, announced: Announced | None) -> None:
        """Note that the server has closed a connection after `idle` seconds, before or just after it was used again."""
        if idle < _limit(announced):
            self._close_early.add(origin)


def _limit(announced: Announced | None) -> float:
    """Seconds that a connection may have been idle."""
    return LONGEST_IDLE if announced is None or announced.timeout is None else announced.timeout - MARGIN

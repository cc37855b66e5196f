"""Asks the kernel, without waiting, whether a server has ended a connection, or sent something on it."""

from __future__ import annotations

import select

__all__ = ["hung_up", "readable"]

_END = getattr(select, "POLLRDHUP", 0)  # Linux; elsewhere POLLHUP says so, which needs no asking


def hung_up(descriptor: int) -> bool:
    """Whether the other side has closed or reset the connection."""
    return _poll(descriptor, _END)


def readable(descriptor: int) -> bool:
    """Whether there are bytes, or the end of the connection, that have not been read."""
    return _poll(descriptor, select.POLLIN)


def _poll(descriptor: int, events: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, events)
    return bool(poll.poll(0))

"""Connecting a blocking socket to the first of several addresses that answers (happy eyeballs, RFC 8305)."""

from __future__ import annotations

import errno
import os
import selectors
import socket
from collections.abc import Callable
from itertools import chain, zip_longest
from time import perf_counter
from typing import Any

from fetchq.core.disk import close_on_error

__all__ = ["GLANCE", "Address", "dial", "look_up"]

STAGGER = 0.25
"""Seconds an address has for itself before the next one is tried beside it (RFC 8305, 5)."""
GLANCE = 0.1
"""Seconds after which a caller that wants to stop is noticed."""

Address = tuple[socket.AddressFamily, tuple[str | int, ...]]


def look_up(host: str, port: int, family: int) -> list[Address]:
    """The addresses of `host`, families taking turns, IPv6 first. Raises `socket.gaierror`."""
    found: Any = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
    addresses: list[Address] = list(dict.fromkeys((one[0], one[4]) for one in found))
    six = [one for one in addresses if one[0] == socket.AF_INET6]
    four = [one for one in addresses if one[0] != socket.AF_INET6]
    return [one for one in chain.from_iterable(zip_longest(six, four)) if one is not None]


def dial(addresses: list[Address], until: float, check: Callable[[], None], buffer: int | None = None) -> socket.socket:
    """A connected, blocking socket. Raises OSError: the last address's own, or TimeoutError at `until` (perf_counter).

    `check` is called all the while; what it raises ends the dialling. `buffer`: bytes that it receives ahead.
    """
    waiting = list(addresses)
    problem: OSError = OSError(errno.EADDRNOTAVAIL, "no address to connect to")
    next_at = 0.0
    with selectors.DefaultSelector() as pending:
        try:
            while waiting or pending.get_map():
                check()
                now = perf_counter()
                if now >= until:
                    raise TimeoutError
                if waiting and (now >= next_at or not pending.get_map()):
                    try:
                        _start(waiting.pop(0), pending, buffer)
                    except OSError as failed:
                        problem = failed
                    next_at = now + STAGGER
                    continue
                pause = min(until, next_at if waiting else until) - now
                for key, _ in pending.select(min(pause, GLANCE)):
                    connecting = _socket_of(key)
                    pending.unregister(connecting)
                    if (code := connecting.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)) == 0:
                        connecting.setblocking(True)
                        return connecting
                    connecting.close()
                    problem = OSError(code, os.strerror(code))
                    next_at = 0.0
            raise problem
        finally:
            for key in list(pending.get_map().values()):
                _socket_of(key).close()


def _start(address: Address, pending: selectors.BaseSelector, buffer: int | None) -> None:
    connecting = socket.socket(address[0], socket.SOCK_STREAM)
    with close_on_error(connecting):
        connecting.setblocking(False)
        connecting.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if buffer is not None:
            connecting.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        code = connecting.connect_ex(address[1])
        if code not in (0, errno.EINPROGRESS, errno.EWOULDBLOCK):
            raise OSError(code, os.strerror(code))
        pending.register(connecting, selectors.EVENT_WRITE)


def _socket_of(key: selectors.SelectorKey) -> socket.socket:
    assert isinstance(key.fileobj, socket.socket)
    return key.fileobj

"""Connects through a SOCKS proxy, on a connection to it that an engine has opened.

The package python-socks speaks the protocol (SOCKS 4, 4a and 5; RFC 1928 and 1929), for both engines.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, Protocol

from fetchq.core.model import Cause
from fetchq.http.addresses import check_family, is_address
from fetchq.http.failure import AttemptFailed

if TYPE_CHECKING:
    from python_socks import ProxyError
    from yarl import URL

__all__ = ["AsyncStream", "Stream", "is_socks", "lookup_family", "negotiate", "negotiate_async"]

_NO_TIMEOUT = 1e6
"""Seconds. The engines enforce the timeouts."""
_REFUSALS = frozenset({2, 7, 8, 92, 93})
"""The reply codes for what will not pass: the proxy's rules, and what it does not know (RFC 1928, 6; SOCKS 4)."""


class Stream(Protocol):
    """The methods of a socket that python-socks calls."""

    def sendall(self, data: bytes, /) -> None: ...
    def recv(self, size: int, /) -> bytes: ...
    def close(self) -> None: ...


class AsyncStream(Protocol):
    """The same for an event loop."""

    async def write(self, data: bytes) -> None: ...
    async def read_exactly(self, n: int) -> bytes: ...
    async def close(self) -> None: ...


def is_socks(proxy: URL | None) -> bool:
    """Whether the proxy speaks SOCKS, and not HTTP."""
    return proxy is not None and proxy.scheme.startswith("socks")


def lookup_family(proxy: URL, host: str, family: int) -> int | None:
    """The family of the addresses to look up for a SOCKS proxy; None if it is given the host as it is.

    `family`: that of the run. Version 4 knows IPv4 alone: raises `AttemptFailed` (`dns`) for an IPv6 address.
    """
    if proxy.scheme.startswith("socks4"):
        check_family(host, ipv4=True)
        family = socket.AF_INET
    return None if proxy.scheme in ("socks5h", "socks4a") or is_address(host) else family


def negotiate(proxy: URL, stream: Stream, host: str, port: int) -> None:
    """Have the proxy connect to a server. Raises `AttemptFailed`, and OSError."""
    from python_socks import ProxyError
    from python_socks.sync import Proxy

    class Forward:
        def connect(self, **_: object) -> Stream:
            return stream

    try:
        Proxy(**_options(proxy), forward=Forward()).connect(host, port, _NO_TIMEOUT)  # type: ignore[arg-type]  # a part
    except ProxyError as problem:
        raise _failure(problem) from None


async def negotiate_async(proxy: URL, stream: AsyncStream, host: str, port: int) -> None:
    """The same in an event loop."""
    from python_socks import ProxyError
    from python_socks.async_.asyncio.v2 import Proxy

    class Forward:
        async def connect(self, **_: object) -> AsyncStream:
            return stream

    try:
        # It asks for a Proxy of its own to forward to, and calls this one method.
        await Proxy(**_options(proxy), forward=Forward()).connect(host, port, timeout=_NO_TIMEOUT)  # type: ignore[arg-type]
    except ProxyError as problem:
        raise _failure(problem) from None


def _options(proxy: URL) -> dict[str, Any]:
    from python_socks import ProxyType

    return {
        "proxy_type": ProxyType.SOCKS4 if proxy.scheme.startswith("socks4") else ProxyType.SOCKS5,
        "host": proxy.raw_host or "",
        "port": proxy.port or 0,
        "username": proxy.user,
        "password": proxy.password,
        "rdns": True,  # a name is sent as it is; the engine has looked it up where the proxy shall not
    }


def _failure(problem: ProxyError) -> AttemptFailed:
    said, code = str(problem), problem.error_code
    if code in _REFUSALS or (code is None and said.endswith(("authentication failure", "were offered"))):
        return AttemptFailed(Cause.PROXY, f"it answered: {said}", permanent=True)
    if code is None and not said.startswith("Invalid reply code"):
        return AttemptFailed(Cause.PROTOCOL, f"not valid SOCKS: {said}")
    return AttemptFailed(Cause.CONNECT, f"it answered: {said}")

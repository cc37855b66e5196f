"""Names that both engines find without a name server."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from fetchq.engines.aiohttp import resolver
from fetchq.engines.errors import no_such_name
from fetchq.engines.requests import dial

FOUR = (socket.AF_INET, "127.0.0.1")
SIX = (socket.AF_INET6, "::1")


def resolve_names(monkeypatch: pytest.MonkeyPatch, names: dict[str, list[tuple[socket.AddressFamily, str]]]) -> None:
    """Both engines find these names at these addresses, and none where there are none; others, where they really are.

    Without a name server, a real question for a name that is not there may take its time.
    """
    really_look_up, real_lookups = dial.look_up, resolver._lookups

    def look_up(host: str, port: int, family: int) -> list[dial.Address]:
        if host not in names:
            return really_look_up(host, port, family)
        found = [one for one in names[host] if family in (socket.AF_UNSPEC, one[0])]
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return [(of, (address, port) if of == socket.AF_INET else (address, port, 0, 0)) for of, address in found]

    def lookups() -> Any:
        lookup, close = real_lookups()

        async def look_up_here(host: str) -> list[resolver.Address]:
            if host not in names:
                return await lookup(host)
            if not names[host]:
                raise no_such_name()
            return [resolver.Address(*one) for one in names[host]]

        return look_up_here, close

    monkeypatch.setattr("fetchq.engines.requests.dial.look_up", look_up)
    monkeypatch.setattr(resolver, "_lookups", lookups)

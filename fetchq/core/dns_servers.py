"""Parses the addresses of DNS servers (`--dns-servers`)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from fetchq.core.text import redact_all

__all__ = ["read_dns_servers"]

_SERVER = r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+))(?::([0-9]{1,5}))?|([0-9A-Fa-f:.]+)"


def read_dns_servers(given: object) -> tuple[str, ...]:
    """Parse "ADDRESS[:PORT],..." or a list of such texts. Returns each server once, with its port, as c-ares takes it.

    Raises ValueError, also where the package aiodns, which queries the servers, is missing.
    """
    texts = given.split(",") if isinstance(given, str) else given
    if not isinstance(texts, Iterable):
        raise ValueError(f"{given!r} is not a list of addresses")
    servers = tuple(dict.fromkeys(_read_server(one) for one in texts))
    if servers:
        from importlib.util import find_spec

        if find_spec("aiodns") is None:
            raise ValueError("it needs the package aiodns; install it with: pip install aiodns")
    return servers


def _read_server(given: object) -> str:
    import ipaddress

    try:
        match = re.fullmatch(_SERVER, given.strip()) if isinstance(given, str) else None
        if match is None or not 0 < (port := int(match[3] or 53)) < 65536:
            raise ValueError
        address = ipaddress.ip_address(match[1] or match[2] or match[4])
    except ValueError:
        shown = redact_all(str(given))
        raise ValueError(f"{shown!r} is not the address of a server, such as 192.0.2.1 or [2001:db8::1]:5353") from None
    return f"{address}:{port}" if address.version == 4 else f"[{address}]:{port}"

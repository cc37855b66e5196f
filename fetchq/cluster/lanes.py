"""Finds the lane of each row: by its host, or by the address of its host (`--per-host-by ip`)."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Self
from zlib import crc32

from fetchq.core.known import Known
from fetchq.http.addresses import first_address, fixed_addresses, is_address
from fetchq.http.url import host_of, parse_url
from fetchq.scheduling.host_key import name_of
from fetchq.scheduling.lanes import lane_for

if TYPE_CHECKING:
    from fetchq.core.model import Request
    from fetchq.core.settings import Settings

__all__ = ["LaneFinder"]

_LOOKUPS = 64
"""How many names are looked up at a time."""


class LaneFinder:
    """Finds the lanes of rows. Use it as a context manager."""

    def __init__(self, settings: Settings, lanes: int) -> None:
        """Raises `SettingsError` if an entry of `resolve` cannot be used."""
        self._lanes = lanes
        self._lane_of_prefix = Known(lane_for(settings, lanes), most=100_000)
        """The lane of a URL that is cut off before its path."""
        self._fixed = fixed_addresses(settings)
        self._lanes_by_address: dict[str, int] | None = {} if settings.per_host_by == "ip" else None
        """The lane of each host that was looked up, if the lane follows from its address."""
        self._threads = ThreadPoolExecutor(_LOOKUPS, "fetchq-lookup")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(cancel_futures=True)

    def lanes_of(self, requests: Sequence[Request]) -> Iterable[int]:
        """The lane of each of these rows."""
        known, urls = self._lanes_by_address, [request.url for request in requests]
        if known is None:
            by_prefix = self._lane_of_prefix
            return [by_prefix[url[:end] if (end := url.find("/", 8)) >= 0 else url] for url in urls]
        hosts = list(map(host_of, urls))
        new = [host for host in dict.fromkeys(hosts) if host not in known]
        for host, address in zip(new, self._threads.map(self._address_of, new), strict=True):
            known[host] = crc32(address.encode("utf-8", "surrogateescape")) % self._lanes
        return map(known.__getitem__, hosts)

    def _address_of(self, host: str) -> str:
        """The address of a host; of one that has none, the host."""
        name = name_of(host)
        if name is None:
            return host
        if is_address(name):
            return name
        port = parse_url(host).url.port or 0
        if (fixed := self._fixed.get((name, port))) is not None:
            return fixed
        try:
            found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return host
        return first_address(str(one[4][0]) for one in found) or host

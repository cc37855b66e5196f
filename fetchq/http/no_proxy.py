"""Reads the variable no_proxy: the hosts that are connected to directly, although a variable names a proxy.

As curl reads it: a list of names, addresses and networks, separated by commas or blanks. As other programs have it, an
entry may also have a port, an IPv6 address may stand in brackets, and `*` may stand among others or before a name.
"""

from __future__ import annotations

import ipaddress
import re

from fetchq.http.addresses import is_address
from fetchq.http.url import Refused, parse_url

__all__ = ["NoProxy"]

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class NoProxy:
    """The hosts that a list names. Raises ValueError, with a message for people, if an entry cannot be obeyed."""

    def __init__(self, text: str = "") -> None:
        self.covers_all = False
        """Whether the list names every host."""
        self._hosts: dict[str, set[int | None]] = {}
        """The ports of each name and address; None among them stands for every port."""
        self._networks: list[_Network] = []
        for entry in re.split(r"[,\s]+", text):
            if entry:
                self._add(entry)

    def covers(self, host: str, port: int | None) -> bool:
        """Whether the list names the host, or a domain that it is in. `host`: in ASCII, without brackets."""
        if self.covers_all:
            return True
        if is_address(host):
            address = ipaddress.ip_address(host)
            return self._names(host, port) or any(address in network for network in self._networks)
        labels = host.rstrip(".").lower().split(".")
        return any(self._names(".".join(labels[at:]), port) for at in range(len(labels)))

    def _names(self, host: str, port: int | None) -> bool:
        ports = self._hosts.get(host, ())
        return None in ports or port in ports

    def _add(self, entry: str) -> None:
        if entry == "*":
            self.covers_all = True
        elif (network := _network(entry)) is not None:
            self._networks.append(network)
        else:
            host, port = _host_and_port(entry)
            self._hosts.setdefault(host, set()).add(port)


def _network(entry: str) -> _Network | None:
    """The network that an entry such as 10.0.0.0/8 stands for, or the one address without a port; None for others."""
    if "/" not in entry and entry.count(":") < 2:
        return None
    try:
        return ipaddress.ip_network(re.sub(r"^\[(.*)\](?=$|/)", r"\1", entry), strict=False)
    except ValueError:
        if "/" in entry:
            raise _unusable(entry) from None
        return None


def _host_and_port(entry: str) -> tuple[str, int | None]:
    """The host of an entry, as a URL has it, and its port, or None."""
    place = entry.removeprefix("*").lstrip(".")
    if re.search(r"[@?#\\]", place):
        raise _unusable(entry)
    try:
        url = parse_url(f"http://{place}").url
    except Refused:
        raise _unusable(entry) from None
    return (url.raw_host or "").rstrip("."), url.explicit_port


def _unusable(entry: str) -> ValueError:
    shown = entry.rpartition("@")[2]  # in case it is a proxy's URL, with a password
    return ValueError(f"{shown!r} is not a host, HOST:PORT, an address or a network")

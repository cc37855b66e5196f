"""Parses the patterns of `--allow-host` and `--deny-host`: names, names below a domain, addresses and networks."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["EVERY_HOST", "is_network", "read_host_patterns"]

EVERY_HOST = "*"
"""The pattern that every host matches."""
_NAME = r"(?:\*\.)?[^\s/:@?#\\%\[\]*,]+"


def read_host_patterns(given: object) -> tuple[str, ...]:
    """Parse patterns: a list of texts, or one text, in which commas or blanks separate them. Raises ValueError.

    `example.org` is that name, `*.example.org` each name below it, `*` every host; an address such as `192.0.2.1` or
    `[2001:db8::1]` is a network of one, and `10.0.0.0/8` a network. Networks are returned as `ipaddress` writes them,
    those of IPv4 addresses that are mapped to IPv6 as IPv4.
    """
    patterns = []
    for text in [given] if isinstance(given, str) else given if isinstance(given, Iterable) else [None]:
        if not isinstance(text, str):
            raise ValueError(f"{given!r} is not a list of hosts")
        patterns += [_pattern(part) for part in re.split(r"[,\s]+", text) if part]
    return tuple(dict.fromkeys(patterns))


def is_network(pattern: str) -> bool:
    """Whether a pattern that `read_host_patterns` has returned is a network, and not a name."""
    return "/" in pattern


def _pattern(text: str) -> str:
    import ipaddress

    if "%" in text:  # a zone of an IPv6 address, which means something to one machine only
        return _name(text)
    try:
        network = ipaddress.ip_network(re.sub(r"^\[(.*)\](?=$|/)", r"\1", text), strict=False)
    except ValueError:
        return _name(text)
    if "/" in text and str(network.network_address) != str(ipaddress.ip_address(text.partition("/")[0].strip("[]"))):
        raise ValueError(f"{text!r} is not a network; did you mean {network}?")
    if network.version == 6 and network.prefixlen >= 96 and (four := network.network_address.ipv4_mapped) is not None:
        return f"{four}/{network.prefixlen - 96}"
    return str(network)


def _name(text: str) -> str:
    if text != EVERY_HOST and not re.fullmatch(_NAME, text):
        raise ValueError(f"{text!r} is not a name, *.NAME, an address or a network, such as 10.0.0.0/8; without a port")
    return text.lower()

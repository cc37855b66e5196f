"""Handles IP addresses: those set by --resolve, how an address is written, and which one stands for a host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fetchq.core.settings import SettingsError
from fetchq.http.url import Refused, dns_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fetchq.core.settings import Settings

__all__ = ["address_text", "first_address", "fixed_addresses", "is_address"]


def fixed_addresses(settings: Settings) -> dict[tuple[str, int], str]:
    """The addresses set by --resolve, by host name (as `dns_name` gives it) and port.

    Entries whose host is an IP address are left out. Raises `SettingsError`.
    """
    fixed = {}
    for host, port, address in settings.resolve:
        try:
            name = dns_name(host)
        except Refused as problem:
            raise SettingsError("resolve", f"{host!r}: {problem.message}") from None
        if not is_address(name):
            fixed[name, port] = address
    return fixed


def is_address(name: str) -> bool:
    """Whether the host of a URL, without brackets, is an IP address and not a name."""
    return ":" in name or name.replace(".", "").isdigit()


def address_text(peer: tuple[Any, ...]) -> str:
    """A socket's address as a URL writes it, such as 192.0.2.1:443 or [2001:db8::1]:443."""
    host, port = peer[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def first_address(found: Iterable[str]) -> str | None:
    """The address that stands for a host with several: the lowest, IPv4 before IPv6; None if there is none."""
    return min(found, key=lambda address: (":" in address, address), default=None)

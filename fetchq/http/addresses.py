"""Handles IP addresses: those of --resolve and of localhost, their family and text, and which one stands for a host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fetchq.core.model import Cause
from fetchq.core.settings import SettingsError
from fetchq.http.failure import AttemptFailed
from fetchq.http.url import Refused, dns_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fetchq.core.settings import Settings

__all__ = ["address_text", "check_family", "first_address", "fixed_addresses", "is_address", "local_addresses"]

_LOOPBACK = ("::1", "127.0.0.1")
_UNKNOWN_TO_DNS = {
    "invalid": "there is no such name",
    "onion": "a name that ends in .onion is known to Tor alone, which has to be the proxy",
}


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


def local_addresses(host: str) -> tuple[str, ...]:
    """The loopback addresses for `localhost` and the names below it (RFC 6761, 6.3); none for other names.

    Raises `AttemptFailed` (`dns`) for names that no DNS server must be asked for (RFC 6761, 6.4; RFC 7686, 2).
    """
    last = host.rstrip(".").rpartition(".")[2].lower()
    if last in _UNKNOWN_TO_DNS:
        raise AttemptFailed(Cause.DNS, _UNKNOWN_TO_DNS[last], permanent=True)
    return _LOOPBACK if last == "localhost" else ()


def is_address(name: str) -> bool:
    """Whether the host of a URL, without brackets, is an IP address and not a name."""
    return ":" in name or name.replace(".", "").isdigit()


def check_family(host: str, *, ipv4: bool) -> None:
    """Raise `AttemptFailed` (`dns`) if `host` is an IP address of the family that the run may not connect to."""
    if is_address(host) and (":" in host) == ipv4:
        raise AttemptFailed(Cause.DNS, f"the host is not an {'IPv4' if ipv4 else 'IPv6'} address", permanent=True)


def address_text(peer: tuple[Any, ...]) -> str:
    """A socket's address as a URL writes it, such as 192.0.2.1:443 or [2001:db8::1]:443."""
    host, port = peer[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def first_address(found: Iterable[str]) -> str | None:
    """The address that stands for a host with several: the lowest, IPv4 before IPv6; None if there is none."""
    return min(found, key=lambda address: (":" in address, address), default=None)

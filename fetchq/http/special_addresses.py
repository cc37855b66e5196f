"""Tells the addresses of the public Internet from all others, by the registries of IANA.

The tables follow the registries of special-purpose addresses (RFC 6890; iana.org/assignments/iana-ipv4-special-registry
and iana-ipv6-special-registry), of multicast addresses and of the address space of IPv6, of which only 2000::/3 is in
public use. Python's `ipaddress` has such tables, too, which differ between its versions, and lets through what is only
an address of another kind, such as multicast. Some networks that a registry calls globally reachable are special here:
those of protocols whose anycast addresses a router nearby answers (192.0.0.0/24, 2001::/23), and the relays of 6to4.
"""

from __future__ import annotations

from functools import cache, lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Any

__all__ = ["Address", "Network", "address_of", "embedded_ipv4", "is_within_special", "special_kind"]

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_FOUR = (
    ("0.0.0.0/32", "an unspecified address"),
    ("0.0.0.0/8", "an address of this network"),
    ("10.0.0.0/8", "a private address"),
    ("100.64.0.0/10", "a carrier-grade NAT address"),
    ("127.0.0.0/8", "a loopback address"),
    ("169.254.0.0/16", "a link-local address"),
    ("172.16.0.0/12", "a private address"),
    ("192.0.0.0/24", "an address for protocols"),
    ("192.0.2.0/24", "an address for documentation"),
    ("192.88.99.0/24", "an address of 6to4 relays"),
    ("192.168.0.0/16", "a private address"),
    ("198.18.0.0/15", "an address for benchmarks"),
    ("198.51.100.0/24", "an address for documentation"),
    ("203.0.113.0/24", "an address for documentation"),
    ("224.0.0.0/4", "a multicast address"),
    ("255.255.255.255/32", "a broadcast address"),
    ("240.0.0.0/4", "a reserved address"),
)
_SIX = (
    ("::/128", "an unspecified address"),
    ("::1/128", "a loopback address"),
    ("::/96", "an IPv4-compatible address"),
    ("64:ff9b:1::/48", "an address of a local NAT64"),
    ("100::/64", "a discard-only address"),
    ("2001::/32", "a Teredo address"),
    ("2001:2::/48", "an address for benchmarks"),
    ("2001::/23", "an address for protocols"),
    ("2001:db8::/32", "an address for documentation"),
    ("2002::/16", "a 6to4 address"),
    ("3fff::/20", "an address for documentation"),
    ("5f00::/16", "an address of segment routing"),
    ("fc00::/7", "a unique local address"),
    ("fe80::/10", "a link-local address"),
    ("fec0::/10", "a site-local address"),
    ("ff00::/8", "a multicast address"),
)
"""The special networks of each version, and the kind of their addresses; the first that has an address counts."""
_PUBLIC_SIX = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
_ISATAP = (0x00005EFE, 0x02005EFE)
"""The first half of the interface identifiers of ISATAP, whose second half is an IPv4 address (RFC 5214, 6.1)."""


def address_of(text: str) -> Address:
    """The address, without the zone that may follow an IPv6 address. One that is mapped to IPv6 is an IPv4 address.

    Raises ValueError.
    """
    if ":" not in text:
        return IPv4Address(text)
    address = IPv6Address(text.partition("%")[0])
    return address.ipv4_mapped or address


def embedded_ipv4(address: Address) -> IPv4Address | None:
    """The IPv4 address to which packets for this IPv6 address are passed on; None if the address has none in it.

    Known are IPv4-compatible addresses (RFC 4291, 2.5.5.1), NAT64 (RFC 6052, RFC 8215; of the local prefix those whose
    last 32 bits are the address), 6to4 (RFC 3056, 2), Teredo (RFC 4380, 4) and ISATAP (RFC 5214, 6.1).
    """
    if isinstance(address, IPv4Address):
        return None
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    number = int(address)
    passed_on = number >> 32 == 0 or address in _NAT64 or number >> 80 == 0x0064_FF9B_0001
    if passed_on or (number >> 32) & 0xFFFF_FFFF in _ISATAP:
        return IPv4Address(number & 0xFFFF_FFFF)
    return None


@lru_cache(4096)
def special_kind(address: Address) -> str | None:
    """What kind of address this is, such as "a private address"; None if it is one of the public Internet."""
    if isinstance(address, IPv4Address):
        return next((kind for network, kind in _table(4) if address in network), None)
    for network, kind in _table(6):
        if address in network:
            return kind
    if address not in _PUBLIC_SIX and address not in _NAT64:
        return "a reserved address"
    inner = embedded_ipv4(address)
    kind_inside = None if inner is None else special_kind(inner)
    return None if kind_inside is None else f"an address for {inner}, {kind_inside}"


def is_within_special(network: Network) -> bool:
    """Whether no address of the network is one of the public Internet."""
    if network.num_addresses == 1:
        return special_kind(address_of(str(network.network_address))) is not None
    reserved = network.version == 6 and not network.overlaps(_PUBLIC_SIX) and not network.overlaps(_NAT64)
    return reserved or any(network.subnet_of(special) for special, _ in _table(network.version))


@cache
def _table(version: int) -> tuple[tuple[Any, str], ...]:
    """The special networks of IPv4 or IPv6. Made here, since few runs need them."""
    return tuple((ip_network(network), kind) for network, kind in (_FOUR if version == 4 else _SIX))

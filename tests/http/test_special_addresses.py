"""Which addresses are of the public Internet, by the registries of IANA, whatever Python's own tables say."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.factories import examples

from fetchq.http.special_addresses import _FOUR, _SIX, address_of, embedded_ipv4, is_within_special, special_kind

NETWORKS = [network for network, _ in (*_FOUR, *_SIX)]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("0.0.0.0", "an unspecified address"),
        ("0.1.2.3", "an address of this network"),
        ("10.255.255.255", "a private address"),
        ("100.64.0.1", "a carrier-grade NAT address"),
        ("127.0.0.1", "a loopback address"),
        ("169.254.169.254", "a link-local address"),
        ("172.31.255.255", "a private address"),
        ("192.0.0.170", "an address for protocols"),
        ("192.168.0.1", "a private address"),
        ("198.19.255.255", "an address for benchmarks"),
        ("203.0.113.1", "an address for documentation"),
        ("239.255.255.250", "a multicast address"),
        ("250.0.0.1", "a reserved address"),
        ("255.255.255.255", "a broadcast address"),
        ("::", "an unspecified address"),
        ("::1", "a loopback address"),
        ("::127.0.0.1", "an IPv4-compatible address"),
        ("::ffff:10.0.0.1", "a private address"),
        ("::ffff:0:10.0.0.1", "a reserved address"),
        ("64:ff9b::10.0.0.1", "an address for 10.0.0.1, a private address"),
        ("64:ff9b:1::8.8.8.8", "an address of a local NAT64"),
        ("100::1", "a discard-only address"),
        ("2001::1", "a Teredo address"),
        ("2001:db8::1", "an address for documentation"),
        ("2002:808:808::1", "a 6to4 address"),
        ("2a00::5efe:10.0.0.1", "an address for 10.0.0.1, a private address"),
        ("2a00::200:5efe:127.0.0.1", "an address for 127.0.0.1, a loopback address"),
        ("3fff::1", "an address for documentation"),
        ("4000::1", "a reserved address"),
        ("5f00::1", "an address of segment routing"),
        ("fd00:ec2::254", "a unique local address"),
        ("fe80::1%eth0", "a link-local address"),
        ("fec0::1", "a site-local address"),
        ("ff02::1", "a multicast address"),
    ],
)
def test_a_special_address_is_told_with_its_kind(text: str, kind: str) -> None:
    assert special_kind(address_of(text)) == kind


@pytest.mark.parametrize(
    "text",
    [
        *("1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0"),
        *(
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.88.98.255",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
        ),
        *(
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2001:200::1",
            "2001:db7::1",
            "2003::1",
            "2a00::5efe:8.8.8.8",
            "3ffe::1",
        ),
    ],
)
def test_an_address_beside_the_special_ones_is_public(text: str) -> None:
    assert special_kind(address_of(text)) is None


@given(st.ip_addresses() | st.sampled_from(NETWORKS).flatmap(lambda network: st.ip_addresses(network=network)))
@examples(150)
def test_no_address_is_public_that_python_does_not_call_global(address: IPv4Address | IPv6Address) -> None:
    """The tables of `ipaddress` differ between its versions; none has an address that is public here alone."""
    if not address_of(str(address)).is_global:
        assert special_kind(address_of(str(address))) is not None


# What `ipaddress` calls global, in some versions or in all of them, is special here for a reason that its page gives.
@pytest.mark.parametrize(
    "text",
    [
        *(
            "192.0.0.9",
            "192.88.99.1",
            "224.0.1.1",
            "2001:1::1",
            "2001:20::1",
            "2002:808:808::",
            "64:ff9b:1::1",
            "3fff::",
        ),
        *("5f00::", "4000::", "ff0e::1", "2001:3::1", "fec0::"),
    ],
)
def test_what_only_some_versions_of_python_call_special_always_is(text: str) -> None:
    assert special_kind(address_of(text)) is not None


@pytest.mark.parametrize(
    ("text", "inner"),
    [
        ("::10.0.0.1", "10.0.0.1"),
        ("64:ff9b::10.0.0.1", "10.0.0.1"),
        ("64:ff9b:1:abcd::10.0.0.1", "10.0.0.1"),
        ("2002:a00:1::1", "10.0.0.1"),
        ("2001:0:808:808::f5ff:fffe", "10.0.0.1"),
        ("fe80::5efe:10.0.0.1", "10.0.0.1"),
        ("2a00::10.0.0.1", None),
        ("10.0.0.1", None),
    ],
)
def test_the_ipv4_address_inside_of_an_ipv6_address_is_found(text: str, inner: str | None) -> None:
    assert embedded_ipv4(address_of(text)) == (None if inner is None else IPv4Address(inner))


@pytest.mark.parametrize(
    ("network", "special"),
    [
        ("10.0.0.0/8", True),
        ("10.1.2.3/32", True),
        ("0.0.0.0/0", False),
        ("10.0.0.0/7", False),
        ("8.8.8.8/32", False),
        ("::1/128", True),
        ("fd00::/8", True),
        ("::/0", False),
        ("64:ff9b::/96", False),
        ("64:ff9b::a00:1/128", True),
        ("2a00::/16", False),
        ("4000::/3", True),
    ],
)
def test_a_network_is_special_if_no_address_in_it_is_public(network: str, special: bool) -> None:
    assert is_within_special(ip_network(network)) is special

"""Which hosts and addresses a run may connect to: patterns, and how they go together."""

from __future__ import annotations

from typing import Any

import pytest

from fetchq.core.model import Cause
from fetchq.core.settings import Settings, SettingsError
from fetchq.http.failure import AttemptFailed
from fetchq.http.guard import guard_for
from fetchq.http.url import parse_url


def refusal(url: str, **settings: Any) -> str | None:
    """Why the host of a URL is refused."""
    guard = guard_for(Settings(**settings))
    assert guard is not None
    refused = guard.refusal(parse_url(url))
    assert refused is None or refused.cause is Cause.BLOCKED
    return None if refused is None else refused.message


def usable(host: str, *addresses: str, **settings: Any) -> list[str]:
    """The addresses of a host that may be connected to; none if it is blocked."""
    guard = guard_for(Settings(**settings))
    assert guard is not None
    try:
        return guard.usable(host, list(addresses), str)
    except AttemptFailed as failed:
        blocked = failed
    assert blocked.cause is Cause.BLOCKED
    assert blocked.permanent
    return []


def test_a_run_that_may_connect_to_all_hosts_has_no_guard() -> None:
    assert guard_for(Settings()) is None


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("example.org", ["http://example.org/", "https://EXAMPLE.org.:8443/"], ["http://a.example.org/"]),
        ("*.example.org", ["http://a.example.org/", "http://a.b.example.org/"], ["http://example.org/"]),
        ("*.example.org", ["http://x.example.org./"], ["http://badexample.org/", "http://example.org.evil.test/"]),
        ("bücher.example", ["http://BÜCHER.example/", "http://xn--bcher-kva.example/"], ["http://bucher.example/"]),
        ("*.bücher.example", ["http://a.xn--bcher-kva.example/"], ["http://xn--bcher-kva.example/"]),
        ("*", ["http://example.org/", "http://192.0.2.1/", "http://[2001:db8::1]/"], []),
        ("192.0.2.1", ["http://192.0.2.1/", "http://[::ffff:192.0.2.1]/", "http://3221225985/"], ["http://192.0.2.2/"]),
        ("0xc0000201", ["http://192.0.2.1/"], ["http://192.0.2.2/"]),
        ("192.0.2.0/24", ["http://192.0.2.77/"], ["http://192.0.3.1/"]),
        ("[2001:db8::1]", ["http://[2001:db8:0::1]/"], ["http://[2001:db8::2]/"]),
        ("2001:db8::/32", ["http://[2001:db8:ffff::1]/"], ["http://[2001:db9::1]/"]),
        ("::ffff:192.0.2.0/120", ["http://192.0.2.9/"], ["http://192.0.3.9/"]),
    ],
)
def test_a_pattern_matches_names_as_urls_write_them_and_addresses_however_they_are_spelled(
    pattern: str, matching: list[str], other: list[str]
) -> None:
    assert all(refusal(url, deny_host=pattern) for url in matching)
    assert not any(refusal(url, deny_host=pattern) for url in other)
    assert not any(refusal(url, allow_host=pattern) for url in matching)
    guard = guard_for(Settings(allow_host=pattern))
    assert guard is not None
    for url in other:  # a name may have an address in an allowed network, which is only known when it was looked up
        host = (parse_url(url).url.raw_host or "").rstrip(".")
        assert not usable(host, host if ":" in host or host[0].isdigit() else "198.51.100.1", allow_host=pattern)


def test_what_is_denied_comes_before_what_is_allowed() -> None:
    both = {"allow_host": ["*.example.org", "10.0.0.0/8"], "deny_host": ["evil.example.org", "10.6.0.0/16"]}
    assert refusal("http://a.example.org/", **both) is None
    assert refusal("http://evil.example.org/", **both) == (
        "the host evil.example.org is denied by deny-host evil.example.org"
    )
    assert usable("a.example.org", "10.6.0.1", "8.8.8.8", **both) == ["8.8.8.8"]
    assert usable("other.test", "10.6.0.1", "8.8.8.8", "10.7.0.1", **both) == ["10.7.0.1"]


def test_a_denied_network_is_denied_inside_of_an_ipv6_address_too() -> None:
    for address in ("::ffff:192.0.2.1", "64:ff9b::192.0.2.1", "2002:c000:201::1", "::192.0.2.1"):
        assert not usable("a.test", address, deny_host="192.0.2.0/24"), address
        assert usable("a.test", address, deny_host="198.51.100.0/24") == [address]


def test_with_allowed_names_alone_any_other_host_is_refused_before_it_is_looked_up() -> None:
    assert refusal("http://other.test/", allow_host="example.org") == (
        "the host other.test is not one that allow-host allows"
    )
    assert refusal("http://other.test/", allow_host=["example.org", "192.0.2.0/24"]) is None
    assert usable("other.test", "198.51.100.1", allow_host=["example.org", "192.0.2.0/24"]) == []


def test_only_the_public_addresses_of_a_name_are_left_under_block_private() -> None:
    assert usable("a.test", "10.0.0.1", "8.8.8.8", "::1", "2a00::1", block_private=True) == ["8.8.8.8", "2a00::1"]
    assert usable("a.test", "fe80::1%eth0", "127.0.0.1", block_private=True) == []


def test_an_allowed_network_without_public_addresses_is_let_through_block_private() -> None:
    assert usable("a.test", "10.1.2.3", "10.1.2.4", block_private=True, allow_host="10.1.2.3") == ["10.1.2.3"]
    assert usable("a.test", "8.8.8.8", "10.1.2.3", block_private=True, allow_host="10.1.2.3") == ["10.1.2.3"]
    with_all = {"block_private": True, "allow_host": ["*", "10.1.2.3"]}
    assert usable("a.test", "8.8.8.8", "10.1.2.3", "10.1.2.4", **with_all) == ["8.8.8.8", "10.1.2.3"]


@pytest.mark.parametrize("pattern", ["a.test", "*.test", "*", "0.0.0.0/0", "8.0.0.0/6"])
def test_neither_a_name_nor_a_network_with_public_addresses_is_let_through_block_private(pattern: str) -> None:
    """Whoever owns the name decides which address it has."""
    assert usable("a.test", "10.1.2.3", block_private=True, allow_host=pattern) == []


def test_the_error_names_the_address_and_its_kind() -> None:
    guard = guard_for(Settings(block_private=True))
    assert guard is not None
    with pytest.raises(AttemptFailed) as found:
        guard.usable("a.test", ["10.0.0.1", "10.0.0.1", "::1", "127.0.0.1", "127.0.0.2", "127.0.0.3"], str)
    assert found.value.message == (
        "a.test: 10.0.0.1 is a private address, and block-private is set; ::1 is a loopback address, and block-private "
        "is set; 127.0.0.1 is a loopback address, and block-private is set, and 2 more"
    )
    assert guard.usable("a.test", [], str) == []


@pytest.mark.parametrize("name", ["allow_host", "deny_host"])
@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("http://a.test/", "is not a name"),
        ("a.test:80", "without a port"),
        ("10.0.0.1/8", "did you mean 10.0.0.0/8"),
        ("10.0.0.0/33", "is not a name"),
        ("a*.test", "is not a name"),
        ("fe80::1%eth0", "is not a name"),
        (5, "is not a list of hosts"),
        ([b"a.test"], "is not a list of hosts"),
        ("*.127.1", "no names below an address"),
        ("ä" * 64 + ".test", "the host"),
    ],
)
def test_a_pattern_that_cannot_match_is_refused_with_the_name_of_its_setting(
    name: str, pattern: Any, message: str
) -> None:
    with pytest.raises(SettingsError, match=message) as found:
        guard_for(Settings(**{name: pattern}))
    assert found.value.name == name


def test_several_patterns_may_stand_in_one_text() -> None:
    assert Settings(deny_host="a.test, *.B.test\n10.0.0.0/8,a.test").deny_host == ("a.test", "*.b.test", "10.0.0.0/8")


@pytest.mark.parametrize(
    "guarded", [{"block_private": True}, {"allow_host": "10.0.0.0/8"}, {"deny_host": ["a.test", "::1"]}]
)
def test_a_proxy_is_refused_where_addresses_are_checked_since_it_connects_by_itself(guarded: dict[str, Any]) -> None:
    for proxy in ("http://proxy:3128", "socks5://proxy"):
        with pytest.raises(SettingsError, match="the proxy connects by itself"):
            Settings(proxy=proxy, **guarded)
    assert Settings(proxy="http://proxy:3128", deny_host="a.test").deny_host == ("a.test",)

"""Names of this machine, and names that DNS cannot know: no name server is asked for them, in any mode."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from dnsserver import DnsServer
from support.modes import blocking, every_mode
from support.servers import ScriptServer, ipv6_server

from fetchq import Cause, Result, fetch_all_sync

NAMES = ("localhost", "app.localhost", "App.LOCALHOST.", "a.b.localhost")


@pytest.fixture
def no_lookups(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system is asked for no name."""

    def getaddrinfo(host: Any, *_: Any, **__: Any) -> Any:
        raise AssertionError(f"{host} was looked up")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def fetch(urls: list[str], mode: str, **options: Any) -> list[Result]:
    return fetch_all_sync(urls, mode=mode, workers=1, **options)


@blocking
@pytest.mark.usefixtures("no_lookups")
def test_a_name_below_localhost_leads_to_the_loopback(mode: str) -> None:
    with ScriptServer() as server:
        results = fetch([server.at(name) for name in NAMES], mode)
        assert [result.remote for result in results] == [server.netloc] * len(NAMES)


def test_a_name_below_localhost_is_asked_of_no_dns_server() -> None:
    with ScriptServer() as server, DnsServer() as dns:
        results = fetch([server.at(name) for name in NAMES], "async", dns_servers=dns.address)
        assert [result.remote for result in results] == [server.netloc] * len(NAMES)
        assert not dns.asked


@every_mode
def test_where_only_ipv6_listens_that_loopback_is_found(mode: str) -> None:
    with ipv6_server() as server:
        assert fetch([server.at("app.localhost")], mode)[0].remote == f"[::1]:{server.port}"


@every_mode
def test_the_family_that_is_asked_for_is_the_only_one_dialled(mode: str) -> None:
    with ScriptServer() as server:
        url = server.at("app.localhost")
        assert fetch([url], mode, ipv4=True)[0].remote == server.netloc
        assert fetch([url], mode, ipv6=True, retries=0)[0].cause is Cause.CONNECT


@every_mode
def test_all_names_of_the_loopback_count_as_one_host_by_address(mode: str) -> None:
    with ScriptServer() as server:
        urls = [server.at(name) for name in ("a.localhost", "b.localhost", "127.0.0.1")] * 2
        assert all(result.ok for result in fetch(urls, mode, per_host=1, per_host_by="ip"))


@every_mode
@pytest.mark.parametrize(("name", "why"), [("a.invalid", "no such name"), ("b.onion", "Tor")])
def test_a_name_that_dns_cannot_know_fails_at_once_and_for_good(mode: str, name: str, why: str) -> None:
    (result,) = fetch([f"http://{name}/"], mode, retries=2)
    assert (result.cause, result.attempts) == (Cause.DNS, 1)
    assert why in (result.error or "")


@every_mode
def test_a_proxy_gets_such_a_name_as_it_is(mode: str) -> None:
    with ScriptServer() as proxy:
        urls = ["http://app.localhost/", "http://a.onion/"]
        assert all(result.ok for result in fetch(urls, mode, proxy=proxy.url))
        assert sorted(proxy.seen) == sorted(urls)

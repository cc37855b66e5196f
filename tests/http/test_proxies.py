"""Proxies and passwords of the environment: used when asked for, and only then."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.factories import make_plan
from yarl import URL

from fetchq.core.model import Request
from fetchq.core.settings import Settings
from fetchq.http import proxies as routes_module
from fetchq.http.proxies import ProxyConfig
from fetchq.http.url import basic_auth, parse_url

HTTP, HTTPS = URL("http://h.example/"), URL("https://h.example/")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """An environment that says nothing."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name in ("NETRC", "REQUEST_METHOD"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    return monkeypatch


def write_netrc(folder: Path, text: str | bytes, name: str = ".netrc") -> Path:
    file = folder / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    file.chmod(0o600)
    return file


# --- proxies ---


def test_without_a_proxy_the_connection_is_direct() -> None:
    for settings in (Settings(), Settings(trust_env=True)):
        assert ProxyConfig(settings).proxy_for(HTTP) is None


def test_the_proxy_of_the_settings_is_for_all() -> None:
    proxies = ProxyConfig(Settings(proxy="proxy:3128"))
    assert proxies.proxy_for(HTTP) == proxies.proxy_for(HTTPS) == "http://proxy:3128"


def test_the_proxy_variables_are_used_only_when_asked_for(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("http_proxy", "http://one:1")
    environment.setenv("HTTPS_PROXY", "two:2")
    assert ProxyConfig(Settings()).proxy_for(HTTP) is None
    proxies = ProxyConfig(Settings(trust_env=True))
    assert proxies.proxy_for(HTTP) == "http://one:1"
    assert proxies.proxy_for(HTTPS) == "http://two:2"
    assert proxies.proxy_for(HTTP) == "http://one:1", "the second time it is known"


def test_the_proxy_of_the_settings_comes_before_those_of_the_environment(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("http_proxy", "http://one:1")
    environment.setenv("no_proxy", "*")
    assert ProxyConfig(Settings(trust_env=True, proxy="mine:9")).proxy_for(HTTP) == "http://mine:9"


def test_the_routes_know_whether_there_is_any_proxy(environment: pytest.MonkeyPatch) -> None:
    assert not ProxyConfig(Settings(trust_env=True)).proxied
    assert ProxyConfig(Settings(proxy="mine:9")).proxied
    environment.setenv("http_proxy", "http://one:1")
    assert not ProxyConfig(Settings()).proxied
    assert ProxyConfig(Settings(trust_env=True)).proxied


def test_one_variable_can_name_the_proxy_of_all_schemes(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("all_proxy", "http://all:1")
    environment.setenv("https_proxy", "http://two:2")
    proxies = ProxyConfig(Settings(trust_env=True))
    assert proxies.proxy_for(HTTP) == "http://all:1"
    assert proxies.proxy_for(HTTPS) == "http://two:2"


@pytest.mark.parametrize(
    ("no_proxy", "direct"),
    [
        ("h.example", True),
        ("example", True),
        (".example", True),
        ("other, h.example", True),
        ("*", True),
        ("H.EXAMPLE", True),
        ("g.example", False),
        ("ample", False),
        ("", False),
    ],
)
def test_hosts_that_need_no_proxy_are_dialled(environment: pytest.MonkeyPatch, no_proxy: str, direct: bool) -> None:
    environment.setenv("http_proxy", "http://one:1")
    environment.setenv("no_proxy", no_proxy)
    assert (ProxyConfig(Settings(trust_env=True)).proxy_for(HTTP) is None) is direct


def test_a_proxy_variable_may_be_a_bare_host_as_other_programs_have_it(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("http_proxy", "one")
    assert ProxyConfig(Settings(trust_env=True)).proxy_for(HTTP) == "http://one"


@pytest.mark.parametrize("value", ["socks5://one:1", "", "http://one:1/path", "http://o ne"])
def test_a_proxy_variable_that_cannot_be_used_is_ignored(environment: pytest.MonkeyPatch, value: str) -> None:
    environment.setenv("http_proxy", value)
    assert ProxyConfig(Settings(trust_env=True)).proxy_for(HTTP) is None


def test_the_environment_is_read_once(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("http_proxy", "http://one:1")
    proxies = ProxyConfig(Settings(trust_env=True))
    environment.setenv("http_proxy", "http://two:2")
    assert proxies.proxy_for(HTTP) == "http://one:1"


def test_what_is_known_of_hosts_is_bounded(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("http_proxy", "http://one:1")
    environment.setattr(routes_module, "proxy_bypass", lambda host: False)
    proxies = ProxyConfig(Settings(trust_env=True))
    for number in range(25_000):
        assert proxies.proxy_for(URL.build(scheme="http", host=f"h{number}")) == "http://one:1"
    assert len(proxies._by_host) <= 10_001


# --- passwords ---


def test_netrc_is_read_only_when_asked_for(tmp_path: Path) -> None:
    write_netrc(tmp_path, "machine h.example login me password pass\n")
    assert ProxyConfig(Settings()).authorization_for(HTTP) is None
    proxies = ProxyConfig(Settings(trust_env=True))
    assert proxies.authorization_for(HTTP) == basic_auth("me", "pass")
    assert proxies.authorization_for(URL("http://other/")) is None
    assert proxies.authorization_for(URL("relative")) is None


def test_the_environment_may_name_another_netrc(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write_netrc(tmp_path, "machine h.example login one password one\n")
    environment.setenv("NETRC", str(write_netrc(tmp_path, "machine h.example login two password zwei\n", "mine")))
    assert ProxyConfig(Settings(trust_env=True)).authorization_for(HTTP) == basic_auth("two", "zwei")


def test_a_netrc_may_have_a_default_and_lack_a_login(tmp_path: Path) -> None:
    write_netrc(tmp_path, "machine h.example password only\ndefault login any password one\n")
    proxies = ProxyConfig(Settings(trust_env=True))
    assert proxies.authorization_for(HTTP) == basic_auth("", "only")
    assert proxies.authorization_for(URL("http://other/")) == basic_auth("any", "one")


@pytest.mark.parametrize(
    "content",
    [b"machine h.example login me password", b"nonsense", b"machine h.example login \xe9 password \xff\n", b"\0", b'"'],
    ids=["cut", "nonsense", "latin-1", "nul", "quote"],
)
def test_a_netrc_that_cannot_be_read_is_none(tmp_path: Path, content: bytes) -> None:
    write_netrc(tmp_path, content)
    authorization = ProxyConfig(Settings(trust_env=True)).authorization_for(URL("http://other/"))
    assert authorization is None


def test_a_netrc_that_is_missing_or_a_folder_is_none(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert ProxyConfig(Settings(trust_env=True)).authorization_for(HTTP) is None
    for wrong in (tmp_path, tmp_path / "missing"):
        environment.setenv("NETRC", str(wrong))
        assert ProxyConfig(Settings(trust_env=True)).authorization_for(HTTP) is None


# --- what the hops make of it ---

NETRC = "machine h login me password pass\nmachine other login you password word\n"


def test_a_hop_without_authorization_gets_that_of_netrc(tmp_path: Path) -> None:
    write_netrc(tmp_path, NETRC)
    for settings, expected in (
        (Settings(), {}),
        (Settings(trust_env=True), {"Authorization": basic_auth("me", "pass")}),
    ):
        assert make_plan(settings).first(Request("http://h/"), parse_url("http://h/")).headers == expected


@pytest.mark.parametrize("name", ["Authorization", "AUTHORIZATION"])
def test_the_users_own_authorization_comes_before_that_of_netrc(tmp_path: Path, name: str) -> None:
    write_netrc(tmp_path, NETRC)
    plan = make_plan(Settings(trust_env=True))
    hop = plan.first(Request("http://h/", headers=((name, "mine"),)), parse_url("http://u:p@h/"))
    assert hop.headers == {name: "mine"}


def test_each_host_on_the_way_gets_its_own_password(tmp_path: Path) -> None:
    write_netrc(tmp_path, NETRC)
    plan = make_plan(Settings(trust_env=True))
    first = plan.first(Request("http://h/"), parse_url("http://h/"))
    second = plan.next(first, 302, ["http://other/"])
    third = plan.next(second, 302, ["http://third/"])
    assert [hop.headers.get("Authorization") for hop in (first, second, third)] == [
        basic_auth("me", "pass"),
        basic_auth("you", "word"),
        None,
    ]

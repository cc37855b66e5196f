"""Proxies and passwords of the environment: used when asked for, and only then."""

from __future__ import annotations

import os
from base64 import b64encode
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.factories import make_plan
from yarl import URL

from fetchq.core.model import Request
from fetchq.core.settings import Settings, SettingsError
from fetchq.http.netrc_file import Netrc, NetrcError
from fetchq.http.no_proxy import NoProxy
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


# Asked of curl 7.88 and libcurl 8.23: which variable counts.
@pytest.mark.parametrize(
    ("variables", "http", "https"),
    [
        ({"all_proxy": "all:1", "https_proxy": "two:2"}, "http://all:1", "http://two:2"),
        ({"ALL_PROXY": "http://all:1"}, "http://all:1", "http://all:1"),
        ({"all_proxy": "low:1", "ALL_PROXY": "up:2"}, "http://low:1", "http://low:1"),
        ({"https_proxy": "low:1", "HTTPS_PROXY": "up:2"}, None, "http://low:1"),
        ({"HTTP_PROXY": "up:1", "HTTPS_PROXY": "up:2"}, None, "http://up:2"),
        ({"http_proxy": "", "ALL_PROXY": "all:1"}, "http://all:1", "http://all:1"),
        ({"http_proxy": "one"}, "http://one", None),
        ({"http_proxy": " http://user:word@one:1/ "}, "http://user:word@one:1/", None),
        ({"HTTPS_PROXY": "HTTPS://[::1]:3128"}, None, "https://[::1]:3128"),
    ],
)
def test_the_variables_count_in_the_order_of_curl(
    environment: pytest.MonkeyPatch, variables: dict[str, str], http: str | None, https: str | None
) -> None:
    for name, value in variables.items():
        environment.setenv(name, value)
    proxies = ProxyConfig(Settings(trust_env=True))
    assert (proxies.proxy_for(HTTP), proxies.proxy_for(HTTPS)) == (http, https)


# Asked of curl 7.88 and libcurl 8.23, but for those with a port, brackets, and a star that is not alone.
@pytest.mark.parametrize(
    ("host", "no_proxy", "direct"),
    [
        ("h.example", "h.example", True),
        ("h.example", "example", True),
        ("h.example", ".example", True),
        ("h.example", ".h.example", True),
        ("a.h.example", "*.h.example", True),
        ("h.example", "other, h.example", True),
        ("h.example", "other h.example\tthird", True),
        ("h.example", "*", True),
        ("h.example", "other,*", True),
        ("H.example", "h.EXAMPLE", True),
        ("h.example.", "h.example", True),
        ("h.example", "h.example.", True),
        ("b\u00fccher.example", "b\u00fccher.example", True),
        ("b\u00fccher.example", "xn--bcher-kva.example", True),
        ("xn--bcher-kva.example", "B\u00dcCHER.example", True),
        ("h.example", "g.example", False),
        ("h.example", "ample", False),
        ("h.example", "a.h.example", False),
        ("h.example", "", False),
        ("h.example", " , ", False),
        ("h.example:8080", "h.example:8080", True),
        ("a.h.example:8080", ".h.example:8080", True),
        ("h.example", "h.example:80", True),
        ("h.example", "h.example:8080", False),
        ("h.example:81", "h.example:8080, h.example:81", True),
        ("10.1.2.3", "10.0.0.0/8", True),
        ("10.1.2.3", "10.9.9.9/8", True),
        ("0xa010203", "10.0.0.0/8", True),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3:8080", "10.1.2.3:8080", True),
        ("10.1.2.3:8081", "10.1.2.3:8080", False),
        ("10.1.2.3", ".2.3", False),
        ("h.10.example", "10.0.0.0/8", False),
        ("[fd00::1]", "fd00::/8", True),
        ("[fd00::1]", "[fd00::]/8", True),
        ("[fe80::1]", "fd00::/8", False),
        ("[::1]", "::1", True),
        ("[::1]", "0:0::1", True),
        ("[::1]", "[::1]", True),
        ("[::1]:8080", "[::1]:8080", True),
        ("[::1]:81", "[::1]:8080", False),
        ("[::ffff:10.1.2.3]", "10.0.0.0/8", False),
    ],
)
def test_hosts_that_need_no_proxy_are_dialled(
    environment: pytest.MonkeyPatch, host: str, no_proxy: str, direct: bool
) -> None:
    environment.setenv("http_proxy", "http://one:1")
    environment.setenv("no_proxy", no_proxy)
    proxies = ProxyConfig(Settings(trust_env=True))
    assert (proxies.proxy_for(parse_url(f"http://{host}/").url) is None) is direct


def test_the_upper_case_no_proxy_counts_where_the_lower_case_one_is_empty(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("http_proxy", "http://one:1")
    environment.setenv("NO_PROXY", "h.example")
    assert ProxyConfig(Settings(trust_env=True)).proxy_for(HTTP) is None
    environment.setenv("no_proxy", "")
    assert ProxyConfig(Settings(trust_env=True)).proxy_for(HTTP) is None
    environment.setenv("no_proxy", "g.example")
    assert ProxyConfig(Settings(trust_env=True)).proxy_for(HTTP) == "http://one:1"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("http_proxy", "http://user:s3cr3t@one:1/path"),
        ("https_proxy", "http://user:s3cr3t@o ne"),
        ("HTTPS_PROXY", "http://user:s3cr3t@one:99999"),
        ("all_proxy", "ftp://user:s3cr3t@one:1"),
        ("ALL_PROXY", "socks://user:s3cr3t@one:1"),
        ("ALL_PROXY", "garbled value s3cr3t"),
        ("no_proxy", "10.0.0.0/99"),
        ("no_proxy", "192.168.*"),
        ("no_proxy", "h.example, <local>"),
        ("no_proxy", "h.example:99999"),
        ("no_proxy", "[::1"),
        ("NO_PROXY", "http://h.example"),
        ("NO_PROXY", "http://user:s3cr3t@h.example"),
    ],
)
def test_a_variable_that_cannot_be_obeyed_is_refused_by_name_and_without_its_password(
    environment: pytest.MonkeyPatch, name: str, value: str
) -> None:
    if name.lower() == "no_proxy":
        environment.setenv("http_proxy", "one:1")
    environment.setenv(name, value)
    with pytest.raises(SettingsError, match=f"^trust_env: {name}: ") as caught:
        ProxyConfig(Settings(trust_env=True))
    assert "s3cr3t" not in str(caught.value)


def test_a_variable_that_does_not_count_is_not_refused(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("ALL_PROXY", "garbled value")
    environment.setenv("HTTP_PROXY", "garbled value")
    environment.setenv("http_proxy", "one:1")
    environment.setenv("https_proxy", "two:2")
    ProxyConfig(Settings(trust_env=True))
    ProxyConfig(Settings(trust_env=True, proxy="mine:9"))
    ProxyConfig(Settings())


@given(
    st.lists(st.sampled_from(["*", ".", ":", "/", "[", "]", "@", ",", "1", "8", "::", "h", "example", " ", "\u00fc"]))
)
def test_any_no_proxy_is_read_or_refused(parts: list[str]) -> None:
    try:
        no_proxy = NoProxy("".join(parts))
    except ValueError:
        return
    assert no_proxy.covers("h.example", 80) or "".join(parts).strip() != "*"


def test_the_environment_is_read_once(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("http_proxy", "http://one:1")
    proxies = ProxyConfig(Settings(trust_env=True))
    environment.setenv("http_proxy", "http://two:2")
    assert proxies.proxy_for(HTTP) == "http://one:1"


def test_what_is_known_of_hosts_is_bounded(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("http_proxy", "http://one:1")
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


# Asked of libcurl 8.23, for the host 127.0.0.1; curl 7.88 agrees, but where it has less of the format.
@pytest.mark.parametrize(
    ("text", "login", "found"),
    [
        ("default", None, None),
        ("machine h", None, None),
        ("default password p", None, ":p"),
        ("machine h password p", None, ":p"),
        ("machine h login l", None, "l:"),
        ("machine h login x password px\nmachine h login u password pu", None, "x:px"),
        ("machine h login x password px\nmachine h login u password pu", "u", "u:pu"),
        ("machine h login x password px", "u", None),
        ("machine h login x password px\ndefault login u password pu", "u", "u:pu"),
        ("machine h password p", "u", "u:p"),
        ("machine h password px login x\nmachine h login u password pu", "u", "u:pu"),
        ("machine h login u", "u", None),
        ("default login x password p", "u", None),
        ("default login d password dp\nmachine h login u password p", None, "d:dp"),
        ("machine h\nmachine h login u password p", None, "u:p"),
        ("machine H login u password p", None, "u:p"),
        ("MACHINE h LOGIN u PASSWORD p", None, "u:p"),
        ("machine\nh\nlogin\nu\npassword\np", None, "u:p"),
        ("machine h login u\r\npassword p\r\n", None, "u:p"),
        ("machine h login u account a password p", None, "u:p"),
        ("machine h login login password password", None, "login:password"),
        ("machine h login a login b password p", None, "b:p"),
        ("# machine h login c password d\nmachine h login u password p # login z", None, "u:p"),
        ("machine h login u password #p", None, "u:#p"),
        ("machine h login u password p#q", None, "u:p#q"),
        ('machine h login "u v" password "p \\" q"', None, 'u v:p " q'),
        ('machine h login u password "a\\nb\\tc\\\\"', None, "u:a\nb\tc\\"),
        ('machine h login u password p"q\\n', None, 'u:p"q\\n'),
        ('machine h login u password ""', None, "u:"),
        ("macdef init\nmachine h login m password m\n\nmachine h login u password p", None, "u:p"),
        ("machine h login u password p\nmacdef x\nnonsense", None, "u:p"),
        ("machine other login u password p", None, None),
        ("", None, None),
    ],
)
def test_netrc_is_read_as_curl_reads_it(text: str, login: str | None, found: str | None) -> None:
    entry = Netrc(text).find("h", login)
    assert (None if entry is None else ":".join(entry)) == found


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("machine h login u password s3cr3t\nmachne g login v password w", 2),
        ("s3cr3t", 1),
        ("login u password s3cr3t", 1),
        ("machine h login u password my s3cr3t", 1),
        ('\nmachine h login u password "s3cr3t', 2),
        ("machine h\nlogin", 2),
        ('"machine" h', 1),
    ],
)
def test_a_line_that_is_not_netrc_is_refused_by_its_number_and_not_shown(text: str, line: int) -> None:
    with pytest.raises(NetrcError, match=f"^line {line}: ") as caught:
        Netrc(text)
    assert "s3cr3t" not in str(caught.value)


@given(st.text(alphabet='machinedefault logpsw"\\#\n\t', max_size=60))
def test_any_netrc_is_read_or_refused(text: str) -> None:
    try:
        netrc = Netrc(text)
    except NetrcError:
        return
    assert netrc.find("h") is None or "login" in text or "password" in text


def test_the_password_is_sent_in_the_encoding_of_the_file(tmp_path: Path) -> None:
    write_netrc(tmp_path, b"\xef\xbb\xbfmachine h.example login \xe9 password \xff\n")
    authorization = ProxyConfig(Settings(trust_env=True)).authorization_for(HTTP)
    assert authorization == f"Basic {b64encode(bytes([0xE9, 0x3A, 0xFF])).decode()}"


@pytest.mark.parametrize("content", [b"nonsense\n", b"machine h login u password\0p\n", b" " * 1_000_001])
def test_a_netrc_that_cannot_be_read_is_refused_by_name(
    environment: pytest.MonkeyPatch, tmp_path: Path, content: bytes
) -> None:
    file = write_netrc(tmp_path, content)
    with pytest.raises(SettingsError) as caught:
        ProxyConfig(Settings(trust_env=True))
    assert str(caught.value).startswith(f"trust_env: {file}")
    environment.setenv("NETRC", str(file))
    with pytest.raises(SettingsError, match=r"^trust_env: NETRC: "):
        ProxyConfig(Settings(trust_env=True))
    ProxyConfig(Settings())


def test_only_the_file_that_a_variable_names_must_be_there(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert ProxyConfig(Settings(trust_env=True)).authorization_for(HTTP) is None
    os.mkfifo(tmp_path / "pipe")
    for wrong in (tmp_path, tmp_path / "missing", tmp_path / "pipe"):
        environment.setenv("NETRC", str(wrong))
        with pytest.raises(SettingsError, match=r"^trust_env: NETRC: "):
            ProxyConfig(Settings(trust_env=True))
    for nothing in ("", os.devnull):
        environment.setenv("NETRC", nothing)
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
    second = plan.next(first, 302, ["https://other/"])
    third = plan.next(second, 302, ["https://third/"])
    assert [hop.headers.get("Authorization") for hop in (first, second, third)] == [
        basic_auth("me", "pass"),
        basic_auth("you", "word"),
        None,
    ]


@pytest.mark.parametrize(
    "location",
    ["http://h/", "http://other/", "https://h:8443/", "https://other:444/", "https://third/", "http://you@other"],
)
def test_a_redirect_gets_a_password_of_netrc_only_where_it_names_the_machine_and_tls_hides_it(
    tmp_path: Path, location: str
) -> None:
    write_netrc(tmp_path, NETRC + "default login any password body\n")
    plan = make_plan(Settings(trust_env=True))
    first = plan.first(Request("https://h/"), parse_url("https://h/"))
    assert first.headers == {"Authorization": basic_auth("me", "pass")}
    assert plan.next(first, 302, ["/next"]).headers == first.headers
    assert plan.first(Request("http://third/"), parse_url("http://third/")).headers == {
        "Authorization": basic_auth("any", "body")
    }
    after = plan.next(first, 302, [location]).headers
    assert after == ({"Authorization": basic_auth("you", "")} if "@" in location else {})
    assert plan.next(plan.next(first, 302, [location]), 302, ["/next"]).headers == after


@pytest.mark.parametrize(
    ("userinfo", "sent"),
    [
        ("u@", "u:pu"),
        ("u:@", "u:pu"),
        ("%75@", "u:pu"),
        ("x@", "x:px"),
        ("z@", "z:"),
        ("u:mine@", "u:mine"),
        ("", "x:px"),
    ],
)
def test_a_login_in_the_url_gets_its_own_password_from_netrc(tmp_path: Path, userinfo: str, sent: str) -> None:
    write_netrc(tmp_path, "machine h login x password px\nmachine h login u password pu\n")
    plan = make_plan(Settings(trust_env=True))
    first = plan.first(Request("http://h/"), parse_url(f"http://{userinfo}h/"))
    assert first.headers == {"Authorization": basic_auth(*sent.split(":"))}
    other = plan.first(Request("http://g/"), parse_url("http://g/"))
    assert plan.next(other, 302, [f"https://{userinfo}h/"]).headers == first.headers

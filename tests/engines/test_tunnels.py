"""Tunnels through proxies: the answers to CONNECT (RFC 9110, 9.3.6), and SOCKS, the same in both engines."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from faults.wire import Asked, Connection
from support.names import resolve_names
from support.servers import Script, ScriptServer, answer, closed_port, hang, ipv6_server, relay, tunnel
from support.socks import SocksServer, Wanted
from support.tls import Authority
from support.waiting import in_time

from fetchq import Cause, Request, Result, fetch_all_sync


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def fetch_one(row: str | Request, mode: str, **options: Any) -> Result:
    """The Result of this row."""
    (result,) = in_time(lambda: fetch_all_sync([row], mode=mode, **options))
    return result


# --- CONNECT ---------------------------------------------------------------------------------------------------------

_OK = b"HTTP/1.1 200 OK\r\n"


def opens(*packets: bytes) -> Script:
    """The script of a proxy that opens the tunnel with this answer."""

    def play(conn: Connection, asked: Asked) -> None:
        host, _, port = asked.target.rpartition(":")
        relay(conn, (host, int(port)), packets)

    return play


OPENS: dict[str, tuple[bytes, ...]] = {
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n",),
    "299": (b"HTTP/1.1 299 Whatever\r\n\r\n",),
    "a length": (_OK + b"Content-Length: 10\r\n\r\n",),
    "two lengths": (_OK + b"Content-Length: 10\r\nContent-Length: ten\r\n\r\n",),
    "chunked": (_OK + b"Transfer-Encoding: chunked\r\n\r\n",),
    "another transfer coding": (_OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n",),
    "interim responses": (
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + _OK + b"\r\n",
    ),
    "interim responses in packets": (b"HTTP/1.1 103 Early Hints\r\n", b"\r\n", _OK, b"A: b\r\n\r", b"\n"),
    "byte by byte": tuple(bytes([byte]) for byte in _OK + b"A: b\r\n\r\n"),
    "HTTP/1.0": (b"HTTP/1.0 200 Connection established\n\n",),
    "no reason": (b"\r\nHTTP/1.1 200\r\n\r\n",),
}


@pytest.mark.parametrize("name", OPENS)
def test_a_tunnel_is_open_after_the_head_of_a_2xx_whatever_it_says_of_a_body(
    mode: str, authority: Authority, name: str
) -> None:
    with ScriptServer(answer(b"whole"), tls=authority.server()) as origin, ScriptServer(opens(*OPENS[name])) as proxy:
        result = fetch_one(origin.url, mode, proxy=proxy.url, cacert=authority.cacert, retries=0)
        (asked,) = proxy.log
    assert (result.body, result.error) == (b"whole", None)
    assert (asked.target, asked.header("Host")) == (origin.netloc, origin.netloc)


def test_what_a_server_says_in_a_tunnel_before_tls_is_no_tls(mode: str, authority: Authority) -> None:
    greeting = opens(_OK + b"Content-Length: 5\r\n\r\nhello")
    with ScriptServer(tls=authority.server()) as origin, ScriptServer(greeting) as proxy:
        result = fetch_one(origin.url, mode, proxy=proxy.url, cacert=authority.cacert)
    assert (result.cause, result.attempts) == (Cause.TLS, 1)
    assert "proxy" not in str(result.error)


def sends(first: bytes, flood: bytes = b"") -> Script:
    def play(conn: Connection, _: Asked) -> None:
        conn.send(first)
        if flood:
            conn.flood(flood)
        conn.close()

    return play


NO_ANSWERS: dict[str, Script] = {
    "another protocol": sends(b"SSH-2.0-OpenSSH\r\n\r\n"),
    "a status line that is none": sends(b"HTTP/1.1 2000\r\n\r\n"),
    "101": sends(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"),
    "headers without end": sends(_OK, b"A: b\r\n"),
    "a line without end": sends(b"HTTP/1.1 200 ", b"O"),
    "empty lines without end": sends(b"", b"\r\n"),
    "interim responses without end": sends(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
}


@pytest.mark.parametrize("name", NO_ANSWERS)
def test_what_is_no_answer_to_connect_is_protocol_within_bounds(mode: str, name: str) -> None:
    with ScriptServer(NO_ANSWERS[name]) as proxy:
        result = fetch_one("https://origin.test/", mode, proxy=proxy.url, retries=1)
        assert max(proxy.sent.values(), default=0) < 20_000_000
    assert (result.cause, result.attempts) == (Cause.PROTOCOL, 1), result.error
    problem = "status 101" if name == "101" else "not valid HTTP"
    assert str(result.error).startswith(f"the proxy {proxy.netloc}: {problem}")


def test_a_proxy_is_told_who_asks_and_its_password_and_no_more(mode: str, authority: Authority) -> None:
    with ScriptServer(answer(status=b"407 No")) as proxy:
        request = Request("https://origin.test./a", headers=(("User-Agent", "us/1"), ("X-Api-Key", "s3cr3t")))
        fetch_one(request, mode, proxy=proxy.url.replace("://", "://user:word@"))
        fetch_one("https://[::1]/", mode, proxy=proxy.url)
        first, second = proxy.log
    assert first.target == "origin.test.:443"
    assert first.headers == [
        ("Host", "origin.test.:443"),
        ("User-Agent", "us/1"),
        ("Proxy-Authorization", "Basic dXNlcjp3b3Jk"),
    ]
    assert second.target == second.header("Host") == "[::1]:443"


def test_a_proxy_may_have_an_ipv6_address(mode: str, authority: Authority) -> None:
    with (
        ScriptServer(answer(b"whole"), tls=authority.server()) as origin,
        ipv6_server(tunnel) as plain,
        ipv6_server(tunnel, tls=authority.server()) as secure,
    ):
        for proxy in (plain, secure):
            result = fetch_one(origin.url, mode, proxy=proxy.url, cacert=authority.cacert, retries=0)
            assert (result.body, result.remote) == (b"whole", proxy.netloc), result.error


# --- SOCKS -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["socks5h", "socks5", "socks4a", "socks4"])
def test_through_socks_http_and_https_are_fetched_by_name_or_by_address(
    mode: str, authority: Authority, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    resolve_names(monkeypatch, {"name.test": [(socket.AF_INET, "192.0.2.7")]})
    remote = scheme in ("socks5h", "socks4a")
    with (
        ScriptServer(answer(b"plain")) as plain,
        ScriptServer(answer(b"secret"), tls=authority.server("name.test")) as secure,
        SocksServer() as proxy,
    ):
        rows = [plain.at("name.test"), plain.at("name.test"), secure.at("name.test")]
        url = proxy.url.replace("http", scheme)
        results = fetch_all_sync(rows, mode=mode, proxy=url, cacert=authority.cacert, retries=0, workers=1)
        assert [asked.target for asked in plain.log] == ["/", "/"]
        assert plain.connections == [1, 1], "it is used again"
    assert [(result.body, result.remote) for result in results] == [
        (body, proxy.netloc) for body in (b"plain", b"plain", b"secret")
    ], [result.error for result in results]
    version, host = int(scheme[5]), "name.test" if remote else "192.0.2.7"
    assert proxy.wanted == [Wanted(version, host, plain.port, None), Wanted(version, host, secure.port, None)]


@pytest.mark.parametrize(
    ("scheme", "userinfo", "told"),
    [("socks5h", "me:w%20rd@", "me:w rd"), ("socks4a", "me@", "me"), ("socks5h", "", None)],
)
def test_a_socks_proxy_gets_its_user_and_nobody_else_does(
    mode: str, scheme: str, userinfo: str, told: str | None
) -> None:
    user = told if scheme == "socks5h" else None
    with ScriptServer() as origin, SocksServer(user=user) as proxy:
        result = fetch_one(origin.url, mode, proxy=f"{scheme}://{userinfo}{proxy.netloc}")
        assert result.ok, result.error
        assert "w rd" not in repr(origin.log) + repr(result)
    assert [wanted.user for wanted in proxy.wanted] == [told]


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
@pytest.mark.parametrize("scheme", ["socks5h", "socks5"])
def test_an_address_is_passed_on_as_it_is(mode: str, scheme: str, host: str) -> None:
    with ScriptServer() as origin, SocksServer() as proxy:
        result = fetch_one(origin.at(host), mode, proxy=proxy.url.replace("http", scheme))
    assert result.ok, result.error
    assert proxy.wanted == [Wanted(5, host.strip("[]"), origin.port, None)]


@pytest.mark.parametrize("scheme", ["socks4", "socks4a"])
def test_version_4_reaches_no_ipv6(mode: str, monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    resolve_names(monkeypatch, {"six.test": [(socket.AF_INET6, "2001:db8::1")]})
    with SocksServer() as proxy:
        url = proxy.url.replace("http", scheme)
        assert fetch_one("http://[::1]/", mode, proxy=url).cause is Cause.DNS
        if scheme == "socks4":
            result = fetch_one("http://six.test/", mode, proxy=url)
            assert (result.cause, result.attempts, result.error) == (Cause.DNS, 1, "the name has no IPv4 address")
        assert proxy.wanted == []


def test_a_socks_proxy_is_given_one_address_of_a_name_after_another(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    addresses = [(socket.AF_INET6, "2001:db8::1"), (socket.AF_INET, "192.0.2.1"), (socket.AF_INET, "192.0.2.2")]
    resolve_names(monkeypatch, {"name.test": addresses})
    with ScriptServer() as origin, SocksServer(codes={"2001:db8::1": 3, "192.0.2.1": 5}) as proxy:
        url = proxy.url.replace("http", "socks5")
        result = fetch_one(origin.at("name.test"), mode, proxy=url, retries=0)
        assert result.ok, result.error
        assert [wanted.host for wanted in proxy.wanted] == [address for _, address in addresses]
        assert fetch_one(origin.at("name.test"), mode, proxy=url, retries=0, ipv4=True).ok
        assert [wanted.host for wanted in proxy.wanted[3:]] == ["192.0.2.1", "192.0.2.2"]
    assert fetch_one("http://nowhere.invalid/", mode, proxy=url, retries=0).error == "there is no such name"


@pytest.mark.parametrize(
    ("scheme", "code", "cause", "attempts", "said"),
    [
        ("socks5h", 1, "connect", 2, "General SOCKS server failure"),
        ("socks5h", 2, "proxy", 1, "Connection not allowed by ruleset"),
        ("socks5h", 3, "connect", 2, "Network unreachable"),
        ("socks5h", 4, "connect", 2, "Host unreachable"),
        ("socks5h", 5, "connect", 2, "Connection refused by destination host"),
        ("socks5h", 6, "connect", 2, "TTL expired"),
        ("socks5h", 8, "proxy", 1, "Address type not supported"),
        ("socks5h", 99, "connect", 2, "Invalid reply code"),
        ("socks4a", 91, "connect", 2, "Request rejected or failed"),
        ("socks4a", 93, "proxy", 1, "user-ids"),
    ],
)
def test_what_a_socks_proxy_answers_is_said_in_words(
    mode: str, scheme: str, code: int, cause: str, attempts: int, said: str
) -> None:
    with SocksServer(code=code) as proxy:
        url = proxy.url.replace("http", scheme)
        result = fetch_one("https://origin.test/", mode, proxy=url, retries=1, retry_wait=0)
    assert (result.cause, result.attempts, result.status) == (cause, attempts, None), result.error
    assert str(result.error).startswith(f"the proxy {proxy.netloc}: it answered: ")
    assert said in str(result.error)


@pytest.mark.parametrize("userinfo", ["", "me:wrong@"])
def test_a_socks_proxy_that_asks_for_another_password_is_not_asked_again(mode: str, userinfo: str) -> None:
    with SocksServer(user="me:word") as proxy:
        result = fetch_one("http://origin.test/", mode, proxy=f"socks5h://{userinfo}{proxy.netloc}", retries=2)
        assert proxy.wanted == []
    assert (result.cause, result.attempts) == (Cause.PROXY, 1), result.error
    assert "wrong" not in str(result.error)


@pytest.mark.parametrize("scheme", ["socks5h", "socks4a"])
def test_a_socks_proxy_that_is_none_hangs_up_or_says_nothing_is_named(mode: str, scheme: str) -> None:
    options: dict[str, Any] = {"retries": 0, "connect_timeout": 0.3}
    with SocksServer(raw=b"HTTP/1.1 400 Bad Request\r\n\r\n") as proxy:
        result = fetch_one("http://origin.test/", mode, proxy=proxy.url.replace("http", scheme), **options)
        assert result.cause is Cause.PROTOCOL
        assert str(result.error).startswith(f"the proxy {proxy.netloc}: not valid SOCKS")
    with SocksServer(raw=b"") as proxy:
        result = fetch_one("http://origin.test/", mode, proxy=proxy.url.replace("http", scheme), **options)
        assert (result.cause, result.error) == (
            Cause.CONNECT,
            f"the proxy {proxy.netloc}: the connection was closed before an answer",
        )
    with ScriptServer(hang) as proxy, closed_port() as closed:
        result = fetch_one("http://origin.test/", mode, proxy=proxy.url.replace("http", scheme), **options)
        assert (result.cause, result.error) == (
            Cause.TIMEOUT,
            f"the proxy {proxy.netloc}: no connection in 0.3 s (connect timeout)",
        )
        result = fetch_one("http://origin.test/", mode, proxy=closed.replace("http", scheme), **options)
        assert (result.cause, result.error) == (
            Cause.CONNECT,
            f"the proxy {closed.removeprefix('http://')}: connection refused",
        )


def test_what_goes_wrong_behind_a_socks_proxy_is_not_said_to_be_the_proxys(mode: str, authority: Authority) -> None:
    with ScriptServer(tls=authority.server("example.org")) as origin, SocksServer() as proxy:
        url = proxy.url.replace("http", "socks5h")
        result = fetch_one(origin.url, mode, proxy=url, cacert=authority.cacert)
    assert (result.cause, "proxy" in str(result.error)) == (Cause.TLS, False), result.error


def test_the_socks_proxy_of_the_environment_is_used_never_passed_by(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with ScriptServer() as origin, SocksServer() as proxy:
        monkeypatch.setenv("ALL_PROXY", proxy.url.replace("http", "socks5h"))
        assert fetch_one(origin.url, mode, trust_env=True).ok
        assert len(proxy.wanted) == 1
        monkeypatch.setenv("no_proxy", f"127.0.0.0/8,{origin.netloc}")
        assert fetch_one(origin.url, mode, trust_env=True).ok
        assert len(proxy.wanted) == 1

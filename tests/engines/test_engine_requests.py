"""How a request gets there: names and addresses, TLS, proxies; and what is held of the blocking engine alone."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import h11
import pytest
from faults.wire import Asked, Connection, head
from support.leaks import nothing_left
from support.names import FOUR, SIX, resolve_names
from support.servers import ScriptServer, answer, by_path, closed_port, hang, ipv6_server, need, ok, silent_port, tunnel
from support.tls import Authority
from support.waiting import A_MOMENT, HUNG, PATIENCE, in_time

from fetchq import Cause, Request, Result, fetch_all, fetch_all_sync
from fetchq.core.settings import Settings, SettingsError
from fetchq.engines.requests import connection as connection_module
from fetchq.engines.requests.engine import RequestsEngine
from fetchq.engines.tls import TlsContexts
from fetchq.http.attempt import Attempt
from fetchq.http.url import parse_url

PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def fetch_one(row: str | Request, mode: str, **options: Any) -> Result:
    (result,) = in_time(lambda: fetch_all_sync([row], mode=mode, **{"retry_wait": 0, **options}))
    return result


# --- system calls ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_connection_that_is_reused_keeps_the_mode_of_its_socket(
    scheme: str, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each change is a system call, which releases the GIL."""
    here, changes = threading.get_ident(), [0]

    def counted(name: str) -> Any:
        change = getattr(socket.socket, name)

        def call(self: socket.socket, value: Any) -> None:
            changes[0] += threading.get_ident() == here  # not those of the server
            change(self, value)

        return call

    for name in ("settimeout", "setblocking"):
        monkeypatch.setattr(socket.socket, name, counted(name))
    counts = []
    with ScriptServer(answer(b"x" * 5000), tls=authority.server() if scheme == "https" else None) as server:
        for rows in (3, 30):
            changes[0] = 0
            results = fetch_all_sync([server.url] * rows, mode="sync", workers=1, cacert=authority.cacert)
            assert [result.ok for result in results] == [True] * rows
            counts.append(changes[0])
    assert 0 < counts[1] < counts[0] + 10  # a handshake changes it a few times


@pytest.mark.parametrize(("method", "parsed"), [("GET", 0), ("POST", 0), ("HEAD", 3)])
def test_a_plain_head_is_read_without_h11(method: str, parsed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """h11 takes almost as long as all the rest of an attempt."""
    heads = []
    receive_data = h11.Connection.receive_data

    def counted(self: h11.Connection, data: bytes) -> None:
        heads.append(data)
        receive_data(self, data)

    monkeypatch.setattr(h11.Connection, "receive_data", counted)
    with ScriptServer(answer(b"x" * 2000, b"Keep-Alive: timeout=5")) as server:
        rows = [Request(url=server.url, method=method)] * 3
        results = fetch_all_sync(rows, mode="sync", workers=1)
        assert server.connections == [1, 1, 1]
    assert [result.ok for result in results] == [True] * 3
    assert len(heads) == parsed


# --- names and addresses ---------------------------------------------------------------------------------------------


def test_an_ipv6_address_in_brackets_is_dialled(mode: str) -> None:
    with ipv6_server() as server:
        result = fetch_one(f"http://[::1]:{server.port}/", mode)
        assert server.log[0].header("Host") == f"[::1]:{server.port}"
    assert result.ok, result.error
    assert result.remote == f"[::1]:{server.port}"


@pytest.mark.parametrize("make", [ScriptServer, ipv6_server], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("order", [(FOUR, SIX), (SIX, FOUR)], ids=["IPv4 first", "IPv6 first"])
def test_a_name_with_both_families_is_reached_where_it_answers(
    mode: str, make: Any, order: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve_names(monkeypatch, {"both.test": list(order)})
    with make() as server:
        result = fetch_one(server.at("both.test"), mode, retries=0)
        assert result.ok, result.error
        assert result.remote == server.netloc


@pytest.mark.parametrize("host", ["example.test", "EXAMPLE.test", "a-b.example.test"])
def test_resolve_says_where_a_name_is_dialled_and_the_host_stays_the_name(mode: str, host: str) -> None:
    with ScriptServer() as server:
        result = fetch_one(server.at(host), mode, resolve=[f"{host}:{server.port}:127.0.0.1"])
        assert result.ok, result.error
        assert server.log[0].header("Host") == f"{host.lower()}:{server.port}"
        assert result.remote == server.netloc


@pytest.mark.parametrize("fixed", ["xn--bcher-kva.test", "bücher.test"])
def test_an_international_name_is_dialled_as_idna_and_both_spellings_are_recorded(
    mode: str, fixed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve_names(monkeypatch, {"xn--bcher-kva.test": []})
    with ScriptServer() as server:
        result = fetch_one(server.at("bücher.test"), mode, resolve=[f"{fixed}:{server.port}:127.0.0.1"])
        assert result.ok, result.error
        assert server.log[0].header("Host") == f"xn--bcher-kva.test:{server.port}"
    assert result.url == server.at("bücher.test")
    assert str(result.final_url).rstrip("/") == server.at("xn--bcher-kva.test")


@pytest.mark.parametrize("asked", ["example.test", "example.test."])
@pytest.mark.parametrize("fixed", ["example.test", "example.test."])
def test_a_dot_at_the_end_of_a_name_makes_no_difference_to_resolve(
    mode: str, asked: str, fixed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve_names(monkeypatch, {"example.test": [], "example.test.": []})
    with ScriptServer() as server:
        result = fetch_one(server.at(asked), mode, resolve=[f"{fixed}:{server.port}:127.0.0.1"])
    assert result.ok, result.error


def test_resolve_of_another_port_is_not_used(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_names(monkeypatch, {"example.test": []})
    with ScriptServer() as server:
        result = fetch_one(server.at("example.test"), mode, resolve=["example.test:1:127.0.0.1"])
    assert result.cause is Cause.DNS


def test_resolve_of_an_address_is_the_same_in_every_mode() -> None:
    remotes = []
    with ScriptServer() as server:
        for mode in ("async", "threads", "sync"):
            result = fetch_one(server.url, mode, resolve=[f"127.0.0.1:{server.port}:127.0.0.9"], retries=0)
            remotes.append((result.ok, result.remote))
    assert len(set(remotes)) == 1, remotes


def test_resolve_to_an_ipv6_address(mode: str) -> None:
    with ipv6_server() as server:
        result = fetch_one(server.at("six.test"), mode, resolve=[f"six.test:{server.port}:[::1]"])
    assert result.ok, result.error
    assert result.remote == f"[::1]:{server.port}"


def test_only_addresses_of_the_family_asked_for_are_dialled(mode: str) -> None:
    with ScriptServer() as server:
        assert fetch_one(server.at("localhost"), mode, ipv4=True).ok
        assert fetch_one(server.url, mode, ipv4=True).ok
        six = fetch_one(server.at("four.test"), mode, ipv6=True, resolve=[f"four.test:{server.port}:127.0.0.1"])
        assert (six.cause, six.attempts) == (Cause.DNS, 1), six.error
        assert len(server.log) == 2


@pytest.mark.parametrize(("flag", "address"), [("ipv6", "127.0.0.1"), ("ipv4", "[::1]")])
def test_an_address_of_the_other_family_is_a_dns_failure_as_is_a_name_without_one(
    mode: str, flag: str, address: str
) -> None:
    result = fetch_one(f"http://{address}:1/", mode, **{flag: True})
    assert (result.cause, result.attempts) == (Cause.DNS, 1), result.error
    assert result.error


def test_no_such_name_is_not_tried_again(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up = no_name(monkeypatch, socket.EAI_NONAME)
    result = fetch_one("http://no-such-name.test/", mode, retries=2)
    assert (result.cause, result.attempts, result.error) == (Cause.DNS, 1, "there is no such name")
    assert len(looked_up) == 1


def test_a_name_server_that_fails_is_asked_again(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fetchq.engines.aiohttp.resolver.FAILURE_CACHE_TIME", 0.0)
    looked_up = no_name(monkeypatch, socket.EAI_AGAIN)
    result = fetch_one("http://some-name.test/", mode, retries=2)
    assert (result.cause, result.attempts) == (Cause.DNS, 3)
    assert "no answer" in str(result.error)
    assert len(looked_up) == 3


def test_addresses_that_fail_in_different_ways_are_a_connect_failure(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve_names(monkeypatch, {"both.test": [SIX, (socket.AF_INET, "255.255.255.255")]})
    with closed_port() as url:
        result = fetch_one(url.replace("127.0.0.1", "both.test"), mode, retries=1)
    assert (result.cause, result.attempts) == (Cause.CONNECT, 2), result.error
    assert "Errno" not in str(result.error)


OUT_OF_DESCRIPTORS = """
import resource, socket, sys
from fetchq import fetch_all_sync
from fetchq.http import retry
retry.LOCAL_LIMIT_WAIT, retry.MAX_LOCAL_LIMIT_RETRIES = 0.01, 2
mode, *urls = sys.argv[1:]
fetch_all_sync(["http://127.0.0.1:1/"], mode=mode, retries=0)  # whatever has to be read first
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
held = []
def take_all(request, worker):
    try:
        while True:
            held.append(socket.socket())
    except OSError:
        pass
for url in urls:
    (result,) = fetch_all_sync([url], mode=mode, retries=0, on_start=take_all, workers=1)
    while held:
        held.pop().close()
    print(result.cause, result.error)
"""


def test_a_machine_out_of_descriptors_says_so_also_where_a_name_is_looked_up(engine_mode: str) -> None:
    hosts = ("127.0.0.1", "localhost", "no-such.test")
    ran = subprocess.run(
        [sys.executable, "-c", OUT_OF_DESCRIPTORS, engine_mode, *(f"http://{host}:1/" for host in hosts)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    # On stderr, aiodns may have logged what it made of it.
    assert ran.stdout == "connect this machine is at a limit: Too many open files\n" * len(hosts), ran.stderr


def no_name(monkeypatch: pytest.MonkeyPatch, code: int) -> list[str]:
    """Every lookup fails with that code; what was looked up."""
    looked_up: list[str] = []

    def fail(host: Any, *_: object, **__: object) -> list[Any]:
        looked_up.append(str(host))
        raise socket.gaierror(code, "as the test has it")

    monkeypatch.setitem(sys.modules, "aiodns", None)  # the loop's threads ask by this function too
    monkeypatch.setattr(socket, "getaddrinfo", fail)
    return looked_up


# --- TLS -------------------------------------------------------------------------------------------------------------


def test_a_certificate_of_an_issuer_that_is_trusted_is_ok(mode: str, authority: Authority) -> None:
    with ScriptServer(tls=authority.server()) as server:
        for url in (server.url, server.at("localhost")):
            result = fetch_one(url, mode, cacert=authority.cacert)
            assert result.ok, result.error
            assert result.body == b"ok"


def test_a_kept_connection_is_kept_over_tls_too(mode: str, authority: Authority) -> None:
    with ScriptServer(tls=authority.server()) as server:
        results = fetch_all_sync([server.url] * 3, mode=mode, workers=1, cacert=authority.cacert)
        assert server.connections == [1] * 3
    assert all(result.ok for result in results)


LONG_AGO = {"not_before": datetime(2019, 1, 1, tzinfo=UTC), "not_after": datetime(2020, 1, 1, tzinfo=UTC)}
BAD = {
    "expired": (("127.0.0.1",), LONG_AGO, True, "expired"),
    "wrong host": (("example.org",), {}, True, "not valid for|match"),
    "unknown issuer": (("127.0.0.1",), {}, False, "issuer"),
}


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_certificate_is_tls_is_not_tried_again_and_the_message_says_why(
    mode: str, bad: str, authority: Authority
) -> None:
    names, options, trusted, why = BAD[bad]
    with ScriptServer(tls=authority.server(*names, **options)) as server:
        trust = {"cacert": authority.cacert} if trusted else {}
        result = fetch_one(server.url, mode, **trust)
        assert server.log == []
    assert (result.cause, result.attempts, result.status) == (Cause.TLS, 1, None)
    assert any(word in str(result.error) for word in why.split("|")), result.error


@pytest.fixture
def self_signed(tmp_path: Path) -> ssl.SSLContext:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2099, 1, 1, tzinfo=UTC))
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "self.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


def test_a_self_signed_certificate_is_tls_and_the_message_says_so(mode: str, self_signed: ssl.SSLContext) -> None:
    with ScriptServer(tls=self_signed) as server:
        result = fetch_one(server.url, mode)
    assert (result.cause, result.attempts) == (Cause.TLS, 1)
    assert "self-signed" in str(result.error).replace("self signed", "self-signed")


def test_one_bad_certificate_costs_its_own_url_only(mode: str, authority: Authority) -> None:
    with ScriptServer() as good, ScriptServer(tls=authority.server()) as bad:
        results = in_time(lambda: fetch_all_sync([good.url, bad.url, good.url], mode=mode, workers=1))
    assert [result.cause for result in results] == [None, Cause.TLS, None]


@pytest.mark.parametrize("bad", BAD)
def test_insecure_takes_any_certificate(mode: str, bad: str, authority: Authority) -> None:
    names, options, _, _ = BAD[bad]
    with ScriptServer(tls=authority.server(*names, **options)) as server:
        result = fetch_one(server.url, mode, insecure=True)
    assert result.ok, result.error


def test_plain_http_where_tls_is_expected_is_tls(mode: str, practice: Any) -> None:
    result = fetch_one(practice.url.replace("http:", "https:") + "/json", mode, connect_timeout=HUNG / 2)
    assert (result.cause, result.attempts) == (Cause.TLS, 1), result.error


def test_tls_where_plain_http_is_expected_is_not_ok(mode: str, authority: Authority) -> None:
    with ScriptServer(tls=authority.server()) as server:
        result = fetch_one(server.url.replace("https:", "http:"), mode, retries=0)
    assert result.cause in (Cause.PROTOCOL, Cause.CONNECT), result.error


def test_a_handshake_that_stalls_is_a_timeout_of_the_connecting_and_is_tried_again(mode: str) -> None:
    with silent_port() as address:
        result = fetch_one(f"https://{address}/", mode, connect_timeout=0.15, retries=1)
    assert (result.cause, result.attempts) == (Cause.TIMEOUT, 2)
    assert "connect timeout" in str(result.error)


def test_a_handshake_that_is_cut_off_is_a_connect_failure_and_is_tried_again(mode: str, authority: Authority) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepted = 0

        def cut_off() -> None:
            nonlocal accepted
            with suppress(OSError):
                while True:
                    conn, _ = listener.accept()
                    accepted += 1
                    conn.recv(1)
                    conn.close()

        thread = threading.Thread(target=cut_off, daemon=True)
        thread.start()
        port = listener.getsockname()[1]
        result = fetch_one(f"https://127.0.0.1:{port}/", mode, retries=1)
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(HUNG)
    assert (result.cause, result.attempts, accepted) == (Cause.CONNECT, 2, 2), result.error


def test_a_client_certificate_is_shown_to_who_asks_for_it(mode: str, authority: Authority) -> None:
    cert, key = authority.client()
    with ScriptServer(tls=authority.server(clients=True)) as server:
        result = fetch_one(server.url, mode, cacert=authority.cacert, cert=cert, key=key)
    assert result.ok, result.error


@pytest.mark.parametrize("trusted", [False, True])
def test_a_client_certificate_is_for_the_host_of_the_row_and_not_for_where_a_redirect_leads(
    mode: str, authority: Authority, *, trusted: bool
) -> None:
    cert, key = authority.client()
    context = authority.server(clients=True)
    context.verify_mode = ssl.CERT_OPTIONAL
    shown: list[bool] = []

    def script(conn: Connection, asked: Asked) -> None:
        secured: Any = conn._sock
        shown.append(secured.getpeercert(binary_form=True) is not None)
        there = f"Location: {other.at('localhost')}/".encode()
        reply = answer(b"", there, status=b"302 Found") if asked.target == "/from" else answer(b"arrived")
        reply(conn, asked)

    with ScriptServer(script, tls=context) as other:
        # Each connection could be used again by the next row.
        rows = [f"{other.at('localhost')}/", f"{other.url}/from", f"{other.at('localhost')}/", f"{other.url}/from"]
        options = {"cacert": authority.cacert, "cert": cert, "key": key, "workers": 1, "location_trusted": trusted}
        results = in_time(lambda: fetch_all_sync(rows, mode=mode, **options))
    assert [one.body for one in results] == [b"arrived"] * 4, [one.error for one in results]
    assert shown == [True, True, trusted, True, True, trusted]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_without_the_client_certificate_that_is_asked_for_it_is_tls(
    mode: str, authority: Authority, version: ssl.TLSVersion
) -> None:
    context = authority.server(clients=True)
    context.maximum_version = context.minimum_version = version
    with ScriptServer(tls=context) as server:
        result = fetch_one(server.url, mode, cacert=authority.cacert)
        assert server.log == []
    assert (result.cause, result.attempts) == (Cause.TLS, 1), result.error


def test_a_redirect_from_http_to_https_and_back_is_followed(mode: str, authority: Authority) -> None:
    with ScriptServer() as plain:
        there = answer(b"", b"Location: " + plain.url.encode() + b"/end", status=b"302 Found")
        with ScriptServer(there, tls=authority.server()) as secure:
            plain.script = by_path(
                {"/begin": answer(b"", b"Location: " + secure.url.encode(), status=b"302 Found")}, answer(b"arrived")
            )
            result = fetch_one(f"{plain.url}/begin", mode, cacert=authority.cacert)
    assert (result.ok, result.redirects, result.body) == (True, 2, b"arrived"), result.error


# --- proxies ---------------------------------------------------------------------------------------------------------


def test_through_a_proxy_an_http_url_is_asked_for_whole(mode: str) -> None:
    with ScriptServer(answer(b"from the proxy")) as proxy:
        result = fetch_one("http://no-such-name.invalid/a%2b?q=1", mode, proxy=proxy.url)
        (asked,) = proxy.log
    assert (result.ok, result.body, result.remote) == (True, b"from the proxy", proxy.netloc), result.error
    assert asked.target == "http://no-such-name.invalid/a%2b?q=1"
    assert asked.header("Host") == "no-such-name.invalid"


def test_both_engines_send_the_same_to_a_proxy() -> None:
    seen = []
    for mode in ("async", "sync"):
        with ScriptServer() as proxy:
            secret = proxy.url.replace("://", "://user:word@")
            request = Request("http://origin.test/a", method="POST", body=b"x", headers=(("X-Mine", "1"),))
            fetch_one(request, mode, proxy=secret)
            seen.append([(one.method, one.target, sorted((n.lower(), v) for n, v in one.headers)) for one in proxy.log])
            assert proxy.log[0].header("Proxy-Authorization") == "Basic dXNlcjp3b3Jk"
    assert seen[0] == seen[1]


def test_through_a_proxy_https_goes_in_a_tunnel_that_sees_nothing(mode: str, authority: Authority) -> None:
    with ScriptServer(tls=authority.server()) as origin, ScriptServer(tunnel) as proxy:
        secret = origin.url.replace("://", "://user:s3cr3t@") + "/a"
        request = Request(secret, headers=(("X-Mine", "1"), ("Cookie", "a=1")))
        result = fetch_one(request, mode, proxy=proxy.url, cacert=authority.cacert)
        (asked,) = proxy.log
        assert [one.target for one in origin.log] == ["/a"]
        assert origin.log[0].header("Authorization") == "Basic dXNlcjpzM2NyM3Q="
    assert (result.ok, result.remote) == (True, proxy.netloc), result.error
    assert (asked.method, asked.target) == ("CONNECT", origin.netloc)
    told = {name.lower() for name, _ in asked.headers}
    assert told.isdisjoint({"x-mine", "cookie", "authorization", "proxy-authorization"})


def test_a_tunnel_is_used_again(mode: str, authority: Authority) -> None:
    with ScriptServer(tls=authority.server()) as origin, ScriptServer(tunnel) as proxy:
        options: dict[str, Any] = {"proxy": proxy.url, "cacert": authority.cacert}
        results = fetch_all_sync([origin.url] * 3, mode=mode, workers=1, **options)
        assert len(proxy.log) == 1
        assert origin.connections == [1] * 3
    assert all(result.ok for result in results)


def test_a_bad_certificate_behind_a_proxy_is_tls(mode: str, authority: Authority) -> None:
    with ScriptServer(tls=authority.server("example.org")) as origin, ScriptServer(tunnel) as proxy:
        result = fetch_one(origin.url, mode, proxy=proxy.url, cacert=authority.cacert)
    assert (result.cause, result.attempts) == (Cause.TLS, 1), result.error


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_is_not_there_is_a_connect_failure(mode: str, scheme: str) -> None:
    with closed_port() as proxy:
        result = fetch_one(f"{scheme}://origin.test/", mode, proxy=proxy, retries=1)
    assert (result.cause, result.attempts) == (Cause.CONNECT, 2), result.error


@pytest.mark.parametrize(
    ("status", "cause", "attempts"),
    [
        ("302 Found", Cause.PROXY, 1),
        ("400 Bad Request", Cause.PROXY, 1),
        ("403 Forbidden", Cause.PROXY, 1),
        ("407 Proxy Authentication Required", Cause.PROXY, 1),
        ("501 Not Implemented", Cause.PROXY, 1),
        ("429 Too Many Requests", Cause.CONNECT, 2),
        ("500 Unable to connect", Cause.CONNECT, 2),
        ("502 Bad Gateway", Cause.CONNECT, 2),
    ],
)
def test_a_proxy_that_refuses_the_tunnel_is_told_from_one_that_could_not_make_it(
    mode: str, status: str, cause: Cause, attempts: int
) -> None:
    with ScriptServer(answer(b"no", status=status.encode())) as proxy:
        result = fetch_one("https://origin.test/", mode, proxy=proxy.url, retries=1, retry_wait=0)
        assert [one.method for one in proxy.log] == ["CONNECT"] * attempts
    assert (result.cause, result.attempts, result.status) == (cause, attempts, None)
    assert result.error == f"the proxy {proxy.netloc}: it answered {status}"
    assert result.body == b""


def test_a_proxy_that_hangs_up_or_says_nothing_costs_its_own_url_only(mode: str) -> None:
    def close(conn: Connection, _: Asked) -> None:
        conn.close()

    with ScriptServer(close) as proxy:
        assert fetch_one("https://origin.test/", mode, proxy=proxy.url, retries=0).cause is Cause.CONNECT
    with ScriptServer(hang) as proxy:
        result = fetch_one("https://origin.test/", mode, proxy=proxy.url, retries=0, connect_timeout=0.2)
        assert result.cause is Cause.TIMEOUT, result.error


def mute(conn: Connection, _: Asked) -> None:
    conn.close()


def babble(conn: Connection, _: Asked) -> None:
    conn.send(b"this is not HTTP\r\n\r\n")
    conn.close()


REFUSALS = {
    "407": (answer(b"no", status=b"407 Proxy Authentication Required"), "proxy", "407 Proxy Authentication Required"),
    "502 without a reason": (answer(b"no", status=b"502 "), "connect", "502"),
    "hangs up": (mute, "connect", "closed before an answer"),
    "says nothing": (hang, "timeout", "no connection in 0.2 s (connect timeout)"),
    "speaks another language": (babble, "protocol", ""),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_the_failure_of_a_proxy_to_make_a_tunnel_is_said_to_be_the_proxys(mode: str, refusal: str) -> None:
    script, cause, said = REFUSALS[refusal]
    with ScriptServer(script) as proxy:
        secret = proxy.url.replace("://", "://user:s3cr3t@")
        limits = {"connect_timeout": 0.2} if cause == "timeout" else {}
        result = fetch_one("https://origin.test/", mode, proxy=secret, retries=0, **limits)
        assert str(result.error).startswith(f"the proxy {proxy.netloc}: "), result.error
    assert result.cause == cause
    assert said in str(result.error)
    assert "s3cr3t" not in str(result.error)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_cannot_be_connected_to_is_named(
    mode: str, scheme: str, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve_names(monkeypatch, {"proxy.test": []})
    errors = []
    with closed_port() as closed, silent_port() as silent, ScriptServer(tls=authority.server("example.org")) as bad:
        for proxy in (closed, "http://proxy.test:3128", f"https://{silent}", bad.url):
            result = fetch_one(f"{scheme}://origin.test/", mode, proxy=proxy, retries=0, connect_timeout=0.3)
            address = proxy.partition("://")[2]
            assert str(result.error).startswith(f"the proxy {address}: "), result.error
            errors.append((result.cause, str(result.error).removeprefix(f"the proxy {address}: ")))
    assert errors[:3] == [
        (Cause.CONNECT, "connection refused"),
        (Cause.DNS, "there is no such name"),
        (Cause.TIMEOUT, "no connection in 0.3 s (connect timeout)"),
    ]
    assert errors[3][0] is Cause.TLS


def test_what_goes_wrong_behind_a_proxy_is_not_said_to_be_the_proxys(mode: str, authority: Authority) -> None:
    with ScriptServer(tls=authority.server("example.org")) as origin, ScriptServer(tunnel) as proxy:
        result = fetch_one(origin.url, mode, proxy=proxy.url, cacert=authority.cacert)
        assert (result.cause, "proxy" in str(result.error)) == (Cause.TLS, False), result.error
    with silent_port() as silent, ScriptServer(tunnel) as proxy:
        result = fetch_one(f"https://{silent}/", mode, proxy=proxy.url, retries=0, connect_timeout=0.2)
        assert (result.cause, "proxy" in str(result.error)) == (Cause.TIMEOUT, False), result.error
    with ScriptServer(hang) as proxy:
        result = fetch_one("http://origin.test/", mode, proxy=proxy.url, retries=0, read_timeout=0.2)
        assert (result.cause, "proxy" in str(result.error)) == (Cause.TIMEOUT, False), result.error


def test_a_proxy_may_be_spoken_to_over_tls(mode: str, authority: Authority) -> None:
    with (
        ScriptServer(answer(b"secret"), tls=authority.server()) as origin,
        ScriptServer(by_path({"/plain": answer(b"plain")}, tunnel), tls=authority.server()) as proxy,
    ):
        rows = ["http://origin.test/plain", origin.url]
        results = in_time(lambda: fetch_all_sync(rows, mode=mode, proxy=proxy.url, cacert=authority.cacert, retries=0))
    assert [result.body for result in results] == [b"plain", b"secret"], [result.error for result in results]


def test_a_proxy_of_the_family_that_was_left_out_is_not_dialled(mode: str) -> None:
    with ScriptServer() as proxy:
        result = fetch_one("http://origin.test/", mode, proxy=proxy.url, ipv6=True)
        assert proxy.log == []
    assert (result.cause, result.attempts) == (Cause.DNS, 1), result.error


def test_the_password_of_a_proxy_is_shown_nowhere(mode: str) -> None:
    with closed_port() as proxy:
        secret = proxy.replace("://", "://user:s3cr3t@")
        for scheme in ("http", "https"):
            result = fetch_one(f"{scheme}://origin.test/", mode, proxy=secret, retries=0)
            assert result.cause is Cause.CONNECT
            assert "s3cr3t" not in repr(result) + str(result.to_record())


def test_the_proxies_of_the_environment_are_used_only_when_it_is_trusted(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ScriptServer(answer(b"origin")) as origin, ScriptServer(answer(b"proxy")) as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        assert fetch_one(origin.url, mode).body == b"origin"
        assert fetch_one(origin.url, mode, trust_env=True).body == b"proxy"
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert fetch_one(origin.url, mode, trust_env=True).body == b"origin"
        with ScriptServer(answer(b"asked for")) as other:
            monkeypatch.delenv("no_proxy")
            assert fetch_one(origin.url, mode, trust_env=True, proxy=other.url).body == b"asked for"


@pytest.fixture
def tinyproxy(tmp_path: Path) -> Iterator[str]:
    """The URL of a real proxy."""
    program = shutil.which("tinyproxy")
    need(program, "tinyproxy is not installed")
    assert program is not None
    for _ in range(5):  # it cannot look for a free port itself
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        config = tmp_path / "tinyproxy.conf"
        config.write_text(
            f"Port {port}\nListen 127.0.0.1\nTimeout 60\nMaxClients 20\nAllow 127.0.0.1\nLogLevel Error\n"
        )
        process = subprocess.Popen([program, "-d", "-c", str(config)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            if _listens(port, process):
                yield f"http://127.0.0.1:{port}"
                return
        finally:
            process.terminate()
            process.communicate(timeout=PATIENCE)
    pytest.fail("tinyproxy does not begin to listen")


def _listens(port: int, process: subprocess.Popen[bytes]) -> bool:
    for _ in range(int(PATIENCE / 0.02)):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return True
        if process.poll() is not None:
            return False
        threading.Event().wait(0.02)  # a process offers nothing to wait for
    return False


def test_a_real_proxy_passes_http_and_https_on(mode: str, tinyproxy: str, authority: Authority) -> None:
    with ScriptServer(answer(b"plain")) as plain, ScriptServer(answer(b"secret"), tls=authority.server()) as secure:
        options: dict[str, Any] = {"proxy": tinyproxy, "cacert": authority.cacert, "workers": 2}
        rows = [plain.url, secure.url, plain.url, secure.url]
        results = in_time(lambda: fetch_all_sync(rows, mode=mode, **options))
        assert [result.body for result in results] == [b"plain", b"secret", b"plain", b"secret"]
        posted = fetch_one(Request(plain.url, method="POST", body=b"x" * 100_000), mode, **options)
        assert posted.ok, posted.error
        assert len(plain.log[-1].body) == 100_000


def test_a_real_proxy_that_cannot_reach_the_origin_is_not_ok(mode: str, tinyproxy: str) -> None:
    with closed_port() as closed:
        result = fetch_one(closed.replace("http:", "https:"), mode, proxy=tinyproxy, retries=0)
        assert result.cause is Cause.CONNECT, result.error
        result = fetch_one(closed, mode, proxy=tinyproxy, retries=0)
        assert (result.cause, result.ok) == (Cause.STATUS, False)  # that answer is the proxy's, and HTTP cannot tell


# --- the blocking engine alone ---------------------------------------------------------------------------------------


class Engine(RequestsEngine):
    """One by itself, and a way to make an attempt with it."""

    def __init__(self, **options: Any) -> None:
        settings = Settings(mode="sync", workers=1, **options)
        super().__init__(settings, TlsContexts(settings))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get(self, url: str) -> Attempt:
        return self.attempt(Request(url), parse_url(url))


def under_way(engine: Engine, url: str) -> tuple[threading.Thread, list[Attempt]]:
    came: list[Attempt] = []
    thread = threading.Thread(target=lambda: came.append(engine.get(url)), name="under way")
    thread.start()
    return thread, came


def stalled_body(conn: Connection, _: Asked) -> None:
    conn.send(head(b"Content-Length: 100") + b"some")
    conn.hang()


def stalled_open_body(conn: Connection, _: Asked) -> None:
    conn.send(head() + b"some")
    conn.hang()


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("script", [hang, stalled_body, stalled_open_body])
def test_abort_ends_an_attempt_that_waits_for_the_server(script: Any, tls: bool, authority: Authority) -> None:
    context = authority.server() if tls else None
    with (
        nothing_left(),
        ScriptServer(script, tls=context) as server,
        Engine(cacert=authority.cacert, timeout=600, read_timeout=600) as engine,
    ):
        thread, came = under_way(engine, server.url)
        assert server.wait_for_requests(1, HUNG)
        engine.abort()
        thread.join(HUNG)
        assert not thread.is_alive(), "it hangs"
    (attempt,) = came
    assert (attempt.cause, attempt.error) == (Cause.CANCELLED, "the run ended first")


def test_abort_ends_a_tls_handshake(authority: Authority) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, Engine(connect_timeout=600, timeout=600) as engine:
        thread, came = under_way(engine, f"https://127.0.0.1:{listener.getsockname()[1]}/")
        conn, _ = listener.accept()
        assert conn.recv(1) == b"\x16"  # the handshake has begun
        engine.abort()
        thread.join(HUNG)
        alive = thread.is_alive()
        conn.close()
        thread.join(HUNG)
    assert not alive, "it hangs"
    assert came[0].cause is Cause.CANCELLED


def test_abort_ends_the_sending_of_a_body_that_nobody_reads() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, Engine(timeout=600, read_timeout=600) as engine:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        came: list[Attempt] = []
        request = Request(url, method="POST", body=bytes(50_000_000))
        thread = threading.Thread(target=lambda: came.append(engine.attempt(request, parse_url(url))))
        thread.start()
        conn, _ = listener.accept()
        assert conn.recv(1) == b"P"
        engine.abort()
        thread.join(HUNG)
        alive = thread.is_alive()
        conn.close()
        thread.join(HUNG)
    assert not alive, "it hangs"
    assert came[0].cause is Cause.CANCELLED


def test_after_abort_no_attempt_is_begun() -> None:
    with ScriptServer() as server, Engine() as engine:
        assert engine.get(server.url).cause is None
        engine.abort()
        engine.abort()
        assert engine.get(server.url).cause is Cause.CANCELLED
        assert len(server.log) == 1


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_a_body_that_an_abort_cut_off_between_two_reads_is_not_ok(
    tls: bool, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The end of the connection is the end of this body. Over TLS, what an aborted socket still gives is not even text.
    size = 400_000

    def open_ended(conn: Connection, _: Asked) -> None:
        conn.send(head() + b"x" * size)
        conn.close()

    on_data = Attempt.on_data

    def aborting(self: Attempt, data: bytes) -> bool:
        write_due = on_data(self, data)
        engine.abort()
        return write_due

    monkeypatch.setattr(Attempt, "on_data", aborting)
    context = authority.server() if tls else None
    with ScriptServer(open_ended, tls=context) as server, Engine(cacert=authority.cacert) as engine:
        attempt = engine.get(server.url)
    assert attempt.cause is Cause.CANCELLED, f"ok, with {attempt.body.size} bytes of {size}"


def test_an_engine_opens_no_more_than_one_connection_to_an_origin() -> None:
    with ScriptServer() as server, Engine() as engine:
        for n in range(5):
            assert engine.get(f"{server.url}/{n}").cause is None
        assert server.connections == [1] * 5


def test_an_engine_that_is_out_of_descriptors_gives_back_those_of_its_connections_at_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def starve(*_: object) -> socket.socket:
        raise OSError(errno.EMFILE, "Too many open files")

    with ScriptServer() as server, ScriptServer() as other, Engine() as engine:
        assert engine.get(server.url).cause is None
        serving = [thread for thread, _ in server._handlers]  # none, where it has ended already
        with monkeypatch.context() as starving:
            starving.setattr("fetchq.engines.requests.dial.dial", starve)
            assert engine.get(other.url).local_limit
        for thread in serving:
            thread.join(HUNG)
            assert not thread.is_alive()
        assert engine.get(server.url).cause is None
        assert server.connections == [1, 2]


def test_closing_an_engine_closes_its_connections_to_every_origin() -> None:
    with nothing_left():
        servers = [ScriptServer() for _ in range(5)]
        try:
            with Engine() as engine:
                for server in servers:
                    assert engine.get(server.url).cause is None
            serving = [thread for server in servers for thread, _ in server._handlers]
            for thread in serving:  # each ends when its client has hung up
                thread.join(HUNG)
            assert [thread.name for thread in serving if thread.is_alive()] == []
        finally:
            for server in servers:
                server.close()


async def test_the_deadline_strikes_in_threads_while_the_loop_is_busy() -> None:
    with ScriptServer(hang) as server:
        task = asyncio.create_task(fetch_all([server.url], mode="threads", deadline=A_MOMENT))
        await server.got(1)
        threading.Event().wait(2 * A_MOMENT)  # the loop stands still
        (result,) = await task
    assert result.cause is Cause.CANCELLED


def test_the_environment_is_not_read_behind_our_back(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # requests and aiohttp both know variables of their own.
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", os.devnull)
    monkeypatch.setenv("CURL_CA_BUNDLE", os.devnull)
    with ScriptServer(ok) as server:
        assert fetch_one(server.url, mode).ok


# --- beside other packages -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("every_mode", ["async", "threads", "sync"])
def test_a_package_in_the_place_of_urllib3_is_refused_and_mode_async_needs_none(
    every_mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What niquests brings: urllib3-future, whose connections are not those of http.client."""
    monkeypatch.setattr(connection_module, "HTTPConnection", type("HTTPConnection", (), {}))
    with ScriptServer() as server:
        if every_mode == "async":
            assert fetch_one(server.url, every_mode).ok
            return
        with pytest.raises(SettingsError, match="urllib3-future"):
            fetch_one(server.url, every_mode)
        assert server.log == []

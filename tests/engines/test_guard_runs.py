"""What a run with `block_private`, `allow_host` and `deny_host` connects to.

The listener of a forbidden address sees no connection, however the address is spelled, and whatever leads to it. The
spellings are those of RFC 4291, 6052 and 3986, of inet_aton (POSIX) and of the URL standard of the WHATWG.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from support.cli import Cli
from support.names import FOUR, SIX, resolve_names
from support.servers import ScriptServer, answer, by_path, need, ok

from fetchq import Cause, Result, SettingsError, fetch_all_sync
from fetchq.http.guard import Guard

FRIEND = "127.0.0.2"
"""An address that the tests let through, where a server sends clients to the forbidden ones."""
OPEN = {"block_private": True, "allow_host": ["*", FRIEND]}


class Forbidden:
    """Listens on one port of the loopback, of IPv4 and IPv6, and tells whether anybody has connected."""

    def __init__(self, stack: ExitStack) -> None:
        self._listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0)))]
        self.port: int = self._listeners[0].getsockname()[1]
        with suppress(OSError):
            self._listeners.append(
                stack.enter_context(socket.create_server(("::1", self.port), family=socket.AF_INET6))
            )
        for listener in self._listeners:
            listener.setblocking(False)

    @property
    def connections(self) -> int:
        """How many have connected since it was asked last."""
        found = 0
        for listener in self._listeners:
            with suppress(BlockingIOError):
                while True:
                    listener.accept()[0].close()
                    found += 1
        return found


@pytest.fixture(scope="module")
def forbidden() -> Iterator[Forbidden]:
    with ExitStack() as stack:
        yield Forbidden(stack)


@pytest.fixture
def friend() -> Iterator[ScriptServer]:
    try:
        server = ScriptServer(ok, FRIEND)
    except OSError as problem:
        need(False, f"there is no {FRIEND} on this machine ({problem})")
        raise
    with server:
        yield server


def fetch(url: str, mode: str, **settings: Any) -> Result:
    (result,) = fetch_all_sync([url], mode=mode, timeout=2, retry_wait=0.01, **settings)
    return result


def assert_blocked(result: Result, forbidden: Forbidden) -> None:
    assert forbidden.connections == 0
    assert result.cause is Cause.BLOCKED
    assert result.attempts <= 1, "it is not retried"


# --- spellings of a URL ---

SPELLINGS = [
    *(
        "127.0.0.1",
        "127.0.0.1.",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0X7F.1",
        "0x7f.0x0.0x0.0x1",
        "127.0x1",
    ),
    *("017700000001", "0177.0.0.1", "0177.1", "00000177.0.0.01", "0x7f.0.1", "127.0.0.0x1", "0177.0x0.1", "127.0.1."),
    *(
        "%31%32%37.0.0.1",
        "127%2e0%2E0%2e1",
        "0x7f%2E1",
        "\uff11\uff12\uff17\uff0e\uff10.0.1",
        "127\u30020\u30020\u30021",
        "127\uff610.0.1",
        "\u2460\u2461\u2466.0.0.1",
    ),
    *("me:word@127.0.0.1", "example.org@127.0.0.1", "127.255.255.254", "0.0.0.0", "0", "0x0", "00", "0.0", "0.1.2.3"),
    *("[::1]", "[0:0:0:0:0:0:0:1]", "[0000::0001]", "[::0.0.0.1]", "[::]", "[::ffff:127.0.0.1]", "[::FFFF:7F00:1]"),
    *("[0:0:0:0:0:ffff:127.0.0.1]", "[::ffff:0.0.0.0]", "[::127.0.0.1]", "[::7f00:1]", "[::ffff:0:127.0.0.1]"),
    *("[64:ff9b::127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b:1::127.0.0.1]", "[2002:7f00:1::]", "[2002:7f00:1::1]"),
    *("[2001:0:808:808::80ff:fffe]", "[fe80::5efe:127.0.0.1]", "[fe80::1]", "[fec0::1]", "[fd00::1]", "[ff02::1]"),
    *("localhost", "LOCALHOST", "localhost.", "a.localhost", "me@localhost", "%6cocalhost", "\u24db\u24de\u24d2alhost"),
    *("10.0.0.1", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1", "192.0.0.1", "198.18.0.1", "224.0.0.1"),
    *("192.0.2.1", "240.0.0.1", "255.255.255.255", "0xa9fea9fe", "[::ffff:a9fe:a9fe]", "[64:ff9b::10.0.0.1]"),
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_no_spelling_of_a_special_address_is_connected_to(spelling: str, mode: str, forbidden: Forbidden) -> None:
    assert_blocked(fetch(f"http://{spelling}:{forbidden.port}/", mode, block_private=True), forbidden)


@pytest.mark.parametrize("url", ["HTTP://127.1:{}?x", "https://127.0.0.1:{}/", "http://localhost:{}#@example.org"])
def test_neither_does_the_rest_of_a_url(url: str, mode: str, forbidden: Forbidden) -> None:
    assert_blocked(fetch(url.format(forbidden.port), mode, block_private=True), forbidden)


def test_without_the_option_the_listener_does_hear_them(mode: str, forbidden: Forbidden) -> None:
    for spelling in ("127.1", "0x7f000001", "[::ffff:127.0.0.1]", "localhost", "a.localhost"):
        fetch_all_sync([f"http://{spelling}:{forbidden.port}/"], mode=mode, read_timeout=0.01, retries=0)
        assert forbidden.connections, spelling


# --- redirects ---


@pytest.mark.parametrize(
    ("status", "location"),
    [
        (301, "http://127.0.0.1:{}/"),
        (302, "//0x7f.1:{}/"),
        (303, "\\\\127.1:{}\\"),
        (307, "http:\\\\2130706433:{}"),
        (308, "hTTp:////[::1]:{}/"),
        (301, "http://localhost:{}/"),
        (307, "http://\t127.0.0.1:{}/"),
        (302, "http://me:word@[::ffff:127.0.0.1]:{}/"),
    ],
)
def test_a_redirect_does_not_lead_there(
    status: int, location: str, mode: str, friend: ScriptServer, forbidden: Forbidden
) -> None:
    field = b"Location: " + location.format(forbidden.port).encode()
    friend.script = answer(b"", field, status=b"%d Elsewhere" % status)
    assert_blocked(fetch(friend.url, mode, **OPEN), forbidden)
    assert friend.seen == ["/"]


def test_the_second_redirect_does_not_lead_there_either(
    mode: str, friend: ScriptServer, forbidden: Forbidden, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve_names(monkeypatch, {"inner.test": [FOUR]})
    friend.script = by_path(
        {
            "/": answer(b"", b"Location: /2", status=b"302 Found"),
            "/2": answer(b"", f"Location: http://inner.test:{forbidden.port}/".encode(), status=b"302 Found"),
        }
    )
    assert_blocked(fetch(friend.url, mode, **OPEN), forbidden)
    assert friend.seen == ["/", "/2"]


def test_a_redirect_of_a_robots_txt_does_not_lead_there(mode: str, friend: ScriptServer, forbidden: Forbidden) -> None:
    location = f"Location: http://127.1:{forbidden.port}/robots.txt".encode()
    friend.script = by_path({"/robots.txt": answer(b"", location, status=b"302 Found")})
    assert fetch(friend.url, mode, robots=True, **OPEN).ok
    assert forbidden.connections == 0


def test_no_robots_txt_is_asked_for_where_the_host_is_blocked(mode: str, forbidden: Forbidden) -> None:
    for host, settings in (("127.1", {"block_private": True}), ("localhost", {"deny_host": "localhost"})):
        result = fetch(f"http://{host}:{forbidden.port}/", mode, robots=True, per_host_by="ip", **settings)
        assert_blocked(result, forbidden)
        assert "robots" not in (result.error or "")


# --- names ---


@pytest.mark.parametrize(
    "found",
    [
        [FOUR],
        [SIX],
        [SIX, FOUR],
        [(socket.AF_INET6, "::ffff:127.0.0.1")],
        [(socket.AF_INET6, "fe80::1%lo")],
        [(socket.AF_INET, "0.0.0.0")],
        [(socket.AF_INET6, "64:ff9b::7f00:1"), (socket.AF_INET, "127.0.0.3")],
    ],
)
def test_a_name_does_not_lead_there(
    found: list[tuple[socket.AddressFamily, str]],
    mode: str,
    forbidden: Forbidden,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resolve_names(monkeypatch, {"inner.test": found})
    result = fetch(f"http://inner.test:{forbidden.port}/", mode, block_private=True)
    assert_blocked(result, forbidden)
    assert f"inner.test: {found[0][1]} is " in (result.error or "")


def test_of_several_addresses_only_those_that_are_allowed_are_connected_to(
    mode: str, friend: ScriptServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", friend.port)) as listener:
        listener.setblocking(False)
        resolve_names(monkeypatch, {"both.test": [SIX, FOUR, (socket.AF_INET, FRIEND)]})
        result = fetch(friend.at("both.test"), mode, **OPEN)
        assert (result.ok, result.remote) == (True, f"{FRIEND}:{friend.port}")
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_a_name_that_is_found_elsewhere_the_second_time_is_checked_again(
    mode: str, friend: ScriptServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    friend.script = answer(b"ok", b"Connection: close")
    monkeypatch.setattr("fetchq.engines.aiohttp.resolver.CACHE_TIME", 0.0)
    names = {"turn.test": [(socket.AF_INET, FRIEND)]}
    resolve_names(monkeypatch, names)
    with socket.create_server(("127.0.0.1", friend.port)) as listener:
        listener.setblocking(False)

        def turn(_: Result) -> None:
            names["turn.test"] = [FOUR]

        urls = [friend.at("turn.test")] * 2
        first, second = fetch_all_sync(urls, mode=mode, workers=1, on_result=turn, **OPEN)
        assert (first.cause, second.cause) == (None, Cause.BLOCKED)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_where_the_allowed_addresses_do_not_answer_the_others_are_not_tried(
    mode: str, forbidden: Forbidden, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve_names(monkeypatch, {"both.test": [FOUR, SIX, (socket.AF_INET, FRIEND)]})
    result = fetch(f"http://both.test:{forbidden.port}/", mode, retries=1, **OPEN)
    assert forbidden.connections == 0
    assert (result.cause, result.attempts) == (Cause.CONNECT, 2)


def test_an_address_of_resolve_is_checked(mode: str, forbidden: Forbidden) -> None:
    fixed = [f"example.org:{forbidden.port}:127.0.0.1"]
    result = fetch(f"http://example.org:{forbidden.port}/", mode, block_private=True, resolve=fixed)
    assert_blocked(result, forbidden)
    assert result.error == "example.org: 127.0.0.1 is a loopback address, and block-private is set"


@pytest.mark.parametrize("spelling", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"])
def test_an_address_is_checked_once_more_right_before_the_connection(
    spelling: str, mode: str, forbidden: Forbidden, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Guard, "refusal", lambda *_: None)  # as if the check of the row were forgotten
    result = fetch(f"http://{spelling}:{forbidden.port}/", mode, block_private=True)
    assert_blocked(result, forbidden)
    assert result.attempts == 1


# --- hosts ---


def test_a_denied_host_is_not_connected_to_from_a_row_or_a_redirect(
    mode: str, friend: ScriptServer, forbidden: Forbidden
) -> None:
    friend.script = answer(b"", f"Location: http://a.localhost:{forbidden.port}/".encode(), status=b"302 Found")
    for pattern in ("*.localhost", "127.0.0.1,::1"):
        for url in (friend.url, f"http://a.localhost:{forbidden.port}/"):
            assert_blocked(fetch(url, mode, deny_host=pattern), forbidden)


def test_only_an_allowed_host_is_connected_to(mode: str, friend: ScriptServer, forbidden: Forbidden) -> None:
    friend.script = by_path(
        {"/away": answer(b"", f"Location: http://localhost:{forbidden.port}/".encode(), status=b"302 Found")}
    )
    for pattern in (FRIEND, f"{FRIEND}/31", "friend.test"):
        settings = {"allow_host": pattern, "resolve": [f"friend.test:{friend.port}:{FRIEND}"]}
        host = "friend.test" if pattern == "friend.test" else FRIEND
        assert fetch(friend.at(host), mode, **settings).ok
        assert_blocked(fetch(f"{friend.at(host)}/away", mode, **settings), forbidden)
        assert_blocked(fetch(f"http://localhost:{forbidden.port}/", mode, **settings), forbidden)


def test_a_denied_host_is_not_asked_for_through_a_proxy(mode: str) -> None:
    with ScriptServer() as proxy:
        urls = ["http://good.test/", "http://evil.test/", "http://192.0.2.1/"]
        results = fetch_all_sync(urls, mode=mode, proxy=proxy.url, allow_host="*.test", deny_host="evil.test")
        assert [result.cause for result in results] == [None, Cause.BLOCKED, Cause.BLOCKED]
        assert proxy.seen == ["http://good.test/"]


# --- the proxies of the environment, the command line, later sessions ---


@pytest.mark.parametrize(
    ("variable", "no_proxy", "refused"),
    [
        ("http_proxy", "", True),
        ("all_proxy", "localhost,127.0.0.0/8", True),
        ("https_proxy", "*", False),
        ("HTTP_PROXY", "", False),
    ],
)
def test_a_proxy_variable_is_refused_unless_no_host_is_reached_through_it(
    variable: str, no_proxy: str, refused: bool, forbidden: Forbidden, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "NO_PROXY", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, f"http://127.0.0.1:{forbidden.port}")
    monkeypatch.setenv("no_proxy", no_proxy)
    if refused:
        with pytest.raises(SettingsError, match="trust_env: a variable names a proxy"):
            fetch("http://127.1/", "sync", block_private=True, trust_env=True)
    else:
        assert fetch("http://127.1/", "sync", block_private=True, trust_env=True).cause is Cause.BLOCKED
    assert forbidden.connections == 0


def test_the_command_line_refuses_a_proxy_and_a_wrong_pattern(cli: Cli, forbidden: Forbidden) -> None:
    url, proxy = f"http://127.1:{forbidden.port}/", f"http://127.0.0.1:{forbidden.port}"
    for options, message in (
        (["--block-private", "-x", proxy], "--proxy: not together with block_private"),
        (["--deny-host", "10.0.0.0/8", "-x", proxy], "--proxy: not together with block_private"),
        (["--deny-host", "10.0.0.1/8"], "did you mean 10.0.0.0/8?"),
        (["--allow-host", "ä" * 64 + ".test", "-o", "run"], "--allow-host: "),
    ):
        result = cli(url, *options)
        assert result.status == 2
        assert message in result.said
    assert forbidden.connections == 0
    assert not Path("run").exists()


def test_a_later_session_and_a_comparison_keep_the_guard(cli: Cli, forbidden: Forbidden) -> None:
    url = f"http://127.1:{forbidden.port}/"
    guarded = ["--block-private", "--deny-host", "a.test", "--deny-host", "10.0.0.0/8", "--allow-host", "*"]
    assert cli(url, "-o", "run", *guarded).status == 1
    retry = ["retry", "run", "--where", "cause = 'blocked'", "--json"]
    asked_for = "begun with --block-private, --allow-host, --deny-host, not to be taken from its folder"
    assert asked_for in cli(*retry).problem
    again = cli(*retry, *guarded)
    assert again.records[0]["cause"] == "blocked"
    assert "blocked" in cli("compare", url, *guarded, "--rounds", "1", "--mode", "sync").text
    assert forbidden.connections == 0

"""What goes over the wire, the same from both engines; which connections it goes on; and what aiohttp is held to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.client_proto import ResponseHandler
from faults.wire import POISON, Asked, Connection, head
from hypothesis import given, settings
from hypothesis import strategies as st
from support.answers import Answers
from support.modes import every_mode
from support.servers import ScriptServer, _secured, answer, by_path, late, ok
from support.tls import Authority
from support.waiting import HUNG

from fetchq import Cause, Request, Result, __version__, fetch_all, fetch_all_sync
from fetchq.core.settings import MODES
from fetchq.http.content_coding import ACCEPT_ENCODING

ENGINES = ("async", "sync")
DEFAULTS = {"user-agent": f"fetchq/{__version__}", "accept": "*/*", "accept-encoding": ACCEPT_ENCODING}
FORM = "application/x-www-form-urlencoded"

BODIES = {"none": None, "empty": b"", "text": b"a=1", "every byte": bytes(range(256)), "long": b"x" * 300_000}

Sent = tuple[str, str, dict[str, list[str]], bytes]
"""Method, target, headers by their lower-case names, body."""


def as_sent(asked: Asked, server: ScriptServer) -> Sent:
    headers: dict[str, list[str]] = {}
    for name, value in asked.headers:
        headers.setdefault(name.lower(), []).append(value.replace(str(server.port), "PORT"))
    return asked.method, asked.target, headers, asked.body


def sent_by(mode: str, rows: Callable[[ScriptServer], list[Any]], script: Any = ok, **options: Any) -> list[Sent]:
    """What a server saw of a run."""
    with ScriptServer(script) as server:
        fetch_all_sync(rows(server), mode=mode, **{"workers": 1, "retries": 0, **options})
        return [as_sent(asked, server) for asked in server.log]


def sent_by_both(rows: Callable[[ScriptServer], list[Any]], script: Any = ok, **options: Any) -> list[Sent]:
    """What a server saw, which must not depend on the engine."""
    by_mode = [sent_by(mode, rows, script, **options) for mode in ENGINES]
    assert by_mode[0] == by_mode[1]
    return by_mode[0]


def one(**fields: Any) -> Callable[[ScriptServer], list[Any]]:
    return lambda server: [Request(f"{server.url}/a", **fields)]


# --- what is sent ----------------------------------------------------------------------------------------------------


def test_a_plain_get_has_these_headers_and_no_others() -> None:
    assert sent_by_both(one()) == [
        ("GET", "/a", {"host": ["127.0.0.1:PORT"], **{name: [value] for name, value in DEFAULTS.items()}}, b"")
    ]


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
@pytest.mark.parametrize("method", [None, "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])
def test_every_method_with_every_body_is_the_same_on_the_wire(method: str | None, body: bytes | None) -> None:
    ((sent_method, _, headers, sent_body),) = sent_by_both(one(method=method, body=body))
    assert sent_method == (method or ("GET" if body is None else "POST"))
    assert sent_body == (body or b"")
    assert headers.get("content-type") == (None if body is None else [FORM])
    if body is not None:
        assert headers["content-length"] == [str(len(body))]
    assert "transfer-encoding" not in headers


@pytest.mark.parametrize("method", ["post", "Head", "propfind"])
def test_a_method_in_lower_case_is_the_same_to_both_engines(method: str) -> None:
    sent_by_both(one(method=method))


def test_a_head_has_no_body_and_keeps_its_headers_and_its_connection(mode: str) -> None:
    with ScriptServer(answer(b"twelve bytes", b"X-Mine: 1")) as server:
        request = Request(server.url, method="HEAD")
        first, second = fetch_all_sync([request, request], mode=mode, workers=1)
        assert server.connections == [1, 1]
    for result in (first, second):
        assert (result.ok, result.method, result.body, result.size, result.wire_size) == (True, "HEAD", b"", 0, 0)
        assert (result.headers["Content-Length"], result.headers["X-Mine"]) == ("12", "1")


def test_the_users_headers_replace_the_defaults_whatever_their_case() -> None:
    mine = (("USER-AGENT", "me"), ("accept", "text/html"), ("Accept-Encoding", "identity"), ("host", "other.test"))
    ((_, _, headers, _),) = sent_by_both(one(headers=mine))
    assert headers == {
        "user-agent": ["me"],
        "accept": ["text/html"],
        "accept-encoding": ["identity"],
        "host": ["other.test"],
    }


def test_the_users_content_type_replaces_the_form() -> None:
    ((_, _, headers, _),) = sent_by_both(one(body=b"{}", headers=(("content-type", "application/json"),)))
    assert headers["content-type"] == ["application/json"]


def test_a_header_given_twice_is_joined() -> None:
    twice = (("X-A", "1"), ("x-a", "2"), ("Cookie", "a=1"), ("cookie", "b=2"))
    ((_, _, headers, _),) = sent_by_both(one(headers=twice))
    assert headers["x-a"] == ["1, 2"]
    assert headers["cookie"] == ["a=1; b=2"]


def test_the_headers_of_the_request_replace_those_of_the_run() -> None:
    options: dict[str, Any] = {
        "headers": ["X-A: of the run", "X-B: of the run"],
        "user_agent": "of the run",
        "user": "name:word",
        "cookie": "a=1",
    }
    ((_, _, headers, _),) = sent_by_both(one(headers=(("x-a", "mine"), ("Authorization", "Bearer mine"))), **options)
    assert headers["x-a"] == ["mine"]
    assert headers["x-b"] == ["of the run"]
    assert headers["user-agent"] == ["of the run"]
    assert headers["authorization"] == ["Bearer mine"]
    assert headers["cookie"] == ["a=1"]


@pytest.mark.parametrize("value", ["é", "Ω", "日本", "€"])
def test_a_header_beyond_ascii_is_the_same_bytes_from_both_engines(value: str) -> None:
    ((_, _, headers, _),) = sent_by_both(one(headers=(("X-A", value),)))
    assert headers["x-a"] == [value.encode().decode("latin-1")]


@pytest.mark.parametrize("where", ["name", "value", "method"])
def test_a_line_break_in_a_request_never_reaches_the_wire(mode: str, where: str) -> None:
    evil = "x\r\nEvil: 1\r\n\r\nGET /evil HTTP/1.1"
    fields: dict[str, Any] = {
        "name": {"headers": ((evil, "1"),)},
        "value": {"headers": (("X-A", evil),)},
        "method": {"method": evil},
    }[where]
    with ScriptServer() as server:
        result, after = fetch_all_sync([Request(server.url, **fields), server.url], mode=mode, workers=1, retries=2)
        assert result.cause is Cause.INVALID_URL
        assert after.ok
        assert [asked.header("Evil") for asked in server.log] == [None]
    assert "\n" not in str(result.error)


FRAMED_OTHERWISE = {
    "longer": (("Content-Length", "7"),),
    "shorter": (("content-length", "1"),),
    "twice": (("Content-Length", "2"), ("content-length", "2")),
    "not a number": (("Content-Length", "2, 7"),),
    "signed": (("Content-Length", "+2"),),
    "chunked": (("transfer-encoding", "chunked"),),
    "identity": (("Transfer-Encoding", "identity"),),
    "both": (("Content-Length", "2"), ("Transfer-Encoding", "chunked")),
}


@pytest.mark.parametrize("framed", FRAMED_OTHERWISE)
def test_a_request_cannot_frame_its_body_in_another_way(mode: str, framed: str) -> None:
    """A body that ends elsewhere for the server would be the beginning of another request."""
    headers = FRAMED_OTHERWISE[framed]
    with ScriptServer() as server:
        request = Request(server.url, method="POST", headers=headers, body=b"xx")
        (result,) = fetch_all_sync([request], mode=mode, retries=1, read_timeout=0.5)
        assert (result.cause, result.attempts, server.log) == (Cause.INVALID_URL, 0, [])
    assert headers[-1][0].lower() in str(result.error).lower()


def test_a_length_without_a_body_is_refused_too(mode: str) -> None:
    with ScriptServer() as server:
        request = Request(server.url, headers=(("Content-Length", "20"),))
        (result,) = fetch_all_sync([request], mode=mode, read_timeout=0.5)
        assert (result.cause, server.log) == (Cause.INVALID_URL, [])


@pytest.mark.parametrize("body", [b"", b"xx"])
def test_the_right_length_may_be_given_and_is_sent_once(body: bytes) -> None:
    length = (("content-length", str(len(body))),)
    ((_, _, headers, sent),) = sent_by_both(one(headers=length, body=body, method="POST"))
    assert (headers["content-length"], sent) == ([str(len(body))], body)


def test_the_length_that_was_given_is_held_against_the_body_of_the_run(mode: str) -> None:
    with ScriptServer() as server:
        rows = [Request(server.url, headers=(("Content-Length", length),)) for length in ("3", "4")]
        results = fetch_all_sync(rows, mode=mode, data=b"abc", workers=1)
        assert [asked.body for asked in server.log] == [b"abc"]
    assert [result.cause for result in results] == [None, Cause.INVALID_URL]


def test_a_length_that_was_given_is_not_sent_where_a_redirect_drops_the_body() -> None:
    script = by_path({"/a": answer(b"", b"Location: /b", status=b"303 See Other")})
    _, (method, _, headers, body) = sent_by_both(one(headers=(("Content-Length", "2"),), body=b"xx"), script)
    assert (method, body) == ("GET", b"")
    assert "content-length" not in headers


@pytest.mark.parametrize("name", ["Expect", "connection", "TE", "Trailer", "Upgrade"])
def test_a_header_that_belongs_to_the_connection_is_refused(mode: str, name: str) -> None:
    with ScriptServer() as server:
        request = Request(server.url, headers=((name, "100-continue"),), body=b"xx")
        (result,) = fetch_all_sync([request], mode=mode)
        assert (result.cause, server.log) == (Cause.INVALID_URL, [])
    assert name in str(result.error)


HEADER_NAMES = st.text("abcXYZ019-_!", min_size=1, max_size=8).map(lambda name: f"X-{name}")
HEADER_VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20).map(str.strip).filter(bool)


@given(st.lists(st.tuples(HEADER_NAMES, HEADER_VALUES), max_size=6), st.none() | st.binary(max_size=50))
@settings(max_examples=25, deadline=None)
def test_any_headers_and_any_body_are_the_same_from_both_engines(
    headers: list[tuple[str, str]], body: bytes | None
) -> None:
    ((_, _, sent, sent_body),) = sent_by_both(one(headers=tuple(headers), body=body))
    assert sent_body == (body or b"")
    for name, _ in headers:
        joined = ", ".join(value for other, value in headers if other.lower() == name.lower())
        assert sent[name.lower()] == [joined]


# --- long bodies -----------------------------------------------------------------------------------------------------

LONG = 24_000_000
"""Bytes: more than the buffers of two sockets take."""


class HeadServer(ScriptServer):
    """Its script is played once the head of a request is there; of the body it reads what it likes."""

    def _serve(self, conn: Connection) -> None:
        try:
            if self._tls is not None:
                conn._sock = _secured(conn._sock, self._tls)
            start = conn._until(b"\r\n\r\n").decode("latin-1").split(" ")
            self.script(conn, Asked(conn.number, start[0], start[1], [], b""))
        except (OSError, EOFError, ValueError):
            pass
        finally:
            conn.close()


TOO_MUCH = head(b"Content-Length: 2", status=b"HTTP/1.1 413 Content Too Large") + b"no"
HINT = head(b"Link: </a>", status=b"HTTP/1.1 103 Early Hints")


def read_all(conn: Connection, interval: float = 0.0) -> None:
    for _ in range(LONG // 1_000_000):
        conn._take(1_000_000)
        conn.pause(interval)


def refuses(conn: Connection, _: Asked) -> None:
    conn.send(TOO_MUCH)
    conn.pause(HUNG)


def refuses_after_a_hint(conn: Connection, _: Asked) -> None:
    conn.send(HINT)
    conn.pause(0.2)
    conn.send(TOO_MUCH)
    conn.pause(HUNG)


def reads_on_after_a_hint(conn: Connection, _: Asked) -> None:
    conn.send(HINT)
    conn.pause(0.2)
    read_all(conn)
    conn.send(TOO_MUCH)


def reads_on_after_the_answer(conn: Connection, _: Asked) -> None:
    conn.send(TOO_MUCH)
    conn.pause(0.05)
    read_all(conn)


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("script", [refuses, refuses_after_a_hint, reads_on_after_a_hint, reads_on_after_the_answer])
def test_an_answer_that_comes_before_the_body_was_read_is_the_answer(
    mode: str, script: Any, tls: bool, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    with ScriptServer() as good, HeadServer(script, tls=authority.server() if tls else None) as server:
        request = Request(server.url, method="POST", body=bytes(LONG))
        options: dict[str, Any] = {"retries": 0, "workers": 1, "read_timeout": 2, "cacert": authority.cacert}
        result, after = fetch_all_sync([request, good.url], mode=mode, **options)
    assert (result.status, result.cause, result.body) == (413, Cause.STATUS, b"no"), result.error
    assert after.ok


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_a_long_body_that_keeps_moving_is_no_read_timeout(mode: str, tls: bool, tmp_path: Path) -> None:
    def reads_slowly(conn: Connection, _: Asked) -> None:
        read_all(conn, 0.05)
        ok(conn, Asked(1, "POST", "/", [], b""))

    authority = Authority(tmp_path)
    with HeadServer(reads_slowly, tls=authority.server() if tls else None) as server:
        request = Request(server.url, method="POST", body=bytes(LONG))
        (result,) = fetch_all_sync([request], mode=mode, retries=0, read_timeout=0.7, cacert=authority.cacert)
    assert result.ok, result.error
    assert result.elapsed > 1


def test_a_long_body_that_nobody_takes_is_a_read_timeout(mode: str) -> None:
    with HeadServer(lambda conn, _: conn.pause(HUNG)) as server:
        request = Request(server.url, method="POST", body=bytes(LONG))
        (result,) = fetch_all_sync([request], mode=mode, retries=0, read_timeout=0.3)
    assert (result.cause, result.attempts) == (Cause.TIMEOUT, 1)
    assert "read timeout" in str(result.error)


@pytest.mark.parametrize("size", [65_535, 65_536, 65_537, 1_000_001])
def test_a_body_of_any_length_arrives_whole(size: int) -> None:
    body = bytes(n % 251 for n in range(size))
    ((_, _, headers, sent),) = sent_by_both(one(method="PUT", body=body))
    assert (headers["content-length"], sent) == ([str(size)], body)


# --- the target ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    [
        "/%2b%2B/a%2fb?q=%2b&r=%2B&s=+",
        "/%7euser/%41%c3%a9",
        "/a;b=1,2/$&'()*!:@",
        "//a///b",
        "/?a=/../b",
        "/.well-known/%2b%7e",
        "/a.b/.hidden%2b",
        "/a?b=.%2b/.%2b",
    ],
)
def test_a_url_that_is_fit_for_the_wire_goes_over_it_to_the_letter(target: str) -> None:
    # A signature over the URL is spoiled by any rewriting, be it only from %2b to %2B.
    ((_, sent, _, _),) = sent_by_both(lambda server: [server.url + target])
    assert sent == target


@pytest.mark.parametrize("prefix", ["HTTP://", "http://user:word@", "http://USER@"])
def test_what_stands_before_the_path_does_not_change_the_path(prefix: str) -> None:
    ((_, sent, _, _),) = sent_by_both(lambda server: [f"{prefix}{server.netloc}/%2b%7e?q=%2b"])
    assert sent == "/%2b%7e?q=%2b"


def test_a_fragment_is_not_sent_and_does_not_change_the_path() -> None:
    ((_, sent, _, _),) = sent_by_both(lambda server: [f"{server.url}/%2b?q=%2b#part%2b"])
    assert sent == "/%2b?q=%2b"


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("", "/"),
        ("?a=1", "/?a=1"),
        ("/é?ü=ß", "/%C3%A9?%C3%BC=%C3%9F"),
        ("/a/../b/./c", "/b/c"),
        ('/a"b|c', "/a%22b%7Cc"),
    ],
)
def test_a_url_that_is_not_fit_for_the_wire_is_made_so(written: str, sent: str) -> None:
    ((_, target, _, _),) = sent_by_both(lambda server: [server.url + written])
    assert target == sent


# --- credentials and cookies -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("userinfo", "header"),
    [
        ("user:word@", "Basic dXNlcjp3b3Jk"),
        ("user@", "Basic dXNlcjo="),
        (":word@", "Basic OndvcmQ="),
        ("us%3Aer:w%40rd@", "Basic dXM6ZXI6d0ByZA=="),
        ("%C3%A9:%C3%A9@", "Basic w6k6w6k="),
    ],
)
def test_the_userinfo_of_a_url_becomes_authorization(userinfo: str, header: str) -> None:
    ((_, target, headers, _),) = sent_by_both(lambda server: [server.url.replace("://", f"://{userinfo}") + "/a"])
    assert target == "/a"
    assert headers["authorization"] == [header]
    assert headers["host"] == ["127.0.0.1:PORT"]


def test_netrc_is_read_only_when_the_environment_is_trusted(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password word\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    netrc.with_name(".netrc").write_bytes(netrc.read_bytes())
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    ((_, _, untrusted, _),) = sent_by_both(one())
    assert "authorization" not in untrusted
    ((_, _, trusted, _),) = sent_by_both(one(), trust_env=True)
    assert trusted["authorization"] == ["Basic bWU6d29yZA=="]
    ((_, _, mine, _),) = sent_by_both(one(headers=(("Authorization", "mine"),)), trust_env=True)
    assert mine["authorization"] == ["mine"]


def test_a_cookie_that_a_redirect_sets_goes_to_the_later_hops_of_its_row_alone() -> None:
    script = by_path({"/hop": answer(b"", b"Location: /a", b"Set-Cookie: c=3; Path=/", status=b"302 Found")}, SETS)
    sent = sent_by_both(lambda server: [f"{server.url}/{path}" for path in ("a", "hop", "b")], script)
    assert [target for _, target, _, _ in sent] == ["/a", "/hop", "/a", "/b"]
    assert [headers.get("cookie") for _, _, headers, _ in sent] == [None, None, ["c=3"], None]


SETS = answer(b"ok", b"Set-Cookie: a=1; Path=/", b"Set-Cookie: b=2")


def test_every_cookie_that_a_server_sets_is_in_the_headers(mode: str) -> None:
    with ScriptServer(SETS) as server:
        (result,) = fetch_all_sync([server.url], mode=mode)
    assert result.headers.getall("set-cookie") == ["a=1; Path=/", "b=2"]


def test_a_cookie_of_the_user_is_sent_with_every_request() -> None:
    sent = sent_by_both(lambda server: [server.url] * 2, SETS, cookie="mine=1")
    assert [headers["cookie"] for _, _, headers, _ in sent] == [["mine=1"]] * 2


# --- connections -----------------------------------------------------------------------------------------------------


def test_one_worker_keeps_to_one_connection(mode: str) -> None:
    with ScriptServer() as server:
        others = [Request(server.url, method="POST", body=b"x"), Request(server.url, method="HEAD")]
        rows = [server.url, *others, server.url]
        results = fetch_all_sync(rows, mode=mode, workers=1)
        assert server.connections == [1] * 4
    assert [result.ok for result in results] == [True] * 4


def test_redirects_and_statuses_that_are_not_accepted_keep_the_connection(mode: str) -> None:
    scripts = {
        "/hop": answer(b"moved", b"Location: /404", status=b"302 Found"),
        "/404": answer(b"not here", status=b"404 Not Found"),
    }
    with ScriptServer(by_path(scripts)) as server:
        fetch_all_sync([f"{server.url}/hop", server.url], mode=mode, workers=1)
        assert server.seen == ["/hop", "/404", "/"]
        assert server.connections == [1] * 3


def test_a_redirect_that_cannot_be_followed_does_not_cost_the_connection_it_came_on(mode: str) -> None:
    scripts = {"/hop": answer(b"", b"Location: http://[::1]:9/", status=b"302 Found")}
    with ScriptServer(by_path(scripts)) as server:
        hop, after = fetch_all_sync([f"{server.url}/hop", server.url], mode=mode, workers=1, ipv4=True, retries=0)
        assert server.connections == [1, 1]
    assert (hop.cause, after.ok) == (Cause.DNS, True)


@every_mode
def test_there_are_no_more_connections_than_workers(mode: str) -> None:
    with ScriptServer(late(0.002)) as server:
        results = fetch_all_sync([server.url] * 40, mode=mode, workers=4)
        assert len(set(server.connections)) <= 4
    assert all(result.ok for result in results)


def test_each_origin_has_a_connection_of_its_own_and_each_keeps_it(mode: str) -> None:
    with ScriptServer() as first, ScriptServer() as second:
        fetch_all_sync([first.url, second.url] * 3, mode=mode, workers=1)
        assert first.connections == second.connections == [1] * 3


@pytest.mark.parametrize("kind", ["ok", "404", "redirect"])
def test_connections_at_rest_are_bounded_whatever_the_answers_were(mode: str, kind: str) -> None:
    # A link checker sees many origins, and each of them once.
    origins, seen = 60, 0
    with ScriptServer() as end:
        script = {
            "ok": ok,
            "404": answer(status=b"404 Not Found"),
            "redirect": answer(b"", b"Location: " + end.url.encode(), status=b"302 Found"),
        }[kind]
        servers = [ScriptServer(script) for _ in range(origins)]

        def on_result(_: Result) -> None:
            nonlocal seen
            # A thread of a server ends when its client has hung up.
            seen = max(seen, sum(thread.is_alive() for server in servers for thread, _ in server._handlers))

        try:
            results = fetch_all_sync([server.url for server in servers], mode=mode, workers=1, on_result=on_result)
        finally:
            for server in servers:
                server.close()
    assert [result.cause for result in results] == [Cause.STATUS if kind == "404" else None] * origins
    assert seen <= origins // 2


def test_the_remote_is_the_address_that_was_dialled_also_on_a_kept_connection(mode: str) -> None:
    with ScriptServer() as server:
        results = fetch_all_sync([server.at("localhost")] * 2, mode=mode, workers=1)
        assert [result.remote for result in results] == [server.netloc] * 2


def keep(then: Callable[[Connection], None]) -> Callable[[Connection, Asked], None]:
    """Answers once on each connection; the next request there gets `then`."""

    def play(conn: Connection, asked: Asked) -> None:
        if conn.sent:
            then(conn)
        else:
            ok(conn, asked)

    return play


STALE = {"closed": Connection.close, "reset": Connection.reset}


@pytest.mark.parametrize("how", STALE)
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_a_kept_connection_that_was_gone_costs_an_idempotent_request_nothing(mode: str, method: str, how: str) -> None:
    with ScriptServer(keep(STALE[how])) as server:
        rows = [server.url, Request(server.url, method=method)]
        first, second = fetch_all_sync(rows, mode=mode, workers=1, retries=0)
        assert server.connections == [1, 1, 2]
    assert (first.ok, second.ok, second.attempts) == (True, True, 1)


@pytest.mark.parametrize("how", STALE)
@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_a_kept_connection_that_was_gone_is_no_reason_to_send_a_post_twice(mode: str, method: str, how: str) -> None:
    with ScriptServer(keep(STALE[how])) as server:
        request = Request(server.url, method=method, body=b"x")
        _, second = fetch_all_sync([server.url, request], mode=mode, workers=1, retries=2, retry_wait=0)
        assert [asked.method for asked in server.log] == ["GET", method]
    assert (second.cause, second.attempts) == (Cause.CONNECT, 1)


def test_a_kept_connection_that_is_known_to_be_gone_is_not_used_for_a_post(mode: str) -> None:
    def closing(conn: Connection, asked: Asked) -> None:
        ok(conn, asked)
        conn.close()  # without having said so
        conn.mark("closed")

    async def on_start(request: Request, _: int) -> None:
        if request.index:
            assert await asyncio.to_thread(server.event("closed").wait, HUNG)

    with ScriptServer(closing) as server:
        rows = [server.url, Request(server.url, method="POST", body=b"x")]
        first, second = fetch_all_sync(rows, mode=mode, workers=1, retries=0, on_start=on_start)
        assert server.connections == [1, 2]
    assert (first.ok, second.ok) == (True, True), second.error


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_after_bytes_that_nobody_asked_for_no_connection_to_that_origin_is_used_again(
    mode: str, tls: bool, tmp_path: Path
) -> None:
    # What comes unasked could come late as well: as the answer to the next request.
    def stray(conn: Connection, asked: Asked) -> None:
        ok(conn, asked)
        if conn.number == 1:
            conn.pause(0.05)
            conn.send(POISON)
            conn.mark("stray")

    async def on_start(request: Request, _: int) -> None:
        if request.index:
            assert await asyncio.to_thread(server.event("stray").wait, HUNG)
            await asyncio.sleep(0.02)

    authority = Authority(tmp_path)
    with ScriptServer(stray, tls=authority.server() if tls else None) as server, ScriptServer() as other:
        rows = [server.url, server.url, other.url, server.url, other.url]
        options: dict[str, Any] = {"workers": 1, "retries": 0, "cacert": authority.cacert}
        results = fetch_all_sync(rows, mode=mode, on_start=on_start, **options)
        assert server.connections == [1, 2, 3]
        assert other.connections == [1, 1]
    assert [result.body for result in results] == [b"ok"] * 5


def test_only_one_retry_is_free(mode: str) -> None:
    answered: list[int] = []

    def once(conn: Connection, asked: Asked) -> None:
        if answered:
            conn.close()
        else:
            answered.append(1)
            ok(conn, asked)

    with ScriptServer(once) as server:
        _, second = fetch_all_sync([server.url] * 2, mode=mode, workers=1, retries=2, retry_wait=0)
        # The first answer, the stale connection, its free retry, and the two that were allowed.
        assert server.connections == [1, 1, 2, 3, 4]
    assert (second.cause, second.attempts) == (Cause.CONNECT, 3)


def test_a_connection_that_broke_in_the_middle_of_an_answer_was_not_stale(mode: str) -> None:
    def half(conn: Connection) -> None:
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Le")
        conn.close()

    with ScriptServer(keep(half)) as server:
        _, second = fetch_all_sync([server.url] * 2, mode=mode, workers=1, retries=0)
        assert len(server.log) == 2
    assert second.cause is Cause.INCOMPLETE


def test_after_a_failure_the_next_url_has_a_fresh_connection_and_its_own_answer(mode: str) -> None:
    def short(conn: Connection, _: Asked) -> None:
        conn.send(head(b"Content-Length: 100") + b"short")
        conn.pause(0.05)
        conn.send(b"er")  # and it stays open: what still comes must not be taken for the next answer
        conn.pause(5)

    with ScriptServer(by_path({"/short": short}, answer(b"whole"))) as server:
        options: dict[str, Any] = {"workers": 1, "retries": 0, "read_timeout": 0.2}
        bad, good = fetch_all_sync([f"{server.url}/short", server.url], mode=mode, **options)
        assert server.connections == [1, 2]
    assert (bad.cause, good.ok, good.body) == (Cause.TIMEOUT, True, b"whole")


@pytest.mark.parametrize("mode", MODES)
@given(st.lists(st.sampled_from(["ok", "404", "close", "short", "hop", "big"]), min_size=1, max_size=12))
@settings(max_examples=15, deadline=None)
def test_whatever_came_before_every_url_gets_its_own_answer(mode: str, names: list[str]) -> None:
    def named(conn: Connection, asked: Asked) -> None:
        path = asked.path.strip("/")
        answer(path.encode(), b"X-Path: " + path.encode())(conn, asked)

    def said_close(conn: Connection, asked: Asked) -> None:
        answer(b"bye", b"Connection: close")(conn, asked)
        conn.close()

    def short(conn: Connection, _: Asked) -> None:
        conn.send(head(b"Content-Length: 9") + b"short")
        conn.close()

    scripts: dict[str, Any] = {
        "/404": answer(b"404", status=b"404 Not Found"),
        "/close": said_close,
        "/short": short,
        "/hop": answer(b"", b"Location: /arrived", status=b"302 Found"),
        "/big": answer(bytes(100_000)),
    }
    bodies = {"ok": b"ok", "404": b"404", "close": b"bye", "hop": b"arrived", "big": bytes(100_000)}
    with ScriptServer(by_path(scripts, named)) as server:
        results = fetch_all_sync([f"{server.url}/{name}" for name in names], mode=mode, workers=2, retries=0)
    for name, result in zip(names, results, strict=True):
        assert result.cause == {"404": Cause.STATUS, "short": Cause.INCOMPLETE}.get(name)
        if name != "short":
            assert result.body == bodies[name]


# --- answers without a server ----------------------------------------------------------------------------------------


async def test_every_status_is_ok_exactly_when_it_is_accepted() -> None:
    statuses = [status for status in range(200, 600) if status not in (206, 301, 302, 303, 307, 308)]
    with Answers() as answers:
        for status in statuses:
            answers.give(f"http://h.test/{status}", status=status)
        urls = [f"http://h.test/{status}" for status in statuses]
        results = await fetch_all(urls, accept="200..=299,404", retries=0)
    for status, result in zip(statuses, results, strict=True):
        accepted = status < 300 or status == 404
        assert (result.status, result.ok) == (status, accepted)
        assert result.cause is (None if accepted else Cause.STATUS)


@pytest.mark.parametrize(
    ("problem", "cause", "attempts"),
    [
        (aiohttp.ServerDisconnectedError(), Cause.CONNECT, 2),
        (aiohttp.ClientPayloadError("gone"), Cause.INCOMPLETE, 2),
        (ConnectionResetError(104, "reset"), Cause.CONNECT, 2),
        (aiohttp.ClientOSError(113, "No route to host"), Cause.CONNECT, 2),
        (TimeoutError(), Cause.TIMEOUT, 2),
        (aiohttp.InvalidURL("http://h/"), Cause.PROTOCOL, 1),
        (aiohttp.ClientError("something new"), Cause.PROTOCOL, 1),
        (ValueError("from its depths"), Cause.PROTOCOL, 1),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
async def test_what_aiohttp_raises_becomes_a_cause(problem: Exception, cause: Cause, attempts: int) -> None:
    with Answers() as answers:
        for _ in range(2):
            answers.add("http://h.test/", exception=problem)
        (result,) = await fetch_all(["http://h.test/"], retries=1, retry_wait=0)
    assert (result.cause, result.attempts) == (cause, attempts)
    assert result.error


async def test_a_retry_gets_the_next_answer() -> None:
    with Answers() as answers:
        answers.give("http://h.test/", status=503)
        answers.give("http://h.test/", status=200, body=b"better")
        (result,) = await fetch_all(["http://h.test/"], retries=1, retry_wait=0)
    assert (result.ok, result.body, result.attempts) == (True, b"better", 2)


# --- what aiohttp is held to -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "data_received",
        "feed_data",
        "closed",
        "set_exception",
        "set_response_params",
        "should_close",
        "resume_reading",
        "_pause_transport_reading",
        "_resume_transport_reading",
    ],
)
def test_the_hooks_that_the_engine_has_in_aiohttp_are_there(name: str) -> None:
    """aiohttp calls them by these names; were they renamed, ours would never be called."""
    assert hasattr(ResponseHandler, name)


def wire_of(result: Result) -> dict[str, Any]:
    """What must not depend on the engine."""
    record = result.to_record(include=["headers", "base64"])
    for name in ("timing", "elapsed", "started", "mode", "remote", "worker"):
        del record[name]
    return {name: str(value).replace(str(result.remote), "REMOTE") for name, value in record.items()}


def test_the_same_list_gives_the_same_records_in_every_mode(practice: Any) -> None:
    paths = [
        "/json",
        "/html",
        "/gzip",
        "/br",
        "/zstd",
        "/deflate",
        "/bytes/100000",
        "/status/204",
        "/status/404",
        "/redirect/2",
        "/stream/3",
        "/headers?X-A=1&X-A=2",
    ]
    by_mode = []
    for mode in MODES:
        results = fetch_all_sync([practice.url + path for path in paths], mode=mode, workers=2, retries=0)
        by_mode.append([{**wire_of(result), "headers": _without_date(result)} for result in results])
    assert by_mode[0] == by_mode[1] == by_mode[2]


def _without_date(result: Result) -> list[tuple[str, str]]:
    # How a name is written is not kept by every library, and means nothing (RFC 9110, 5.1).
    return [(name.lower(), value) for name, value in result.headers.items() if name != "Date"]

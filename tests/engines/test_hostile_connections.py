"""What servers and proxies do to connections at the wrong moment: no answer is taken from it, and nothing is left."""

from __future__ import annotations

import asyncio
import base64
import gc
import os
import ssl
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import uvloop
from faults.wire import CHUNKED, LAST_CHUNK, POISON, Asked, Connection, chunk, head, length
from support.servers import ScriptServer, answer, by_path, late, ok, tunnel
from support.tls import Authority
from support.waiting import PATIENCE

from fetchq import Cause, Request, fetch_all, fetch_all_sync
from fetchq.engines.aiohttp.connector import Connector

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """Runs a coroutine in either loop: the library works in both, and the command line brings uvloop."""
    with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
        yield runner.run


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


class Between(ScriptServer):
    """The server of the row between two others of one worker.

    It is asked when the row before has ended, and answers when the stray bytes behind that one have been sent.
    """

    def __init__(self) -> None:
        super().__init__(self._answer)

    def stray(self, conn: Connection, data: bytes) -> None:
        """Send `data` on a connection of another server, once its row has ended, and keep that connection."""
        assert self.event("asked").wait(PATIENCE)
        conn.send(data)
        self.event("sent").set()
        conn.pause(PATIENCE)

    def _answer(self, conn: Connection, asked: Asked) -> None:
        conn.mark("asked")
        assert self.event("sent").wait(PATIENCE)
        ok(conn, asked)


# --- TLS ---


BODY = os.urandom(1_500_000)


def until_closed(conn: Connection, _: Asked) -> None:
    conn.send(head() + BODY)
    conn.close()


def of_a_length(conn: Connection, _: Asked) -> None:
    conn.send(head(length(len(BODY))) + BODY)
    conn.close()


def in_chunks(conn: Connection, _: Asked) -> None:
    conn.send(head(CHUNKED) + b"".join(chunk(BODY[at : at + 50_000]) for at in range(0, len(BODY), 50_000)))
    conn.send(LAST_CHUNK)
    conn.close()


@pytest.mark.parametrize("script", [until_closed, of_a_length, in_chunks])
def test_a_server_that_hangs_up_behind_its_answer_costs_none_of_it(
    authority: Authority, run: Callable[..., Any], script: Any
) -> None:
    with ScriptServer(script, tls=authority.server()) as server:
        results = run(fetch_all([server.url] * 4, workers=2, retries=0, cacert=authority.cacert))
    assert [(result.ok, len(BODY) - result.size) for result in results] == [(True, 0)] * 4


@pytest.mark.parametrize("size", [10, len(BODY)])
def test_a_body_that_is_cut_by_a_reset_is_not_whole_over_tls_either(mode: str, authority: Authority, size: int) -> None:
    def play(conn: Connection, _: Asked) -> None:
        conn.send(head() + BODY[:size])
        conn.reset()

    with ScriptServer(play, tls=authority.server()) as server:
        (result,) = fetch_all_sync([server.url], mode=mode, retries=0, cacert=authority.cacert)
    assert (result.cause, result.complete, result.error) == (
        Cause.INCOMPLETE,
        "no",
        "the connection was reset before the end of the answer",
    )


@pytest.mark.parametrize("size", [0, 10, len(BODY)])
@pytest.mark.parametrize("tls", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_only_the_good_bye_of_tls_tells_that_a_body_without_a_length_is_whole(
    mode: str, authority: Authority, tls: ssl.TLSVersion, size: int
) -> None:
    """RFC 9112, 9.8: whoever sits between could else cut it off wherever he likes."""

    def play(conn: Connection, asked: Asked) -> None:
        conn.send(head() + BODY[:size])
        (conn.cut if asked.target == "/cut" else conn.close)()

    context = authority.server()
    context.minimum_version = context.maximum_version = tls
    with ScriptServer(play, tls=context) as server:
        rows = [f"{server.url}/cut", f"{server.url}/whole"]
        cut, whole = fetch_all_sync(rows, mode=mode, retries=0, cacert=authority.cacert)
    assert (cut.cause, cut.complete, cut.error) == (
        Cause.INCOMPLETE,
        "no",
        "the connection was closed before the end of the answer",
    )
    assert (whole.ok, whole.complete, whole.size) == (True, "unverified", size)


def test_the_good_bye_of_tls_is_heard_in_each_loop(authority: Authority, run: Callable[..., Any]) -> None:
    def play(conn: Connection, asked: Asked) -> None:
        conn.send(head() + BODY)
        (conn.cut if asked.target == "/cut" else conn.close)()

    with ScriptServer(play, tls=authority.server()) as server:
        rows = [f"{server.url}/cut", f"{server.url}/whole"] * 3
        results = run(fetch_all(rows, workers=2, retries=0, cacert=authority.cacert))
    assert [result.cause for result in results] == [Cause.INCOMPLETE, None] * 3


def test_a_body_of_a_length_is_whole_without_the_good_bye_of_tls(mode: str, authority: Authority) -> None:
    def play(conn: Connection, _: Asked) -> None:
        conn.send(head(length(len(BODY))) + BODY)
        conn.cut()

    with ScriptServer(play, tls=authority.server()) as server:
        (result,) = fetch_all_sync([server.url], mode=mode, retries=0, cacert=authority.cacert)
    assert (result.ok, result.complete) == (True, "yes")


def test_a_server_that_speaks_before_tls_is_none_for_tls(mode: str, authority: Authority) -> None:
    class Banner(ScriptServer):
        def _serve(self, conn: Connection) -> None:
            with suppress(OSError):
                conn.send(b"SSH-2.0-OpenSSH_9.2\r\n")
                conn.hang()
            conn.close()

    with Banner() as server:
        url = server.url.replace("http:", "https:")
        results = fetch_all_sync([url] * 3, mode=mode, workers=1, retries=0, cacert=authority.cacert)
    assert [result.cause for result in results] == [Cause.TLS] * 3


def test_a_server_that_closes_before_tls_is_no_connection_and_is_tried_again(
    authority: Authority, run: Callable[..., Any], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Closing(ScriptServer):
        def _serve(self, conn: Connection) -> None:
            conn.close()

    async def dial(*args: Any) -> Any:
        made = await plain(*args)
        await asyncio.sleep(0.05)  # as a busy loop does: the end of the connection is there before TLS begins
        return made

    plain = Connector._dial
    monkeypatch.setattr(Connector, "_dial", dial)
    with Closing() as server:
        url = server.url.replace("http:", "https:")
        results = run(fetch_all([url] * 4, retries=1, retry_wait=0, adapt=False, cacert=authority.cacert))
    assert [(result.cause, result.attempts) for result in results] == [(Cause.CONNECT, 2)] * 4
    assert capfd.readouterr().err == ""


def test_bytes_that_nobody_asked_for_leave_no_tls_connection_behind(
    authority: Authority, run: Callable[..., Any]
) -> None:
    def play(conn: Connection, asked: Asked) -> None:
        ok(conn, asked)
        if asked.target == "/0":
            between.stray(conn, b"GARBAGE\r\n\r\n")

    with ScriptServer(play, tls=authority.server()) as server, Between() as between:
        rows = [f"{server.url}/0", between.url, f"{server.url}/1"]
        results = run(fetch_all(rows, workers=1, retries=0, cacert=authority.cacert))
        assert [result.ok for result in results] == [True] * 3
        run(asyncio.sleep(0))
        assert connections_to(server.port) == 0


def test_a_proxy_that_refuses_a_tunnel_and_does_not_listen_leaves_nothing_behind(
    authority: Authority, run: Callable[..., Any]
) -> None:
    def refuse(conn: Connection, _: Asked) -> None:
        conn.send(head(length(0), status=b"HTTP/1.1 407 Auth"))
        conn.pause(20)

    with ScriptServer(refuse, tls=authority.server()) as proxy:
        urls = [f"https://127.0.0.{host}:1/" for host in range(1, 5)]
        results = run(fetch_all(urls, workers=2, retries=0, cacert=authority.cacert, proxy=proxy.url))
        assert connections_to(proxy.port) == 0
    assert [result.cause for result in results] == [Cause.PROXY] * 4


def connections_to(port: int) -> int:
    """This process's own ends of connections to there."""
    wanted, found = f":{port:04X}", 0
    for table in ("/proc/self/net/tcp", "/proc/self/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            found += fields[2].endswith(wanted) and fields[9] != "0"
    return found


# --- long requests ---


def test_a_server_that_hangs_up_on_a_long_request_is_sent_no_more_of_it(
    run: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    class HangsUp(ScriptServer):
        def _serve(self, conn: Connection) -> None:
            with suppress(OSError):
                conn._until(b"\r\n\r\n")
            conn.close()

    with HangsUp() as server:
        (result,) = run(fetch_all([Request(server.url, method="PUT", body=bytes(50_000_000))], retries=0))
    assert result.cause is Cause.CONNECT
    assert caplog.messages == [], "asyncio complains of writes to a connection that is gone"


def test_the_headers_of_rows_are_not_kept_when_they_are_done(mode: str) -> None:
    with ScriptServer() as server:
        fetch_all_sync([server.url], mode=mode)
        gc.collect()
        tracemalloc.start()
        try:
            rows = [Request(server.url, headers=(("Cookie", f"{row:04d}" + "c" * 20_000),)) for row in range(100)]
            results = fetch_all_sync(rows, mode=mode, workers=1)
            assert all(result.ok for result in results)
            server.log.clear()
            del rows, results
            gc.collect()
            assert tracemalloc.get_traced_memory()[0] < 1_000_000
        finally:
            tracemalloc.stop()


# --- what is no answer ---


@pytest.mark.parametrize("field", [b"X: a\x0bb", b"X: a\x0cb", b" folded: at once"])
def test_what_comes_behind_an_answer_that_is_none_is_none_either(mode: str, field: bytes) -> None:
    def play(conn: Connection, _: Asked) -> None:
        bad = b"HTTP/1.1 200 OK\r\n" + field + b"\r\nContent-Length: 3\r\n\r\nbad"
        conn.send(b"HTTP/1.1 103 Early Hints\r\n\r\n" + bad + POISON)

    with ScriptServer(play) as server:
        (result,) = fetch_all_sync([server.url], mode=mode, retries=0)
    assert (result.cause, result.body) == (Cause.PROTOCOL, b"")


@pytest.mark.parametrize(
    ("raw", "method"),
    [
        (b"HTTP/1.1 204 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "GET"),
        (b"HTTP/1.1 101 X\r\n\r\n", "GET"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "HEAD"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: " + b"0" * 23 + b"\r\n\r\n", "GET"),
    ],
)
def test_a_connection_whose_answer_was_no_http_is_not_used_again(mode: str, raw: bytes, method: str) -> None:
    def play(conn: Connection, asked: Asked) -> None:
        if asked.target == "/bad":
            conn.send(raw)
        else:
            ok(conn, asked)

    with ScriptServer(play) as server:
        rows = [Request(f"{server.url}/bad", method=method), server.url]
        bad, good = fetch_all_sync(rows, mode=mode, workers=1, retries=0)
        assert server.connections == [1, 2]
    assert (bad.cause, good.ok) == (Cause.PROTOCOL, True)


@pytest.mark.parametrize("junk", [POISON, b"GARBAGE\r\n\r\n", POISON + b"x"], ids=["answer", "garbage", "both"])
def test_after_any_stray_bytes_the_server_gets_a_new_connection_each_time(mode: str, junk: bytes) -> None:
    def play(conn: Connection, asked: Asked) -> None:
        ok(conn, asked)
        if conn.number == 1:
            between.stray(conn, junk)

    with ScriptServer(play) as server, Between() as between:
        fetch_all_sync([server.url, between.url, server.url, server.url], mode=mode, workers=1)
        assert server.connections == [1, 2, 3]


def test_after_stray_bytes_that_cost_a_post_no_other_post_is_lost(mode: str) -> None:
    def play(conn: Connection, asked: Asked) -> None:
        ok(conn, asked)
        conn.quiet_for(PATIENCE)  # until the next request is there
        conn.send(b"xyz")

    with ScriptServer(play) as server:
        rows = [Request(server.url, method="POST", body=b"x")] * 5
        results = fetch_all_sync(rows, mode=mode, workers=1, retries=0)
    assert [result.cause for result in results] == [None, Cause.PROTOCOL, None, None, None]


@pytest.mark.parametrize(
    ("begin", "end"),
    [(head(length(5)) + b"hel", b"lo"), (head(CHUNKED) + b"5\r\nhel", b"lo\r\n0\r\n\r\n")],
    ids=["length", "chunked"],
)
def test_junk_behind_the_last_packet_of_a_body_is_dropped_with_its_connection(
    mode: str, begin: bytes, end: bytes
) -> None:
    def play(conn: Connection, _: Asked) -> None:
        conn.send(begin)
        conn.pause(0.05)
        conn.send(end + b"junk")

    with ScriptServer(play) as server:
        results = fetch_all_sync([server.url] * 2, mode=mode, workers=1, retries=0)
        assert server.connections == [1, 2]
    assert [(result.cause, result.body) for result in results] == [(None, b"hello")] * 2


@pytest.mark.parametrize(
    ("stray", "rest"),
    [
        (b"H", b"TTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nX: ", b""),
        (b"\r\n", b""),
    ],
    ids=["letter", "head", "empty line"],
)
def test_what_has_begun_behind_an_answer_is_not_gone_on_with_by_the_next_one(
    mode: str, stray: bytes, rest: bytes
) -> None:
    asked_of: list[int] = []

    def play(conn: Connection, asked: Asked) -> None:
        conn.send((rest if conn.number in asked_of else b"") + head(length(2)) + b"ok" + stray)
        asked_of.append(conn.number)

    with ScriptServer(play) as server:
        results = fetch_all_sync([f"{server.url}/{n}" for n in range(3)], mode=mode, workers=1, retries=0)
        assert server.connections == [1, 2, 3]
    assert [result.body for result in results] == [b"ok"] * 3


def test_stray_bytes_without_end_take_no_memory(run: Callable[..., Any]) -> None:
    sent = 0

    def flood(conn: Connection, asked: Asked) -> None:
        nonlocal sent
        ok(conn, asked)
        while conn.open:
            conn.send(b"HTTP/1.1 204 X\r\nX: " + b"x" * 60_000 + b"\r\n\r\n")
            sent += 60_000

    with ScriptServer(by_path({"/flood": flood})) as server, ScriptServer(late(0.5)) as other:
        run(fetch_all([f"{server.url}/flood", other.url, other.url], workers=1))
        assert sent < 20_000_000, "nobody reads it, so that it cannot all be sent"


# --- proxies ---


def test_the_same_server_with_and_without_its_usual_port_has_one_connection(mode: str) -> None:
    with ScriptServer() as proxy:
        rows = ["http://h.test:80/a", "http://h.test/b", "http://h.test:80/c"]
        results = fetch_all_sync(rows, mode=mode, workers=1, proxy=proxy.url)
        assert proxy.connections == [1, 1, 1]
    assert [result.ok for result in results] == [True] * 3


@pytest.mark.parametrize(
    ("userinfo", "meant"),
    [("u:p", "u:p"), ("u:", "u:"), ("u", "u:"), (":p", ":p"), ("u:p%C3%A4", "u:pä"), ("u:p%ff", "u:p%FF")],
)
def test_a_proxy_gets_its_own_credentials_and_no_others_in_utf_8(mode: str, userinfo: str, meant: str) -> None:
    with ScriptServer() as proxy:
        row = Request("http://h.test/", headers=(("proxy-authorization", "mine"),))
        (result,) = fetch_all_sync([row], mode=mode, proxy=proxy.url.replace("://", f"://{userinfo}@"), retries=0)
        assert result.ok
        (sent,) = [value for name, value in proxy.log[0].headers if name.lower() == "proxy-authorization"]
    assert base64.b64decode(sent.removeprefix("Basic ")).decode() == meant


def test_a_tunnel_gets_the_credentials_and_the_origin_does_not(mode: str, authority: Authority) -> None:
    with ScriptServer(tls=authority.server()) as server, ScriptServer(tunnel) as proxy:
        (result,) = fetch_all_sync(
            [server.url], mode=mode, proxy=proxy.url.replace("://", "://u:pä@"), cacert=authority.cacert, retries=0
        )
        assert result.ok, result.error
        asked = [value for name, value in proxy.log[0].headers if name.lower() == "proxy-authorization"]
        assert [base64.b64decode(value.removeprefix("Basic ")).decode() for value in asked] == ["u:pä"]
        assert "proxy-authorization" not in {name.lower() for name, _ in server.log[0].headers}


def test_an_answer_that_comes_before_a_tunnel_stands_is_the_proxys(mode: str, authority: Authority) -> None:
    with ScriptServer(answer(b"no", status=b"403 Forbidden")) as proxy:
        (result,) = fetch_all_sync(["https://127.0.0.1:1/"], mode=mode, proxy=proxy.url, retries=0)
    assert result.cause is Cause.PROXY
    assert "403" in str(result.error)

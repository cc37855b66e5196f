"""What follows a complete answer is dropped with its connection, and costs no other row; a HEAD ends with its head."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from faults.wire import CHUNKED, POISON, Asked, Connection, chunk, head, length
from support.servers import ScriptServer, ok

from fetchq import Cause, Request, Result, fetch_all_sync

PAGE = b"<html><body>" + b"a page " * 50 + b"</body></html>"


def heads(server: ScriptServer, count: int, mode: str, **settings: int) -> list[Result]:
    rows = [Request(f"{server.url}/{n}", method="HEAD") for n in range(count)]
    return fetch_all_sync(rows, mode=mode, retries=0, **settings)


def sends_page(conn: Connection, asked: Asked) -> None:
    conn.send(head(length(len(PAGE)), b"X-N: " + asked.path.encode()) + PAGE)


def sends_page_late(conn: Connection, asked: Asked) -> None:
    """The head is read, and the next request may be under way, before the page comes."""
    conn.send(head(length(len(PAGE)), b"X-N: " + asked.path.encode()))
    conn.pause(0.002)
    conn.send(PAGE)


def sends_page_without_length(conn: Connection, asked: Asked) -> None:
    conn.send(head(b"X-N: " + asked.path.encode()) + PAGE)


def sends_page_in_chunks(conn: Connection, asked: Asked) -> None:
    conn.send(head(CHUNKED, b"X-N: " + asked.path.encode()) + chunk(PAGE) + b"0\r\n\r\n")


@pytest.mark.parametrize("script", [sends_page, sends_page_late, sends_page_without_length, sends_page_in_chunks])
def test_every_head_is_ok_on_a_server_that_sends_bodies_with_head(
    engine_mode: str, script: Callable[[Connection, Asked], None]
) -> None:
    with ScriptServer(script) as server:
        results = heads(server, 40, engine_mode, workers=8)
    assert [(result.cause, result.error, result.size) for result in results] == [(None, None, 0)] * 40
    assert [result.headers["X-N"] for result in results] == [f"/{n}" for n in range(40)]


@pytest.mark.parametrize("lines", [(), (length(357),), (CHUNKED,), (b"Content-Encoding: gzip",)])
def test_the_connection_is_kept_after_an_answer_to_head(mode: str, lines: tuple[bytes, ...]) -> None:
    """RFC 9112, 6.3: it ends with its head, whatever that says; nginx leaves the length out where it would compress."""
    with ScriptServer(lambda conn, _: conn.send(head(*lines))) as server:
        results = heads(server, 5, mode, workers=1)
        assert server.connections == [1] * 5
    assert [(result.cause, result.complete) for result in results] == [(None, "yes")] * 5


@pytest.mark.parametrize(
    ("status", "line", "connections"),
    [
        (b"HTTP/1.1 200 OK", b"Connection: close", [1, 2]),
        (b"HTTP/1.1 200 OK", b"Connection: x, CLOSE", [1, 2]),
        (b"HTTP/1.1 200 OK", b"Connection: upgrade", [1, 1]),
        (b"HTTP/1.0 200 OK", b"X-Name: a", [1, 2]),
        (b"HTTP/1.0 200 OK", b"Connection: keep-alive", [1, 1]),
    ],
)
@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_the_connection_is_kept_where_its_server_keeps_it(
    engine_mode: str, method: str, status: bytes, line: bytes, connections: list[int]
) -> None:
    with ScriptServer(lambda conn, _: conn.send(head(line, length(0), status=status))) as server:
        rows = [Request(server.url, method=method)] * 2
        results = fetch_all_sync(rows, mode=engine_mode, workers=1, retries=0)
        assert server.connections == connections
    assert [result.ok for result in results] == [True] * 2


class Race(ScriptServer):
    """After its first answer it sends `junk` when the next request has come, and no answer to that."""

    def __init__(self, junk: bytes) -> None:
        def play(conn: Connection, asked: Asked) -> None:
            if len(self.log) == 2:
                conn.send(junk)
            else:
                ok(conn, asked)

        super().__init__(play)


JUNK = [
    PAGE,
    b"x",
    b"HTTP/1.1 200 OK\r\nX: HTTP/1.1 200 OK\r\nbad\r\n\r\n",
    b"\x00\xff",
    b"HTTP/1.1 103 X\r\n\r\n<html>",
]


@pytest.mark.parametrize("junk", JUNK, ids=["page", "letter", "head", "binary", "interim"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_junk_in_place_of_an_answer_on_a_kept_connection_has_the_request_sent_again(
    engine_mode: str, junk: bytes, method: str
) -> None:
    if junk == b"x":
        junk += b" "
    with Race(junk) as server:
        rows = [Request(f"{server.url}/{n}", method=method) for n in range(4)]
        results = fetch_all_sync(rows, mode=engine_mode, workers=1, retries=0)
        assert server.connections == [1, 1, 2, 3, 4], "such a server gets a new connection each time"
    assert [(result.cause, result.attempts) for result in results] == [(None, 1)] * 4


def test_what_cannot_be_sent_twice_is_not_sent_again_for_junk(engine_mode: str) -> None:
    with Race(PAGE) as server:
        rows = [Request(f"{server.url}/{n}", method="POST", body=b"x") for n in range(2)]
        first, second = fetch_all_sync(rows, mode=engine_mode, workers=1, retries=0)
        assert len(server.log) == 2
    assert (first.cause, second.cause) == (None, Cause.PROTOCOL)


def test_an_answer_that_is_always_junk_is_asked_for_once_more_and_no_more(engine_mode: str) -> None:
    def play(conn: Connection, asked: Asked) -> None:
        if asked.path == "/junk":
            conn.send(PAGE)
        else:
            ok(conn, asked)

    with ScriptServer(play) as server:
        rows = [f"{server.url}/", f"{server.url}/junk", f"{server.url}/"]
        results = fetch_all_sync(rows, mode=engine_mode, workers=1, retries=3)
        assert server.seen == ["/", "/junk", "/junk", "/"]
    assert [result.cause for result in results] == [None, Cause.PROTOCOL, None]


@pytest.mark.parametrize("behind", [PAGE, POISON, b"\r\n"], ids=["page", "answer", "crlf"])
@pytest.mark.parametrize("status", [200, 204, 304, 404])
def test_bytes_after_a_complete_answer_are_nobodys(engine_mode: str, status: int, behind: bytes) -> None:
    def play(conn: Connection, asked: Asked) -> None:
        conn.send(head(length(0), b"X-N: " + asked.path.encode(), status=b"HTTP/1.1 %d X" % status) + behind)

    with ScriptServer(play) as server:
        results = fetch_all_sync([f"{server.url}/{n}" for n in range(3)], mode=engine_mode, workers=1, retries=0)
        assert server.connections == [1, 2, 3]
    assert [(result.status, result.headers["X-N"]) for result in results] == [(status, f"/{n}") for n in range(3)]

"""Connections that end early, or while nobody uses them: what fails, what is sent again, and what goes on a new one."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
from faults.wire import Asked, Connection, head, length
from support.servers import Script, ScriptServer, _secured, answer, ok
from support.tls import Authority
from support.waiting import HUNG

from fetchq import Cause, Request, fetch_all_sync
from fetchq.engines.aiohttp import upload as aiohttp_upload
from fetchq.engines.requests import upload as requests_upload
from fetchq.http import keep_alive

WAYS = {
    "http": ("http", False),
    "https": ("https", False),
    "by proxy": ("http", True),
    "by a tunnel": ("https", True),
}


class Resets(ScriptServer):
    """A server that resets each connection after `size` bytes of it."""

    def __init__(self, size: int) -> None:
        self._size = size
        super().__init__()

    def _serve(self, conn: Connection) -> None:
        with suppress(OSError):
            if self._size:
                conn._sock.recv(self._size)
            conn._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        conn.cut()


# ssl leaves the socket of a handshake that was reset at once to the garbage collector (Python 3.11 to 3.14).
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("size", [0, 10, 65536], ids=["at once", "within the request", "behind it"])
@pytest.mark.parametrize("way", WAYS)
def test_a_connection_that_is_reset_before_an_answer_is_tried_again_whenever_that_happens(
    mode: str, way: str, size: int
) -> None:
    scheme, proxied = WAYS[way]
    with Resets(size) as server:
        options: dict[str, Any] = {"proxy": server.url} if proxied else {}
        rows = [f"{scheme}://{server.netloc}/"] * 20
        results = fetch_all_sync(rows, mode=mode, workers=2, retries=1, retry_wait=0, adapt=False, **options)
    told = {(result.cause, result.attempts, str(result.error).rpartition(": ")[2]) for result in results}
    assert told <= {
        (Cause.CONNECT, 2, "the connection was reset before an answer"),
        (Cause.CONNECT, 2, "the connection was closed before an answer"),  # a reset that the kernel told once already
    }


# --- idle connections ---


def posts(server: ScriptServer, count: int) -> list[Request]:
    return [Request(f"{server.url}/{number}", method="POST", body=b"x") for number in range(count)]


def closes_after(seconds: float) -> Script:
    """Answers, and closes the connection a little later without having said so."""

    def play(conn: Connection, asked: Asked) -> None:
        ok(conn, asked)
        conn.pause(seconds)
        conn.close()

    return play


@pytest.mark.parametrize("seconds", [0.0, 0.005])
@pytest.mark.parametrize("workers", [1, 4])
def test_a_server_that_closes_after_each_answer_costs_no_post(
    mode: str, workers: int, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keep_alive, "PROOF", 0.2)
    with ScriptServer(closes_after(seconds)) as server:
        results = fetch_all_sync(posts(server, 12), mode=mode, workers=workers, retries=0)
        assert sorted(server.connections) == list(range(1, 13))
    assert [result.error for result in results] == [None] * 12


def test_posts_share_a_connection_to_a_server_that_keeps_it(mode: str) -> None:
    with ScriptServer() as server:
        results = fetch_all_sync(posts(server, 5), mode=mode, workers=1, retries=0)
        assert server.connections == [1] * 5
    assert [result.error for result in results] == [None] * 5


def test_a_post_does_not_go_on_a_connection_that_has_been_idle_for_long(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with servers that close after 2 or 5 seconds; the rule and the server are ten times as fast."""
    answered: dict[int, float] = {}

    def closes_if_idle(conn: Connection, asked: Asked) -> None:
        if perf_counter() - answered.get(conn.number, perf_counter()) > 0.2:
            conn.close()  # it was about to, and has not read the request
        else:
            ok(conn, asked)
            answered[conn.number] = perf_counter()

    monkeypatch.setattr(keep_alive, "LONGEST_IDLE", 0.05)
    with ScriptServer(closes_if_idle) as server:
        results = fetch_all_sync(posts(server, 4), mode=mode, workers=1, retries=0, host_interval=0.25)
    assert [result.error for result in results] == [None] * 4


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_after_an_idle_connection_has_died_each_post_to_that_server_has_a_new_one(mode: str, method: str) -> None:
    served: set[int] = set()

    def dies_when_reused(conn: Connection, asked: Asked) -> None:
        if conn.number in served:
            conn.close()
        else:
            served.add(conn.number)
            ok(conn, asked)

    with ScriptServer(dies_when_reused) as server:
        first = [Request(server.url, method=method), Request(server.url, method=method)]
        results = fetch_all_sync([*first, *posts(server, 3)], mode=mode, workers=1, retries=0)
    # What can be sent again is. Of the others, one shows what this server does.
    assert [result.cause for result in results] == [None, None if method == "GET" else Cause.CONNECT, None, None, None]


# --- the Keep-Alive header ---


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_a_server_that_will_close_within_a_second_gets_a_post_on_a_new_connection(
    mode: str, tls: bool, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    rows = ["GET", "GET", "POST", "PATCH", "PUT"]
    for timeout, connections in ((b"1", [1, 1, 2, 3, 3]), (b"5", [1] * 5)):
        script = answer(b"ok", b"Keep-Alive: timeout=" + timeout)
        with ScriptServer(script, tls=authority.server() if tls else None) as server:
            requests = [Request(server.url, method=method) for method in rows]
            fetch_all_sync(requests, mode=mode, workers=1, cacert=authority.cacert)
            assert server.connections == connections


@pytest.mark.parametrize(
    ("values", "connections"),
    [
        ([b"max=1"] * 4, [1, 2, 3, 4]),
        ([b"timeout=5, max=2"] * 4, [1, 1, 2, 2]),
        ([b"max=2", b"max=1", b"max=0", b"max=2"], [1, 1, 1, 2]),
    ],
)
def test_a_connection_serves_no_more_requests_than_its_server_announced(
    mode: str, values: list[bytes], connections: list[int]
) -> None:
    left = list(values)

    def play(conn: Connection, asked: Asked) -> None:
        answer(b"ok", b"Keep-Alive: " + left.pop(0))(conn, asked)

    with ScriptServer(play) as server:
        results = fetch_all_sync([server.url] * 4, mode=mode, workers=1, retries=0)
        assert server.connections == connections
    assert all(result.ok for result in results)


# --- answers that come before the whole request was sent ---


class Early(ScriptServer):
    """Its script is played as soon as the head of a request is there; a client that it closes on has not sent all."""

    def _serve(self, conn: Connection) -> None:
        with suppress(OSError, EOFError, ValueError):
            if self._tls is not None:
                conn._sock = _secured(conn._sock, self._tls)
            while conn.open:
                start, *lines = conn._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
                headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
                asked = Asked(conn.number, *start.split(" ")[:2], headers, b"")
                self.log.append(asked)
                self.script(conn, asked)
        conn.close()


def post_to(server: ScriptServer, size: int) -> Request:
    return Request(server.url, method="POST", body=bytes(size))


def size_of(asked: Asked) -> int:
    return int(asked.header("Content-Length") or 0)


@pytest.mark.parametrize("size", [60_000, 3_000_000])
@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("status", [b"200 OK", b"413 Content Too Large"])
def test_the_answer_counts_of_a_server_that_closes_before_it_has_read_all(
    mode: str, status: bytes, tls: bool, size: int, tmp_path: Path
) -> None:
    def refuses(conn: Connection, asked: Asked) -> None:
        answer(b"x" * 10_000, status=status)(conn, asked)
        conn.close()

    authority = Authority(tmp_path)
    with Early(refuses, tls=authority.server() if tls else None) as server:
        rows = [post_to(server, size)] * 12
        results = fetch_all_sync(rows, mode=mode, workers=2, retries=0, adapt=False, cacert=authority.cacert)
    assert [(result.status, result.size) for result in results] == [(int(status[:3]), 10_000)] * 12


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_a_server_may_send_its_answer_while_it_reads(mode: str, tls: bool, tmp_path: Path) -> None:
    size = 12_000_000  # more than all buffers on the way hold

    def echoes(conn: Connection, asked: Asked) -> None:
        conn.send(head(length(size)))
        for _ in range(size // 100_000):
            conn.send(conn._take(100_000))

    authority = Authority(tmp_path)
    with Early(echoes, tls=authority.server() if tls else None) as server:
        rows = [post_to(server, size)] * 2
        results = fetch_all_sync(rows, mode=mode, workers=1, retries=0, read_timeout=5, cacert=authority.cacert)
        assert server.connections == [1, 1]
    assert [(result.error, result.size) for result in results] == [(None, size)] * 2


def test_a_server_that_says_ok_at_once_and_keeps_the_connection_gets_the_whole_body(mode: str) -> None:
    got: list[int] = []

    def accepts(conn: Connection, asked: Asked) -> None:
        ok(conn, asked)
        conn.pause(0.05)
        got.append(len(conn._take(size_of(asked))))

    with Early(accepts) as server:
        results = fetch_all_sync([post_to(server, 12_000_000)] * 2, mode=mode, workers=1, retries=0)
        assert server.connections == [1, 1]
    assert [result.error for result in results] == [None] * 2
    assert got[0] == 12_000_000


@pytest.mark.parametrize("close", [False, True])
def test_a_server_that_says_ok_and_reads_no_more_has_said_ok(
    mode: str, close: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stops(conn: Connection, asked: Asked) -> None:
        answer(b"ok", *([b"Connection: close"] if close else []))(conn, asked)
        conn.pause(HUNG)

    for module in (aiohttp_upload, requests_upload):
        monkeypatch.setattr(module, "UPLOAD_STALL", HUNG if close else 0.1)
    with Early(stops) as server:
        began = perf_counter()
        (result,) = fetch_all_sync([post_to(server, 12_000_000)], mode=mode, retries=0, read_timeout=HUNG)
        assert perf_counter() - began < HUNG / 2
    assert result.error is None


def test_a_server_that_says_ok_and_reads_on_without_an_end_has_said_ok(mode: str) -> None:
    def reads_on(conn: Connection, asked: Asked) -> None:
        ok(conn, asked)
        for _ in range(200):
            conn._take(20_000)
            conn.pause(0.02)

    with Early(reads_on) as server:
        (result,) = fetch_all_sync([post_to(server, 30_000_000)], mode=mode, retries=0, timeout=1)
    assert (result.error, result.body) == (None, b"ok")


def test_a_server_that_refuses_a_long_body_gets_the_next_request_on_a_new_connection(mode: str) -> None:
    with ScriptServer(answer(status=b"413 Content Too Large")) as server:
        rows = [Request(server.url, method="POST", body=bytes(100_000))] * 2 + [Request(server.url)] * 2
        results = fetch_all_sync(rows, mode=mode, workers=1)
        assert server.connections == [1, 2, 3, 3]
    assert [(result.cause, result.status) for result in results] == [(Cause.STATUS, 413)] * 4

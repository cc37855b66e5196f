"""The fast path takes what it says, and gives the same Results as the other way."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from faults.wire import CHUNKED, LAST_CHUNK, Asked, Connection, chunk, head, length
from hypothesis import given
from hypothesis import strategies as st
from support.servers import Script, ScriptServer, ok
from support.waiting import HUNG, ended

from fetchq import Cause, Request, Result, Settings, fetch_all_sync
from fetchq.engines.aiohttp.connection import Connection as OfAiohttp
from fetchq.engines.aiohttp.engine import AiohttpEngine
from fetchq.engines.aiohttp.fast_path import FastPath
from fetchq.engines.aiohttp.fast_requests import FastRequests
from fetchq.engines.aiohttp.head_parser import new_parser
from fetchq.engines.aiohttp.turns import TurnClock
from fetchq.http.attempt import Attempt
from fetchq.http.cookies import CookieJar
from fetchq.http.framing import find_head
from fetchq.http.plain_head import read_plain_head
from fetchq.http.response import ResponseHead, read_head
from fetchq.http.url import parse_url
from fetchq.http.wire_checks import MAX_HEADERS

USUAL = [
    head(length(5), b"Server: nginx", b"Content-Type: text/html; charset=utf-8", b"Connection: keep-alive"),
    head(CHUNKED, b"Content-Encoding: gzip", b"Vary: Accept-Encoding", b'ETag: "a-b"', b"Set-Cookie: a=b"),
    head(length(0), b"Keep-Alive: timeout=5, max=100", b"Connection: Keep-Alive", status=b"HTTP/1.1 404 Not Found"),
    head(b"content-length: 21", b"x-empty:", status=b"HTTP/1.1 500 Internal Server Error"),
]
OTHER = [
    head(),
    head(length(5), length(5)),
    head(length(5), CHUNKED),
    head(b"Content-Length: +5"),
    head(b"Content-Length : 5"),
    head(b"Transfer-Encoding: gzip, chunked"),
    head(length(5), b"Connection: close"),
    head(length(5), b"Proxy-Connection: close"),
    head(length(5), b"X: a\x00b"),
    head(length(5), b"X: a\x7fb"),
    head(length(5), b"X: a\r\n b"),
    head(length(5), b"no colon"),
    head(length(5), *[b"X: y"] * MAX_HEADERS),
    head(length(5), b"X: " + b"y" * 20_000),
    head(length(5)).replace(b"\r\n", b"\n"),
    b"\r\n" + head(length(5)),
    head(length(5), status=b"HTTP/1.0 200 OK"),
    head(length(5), status=b"HTTP/1.1 200"),
    head(length(5), status=b"HTTP/1.1 206 Partial Content"),
    head(length(0), b"Location: /", status=b"HTTP/1.1 302 Found"),
    head(status=b"HTTP/1.1 204 No Content"),
    head(status=b"HTTP/1.1 103 Early Hints"),
    head(length(5))[:-1],
]

NAMES = b"Content-Length content-length Content-Type Transfer-Encoding TRANSFER-ENCODING Connection Content-Encoding"
NAMES += b" Keep-Alive Proxy-Connection Upgrade X x-a Content-Lengths"
VALUES = b"5|05| 5 |5, 5|-1|0|chunked|Chunked|chunked, gzip|keep-alive|Keep-Alive|close|upgrade|gzip|text/html"
VALUES += b"|text/html; charset=\xff|caf\xc3\xa9\t|a\rb|\x01|"
STARTS = b"HTTP/1.1 200 OK|HTTP/1.1 404 Not Found|HTTP/1.1 599 x  y|HTTP/1.1  200 OK|HTTP/1.2 200 OK|HTTP/1.1 200 "

lines = st.builds(
    lambda name, between, value: name + between + value,
    st.sampled_from([*NAMES.split(), b"a b", b""]),
    st.sampled_from([b": ", b":", b":\t", b" :"]),
    st.sampled_from(VALUES.split(b"|")),
)
heads = st.builds(
    lambda end, start, found: end.join([start, *found, b"", b""]),
    st.sampled_from([b"\r\n", b"\r\n", b"\n"]),
    st.sampled_from([*STARTS.split(b"|"), *[b"HTTP/1.1 200 OK"] * 4]),
    st.lists(lines, max_size=4),
)


def facts(response: ResponseHead) -> tuple[object, ...]:
    names = ("status", "reason", "http_version", "length", "framed", "total", "coded", "content_type", "announces")
    return *(getattr(response, name) for name in names), list(response.headers.items())


def read_slowly(raw: bytes) -> tuple[tuple[object, ...], int, bool]:
    """What the other way says of a head: its facts, where it ends, and whether the connection stays open."""
    whole, end = find_head(raw)
    loop = asyncio.new_event_loop()
    try:
        protocol = OfAiohttp(loop, TurnClock(loop))
        message = new_parser(protocol, loop).feed_data(whole)[0][0][0]
    finally:
        loop.close()
    response = read_head("GET", message.code, message.reason, message.raw_headers, message.version)
    return facts(response), end, not message.should_close


@pytest.mark.parametrize("raw", USUAL)
def test_the_usual_heads_are_plain_and_are_read_as_on_the_other_way(raw: bytes) -> None:
    raw += b"HTTP/1.1 500 what follows\r\n\r\n"
    found = read_plain_head(raw)
    assert found is not None
    assert (facts(found[0]), len(raw) - len(found[1]), True) == read_slowly(raw)


@pytest.mark.parametrize("raw", OTHER)
def test_other_heads_are_not_plain(raw: bytes) -> None:
    assert read_plain_head(raw) is None


@given(heads)
def test_what_is_plain_is_read_as_on_the_other_way(raw: bytes) -> None:
    found = read_plain_head(raw)
    if found is not None:
        assert (facts(found[0]), len(raw) - len(found[1]), True) == read_slowly(raw)


# --- which rows take it ---


@contextmanager
def counted() -> Iterator[list[str]]:
    """The URLs of the attempts that end on the fast path."""
    ended_fast: list[str] = []

    def end(self: FastRequests, attempt: Attempt, *given: Any) -> None:
        ended_fast.append(attempt.request.url)
        original(self, attempt, *given)

    original = FastRequests.end
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FastRequests, "end", end)
        yield ended_fast


def fetch(server: ScriptServer, *rows: Any, **settings: Any) -> list[Result]:
    """The Results of rows, after a good one that leaves a warm connection."""
    rows = (f"{server.url}/first", *(f"{server.url}{row}" if isinstance(row, str) else row for row in rows))
    return fetch_all_sync(rows, workers=1, retries=0, **settings)[1:]


def test_all_rows_but_the_first_of_a_connection_take_the_fast_path() -> None:
    with ScriptServer() as server, counted() as fast:
        results = fetch(server, *(f"/{number}" for number in range(5)))
    assert all(result.ok for result in results)
    assert len(fast) == 5


@pytest.mark.parametrize(
    "settings",
    [
        {"method": "HEAD"},
        {"data": b"x"},
        {"limit_rate": "1G"},
        {"cookie_jar": "jar.txt"},
        {"trust_env": True},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_a_run_with_rules_of_its_own_does_not_take_it(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with ScriptServer() as server, counted() as fast:
        (result,) = fetch(server, "/second", **settings)
    assert result.status == 200
    assert not fast


async def test_a_run_that_shares_cookies_does_not_take_it_though_it_saves_none() -> None:
    with ScriptServer() as server, counted() as fast:
        engine = AiohttpEngine(Settings(), cookies=CookieJar())
        try:
            for _ in range(2):
                assert (await engine.attempt(Request(server.url), parse_url(server.url))).cause is None
        finally:
            await engine.close()
    assert not fast


def test_a_row_that_is_more_than_a_url_does_not_take_it() -> None:
    with ScriptServer() as server, counted() as fast:
        url = f"{server.url}/second"
        rows = [Request(url, headers=(("A", "b"),)), Request(url, method="PUT"), Request(url, body=b"x")]
        results = fetch(server, *rows, Request(url.replace("//", "//me:word@")))
    assert [result.status for result in results] == [200] * 4
    assert not fast


# --- what it gives back ---


def after_first(answer: bytes, *, pieces: int = 1, hangs: bool = False) -> Script:
    """Answers the first request as usual, and the others with this, in so many packets; then it may hang."""
    asked = count()

    def play(conn: Connection, request: Asked) -> None:
        if not next(asked):
            ok(conn, request)
            return
        step = max(1, -(-len(answer) // pieces))
        for at in range(0, len(answer), step):
            conn.send(answer[at : at + step])
            conn.pause(0.01 if pieces > 1 else 0)
        if hangs:
            conn.hang()

    return play


LONG = bytes(range(256)) * 2000


@pytest.mark.parametrize("pieces", [1, 3])
@pytest.mark.parametrize("how", ["plain", "chunks", "gzip"])
@pytest.mark.parametrize("stored", [False, True])
def test_a_long_body_is_taken_whole_also_if_its_beginning_goes_to_the_disk(
    tmp_path: Path, how: str, pieces: int, *, stored: bool
) -> None:
    answers = {
        "plain": head(length(len(LONG))) + LONG,
        "chunks": head(CHUNKED) + chunk(LONG[:70_000]) + chunk(LONG[70_000:]) + LAST_CHUNK,
        "gzip": head(length(len(zipped := gzip.compress(LONG))), b"Content-Encoding: gzip") + zipped,
    }
    settings = {"output": str(tmp_path / "run")} if stored else {}
    with ScriptServer(after_first(answers[how], pieces=pieces)) as server:
        results = fetch(server, "/a", "/b", **settings)
    for result in results:
        assert result.ok, result.error
        assert result.size == len(LONG)
        assert ((tmp_path / "run" / str(result.path)).read_bytes() if stored else result.body) == LONG


async def test_a_bug_in_the_rules_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptServer() as server:
        engine = AiohttpEngine(Settings())
        try:
            await engine.attempt(Request(server.url), parse_url(server.url))
            monkeypatch.setattr("fetchq.http.attempt.Complete", None)
            with pytest.raises(AttributeError):
                await engine.attempt(Request(server.url), parse_url(server.url))
            assert not len(engine._idle)
        finally:
            await engine.close()


@pytest.mark.parametrize("answer", [b"", head(length(10)) + b"12345"], ids=["no answer", "half a body"])
async def test_an_attempt_that_is_cancelled_closes_its_connection(
    answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = asyncio.Event()

    def take(self: FastPath, data: bytes, arrived: float) -> bytes | None:
        taken.set()
        return original(self, data, arrived)

    original = FastPath.take
    monkeypatch.setattr(FastPath, "take", take)
    with ScriptServer(after_first(answer, hangs=True)) as server:
        engine = AiohttpEngine(Settings())
        try:
            await engine.attempt(Request(server.url), parse_url(server.url))
            attempt = asyncio.create_task(engine.attempt(Request(server.url), parse_url(server.url)))
            await server.got(2)
            (connection,) = engine._watchdog.connections
            if answer:
                await asyncio.wait_for(taken.wait(), HUNG)
            attempt.cancel()
            assert await ended(attempt)
            assert attempt.cancelled()
            assert not len(engine._idle)
            assert not connection.is_connected()
        finally:
            await engine.close()


async def test_an_abort_at_the_moment_when_an_exchange_leaves_the_fast_path_ends_its_attempt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def leave(self: FastPath) -> None:
        original(self)
        engine.abort()

    original = FastPath._leave
    monkeypatch.setattr(FastPath, "_leave", leave)
    with ScriptServer(after_first(b"HTTP/1.1 200 OK\r\n", hangs=True)) as server:
        engine = AiohttpEngine(Settings())
        try:
            await engine.attempt(Request(server.url), parse_url(server.url))
            attempt = asyncio.create_task(engine.attempt(Request(server.url), parse_url(server.url)))
            assert await ended(attempt)
            assert attempt.result().cause is Cause.CANCELLED
        finally:
            await engine.close()

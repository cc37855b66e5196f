"""The practice server, seen through plain sockets: fetchq itself must not be needed to trust it."""

from __future__ import annotations

import asyncio
import gc
import gzip
import hashlib
import json
import os
import socket
import struct
import subprocess
import sys
import textwrap
import threading
import time
import zlib
from contextlib import closing, contextmanager, suppress
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPMessage
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from fetchq.cli.practice import routes as module
from fetchq.cli.practice.bodies import BLOCK, blocks
from fetchq.cli.practice.routes import MAX_HELD, ROUTES, make_app
from fetchq.cli.practice.server import PracticeServer, serve

if TYPE_CHECKING:
    from collections.abc import Iterator


class Answer(NamedTuple):
    status: int
    headers: HTTPMessage
    body: bytes


class Asker:
    """Asks one server, each time over a connection of its own."""

    def __init__(self, url: str) -> None:
        self.where = urlsplit(url).netloc

    def __call__(
        self, path: str, method: str = "GET", body: bytes | None = None, headers: dict[str, Any] | None = None
    ) -> Answer:
        with closing(HTTPConnection(self.where)) as connection:
            return ask_over(connection, path, method, body, headers)

    @contextmanager
    def raw(self, request: str | bytes) -> Iterator[socket.socket]:
        """A socket over which the bytes of a request have gone."""
        host, _, port = self.where.rpartition(":")
        with socket.create_connection((host, int(port))) as sock:
            sock.sendall(request if isinstance(request, bytes) else request.encode())
            yield sock


def ask_over(
    connection: HTTPConnection,
    path: str,
    method: str = "GET",
    body: bytes | None = None,
    headers: dict[str, Any] | None = None,
) -> Answer:
    connection.request(method, path, body, headers or {})
    response = connection.getresponse()
    return Answer(response.status, response.headers, response.read())


def read_all(sock: socket.socket) -> bytes:
    return b"".join(iter(lambda: sock.recv(65536), b""))


def read_until(sock: socket.socket, end: bytes) -> bytes:
    data = b""
    while end not in data:
        data += sock.recv(65536)
    return data


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def ask() -> Iterator[Asker]:
    with PracticeServer() as server:
        yield Asker(server.url)


# --- the index -------------------------------------------------------------------------------------------------------


def test_the_index_lists_every_route_with_an_example_of_itself(ask: Asker) -> None:
    answer = ask("/")
    page = answer.body.decode()
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    for route in ROUTES:
        assert f"{route.path} " in page
        assert f"http://{ask.where}{route.example}\n" in page


def test_every_example_of_the_index_is_answered_as_it_says(ask: Asker) -> None:
    unusual = {"/status/{code}": 301, "/redirect/{n}": 307, "/flaky/{n}": 500, "/retry-after/{seconds}": 429}
    for route in ROUTES:
        example = route.example.replace("=0.1", "=0.001").replace("/0.5", "/0.001")
        assert ask(example).status == unusual.get(route.path, 200), route.path


def test_a_path_that_is_no_route_is_404(ask: Asker) -> None:
    assert ask("/nothing/here").status == 404


@pytest.mark.parametrize(
    "path",
    [
        "/delay/-1",
        "/delay/301",
        "/delay/nan",
        "/delay/soon",
        "/bytes/-1",
        "/bytes/1073741825",
        "/bytes/1k",
        "/bytes/1?delay=301",
        "/status/99",
        "/status/100",
        "/status/199",
        "/status/1000",
        "/status/ok",
        "/redirect/-1",
        "/redirect/1?status=200",
        "/redirect/1?status=304",
        "/flaky/-1",
        "/flaky/1?status=100",
        "/retry-after/-1",
        "/retry-after/0.5",
        "/stream/-1",
        "/stream/1?interval=-1",
        f"/gzip?bytes={MAX_HELD + 1}",
        "/zstd?bytes=some",
    ],
)
def test_a_parameter_out_of_bounds_is_answered_with_400(ask: Asker, path: str) -> None:
    assert ask(path).status == 400


# --- delay -----------------------------------------------------------------------------------------------------------


def test_delay_answers_no_sooner_than_it_was_asked_to(ask: Asker) -> None:
    before = time.monotonic()
    answer = ask("/delay/0.02")
    # The loop's timers may fire one tick of the clock early.
    assert time.monotonic() - before >= 0.02 - time.get_clock_info("monotonic").resolution
    assert json.loads(answer.body) == {"delay": 0.02}


def test_a_slow_answer_does_not_hold_up_another(ask: Asker) -> None:
    with ask.raw("GET /delay/300 HTTP/1.1\r\nHost: a\r\n\r\n"):
        assert ask("/delay/0").status == 200


def test_the_answer_to_a_client_that_hung_up_is_given_up() -> None:
    app = make_app()
    done = threading.Event()

    async def wait(_: object) -> Any:
        try:
            await asyncio.Event().wait()
        finally:
            done.set()

    app.router.add_get("/wait", wait)
    with PracticeServer(app=app) as server:
        ask = Asker(server.url)
        with ask.raw("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n"):
            ask("/delay/0")
            assert not done.is_set()
        assert done.wait(timeout=60)


# --- bytes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 1024, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 7])
def test_bytes_are_as_many_as_asked_for_and_the_same_ones_each_time(ask: Asker, size: int) -> None:
    first, second = ask(f"/bytes/{size}"), ask(f"/bytes/{size}")
    assert first.status == 200
    assert first.headers["Content-Length"] == str(size)
    assert first.headers["Transfer-Encoding"] is None
    assert first.body == second.body == b"".join(blocks(size))
    assert len(first.body) == size


@pytest.mark.parametrize("size", [16, BLOCK + 1])
def test_another_seed_gives_other_bytes_and_another_etag(ask: Asker, size: int) -> None:
    answers = [ask(f"/bytes/{size}{query}") for query in ("", "?seed=a", "?seed=%C3%A9", "?seed=a&delay=0.001")]
    assert len({answer.body for answer in answers}) == 3
    assert len({answer.headers["ETag"] for answer in answers}) == 3
    assert answers[1].body == answers[3].body == b"".join(blocks(size, "a"))


def test_the_etag_is_strong_and_belongs_to_the_size(ask: Asker) -> None:
    etags = [ask(f"/bytes/{size}").headers["ETag"] for size in (10, 11, BLOCK + 10, BLOCK + 11)]
    assert len(set(etags)) == 4
    for etag in etags:
        assert etag[0] == etag[-1] == '"'
        assert etag[1:-1].isalnum()


@pytest.mark.parametrize("size", [10, BLOCK + 10])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("known", ["{}", "W/{}", '"other", {}', "*"])
def test_bytes_whose_etag_is_known_are_not_sent_again(ask: Asker, size: int, method: str, known: str) -> None:
    etag = ask(f"/bytes/{size}").headers["ETag"]
    answer = ask(f"/bytes/{size}", method, headers={"If-None-Match": known.format(etag)})
    assert (answer.status, answer.body, answer.headers["ETag"]) == (304, b"", etag)


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", {"If-None-Match": '"other"'}),
        ("GET", {"If-None-Match": "nonsense"}),
        ("GET", {"If-None-Match": ""}),
        ("GET", {"Range": "bytes=0-3"}),
        ("POST", {"If-None-Match": "*"}),
    ],
)
def test_whoever_does_not_know_the_etag_gets_the_whole_body(ask: Asker, method: str, headers: dict[str, str]) -> None:
    answer = ask("/bytes/10", method, headers=headers)
    assert (answer.status, len(answer.body)) == (200, 10)


def test_the_blocks_of_a_body_differ() -> None:
    assert len({hashlib.sha256(block).digest() for block in blocks(5 * BLOCK)}) == 5


def test_bytes_wait_when_they_are_asked_to(ask: Asker) -> None:
    before = time.monotonic()
    assert len(ask("/bytes/10?delay=0.02").body) == 10
    assert time.monotonic() - before >= 0.02 - time.get_clock_info("monotonic").resolution


def test_a_gigabyte_begins_to_arrive_without_having_been_made(ask: Asker) -> None:
    with closing(HTTPConnection(ask.where)) as connection:
        connection.request("GET", f"/bytes/{2**30}")
        with connection.getresponse() as response:
            assert response.headers["Content-Length"] == str(2**30)
            assert response.read(2 * BLOCK) == b"".join(blocks(2 * BLOCK))
    assert ask("/json").status == 200


def test_a_reader_of_a_long_body_does_not_have_the_server_for_itself(ask: Asker) -> None:
    with closing(HTTPConnection(ask.where)) as connection:
        connection.request("GET", f"/bytes/{2**30}")
        with connection.getresponse() as response:
            stop, read = threading.Event(), []

            def keep_reading() -> None:
                while not stop.is_set():
                    read.append(len(response.read(BLOCK)))

            reader = threading.Thread(target=keep_reading)
            reader.start()
            assert ask("/json").status == 200
            stop.set()
            reader.join()
            assert 0 < sum(read) < 2**30


@pytest.mark.parametrize("path", ["/bytes/1024", f"/bytes/{2 * BLOCK}", "/stream/3", "/gzip", "/json"])
def test_head_is_answered_as_get_but_without_a_body(ask: Asker, path: str) -> None:
    with closing(HTTPConnection(ask.where)) as connection:
        got, head = ask_over(connection, path), ask_over(connection, path, "HEAD")
        assert head.status == 200
        assert head.body == b""
        assert head.headers["Content-Length"] == got.headers["Content-Length"]
        assert head.headers["Content-Type"] == got.headers["Content-Type"]
        assert ask_over(connection, "/json").status == 200


# --- status and redirect ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [200, 206, 299, 300, 400, 404, 429, 500, 599, 600, 999])
def test_status_answers_with_that_status(ask: Asker, code: int) -> None:
    answer = ask(f"/status/{code}")
    assert (answer.status, answer.body) == (code, b"%d\n" % code)


@pytest.mark.parametrize("code", [204, 205, 304])
def test_a_status_that_has_no_body_gets_none(ask: Asker, code: int) -> None:
    with ask.raw(f"GET /status/{code} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n") as sock:
        head, _, body = read_all(sock).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % code)
    assert body == b""
    assert b"Content-Type" not in head


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirecting_status_has_a_location_only_when_asked_for(ask: Asker, code: int) -> None:
    assert ask(f"/status/{code}").headers["Location"] is None
    answer = ask(f"/status/{code}?location=http://other.example/%3Fa%3D1")
    assert (answer.status, answer.headers["Location"]) == (code, "http://other.example/?a=1")


def test_a_location_cannot_smuggle_a_header_in(ask: Asker) -> None:
    answer = ask("/status/301?location=/a%0d%0aX-Evil:%201")
    assert answer.status == 400
    assert answer.headers["X-Evil"] is None


def test_redirect_takes_n_hops(ask: Asker) -> None:
    path, seen = "/redirect/3", []
    while location := (answer := ask(path)).headers["Location"]:
        seen.append((answer.status, location))
        path = location
    assert seen == [(302, "/redirect/2"), (302, "/redirect/1"), (302, "/redirect/0")]
    assert (answer.status, answer.body) == (200, b"arrived\n")


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirect_uses_the_status_asked_for_and_passes_it_on(ask: Asker, code: int) -> None:
    answer = ask(f"/redirect/2?status={code}&a=%26%0d%0a", "POST", b"body")
    assert (answer.status, answer.headers["Location"]) == (code, f"/redirect/1?status={code}&a=%26%0d%0a")


# --- flaky and retry-after -------------------------------------------------------------------------------------------


def test_flaky_fails_n_times_and_then_answers_for_ever(ask: Asker) -> None:
    assert [ask("/flaky/2?key=for-ever").status for _ in range(5)] == [503, 503, 200, 200, 200]


def test_flaky_fails_with_the_status_asked_for(ask: Asker) -> None:
    assert [ask("/flaky/1?status=500&key=status").status for _ in range(2)] == [500, 200]


def test_flaky_zero_never_fails(ask: Asker) -> None:
    assert ask("/flaky/0").status == 200


def test_each_flaky_url_has_a_count_of_its_own(ask: Asker) -> None:
    assert [ask(f"/flaky/1?key=own-{key}").status for key in "abab"] == [503, 503, 200, 200]


def test_two_servers_do_not_share_their_counts(ask: Asker) -> None:
    with PracticeServer() as other:
        assert ask("/flaky/1?key=shared").status == 503
        assert Asker(other.url)("/flaky/1?key=shared").status == 503


def test_only_so_many_counts_are_kept_and_the_oldest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_KEYS", 2)
    with PracticeServer() as server:
        ask = Asker(server.url)
        asked = [ask(path).status for path in ("/flaky/1?key=a", "/flaky/1?key=b", "/flaky/1?key=b", "/flaky/1?key=c")]
        assert asked == [503, 503, 200, 503]
        assert ask("/flaky/1?key=b").status == 200
        assert ask("/flaky/1?key=a").status == 503


def test_retry_after_says_429_until_so_many_seconds_have_passed() -> None:
    clock = Clock(12345.678)
    with PracticeServer(app=make_app(monotonic=clock)) as server:
        ask = Asker(server.url)
        seen = []
        for later in (0, 0, 0.25, 0.75, 0.9999, 1e-4, 100):
            clock.now += later
            answer = ask("/retry-after/2?key=a")
            seen.append((answer.status, answer.headers["Retry-After"]))
        assert seen == [(429, "2"), (429, "2"), (429, "2"), (429, "1"), (429, "1"), (200, None), (200, None)]


@pytest.mark.parametrize("now", [0.1, 0.7, 3.3, 12345.678, 987654.321])
def test_the_first_retry_after_is_exactly_the_seconds_asked_for_whatever_the_clock_shows(now: float) -> None:
    with PracticeServer(app=make_app(monotonic=Clock(now))) as server:
        ask = Asker(server.url)
        for seconds in (1, 2, 3, 7, 60):
            assert ask(f"/retry-after/{seconds}").headers["Retry-After"] == str(seconds)


def test_retry_after_zero_turns_away_the_first_request_only(ask: Asker) -> None:
    answers = [ask("/retry-after/0?key=zero") for _ in range(2)]
    assert [(answer.status, answer.headers["Retry-After"]) for answer in answers] == [(429, "0"), (200, None)]


def test_each_key_of_retry_after_waits_for_itself() -> None:
    clock = Clock(0.0)
    with PracticeServer(app=make_app(monotonic=clock)) as server:
        ask = Asker(server.url)
        assert ask("/retry-after/5?key=a").status == 429
        clock.now = 5.0
        assert ask("/retry-after/5?key=b").status == 429
        assert ask("/retry-after/5").status == 429
        assert ask("/retry-after/6?key=a").status == 429
        assert ask("/retry-after/5?date=1&key=a").status == 200


def test_retry_after_as_a_date_is_not_before_the_time_it_stands_for() -> None:
    clock, wall = Clock(50.0), Clock(1_000_000_000.25)
    with PracticeServer(app=make_app(monotonic=clock, wall=wall)) as server:
        value = Asker(server.url)("/retry-after/2?date=1").headers["Retry-After"]
    assert value == "Sun, 09 Sep 2001 01:46:43 GMT"
    assert parsedate_to_datetime(value).timestamp() == 1_000_000_003


# --- stream ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("query", ["", "?interval=0.001"])
def test_stream_sends_n_lines_of_json_in_chunks(ask: Asker, query: str) -> None:
    answer = ask(f"/stream/3{query}")
    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert answer.headers["Content-Length"] is None
    lines = [json.loads(line) for line in answer.body.splitlines()]
    assert lines == [{"line": number, "of": 3} for number in (1, 2, 3)]


def test_stream_of_no_lines_is_empty(ask: Asker) -> None:
    assert ask("/stream/0").body == b""


def test_a_line_of_a_stream_is_sent_before_the_next_is_due(ask: Asker) -> None:
    with ask.raw("GET /stream/2?interval=300 HTTP/1.1\r\nHost: a\r\n\r\n") as sock:
        assert b'{"line": 1, "of": 2}' in read_until(sock, b"}")


def test_to_http_1_0_a_stream_ends_with_the_connection(ask: Asker) -> None:
    with ask.raw("GET /stream/2 HTTP/1.0\r\n\r\n") as sock:
        head, _, body = read_all(sock).partition(b"\r\n\r\n")
    assert b"chunked" not in head
    assert len(body.splitlines()) == 2


# --- content codings -------------------------------------------------------------------------------------------------


def decoded(coding: str, body: bytes) -> bytes:
    if coding == "gzip":
        return gzip.decompress(body)
    if coding == "deflate":
        return zlib.decompress(body)
    if coding == "br":
        import brotli

        plain: bytes = brotli.decompress(body)
        return plain
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd.decompress(body)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_each_coding_is_named_measured_and_can_be_undone(ask: Asker, coding: str) -> None:
    answer = ask(f"/{coding}")
    assert answer.headers["Content-Encoding"] == coding
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Content-Length"] == str(len(answer.body))
    said = json.loads(decoded(coding, answer.body))
    assert said["coding"] == coding
    assert len(answer.body) < len(said["text"])


@pytest.mark.parametrize("size", [0, 100_000])
@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_each_coding_codes_as_many_bytes_as_asked_for(ask: Asker, coding: str, size: int) -> None:
    answer = ask(f"/{coding}?bytes={size}")
    assert answer.headers["Content-Encoding"] == coding
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert decoded(coding, answer.body) == b"".join(blocks(size))
    assert ask(f"/{coding}?bytes={size}").body == answer.body


# --- echo, json, headers, html ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])
def test_echo_tells_what_it_was_sent(ask: Asker, method: str) -> None:
    body = "Grüße".encode()
    answer = ask("/echo?q=%C3%A9&q=2", method, body, {"x-odd-Case": "1"})
    assert json.loads(answer.body) == {
        "method": method,
        "url": f"http://{ask.where}/echo?q=%C3%A9&q=2",
        "headers": [
            ["Host", ask.where],
            ["Accept-Encoding", "identity"],
            ["Content-Length", str(len(body))],
            ["x-odd-Case", "1"],
        ],
        "remote": "127.0.0.1",
        "body": "Grüße",
    }


def test_echo_gives_a_body_that_is_not_utf8_as_base64(ask: Asker) -> None:
    said = json.loads(ask("/echo", "POST", b"\xff\xfe\x00").body)
    assert (said["body"], said["encoding"]) == ("//4A", "base64")


def test_echo_does_not_undo_the_coding_of_what_it_was_sent(ask: Asker) -> None:
    said = json.loads(ask("/echo", "POST", b"not gzip at all", {"Content-Encoding": "gzip"}).body)
    assert said["body"] == "not gzip at all"


def test_echo_keeps_repeated_headers_and_shows_bytes_that_are_not_utf8(ask: Asker) -> None:
    with ask.raw(b"GET /echo HTTP/1.1\r\nHost: a\r\nX: 1\r\nX: \xe9\r\nConnection: close\r\n\r\n") as sock:
        said = json.loads(read_all(sock).partition(b"\r\n\r\n")[2])
    assert [pair for pair in said["headers"] if pair[0] == "X"] == [["X", "1"], ["X", "\\xe9"]]


@pytest.mark.parametrize("path", ["/", "/echo"])
def test_a_host_that_is_not_utf8_is_shown_all_the_same(ask: Asker, path: str) -> None:
    with ask.raw(f"GET {path} HTTP/1.1\r\nHost: ".encode() + b"\xff\r\nConnection: close\r\n\r\n") as sock:
        answer = read_all(sock)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"\\udcff/" in answer


def test_echo_repeats_the_whole_url_that_a_proxy_is_asked_for(ask: Asker) -> None:
    assert json.loads(ask("http://other.example/echo?a=1").body)["url"] == "http://other.example/echo?a=1"


def test_echo_turns_away_a_body_that_is_too_large(ask: Asker) -> None:
    request = f"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {MAX_HELD + 1}\r\n\r\n".encode()
    with ask.raw(request + bytes(MAX_HELD + 1)) as sock:
        assert read_until(sock, b"\r\n").startswith(b"HTTP/1.1 413 ")


def test_json_is_a_json_document(ask: Asker) -> None:
    answer = ask("/json")
    assert answer.headers.get_content_type() == "application/json"
    assert json.loads(answer.body)["name"] == "fetchq"


def test_headers_sends_the_headers_it_was_asked_for(ask: Asker) -> None:
    answer = ask("/headers?X-A=1&Set-Cookie=a%3D1&Set-Cookie=b%3D2&x-empty=")
    assert answer.headers["X-A"] == "1"
    assert answer.headers.get_all("Set-Cookie") == ["a=1", "b=2"]
    assert answer.headers["X-Empty"] == ""
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.body == b"X-A: 1\nSet-Cookie: a=1\nSet-Cookie: b=2\nx-empty: \n"


def test_headers_may_name_another_content_type_or_a_coding_that_is_a_lie(ask: Asker) -> None:
    answer = ask("/headers?content-type=text/html&Content-Encoding=gzip")
    assert answer.headers.get_all("Content-Type") == ["text/html"]
    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.body.startswith(b"content-type: ")


@pytest.mark.parametrize(
    "query", ["X=a%0d%0aY:1", "X=a%00", "a%20b=1", "%C3%A9=1", "=1", "Content-Length=1", "TRANSFER-encoding=chunked"]
)
def test_headers_that_would_break_the_framing_are_answered_with_400(ask: Asker, query: str) -> None:
    answer = ask(f"/headers?{query}")
    assert answer.status == 400
    assert answer.headers["Y"] is None


def test_html_is_in_the_charset_it_names(ask: Asker) -> None:
    answer = ask("/html")
    assert answer.headers["Content-Type"] == "text/html; charset=iso-8859-1"
    assert "Crème brûlée" in answer.body.decode("iso-8859-1")
    with pytest.raises(UnicodeDecodeError):
        answer.body.decode()


# --- the server ------------------------------------------------------------------------------------------------------


def test_a_connection_is_kept_alive_and_requests_may_be_sent_ahead(ask: Asker) -> None:
    with closing(HTTPConnection(ask.where)) as connection:
        ask_over(connection, "/json")
        first = connection.sock
        assert ask_over(connection, "/bytes/10").status == 200
        assert connection.sock is first
    one = "GET /bytes/3 HTTP/1.1\r\nHost: a\r\n\r\n"
    with ask.raw(one * 2 + one.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")) as sock:
        assert read_all(sock).count(b"HTTP/1.1 200 OK") == 3


@contextmanager
def files_at_least(count: int) -> Iterator[None]:
    """Lets this process open so many files, or skips the test."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= count:
        yield
        return
    if hard != resource.RLIM_INFINITY and hard < count:
        pytest.skip(f"only {hard} files may be open")
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_thousand_connections_are_served_and_kept_alive() -> None:
    request = b"GET /bytes/100 HTTP/1.1\r\nHost: a\r\n\r\n"
    expected = b"".join(blocks(100))
    with files_at_least(4096), PracticeServer() as server:
        where = urlsplit(server.url)
        socks = [socket.create_connection((where.hostname, where.port)) for _ in range(1000)]
        try:
            for _ in range(2):
                for sock in socks:
                    sock.sendall(request)
                for sock in socks:
                    assert read_until(sock, b"\r\n\r\n" + expected).startswith(b"HTTP/1.1 200 OK\r\n")
        finally:
            for sock in socks:
                sock.close()


def test_the_url_has_no_slash_at_its_end_and_the_port_that_was_found() -> None:
    with PracticeServer() as server:
        assert server.url == f"http://127.0.0.1:{urlsplit(server.url).port}"
        assert urlsplit(server.url).port != 0


def test_an_ipv6_address_is_bracketed_in_the_url() -> None:
    try:
        server = PracticeServer("::1")
    except OSError:
        pytest.skip("no IPv6 here")
    with server:
        assert server.url.startswith("http://[::1]:")


def test_a_port_in_use_raises_oserror_where_the_server_was_wanted_and_leaves_no_thread() -> None:
    before = threading.enumerate()
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        PracticeServer(port=taken.getsockname()[1])
    assert threading.enumerate() == before


def test_the_port_is_free_again_after_stop() -> None:
    with PracticeServer() as server:
        port = urlsplit(server.url).port
        assert port is not None
        Asker(server.url)("/json")
    with PracticeServer(port=port) as again:
        assert Asker(again.url)("/json").status == 200


def test_stop_may_be_called_twice() -> None:
    server = PracticeServer()
    server.stop()
    server.stop()


def test_stop_cuts_off_slow_idle_stalled_and_half_sent_requests_and_leaves_nothing() -> None:
    before = threading.enumerate()
    with PracticeServer() as server:
        ask = Asker(server.url)
        with (
            ask.raw("GET /delay/300 HTTP/1.1\r\nHost: a\r\n\r\n") as slow,
            ask.raw(f"GET /bytes/{2**30} HTTP/1.1\r\nHost: a\r\n\r\n") as stalled,
            ask.raw("GET /stream/2?interval=300 HTTP/1.1\r\nHost: a\r\n\r\n") as streaming,
            ask.raw("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf") as half,
            ask.raw("") as idle,
        ):
            read_until(streaming, b"}")
            stalled.recv(1)
            server.stop()
            for sock in (slow, half, idle):
                with suppress(ConnectionError):
                    assert read_all(sock) == b""
    gc.collect()  # a transport that was left open would say so now
    assert threading.enumerate() == before


@pytest.mark.parametrize("path", ["/stream/1000000", f"/bytes/{2**30}", "/delay/300"])
def test_a_client_that_leaves_in_the_middle_is_no_error_in_the_log(path: str, caplog: pytest.LogCaptureFixture) -> None:
    with PracticeServer() as server:
        ask = Asker(server.url)
        for read in (0, 1, 1_000_000):
            with ask.raw(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n") as sock:
                if read and not path.startswith("/delay"):
                    sock.recv(read)
                # Not a polite end, but a reset.
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            assert ask("/json").status == 200
    assert [record for record in caplog.records if record.name != "asyncio"] == []


def test_an_error_of_ours_while_serving_ends_the_thread_loudly(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: heard.append(args.exc_value))
    mistake = RuntimeError("ours")

    async def fail(_: object) -> None:
        raise mistake

    app = make_app()
    app.on_cleanup.append(fail)
    PracticeServer(app=app).stop()
    assert heard == [mistake]


def test_the_loop_is_the_one_that_was_asked_for() -> None:
    made: list[asyncio.AbstractEventLoop] = []

    def factory() -> asyncio.AbstractEventLoop:
        made.append(asyncio.new_event_loop())
        return made[0]

    with PracticeServer(loop_factory=factory) as server:
        assert made[0].is_running()
        assert Asker(server.url)("/json").status == 200
    assert made[0].is_closed()


def test_it_runs_on_uvloop_too() -> None:
    uvloop = pytest.importorskip("uvloop")
    with PracticeServer(loop_factory=uvloop.new_event_loop) as server:
        ask = Asker(server.url)
        assert len(ask(f"/bytes/{3 * BLOCK}").body) == 3 * BLOCK
        with ask.raw(f"GET /bytes/{2**30} HTTP/1.1\r\nHost: a\r\n\r\n") as stalled:
            stalled.recv(1)
            server.stop()


def test_in_development_mode_with_warnings_as_errors_it_says_nothing() -> None:
    script = """
        import gc, socket
        from urllib.request import urlopen
        from urllib.parse import urlsplit
        from fetchq.cli.practice.server import PracticeServer
        with PracticeServer() as server:
            where = urlsplit(server.url)
            with urlopen(server.url + "/gzip") as answer:
                answer.read()
            stalled = socket.create_connection((where.hostname, where.port))
            stalled.sendall(b"GET /bytes/1000000000 HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
            stalled.recv(1)
            slow = socket.create_connection((where.hostname, where.port))
            slow.sendall(b"GET /delay/300 HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
        stalled.close()
        slow.close()
        del server
        gc.collect()
        print("done")
    """
    ran = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", textwrap.dedent(script)],
        env=os.environ | {"PYTHONASYNCIODEBUG": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "done\n", "")


async def ask_here(url: str, path: str) -> bytes:
    where = urlsplit(url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
    try:
        return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()


async def test_serve_runs_until_it_is_cancelled_and_leaves_no_task() -> None:
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve("127.0.0.1", 0, ready=ready.set_result))
    url = await ready
    assert (await ask_here(url, "/json")).startswith(b"HTTP/1.1 200 OK")

    where = urlsplit(url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    writer.write(b"GET /stream/2?interval=300 HTTP/1.1\r\nHost: a\r\n\r\n")
    await reader.readuntil(b"}")
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert asyncio.all_tasks() == {asyncio.current_task()}

    assert b"line" not in await reader.read()
    writer.close()
    await writer.wait_closed()
    with pytest.raises(OSError, match=r"refused|failed"):
        await ask_here(url, "/json")


async def test_serve_raises_oserror_when_the_port_is_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        await serve("127.0.0.1", taken.getsockname()[1], ready=lambda url: pytest.fail(url))

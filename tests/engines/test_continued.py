"""Bodies that break off and are gone on with, against servers, in every mode. Which answers fit: test_partial."""

from __future__ import annotations

import asyncio
import gzip
import threading
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import pytest
from faults.wire import CHUNKED, LAST_CHUNK, Asked, Connection, chunk, head, length
from hypothesis import given
from hypothesis import strategies as st
from support.factories import examples
from support.leaks import nothing_left
from support.modes import each_engine, every_mode
from support.servers import Script, ScriptServer, by_path
from support.waiting import PATIENCE, ended

from fetchq import Cause, Request, Result, fetch_all, fetch_all_sync, fetch_iter
from fetchq.core.body_spool import Spool
from fetchq.core.model import Complete
from fetchq.http import range_resume
from fetchq.http.range_resume import MIN_RESUMED

BODY = Random(1).randbytes(2 * MIN_RESUMED)
NEW = Random(2).randbytes(2 * MIN_RESUMED)
CUT = MIN_RESUMED + 700_000
"""Where it breaks off; of what came last, a client that is told of the break may not have read all."""
ETAG = b'ETag: "v1"'
PARTIAL = b"HTTP/1.1 206 Partial Content"
Rest = Callable[[Connection, int], None]


def start_of(asked: Asked) -> int | None:
    """The first byte that is asked for; None: all."""
    text = asked.header("Range")
    return None if text is None else int(text.removeprefix("bytes=").removesuffix("-"))


def content_range(first: int, last: int, total: object) -> bytes:
    return f"Content-Range: bytes {first}-{last}/{total}".encode()


def rest(body: bytes = BODY, *lines: bytes, etag: bytes = ETAG) -> Rest:
    """The rest of `body`, as a server gives it that does all right."""

    def give(conn: Connection, start: int) -> None:
        data = body[start:]
        conn.send(head(length(len(data)), content_range(start, len(body) - 1, len(body)), etag, *lines, status=PARTIAL))
        conn.send(data)

    return give


def instead(*lines: bytes, body: bytes = b"", status: bytes = PARTIAL) -> Rest:
    """The same answer whatever was asked for."""

    def give(conn: Connection, _: int) -> None:
        conn.send(head(length(len(body)), *lines, status=status) + body)

    return give


def breaking(
    give: Rest,
    *lines: bytes,
    body: bytes = BODY,
    cut: int = CUT,
    etag: bytes = ETAG,
    chunked: bool = False,
    end: Callable[[Connection], None] = Connection.close,
    then: bytes | None = None,
) -> Script:
    """Breaks off at byte `cut` the first time. Asked for a part, it does `give`; for all of it again, it gives that.

    `end`: how it breaks off. `then`: what is there by the second time.
    """
    times: list[Asked] = []

    def play(conn: Connection, asked: Asked) -> None:
        if (start := start_of(asked)) is not None:
            give(conn, start)
        elif times:
            whole = body if then is None else then
            conn.send(head(length(len(whole)), *lines, b'ETag: "v2"' if then else etag) + whole)
        else:
            times.append(asked)
            if chunked:
                conn.send(head(CHUNKED, *lines, etag) + chunk(body[:cut]))
            else:
                conn.send(head(length(len(body)), *lines, etag) + body[:cut])
            end(conn)

    return play


@contextmanager
def serving(script: Script) -> Iterator[ScriptServer]:
    """A server; when it ends, nothing is left of it, and of the run that it was for."""
    with nothing_left(), ScriptServer(script) as server:
        yield server


def fetch(server: ScriptServer, mode: str, path: str = "/", **settings: Any) -> Result:
    (result,) = fetch_all_sync([server.url + path], mode=mode, workers=1, **({"retry_wait": 0} | settings))
    return result


def starts(server: ScriptServer) -> list[int | None]:
    return [start_of(asked) for asked in server.log]


def assert_whole(result: Result, body: bytes = BODY, attempts: int = 2) -> None:
    assert (result.ok, result.error, result.status, result.attempts) == (True, None, 200, attempts)
    assert result.body == body
    assert (result.sha256, result.size, result.complete) == (sha256(body).hexdigest(), len(body), Complete.YES)


# --- the rest is fetched, and no more ---


def test_a_long_body_that_breaks_off_is_gone_on_with(mode: str) -> None:
    with serving(breaking(rest(BODY, b"X-From: part"), b"X-From: whole")) as server:
        result = fetch(server, mode)
    assert_whole(result)
    assert result.wire_size == len(BODY)
    assert (result.reason, result.headers["X-From"]) == ("OK", "whole")
    first, second = server.log
    assert (first.header("Range"), first.header("If-Range")) == (None, None)
    assert second.header("If-Range") == '"v1"'
    assert MIN_RESUMED < (start_of(second) or 0) <= CUT
    assert sum(server.sent.values()) < 2 * len(BODY)


@each_engine
@examples(25)
@given(
    cut=st.integers(1, 19_999),
    chunked=st.booleans(),
    end=st.sampled_from([Connection.close, Connection.reset]),
    coded=st.booleans(),
)
def test_wherever_and_however_it_breaks_off_the_body_is_right(
    mode: str, cut: int, chunked: bool, end: Callable[[Connection], None], coded: bool
) -> None:
    plain = BODY[:20_000]
    body = gzip.compress(plain, 0) if coded else plain
    lines = [b"Content-Encoding: gzip"] if coded else []
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(range_resume, "MIN_RESUMED", 0)
        with serving(breaking(rest(body, *lines), *lines, body=body, cut=cut, chunked=chunked, end=end)) as server:
            result = fetch(server, mode)
    assert_whole(result, plain)
    assert result.wire_size == len(body)
    assert (starts(server)[1] or 0) <= cut


def test_it_is_gone_on_with_as_often_as_it_breaks_off(mode: str) -> None:
    """Each time with more of it, whether the connection breaks or the server gives only a part."""
    step = 300_000

    def give(conn: Connection, start: int) -> None:
        data = BODY[start : start + step]
        last = start + len(data) - 1
        told = last if len(server.log) % 2 else len(BODY) - 1
        conn.send(head(length(told - start + 1), content_range(start, told, len(BODY)), ETAG, status=PARTIAL) + data)
        if told != last:
            conn.close()

    with serving(breaking(give, cut=MIN_RESUMED + 400_000)) as server:
        result = fetch(server, mode, retries=10)
    assert_whole(result, attempts=len(server.log))
    asked = [start for start in starts(server) if start is not None]
    assert asked == sorted(set(asked))
    assert 2 <= len(asked) <= 6


def test_a_server_that_falls_silent_is_gone_on_from_too(mode: str) -> None:
    with serving(breaking(rest(), end=Connection.hang)) as server:
        result = fetch(server, mode, read_timeout=0.5)
    assert_whole(result)
    assert starts(server) == [None, CUT]


def test_a_coded_body_is_decoded_across_the_break(mode: str) -> None:
    plain = BODY + bytes(3 * MIN_RESUMED)
    wire = gzip.compress(plain, 1)
    coding = b"Content-Encoding: gzip"
    with serving(breaking(rest(wire, coding), coding, body=wire)) as server:
        result = fetch(server, mode)
    assert_whole(result, plain)
    assert (result.wire_size, result.content_encoding) == (len(wire), "gzip")
    assert (starts(server)[1] or 0) > MIN_RESUMED


def test_a_body_without_a_length_gets_it_from_the_content_range(mode: str) -> None:
    with serving(breaking(rest(), chunked=True)) as server:
        assert_whole(fetch(server, mode))
    assert (starts(server)[1] or 0) > MIN_RESUMED


def test_the_rest_may_come_in_chunks(mode: str) -> None:
    def give(conn: Connection, start: int) -> None:
        conn.send(head(CHUNKED, content_range(start, len(BODY) - 1, len(BODY)), ETAG, status=PARTIAL))
        conn.send_chunks([BODY[start:-5], BODY[-5:]])

    with serving(breaking(give)) as server:
        assert_whole(fetch(server, mode))


def test_more_chunks_than_the_content_range_says_are_not_http(mode: str) -> None:
    def give(conn: Connection, start: int) -> None:
        conn.send(head(CHUNKED, content_range(start, len(BODY) - 1, len(BODY)), ETAG, status=PARTIAL))
        conn.send(chunk(BODY[start:]) + chunk(b"more") + LAST_CHUNK)

    with serving(breaking(give)) as server:
        result = fetch(server, mode)
    assert (result.cause, result.status, result.attempts, result.body) == (Cause.PROTOCOL, None, 2, b"")


def test_the_rest_may_end_with_the_connection_since_its_length_is_told(mode: str) -> None:
    def give(conn: Connection, start: int) -> None:
        conn.send(head(content_range(start, len(BODY) - 1, len(BODY)), ETAG, status=PARTIAL) + BODY[start:])
        conn.close()

    with serving(breaking(give)) as server:
        assert_whole(fetch(server, mode))


def test_a_server_that_is_busy_in_between_costs_only_the_attempt(mode: str) -> None:
    def give(conn: Connection, start: int) -> None:
        if len(server.log) == 2:
            busy = b"HTTP/1.1 503 Service Unavailable"
            conn.send(head(length(4), b"Retry-After: 0", status=busy) + b"busy")
        else:
            rest()(conn, start)

    with serving(breaking(give)) as server:
        assert_whole(fetch(server, mode), attempts=3)
    assert starts(server)[1] == starts(server)[2] is not None


def test_a_connection_that_breaks_in_between_costs_only_the_attempt(mode: str) -> None:
    def give(conn: Connection, start: int) -> None:
        if len(server.log) == 2:
            conn.close()
        else:
            rest()(conn, start)

    with serving(breaking(give)) as server:
        assert_whole(fetch(server, mode), attempts=3)
    assert starts(server)[1] == starts(server)[2] is not None


# --- never two versions in one body ---


def test_a_file_that_has_changed_comes_whole_and_alone(mode: str) -> None:
    changed = instead(b'ETag: "v2"', body=NEW, status=b"HTTP/1.1 200 OK")
    with serving(breaking(changed)) as server:
        result = fetch(server, mode)
    assert_whole(result, NEW)
    assert result.headers["ETag"] == '"v2"'


@pytest.mark.parametrize(
    "give",
    [
        rest(NEW, etag=b'ETag: "v2"'),
        rest(NEW, etag=b'ETag: W/"v1"'),
        rest(NEW, etag=b"X: y"),
        rest(NEW + b"more"),
        rest(NEW[:-1]),
        rest(NEW, b"Content-Encoding: gzip"),
        instead(content_range(0, len(NEW) - 1, len(NEW)), ETAG, body=NEW),
        instead(content_range(5, len(NEW) - 1, len(NEW)), ETAG, body=NEW[5:]),
        instead(b"Content-Range: bytes */5", body=b"no", status=b"HTTP/1.1 416 Range Not Satisfiable"),
    ],
    ids=["etag", "weak", "no etag", "longer", "shorter", "coding", "from 0", "from 5", "416"],
)
def test_what_is_not_the_rest_is_thrown_away_and_the_body_fetched_anew(mode: str, give: Rest) -> None:
    with serving(breaking(give, then=NEW)) as server:
        result = fetch(server, mode)
    assert_whole(result, NEW, attempts=3)
    asked = starts(server)
    assert (asked[0], asked[2], (asked[1] or 0) > MIN_RESUMED) == (None, None, True)


@pytest.mark.parametrize(
    "give",
    [
        instead(ETAG, body=NEW),
        instead(b"Content-Range: bytes 1-2", ETAG, body=NEW),
        instead(content_range(9, 8, len(NEW)), ETAG, body=NEW),
        instead(content_range(0, len(NEW), len(NEW)), ETAG, body=NEW),
        instead(content_range(0, 5, len(NEW)), ETAG, body=NEW),
        instead(content_range(0, len(NEW) - 1, len(NEW)), content_range(0, 1, 2), ETAG, body=NEW),
        instead(b"Content-Type: multipart/byteranges; boundary=b", ETAG, body=NEW),
    ],
    ids=["none", "no total", "backwards", "beyond", "not its length", "two", "multipart"],
)
def test_a_206_that_is_not_valid_ends_it(mode: str, give: Rest) -> None:
    with serving(breaking(give)) as server:
        result = fetch(server, mode)
    assert (result.cause, result.status, result.attempts) == (Cause.PROTOCOL, None, 2)
    assert (result.body, result.size, result.sha256) == (b"", 0, None)


def test_an_answer_that_does_not_fit_is_no_failed_try_the_first_time(mode: str) -> None:
    """So that the body begins anew even at the last attempt; a body that changes each time still comes to an end."""

    def play(conn: Connection, asked: Asked) -> None:
        start, etag = start_of(asked), b'ETag: "%d"' % len(server.log)
        if start is None:
            conn.send(head(length(len(BODY)), etag) + BODY[:CUT])
            conn.close()
        else:
            rest(etag=etag)(conn, start)

    with serving(breaking(rest(NEW, etag=b'ETag: "v2"'))) as server:
        assert_whole(fetch(server, mode, retries=1), attempts=3)
    with serving(play) as server:
        result = fetch(server, mode, retries=1)
    assert (result.cause, result.complete, result.body, result.sha256) == (Cause.INCOMPLETE, Complete.NO, b"", None)
    assert result.attempts == len(server.log) == 4


# --- what is fetched anew, as ever ---


@pytest.mark.parametrize(
    ("how", "lines", "settings"),
    [
        ({"etag": b'ETag: W/"v1"'}, [], {}),
        ({"etag": b"Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT"}, [], {}),
        ({}, [b"Accept-Ranges: none"], {}),
        ({"cut": 1000}, [], {}),
        ({"cut": MIN_RESUMED}, [], {}),
        ({}, [], {"headers": ["If-Range: x"]}),
    ],
    ids=["weak", "no etag", "no ranges", "short", "a mebibyte", "the user's If-Range"],
)
def test_what_cannot_be_gone_on_with_is_fetched_anew(
    mode: str, how: dict[str, Any], lines: list[bytes], settings: dict[str, Any]
) -> None:
    with serving(breaking(rest(NEW), *lines, **how)) as server:
        assert_whole(fetch(server, mode, **settings))
    assert starts(server) == [None, None]


def test_a_range_that_the_user_asks_for_is_asked_for_again(mode: str) -> None:
    part = head(length(len(BODY) - 5), content_range(5, len(BODY) - 1, len(BODY)), ETAG, status=PARTIAL)

    def play(conn: Connection, asked: Asked) -> None:
        conn.send(part + BODY[5 : None if len(server.log) > 1 else CUT])
        if len(server.log) == 1:
            conn.close()

    with serving(play) as server:
        result = fetch(server, mode, headers=["Range: bytes=5-"])
    assert (result.status, result.body, result.attempts) == (206, BODY[5:], 2)
    assert [asked.header("If-Range") for asked in server.log] == [None, None]


# --- redirects ---


def to(path: bytes) -> Script:
    return lambda conn, _: conn.send(head(length(0), b"Location: " + path, status=b"HTTP/1.1 302 Found"))


def test_only_the_last_of_several_urls_is_asked_for_the_rest(mode: str) -> None:
    with serving(by_path({"/a": to(b"/b"), "/b": breaking(rest())})) as server:
        result = fetch(server, mode, "/a")
    assert_whole(result)
    assert (result.redirects, server.seen) == (1, ["/a", "/b", "/a", "/b"])
    assert starts(server)[:3] == [None, None, None]
    assert (starts(server)[3] or 0) > MIN_RESUMED


def test_a_redirect_that_leads_elsewhere_by_then_gets_a_body_of_its_own(mode: str) -> None:
    def moved(conn: Connection, asked: Asked) -> None:
        to(b"/b" if server.seen.count("/a") == 1 else b"/c")(conn, asked)

    def other(conn: Connection, _: Asked) -> None:
        conn.send(head(length(len(NEW)), ETAG) + NEW)

    with serving(by_path({"/a": moved, "/b": breaking(rest()), "/c": other})) as server:
        result = fetch(server, mode, "/a")
    assert_whole(result, NEW)
    assert (server.seen, starts(server)) == (["/a", "/b", "/a", "/c"], [None] * 4)


# --- limits and leftovers ---


def test_the_limit_of_size_holds_across_the_break(mode: str) -> None:
    with serving(breaking(rest(), chunked=True)) as server:
        result = fetch(server, mode, max_filesize=len(BODY) - 1)
    assert (result.cause, result.attempts, result.body) == (Cause.TOO_LARGE, 2, b"")


@pytest.mark.parametrize("save", ["files", "none"])
def test_the_file_that_is_stored_has_the_right_bytes(mode: str, save: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with serving(breaking(rest())) as server:
        result = fetch(server, mode, output=str(folder), save=save, keep_body=False)
    assert (result.ok, result.attempts, result.sha256) == (True, 2, sha256(BODY).hexdigest())
    if save == "files":
        assert result.path is not None
        assert (folder / result.path).read_bytes() == BODY
    assert list((folder / "tmp").iterdir()) == []


def test_the_stored_file_is_of_one_version(mode: str, tmp_path: Path) -> None:
    with serving(breaking(rest(NEW, etag=b'ETag: "v2"'), then=NEW)) as server:
        result = fetch(server, mode, output=str(tmp_path / "run"), keep_body=False)
    assert result.path is not None
    assert (tmp_path / "run" / result.path).read_bytes() == NEW


def test_a_body_whose_write_outlives_its_attempt_is_begun_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread may still be at work on its file: what was added to it now could be lost."""
    write = Spool.write
    again = threading.Event()
    hold: list[bool] = []

    def late(spool: Spool) -> None:
        if spool.size > MIN_RESUMED and not hold:
            hold.append(False)  # before the second attempt may write
            hold[0] = again.wait(PATIENCE)
        write(spool)

    def play(conn: Connection, _: Asked) -> None:
        if len(server.log) > 1:
            again.set()
        conn.send(head(length(len(BODY)), ETAG) + BODY)

    monkeypatch.setattr(Spool, "write", late)
    with serving(play) as server:
        result = fetch(server, "async", timeout=0.5, output=str(tmp_path / "run"), keep_body=False)
    assert (result.ok, result.sha256, result.attempts) == (True, sha256(BODY).hexdigest(), 2)
    assert (starts(server), hold) == ([None, None], [True])
    assert result.path is not None
    assert (tmp_path / "run" / result.path).read_bytes() == BODY


def in_temporary(folder: Path) -> list[int]:
    return [one.stat().st_size for one in (folder / "tmp").iterdir()]


def kept(folder: Path) -> list[int]:
    """The sizes of the parts that a later session may go on with."""
    return [one.stat().st_size for one in (folder / "parts").glob("*[!n]")]


def test_only_a_part_is_left_of_a_body_that_never_comes_whole(mode: str, tmp_path: Path) -> None:
    def give(conn: Connection, start: int) -> None:
        part = BODY[start : start + 100_000]
        conn.send(head(length(len(BODY) - start), content_range(start, len(BODY) - 1, len(BODY)), ETAG, status=PARTIAL))
        conn.send(part)
        conn.close()

    seen: list[list[int]] = []
    folder = tmp_path / "run"
    bad, good = Request("/bad"), Request("/good")

    def on_start(request: Request, _: int) -> None:
        seen.append(kept(folder))

    with serving(by_path({"/bad": breaking(give)})) as server:
        urls = [server.url + one.url for one in (bad, good)]
        results = fetch_all_sync(
            urls, mode=mode, workers=1, retry_wait=0, retries=1, output=str(folder), on_start=on_start
        )
    assert [result.cause for result in results] == [Cause.INCOMPLETE, None]
    assert results[0].wire_size > MIN_RESUMED
    assert any(sizes and sizes[0] > MIN_RESUMED for sizes in seen)  # between the attempts
    assert (in_temporary(folder), len(kept(folder))) == ([], 1)


@pytest.mark.usefixtures("no_jitter")
@every_mode
async def test_only_a_part_is_left_of_a_body_whose_run_ends_before_its_retry(mode: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    seen: list[list[int]] = []

    def on_start(request: Request, _: int) -> None:
        seen.append(kept(folder))

    with ScriptServer(by_path({"/bad": breaking(rest())})) as server:
        urls = [server.url + "/bad", server.url + "/good"]
        results = fetch_iter(urls, mode=mode, workers=1, retry_wait=1e6, output=str(folder), on_start=on_start)
        async with aclosing(results):
            async for result in results:
                assert (result.index, result.ok) == (1, True)
                break
    assert [sizes > [MIN_RESUMED] for sizes in seen] == [False, True]
    assert (in_temporary(folder), len(kept(folder))) == ([], 1)


async def test_only_a_part_is_left_of_a_body_whose_run_is_cancelled_while_it_is_gone_on_with(
    mode: str, tmp_path: Path
) -> None:
    def give(conn: Connection, start: int) -> None:
        conn.send(head(length(len(BODY) - start), content_range(start, len(BODY) - 1, len(BODY)), ETAG, status=PARTIAL))
        conn.hang()

    folder = tmp_path / "run"
    with ScriptServer(breaking(give)) as server:
        run = asyncio.create_task(fetch_all([server.url], mode=mode, retry_wait=0, output=str(folder)))
        await server.got(2)
        run.cancel()
        assert await ended(run)
    assert (in_temporary(folder), len(kept(folder))) == ([], 1)


def test_many_bodies_that_break_off_at_once_all_come_right() -> None:
    """Each in its own part of the run: nothing is shared between them."""
    bodies = {f"/{n}": Random(n).randbytes(MIN_RESUMED + 300_000) for n in range(8)}
    scripts = {path: breaking(rest(body), body=body, cut=MIN_RESUMED + 250_000) for path, body in bodies.items()}
    with serving(by_path(scripts)) as server:
        urls = [server.url + path for path in bodies]
        results = fetch_all_sync(urls, mode="threads", workers=4, retry_wait=0.05, timeout=PATIENCE)
    for result, body in zip(results, bodies.values(), strict=True):
        assert_whole(result, body)

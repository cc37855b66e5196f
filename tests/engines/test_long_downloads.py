"""Downloads that take long: they break off often, run out of time, or come by a redirect that is signed anew."""

from __future__ import annotations

import gzip
from itertools import count
from random import Random

import pytest
from faults.wire import CHUNKED, LAST_CHUNK, Asked, Connection, chunk, head, length
from support.modes import each_engine
from support.servers import Script
from test_continued import PARTIAL, assert_whole, content_range, fetch, serving, start_of, starts

from fetchq import Cause
from fetchq.http.headway import MIN_HEADWAY
from fetchq.http.range_resume import MIN_RESUMED

MB = 1_000_000
BODY = Random(3).randbytes(2 * MIN_RESUMED)
OTHER = Random(4).randbytes(2 * MIN_RESUMED)
ETAG = b'ETag: "v1"'
CHANGED = b"Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT"
FOUND = b"HTTP/1.1 302 Found"


def long_download(size: int, step: int, *lines: bytes, body: bytes | None = None) -> Script:
    """Gives a body, or the rest of it, and breaks off after each `step` bytes. `lines`: the validators."""
    whole = Random(5).randbytes(size) if body is None else body

    def play(conn: Connection, asked: Asked) -> None:
        start = start_of(asked) or 0
        ranged = [content_range(start, size - 1, size)] if start else []
        conn.send(head(length(size - start), *lines, *ranged, status=PARTIAL if start else b"HTTP/1.1 200 OK"))
        conn.send(whole[start : start + step])
        conn.close()

    return play


# --- headway is no failed try ---


def test_twenty_megabytes_arrive_from_a_server_that_breaks_off_after_each_three(mode: str) -> None:
    body = Random(6).randbytes(20 * MB)
    with serving(long_download(len(body), 3 * MB, ETAG, body=body)) as server:
        result = fetch(server, mode, retry_wait=0.01)
    assert_whole(result, body, attempts=7)
    assert sum(server.sent.values()) <= 22 * MB


def test_little_headway_is_a_failed_try(mode: str) -> None:
    """A server that gives a byte for each connection does not keep a row for ever."""
    body = BODY

    def play(conn: Connection, asked: Asked) -> None:
        step = MIN_RESUMED + 5 if start_of(asked) is None else MIN_HEADWAY - 1
        long_download(len(body), step, ETAG, body=body)(conn, asked)

    with serving(play) as server:
        result = fetch(server, mode)
    assert (result.cause, result.attempts) == (Cause.INCOMPLETE, 4)
    assert starts(server)[1:] == [MIN_RESUMED + 5 + n * (MIN_HEADWAY - 1) for n in range(3)]


def test_a_body_that_begins_again_each_time_is_no_headway(mode: str) -> None:
    def play(conn: Connection, _: Asked) -> None:
        conn.send(head(length(len(BODY)), ETAG) + BODY[: MIN_RESUMED + 9])
        conn.close()

    with serving(play) as server:
        result = fetch(server, mode)
    assert (result.cause, result.attempts, len(server.log)) == (Cause.INCOMPLETE, 4, 4)


def test_without_retries_headway_is_not_continued(mode: str) -> None:
    with serving(long_download(len(BODY), MIN_RESUMED + 9, ETAG)) as server:
        result = fetch(server, mode, retries=0)
    assert (result.cause, result.attempts) == (Cause.INCOMPLETE, 1)


# --- an attempt that runs out of time ---


def dripping(*lines: bytes, size: int = 8 * MB) -> Script:
    """Gives a body, or the rest of it, at a pace that no attempt can wait for."""

    def play(conn: Connection, asked: Asked) -> None:
        start = start_of(asked) or 0
        ranged = [content_range(start, size - 1, size)] if start else []
        conn.send(head(length(size - start), *lines, *ranged, status=PARTIAL if start else b"HTTP/1.1 200 OK"))
        while start < size:
            conn.send(bytes(min(size - start, MIN_HEADWAY)))
            start += MIN_HEADWAY
            conn.pause(0.02)

    return play


def test_what_ran_out_of_time_and_cannot_be_continued_is_not_begun_again(mode: str) -> None:
    with serving(dripping(size=80 * MB)) as server:
        result = fetch(server, mode, timeout=0.5)
    assert (result.cause, result.attempts, len(server.log)) == (Cause.TIMEOUT, 1, 1)
    assert result.error is not None
    assert result.error.startswith("--timeout 0.5 s ended it at ")
    assert " of 80 MB, at " in result.error
    assert result.error.endswith("B/s")


def test_what_ran_out_of_time_is_continued_where_it_can_be(mode: str) -> None:
    with serving(dripping(ETAG, size=8 * MB)) as server:
        result = fetch(server, mode, timeout=0.4, retry_wait=0.01, retries=20)
    asked = starts(server)
    assert_whole(result, bytes(8 * MB), attempts=len(asked))
    assert len(asked) >= 2
    assert all(start is not None and start > MIN_RESUMED for start in asked[1:])


def test_a_body_that_fell_silent_is_begun_again(mode: str) -> None:
    def play(conn: Connection, _: Asked) -> None:
        conn.send(head(length(len(BODY))) + BODY[:1000])
        if len(server.log) > 1:
            conn.send(BODY[1000:])
        else:
            conn.hang()

    with serving(play) as server:
        assert_whole(fetch(server, mode, timeout=0.6), BODY)


# --- a Last-Modified that is a strong validator ---


@pytest.mark.parametrize(
    "lines",
    [
        [CHANGED, b"Date: Thu, 01 Jan 2026 00:00:01 GMT"],
        [CHANGED, b"Date: Thu, 01 Jan 2026 00:01:00 GMT", b"Via: 1.1 gateway"],
        [CHANGED, b"Date: Fri, 02 Jan 2026 00:00:00 GMT", b'ETag: W/"v1"'],
    ],
    ids=["a second", "a minute through a gateway", "with a weak ETag"],
)
def test_a_body_is_continued_by_a_date_that_is_strong(mode: str, lines: list[bytes]) -> None:
    with serving(long_download(len(BODY), MIN_RESUMED + 9, *lines, body=BODY)) as server:
        result = fetch(server, mode)
    assert_whole(result, BODY)
    assert server.log[1].header("If-Range") == "Thu, 01 Jan 2026 00:00:00 GMT"


@each_engine
@pytest.mark.parametrize(
    "lines",
    [
        [CHANGED],
        [CHANGED, b"Date: Thu, 01 Jan 2026 00:00:00 GMT"],
        [CHANGED, b"Date: Thu, 01 Jan 2026 00:00:59 GMT", b"Age: 0"],
        [CHANGED, b"Date: yesterday"],
        [b"Last-Modified: long ago", b"Date: Fri, 02 Jan 2026 00:00:00 GMT"],
        [CHANGED, CHANGED, b"Date: Fri, 02 Jan 2026 00:00:00 GMT"],
    ],
    ids=["no Date", "the same second", "less than a minute in a cache", "no date", "not a date", "two"],
)
def test_a_date_that_is_weak_continues_nothing(mode: str, lines: list[bytes]) -> None:
    with serving(long_download(len(BODY), MIN_RESUMED + 9, *lines)) as server:
        assert fetch(server, mode, retries=1).cause is Cause.INCOMPLETE
    assert starts(server) == [None, None]


@each_engine
@pytest.mark.parametrize(
    "second", [b"Last-Modified: Fri, 02 Jan 2026 00:00:00 GMT", b"X: y", CHANGED + b'\r\nETag: "n"']
)
def test_a_part_with_another_date_is_not_the_rest(mode: str, second: bytes) -> None:
    date = b"Date: Fri, 02 Jan 2026 00:00:00 GMT"

    def play(conn: Connection, asked: Asked) -> None:
        if (start := start_of(asked)) is not None:
            ranged = content_range(start, len(OTHER) - 1, len(OTHER))
            conn.send(head(length(len(OTHER) - start), ranged, date, second, status=PARTIAL) + OTHER[start:])
        elif len(server.log) == 1:
            conn.send(head(length(len(BODY)), date, CHANGED) + BODY[: MIN_RESUMED + 9])
            conn.close()
        else:
            conn.send(head(length(len(OTHER)), date) + OTHER)

    with serving(play) as server:
        assert_whole(fetch(server, mode), OTHER, attempts=3)


# --- a redirect that is signed anew ---


def signed(download: Script, *, paths: bool = False) -> Script:
    """Redirects to another signature each time, in the query or (`paths`) in the path."""
    numbers = count(1)

    def play(conn: Connection, asked: Asked) -> None:
        if asked.path == "/get":
            n = next(numbers)
            where = b"/sig%d/object" % n if paths else b"/object?signature=%d" % n
            conn.send(head(length(0), b"Location: " + where, status=FOUND))
        else:
            download(conn, asked)

    return play


def test_a_redirect_that_is_signed_anew_each_time_is_continued(mode: str) -> None:
    with serving(signed(long_download(len(BODY), MIN_RESUMED + 9, ETAG, body=BODY))) as server:
        result = fetch(server, mode, "/get")
    assert_whole(result, BODY)
    assert server.seen == ["/get", "/object?signature=1", "/get", "/object?signature=2"]
    assert starts(server) == [None, None, None, MIN_RESUMED + 9]
    assert (result.final_url or "").endswith("signature=2")


@each_engine
@pytest.mark.parametrize("how", ["another path", "by date", "no length", "without a redirect"])
def test_another_url_is_not_asked_for_the_rest_unless_etag_and_length_tell_it(mode: str, how: str) -> None:
    validators = [CHANGED, b"Date: Fri, 02 Jan 2026 00:00:00 GMT"] if how == "by date" else [ETAG]

    def play(conn: Connection, asked: Asked) -> None:
        if how == "no length":
            conn.send(head(CHUNKED, ETAG) + chunk(BODY[: MIN_RESUMED + 9]))
            conn.close()
        else:
            long_download(len(BODY), MIN_RESUMED + 9, *validators)(conn, asked)

    path = "/object?q" if how == "without a redirect" else "/get"
    with serving(signed(play, paths=how == "another path")) as server:
        fetch(server, mode, path, retries=1)
    asked = starts(server)
    assert len(asked) >= 2
    assert any(asked) == (how == "without a redirect")


@each_engine
def test_a_part_of_another_length_behind_a_new_signature_is_not_the_rest(mode: str) -> None:
    def play(conn: Connection, asked: Asked) -> None:
        if (start := start_of(asked)) is not None:
            conn.send(head(length(5), content_range(start, start + 4, b"*".decode()), ETAG, status=PARTIAL) + b"other")
        elif sum(path != "/get" for path in server.seen) == 1:
            conn.send(head(length(len(BODY)), ETAG) + BODY[: MIN_RESUMED + 9])
            conn.close()
        else:
            conn.send(head(length(len(OTHER)), ETAG) + OTHER)

    with serving(signed(play)) as server:
        assert_whole(fetch(server, mode, "/get"), OTHER, attempts=3)


# --- never two codings in one body ---


def encoding_proxy(plain: bytes, *, first_coded: bool, told: bool, part_length: bool) -> Script:
    """Like Caddy 2.6 with `encode`: it encodes a part alone, with the ETag and the Content-Range of the plain file.

    `told`: whether the first answer tells its length. `part_length`: whether the part does.
    """
    times = count(1)
    coding = b"Content-Encoding: gzip"

    def play(conn: Connection, asked: Asked) -> None:
        if (start := start_of(asked)) is not None:
            part = gzip.compress(plain[start:], 0)
            framing = length(len(part)) if part_length else CHUNKED
            ranged = content_range(start, len(plain) - 1, len(plain))
            conn.send(head(framing, ETAG, coding, ranged, status=PARTIAL))
            conn.send(part if part_length else chunk(part) + LAST_CHUNK)
            return
        wire, lines = (gzip.compress(plain, 0), [coding]) if first_coded else (plain, [])
        broken = next(times) == 1
        given = wire[: MIN_RESUMED + 9] if broken else wire
        conn.send(head(length(len(wire)) if told else CHUNKED, ETAG, *lines))
        conn.send(given if told else chunk(given) + (b"" if broken else LAST_CHUNK))
        if broken:
            conn.close()

    return play


@pytest.mark.parametrize("told", [True, False], ids=["length", "chunked"])
@pytest.mark.parametrize("part_length", [True, False], ids=["part length", "part chunked"])
@pytest.mark.parametrize("first_coded", [True, False], ids=["coded", "plain"])
def test_a_part_that_was_encoded_alone_is_begun_anew_once_and_whole(
    mode: str, first_coded: bool, told: bool, part_length: bool
) -> None:
    script = encoding_proxy(BODY, first_coded=first_coded, told=told, part_length=part_length)
    with serving(script) as server:
        result = fetch(server, mode, retries=1)
    asked = starts(server)
    assert_whole(result, BODY, attempts=len(asked))
    assert (asked[0], asked[-1]) == (None, None)
    assert len(asked) == (2 if first_coded and not told else 3)


def test_a_server_whose_parts_do_not_fit_is_asked_for_no_more_of_them(mode: str) -> None:
    """Each answer breaks off: the row ends after its tries, none of which is spent on another part."""

    def play(conn: Connection, asked: Asked) -> None:
        if (start := start_of(asked)) is not None:
            coded = gzip.compress(BODY[start:], 0)
            ranged = content_range(start, len(BODY) - 1, len(BODY))
            conn.send(head(length(len(coded)), ETAG, b"Content-Encoding: gzip", ranged, status=PARTIAL) + coded)
        else:
            conn.send(head(length(len(BODY)), ETAG) + BODY[: MIN_RESUMED + 9])
            conn.close()

    with serving(play) as server:
        result = fetch(server, mode)
    assert (result.cause, result.body) == (Cause.INCOMPLETE, b"")
    assert starts(server) == [None, MIN_RESUMED + 9, None, None, None]


def test_a_joined_body_that_does_not_decode_is_begun_anew(mode: str) -> None:
    """The part has the coding and the length that were to come, but another content."""
    wire = gzip.compress(BODY, 0)
    coding = b"Content-Encoding: gzip"

    def play(conn: Connection, asked: Asked) -> None:
        if (start := start_of(asked)) is not None:
            ranged = content_range(start, len(wire) - 1, len(wire))
            conn.send(
                head(length(len(wire) - start), ETAG, coding, ranged, status=PARTIAL) + OTHER[: len(wire) - start]
            )
        else:
            broken = len(server.log) == 1
            conn.send(head(length(len(wire)), ETAG, coding) + wire[: MIN_RESUMED + 9 if broken else None])
            if broken:
                conn.close()

    with serving(play) as server:
        assert_whole(fetch(server, mode, retries=1), BODY, attempts=3)
    assert starts(server)[2] is None

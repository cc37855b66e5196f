"""What makes a response good or bad, told apart without a byte of I/O; the clock is the test's."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from itertools import accumulate
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.factories import ACTIVE, HOSTILE, URL, Clock, connect, examples, make_attempt, respond

from fetchq.core.model import Cause, Complete
from fetchq.core.settings import Settings
from fetchq.http import attempt as rules
from fetchq.http import attempt_clock, attempt_state, body_decoder
from fetchq.http.attempt import MAX_DRAINED, Attempt
from fetchq.http.body import NO_BODY
from fetchq.http.body_decoder import most_received
from fetchq.http.content_coding import RATIO_FROM
from fetchq.http.failure import AttemptFailed
from fetchq.http.phases import CONNECT, DECODE, DNS, LAG, RECEIVE, TLS, WAIT
from fetchq.http.redirects import REDIRECTS
from fetchq.http.response import NO_RESPONSE

LENGTH, CODING, ENCODING, LOCATION = "Content-Length", "Transfer-Encoding", "Content-Encoding", "Location"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    own = Clock()
    for module in (rules, attempt_clock, attempt_state):
        monkeypatch.setattr(module, "perf_counter", own)
    return own


def receive(attempt: Attempt, *pieces: bytes) -> None:
    for piece in pieces:
        attempt.on_data(piece)
    attempt.on_end()


def whole(body: bytes, headers: list[tuple[str, str]], **settings: Any) -> Attempt:
    """An attempt that was answered with `body` in one piece, and has ended well."""
    attempt = make_attempt(Settings(**settings))
    respond(attempt, 200, headers)
    receive(attempt, *([body] if body else []))
    attempt.finish(None)
    return attempt


def failure(call: Any, *args: Any, **kwargs: Any) -> AttemptFailed:
    with pytest.raises(AttemptFailed) as caught:
        call(*args, **kwargs)
    return caught.value


def sized(body: bytes) -> list[tuple[str, str]]:
    return [(LENGTH, str(len(body)))]


# --- a good answer ---


@pytest.mark.parametrize("pieces", [[], [b"hello"], [b"he", b"llo"], [bytes([one]) for one in b"hello"]])
def test_the_body_is_kept_counted_and_hashed(pieces: list[bytes]) -> None:
    body = b"".join(pieces)
    attempt = make_attempt()
    respond(attempt, 200, sized(body))
    receive(attempt, *pieces)
    attempt.finish(None)
    assert attempt.body.content == body
    assert (attempt.body.size, attempt.body.wire_size) == (len(body), len(body))
    assert attempt.body.digest == sha256(body).hexdigest()
    assert (attempt.cause, attempt.error, attempt.complete) == (None, None, Complete.YES)
    assert (attempt.status, attempt.response.reason, attempt.response.http_version) == (200, "OK", "1.1")


@pytest.mark.parametrize(
    ("coding", "encode"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("gzip, deflate", lambda data: zlib.compress(gzip.compress(data))),
    ],
)
def test_a_coded_body_is_decoded_and_both_sizes_are_told(coding: str, encode: Any) -> None:
    body = b"hello " * 1000
    wire = encode(body)
    attempt = whole(wire, [*sized(wire), (ENCODING, coding)])
    assert (attempt.body.content, attempt.body.size, attempt.body.wire_size) == (body, len(body), len(wire))
    assert attempt.body.digest == sha256(body).hexdigest()
    assert attempt.body.content_encoding == coding


def test_several_content_encodings_are_read_as_one_list() -> None:
    wire = zlib.compress(gzip.compress(b"x"))
    attempt = whole(wire, [(ENCODING, "gzip"), (ENCODING, "DEFLATE")])
    assert (attempt.body.content, attempt.body.content_encoding) == (b"x", "gzip, DEFLATE")


@pytest.mark.parametrize("coding", ["identity", "", ","])
def test_a_coding_that_changes_nothing_is_none(coding: str) -> None:
    assert whole(b"x", [(ENCODING, coding)]).body.content == b"x"


def test_the_body_is_not_kept_when_nobody_wants_it() -> None:
    attempt = whole(b"hello", sized(b"hello"), keep_body=False)
    assert (attempt.body.content, attempt.body.size, attempt.body.digest) == (b"", 5, sha256(b"hello").hexdigest())


@pytest.mark.parametrize(
    ("reason", "shown"),
    [("Not Found", "Not Found"), ("", ""), (None, None), ("a\x1b[31mb", "a\\u001b[31mb"), ("caf\udce9", "café")],
)
def test_the_reason_is_shown_but_does_not_act(reason: str | None, shown: str | None) -> None:
    attempt = make_attempt()
    respond(attempt, 200, reason=reason)
    assert attempt.response.reason == shown


# --- framing: RFC 9112, 6.3 ---


@pytest.mark.parametrize(
    ("headers", "version", "length", "framed"),
    [
        ([(LENGTH, "0")], (1, 1), 0, True),
        ([(LENGTH, "5")], (1, 1), 5, True),
        ([(LENGTH, "005")], (1, 0), 5, True),
        ([(LENGTH, "9" * 7)], (1, 1), 9_999_999, True),
        ([(CODING, "chunked")], (1, 1), None, True),
        ([(CODING, " Chunked\t")], (1, 1), None, True),
        ([], (1, 1), None, False),
        ([], (1, 0), None, False),
    ],
)
def test_the_length_of_the_body_is_read_from_the_head(
    headers: list[tuple[str, str]], version: tuple[int, int], length: int | None, framed: bool
) -> None:
    attempt = make_attempt()
    respond(attempt, 200, headers, version=version)
    assert (attempt.response.length, attempt.response.framed, attempt.complete) == (length, framed, Complete.NO)


@pytest.mark.parametrize("method", ["HEAD", "GET"])
@pytest.mark.parametrize("status", [200, 204, 304, 404])
@pytest.mark.parametrize("headers", [[], [(LENGTH, "5")], [(CODING, "chunked")]])
def test_no_body_follows_a_head_request_or_a_status_that_has_none(
    method: str, status: int, headers: list[tuple[str, str]]
) -> None:
    attempt = make_attempt(Settings(accept=frozenset({status})), method=method)
    respond(attempt, status, headers)
    if method == "HEAD" or status in (204, 304):
        assert (attempt.response.length, attempt.response.framed) == (0, True)
        attempt.on_end()
        assert attempt.complete is Complete.YES
        assert attempt.body.digest == sha256(b"").hexdigest()
    else:
        assert attempt.response.length != 0


WRONG_LENGTHS = ["", "-5", "+5", "5.0", "0x5", "5 5", "5, 5", "five", "5\udcff", "\u0665", "²", "1" * 19, "9" * 4000]


@pytest.mark.parametrize(
    "headers",
    [
        *[[(LENGTH, text)] for text in WRONG_LENGTHS],
        [(LENGTH, "5"), (LENGTH, "5")],
        [(LENGTH, "5"), ("content-length", "6")],
        [(LENGTH, "5"), (CODING, "chunked")],
        [(CODING, "chunked"), (CODING, "chunked")],
        [(CODING, "gzip, chunked")],
        [(CODING, "chunked, gzip")],
        [(CODING, "chunked, chunked")],
        [(CODING, "chunked;q=1")],
        [(CODING, "\x0bchunked")],
        [(CODING, "identity")],
        [(CODING, "")],
        [(CODING, "xchunked")],
    ],
)
@pytest.mark.parametrize(("method", "status"), [("GET", 200), ("HEAD", 200), ("GET", 204), ("GET", 302)])
def test_framing_that_can_be_read_in_two_ways_is_refused(
    headers: list[tuple[str, str]], method: str, status: int
) -> None:
    failed = failure(respond, make_attempt(method=method), status, [*headers, (LOCATION, "/")])
    assert failed.cause is Cause.PROTOCOL
    assert not failed.permanent


def test_a_transfer_coding_in_http_1_0_is_refused() -> None:
    assert failure(respond, make_attempt(), 200, [(CODING, "chunked")], version=(1, 0)).cause is Cause.PROTOCOL


@pytest.mark.parametrize("version", [(0, 9), (2, 0), (3, 0), (1, 2)])
def test_another_version_of_http_is_refused(version: tuple[int, int]) -> None:
    assert failure(respond, make_attempt(), 200, version=version).cause is Cause.PROTOCOL


@pytest.mark.parametrize("status", [0, 99, 100, 101, 199])
def test_an_interim_status_is_not_a_final_one(status: int) -> None:
    assert failure(respond, make_attempt(), status).cause is Cause.PROTOCOL


wire_text = st.binary(max_size=20).map(lambda raw: raw.decode("utf-8", "surrogateescape")) | st.sampled_from(
    ["chunked"]
)


@examples(200)
@given(st.lists(st.sampled_from(["0", "5", "05", "-1", "5,5", ""]), max_size=3), st.lists(wire_text, max_size=2))
def test_any_framing_is_one_length_or_refused(lengths: list[str], codings: list[str]) -> None:
    attempt = make_attempt()
    try:
        respond(attempt, 200, [(LENGTH, one) for one in lengths] + [(CODING, one) for one in codings])
    except AttemptFailed as failed:
        assert failed.cause is Cause.PROTOCOL  # noqa: PT017  # both ends are right
        assert lengths or codings
    else:
        assert not codings or (not lengths and codings[0].strip(" \t").lower() == "chunked")
        assert attempt.response.length == (int(lengths[0]) if lengths else None)
        assert len(lengths) < 2


# --- the end of the body ---


@pytest.mark.parametrize("received", [0, 4, 6])
def test_a_body_of_another_length_than_announced_is_incomplete(received: int) -> None:
    attempt = make_attempt()
    respond(attempt, 200, [(LENGTH, "5")])
    failed = failure(receive, attempt, *([b"x" * received] if received else []))
    assert (failed.cause, failed.message) == (Cause.INCOMPLETE, f"{received} bytes of 5")
    attempt.finish(failed)
    assert (attempt.complete, attempt.body.digest, attempt.body.content) == (Complete.NO, None, b"")


@pytest.mark.parametrize(
    ("headers", "complete"),
    [([(CODING, "chunked")], Complete.YES), ([], Complete.UNVERIFIED), ([(LENGTH, "1")], Complete.YES)],
)
def test_a_body_without_a_length_is_whole_but_cannot_be_verified(
    headers: list[tuple[str, str]], complete: Complete
) -> None:
    assert whole(b"x", headers).complete is complete


@pytest.mark.parametrize("framing", [[], [(CODING, "chunked")]])
def test_a_coded_body_that_ends_too_early_is_a_decode_failure(framing: list[tuple[str, str]]) -> None:
    attempt = make_attempt()
    respond(attempt, 200, [*framing, (ENCODING, "gzip")])
    assert failure(receive, attempt, gzip.compress(b"hello")[:-1]).cause is Cause.DECODE
    assert attempt.body.digest is None


def test_coded_data_that_is_damaged_is_a_decode_failure() -> None:
    attempt = make_attempt()
    respond(attempt, 200, [(ENCODING, "gzip")])
    assert failure(attempt.on_data, b"<html>plain</html>").cause is Cause.DECODE


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd", "deflate"])
def test_an_empty_body_needs_no_coding(coding: str) -> None:
    for framing in ([(LENGTH, "0")], [(CODING, "chunked")], []):
        assert whole(b"", [*framing, (ENCODING, coding)]).body.content == b""


def test_an_unknown_coding_is_refused_unless_it_is_accepted() -> None:
    headers = [*sized(b"????"), (ENCODING, "snappy\x1b")]
    failed = failure(respond, make_attempt(), 200, headers)
    assert (failed.cause, failed.message) == (Cause.DECODE, "an unknown content coding: snappy\\u001b")
    attempt = whole(b"????", headers, accept_encoded=True)
    assert (attempt.body.content, attempt.body.content_encoding) == (b"????", "snappy\\u001b")


def test_an_unknown_coding_of_no_body_harms_nobody() -> None:
    attempt = make_attempt(method="HEAD")
    respond(attempt, 200, [(LENGTH, "5"), (ENCODING, "snappy")])
    attempt.on_end()
    assert attempt.body.content_encoding == "snappy"


def test_a_heap_of_codings_is_refused() -> None:
    assert failure(respond, make_attempt(), 200, [(ENCODING, ", ".join(["gzip"] * 5))]).cause is Cause.DECODE


# --- the status ---


@pytest.mark.parametrize(
    ("accept", "status", "ok"), [("200..=299", 204, True), ("200..=299", 404, False), ("404", 404, True)]
)
def test_a_whole_answer_is_ok_when_its_status_is_accepted(accept: str, status: int, ok: bool) -> None:
    attempt = make_attempt(Settings(accept=accept))  # type: ignore[arg-type]
    respond(attempt, status, [(LENGTH, "0")], reason="So\nbe it")
    if ok:
        attempt.on_end()
    else:
        failed = failure(attempt.on_end)
        assert (failed.cause, failed.message) == (Cause.STATUS, "404 So be it")
    assert (attempt.complete, attempt.body.digest) == (Complete.YES, sha256(b"").hexdigest())


def test_the_body_of_a_status_that_is_not_accepted_is_there_all_the_same() -> None:
    attempt = make_attempt()
    respond(attempt, 500, [*sized(b"sorry")], reason=None)
    failed = failure(receive, attempt, b"sorry")
    attempt.finish(failed)
    assert (attempt.cause, attempt.error) == (Cause.STATUS, "500")
    assert (attempt.body.content, attempt.body.size, attempt.status) == (b"sorry", 5, 500)


# --- limits ---


def test_a_body_as_large_as_allowed_is_taken() -> None:
    assert whole(b"x" * 10, sized(b"x" * 10), max_filesize=10).body.size == 10


def test_a_body_that_announces_too_much_is_refused_before_it_comes() -> None:
    attempt = make_attempt(Settings(max_filesize=10))
    assert failure(respond, attempt, 200, [(LENGTH, "11")]).cause is Cause.TOO_LARGE


@pytest.mark.parametrize("framing", [[], [(CODING, "chunked")]])
def test_a_body_that_becomes_too_large_is_refused(framing: list[tuple[str, str]]) -> None:
    attempt = make_attempt(Settings(max_filesize=10))
    respond(attempt, 200, framing)
    attempt.on_data(b"x" * 10)
    assert failure(attempt.on_data, b"x").cause is Cause.TOO_LARGE


def test_the_limit_is_that_of_the_decoded_body() -> None:
    wire = gzip.compress(b"x" * 1000)
    attempt = make_attempt(Settings(max_filesize=999))
    respond(attempt, 200, [*sized(wire), (ENCODING, "gzip")])
    assert len(wire) < 999
    assert failure(attempt.on_data, wire).cause is Cause.TOO_LARGE


def test_a_coded_body_may_be_longer_on_the_wire_but_not_beyond_all_sense() -> None:
    settings = Settings(max_filesize=10)
    most = most_received(10)
    respond(make_attempt(settings), 200, [(LENGTH, f"{most}"), (ENCODING, "gzip")])
    longer = [(LENGTH, f"{most + 1}"), (ENCODING, "gzip")]
    assert failure(respond, make_attempt(settings), 200, longer).cause is Cause.TOO_LARGE


NOTHING = {
    "gzip name": ("gzip", b"\x1f\x8b\x08\x08" + bytes(6), b"n" * 1000),
    "gzip members": ("gzip", b"", gzip.compress(b"") * 50),
    "deflate blocks": ("deflate", b"\x78\x9c", b"\0\0\0\xff\xff" * 200),
    "zstd frames": ("zstd", b"", (b"\x50\x2a\x4d\x18" + (92).to_bytes(4, "little") + bytes(92)) * 10),
    "nested": ("deflate, gzip", b"\x1f\x8b\x08\x08" + bytes(6), b"n" * 1000),
}
"""Codings with bytes of which nothing is decoded, and which may go on for ever: how they begin, and go on."""


@pytest.mark.parametrize("name", NOTHING)
def test_what_is_received_is_bounded_though_nothing_is_decoded(name: str) -> None:
    coding, begin, more = NOTHING[name]
    attempt = make_attempt(Settings(max_filesize=10_000))
    respond(attempt, 200, [("Transfer-Encoding", "chunked"), (ENCODING, coding)])
    attempt.on_data(begin)

    def feed() -> None:
        for _ in range(1000):
            attempt.on_data(more)

    assert failure(feed).cause is Cause.TOO_LARGE
    assert attempt.body.wire_size <= most_received(10_000) + len(more)


def test_a_head_answer_may_announce_any_length() -> None:
    attempt = make_attempt(Settings(max_filesize=10), method="HEAD")
    respond(attempt, 200, [(LENGTH, "999999")])
    attempt.on_end()
    assert attempt.complete is Complete.YES


@pytest.mark.parametrize(("ratio", "refused"), [(2, True), (10**6, False)])
def test_a_body_that_unfolds_beyond_the_ratio_is_a_bomb(ratio: int, refused: bool) -> None:
    wire = gzip.compress(bytes(2 * RATIO_FROM))
    attempt = make_attempt(Settings(max_ratio=ratio))
    respond(attempt, 200, [*sized(wire), (ENCODING, "gzip")])
    if refused:
        assert failure(attempt.on_data, wire).cause is Cause.TOO_LARGE
        assert attempt.body.size <= RATIO_FROM + 65536
    else:
        receive(attempt, wire)
        attempt.finish(None)
        assert attempt.body.size == 2 * RATIO_FROM


def test_a_small_body_may_have_any_ratio() -> None:
    wire = gzip.compress(bytes(RATIO_FROM))
    assert whole(wire, [*sized(wire), (ENCODING, "gzip")], max_ratio=1).body.size == RATIO_FROM


# --- redirects ---


def redirected(attempt: Attempt, location: str = "/next", status: int = 302, body: bytes = b"moved") -> None:
    respond(attempt, status, [*sized(body), (LOCATION, location)])
    if body:
        attempt.on_data(body)
    attempt.on_end()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed_and_leaves_no_trace_of_its_body(status: int) -> None:
    settings = Settings()
    attempt = make_attempt(settings)
    redirected(attempt, status=status)
    assert attempt.redirecting
    attempt.follow_redirect()
    assert (str(attempt.hop.url), attempt.redirects, attempt.redirecting) == (URL + "next", 1, False)
    assert (attempt.status, attempt.response.reason, attempt.complete, len(attempt.headers)) == (None, None, None, 0)
    respond(attempt, 200, sized(b"here"))
    receive(attempt, b"here")
    attempt.finish(None)
    assert (attempt.body.content, attempt.body.size, attempt.body.wire_size) == (b"here", 4, 4)
    assert attempt.body.digest == sha256(b"here").hexdigest()


def test_the_method_of_the_result_is_the_one_that_was_asked_for() -> None:
    settings = Settings()
    attempt = make_attempt(settings, method="POST", body=b"x")
    redirected(attempt, status=303)
    attempt.follow_redirect()
    assert (attempt.method, attempt.hop.method) == ("POST", "GET")


@pytest.mark.parametrize("most", [1, 3])
def test_there_are_no_more_redirects_than_allowed(most: int) -> None:
    settings = Settings(max_redirects=most)
    attempt = make_attempt(settings)
    for _ in range(most):
        redirected(attempt)
        attempt.follow_redirect()
    redirected(attempt)
    failed = failure(attempt.follow_redirect)
    assert (failed.cause, failed.message) == (Cause.REDIRECT, f"more than {most} redirects")
    attempt.finish(failed)
    assert (attempt.redirects, attempt.status) == (most, 302)


def test_a_redirect_that_is_not_followed_is_an_answer_like_any_other() -> None:
    attempt = make_attempt(Settings(max_redirects=0, accept=frozenset({302})))
    redirected(attempt, body=b"moved")
    assert (attempt.redirecting, attempt.body.content) == (False, b"moved")
    attempt = make_attempt(Settings(max_redirects=0))
    assert failure(redirected, attempt).cause is Cause.STATUS


@pytest.mark.parametrize("status", [300, 304, 305, 306, 399])
def test_a_status_that_only_looks_like_a_redirect_is_not_followed(status: int) -> None:
    attempt = make_attempt(Settings(accept=frozenset({status})))
    respond(attempt, status, [(LENGTH, "0"), (LOCATION, "/")])
    attempt.on_end()
    assert not attempt.redirecting


@pytest.mark.parametrize("status", sorted(REDIRECTS))
def test_a_redirect_without_a_location_is_final(status: int) -> None:
    attempt = make_attempt(Settings(accept=frozenset({status})))
    assert respond(attempt, status, [(LENGTH, "5")])
    attempt.on_data(b"moved")
    attempt.on_end()
    attempt.finish(None)
    assert (attempt.redirecting, attempt.status, attempt.body.content) == (False, status, b"moved")


@pytest.mark.parametrize(
    ("location", "cause"),
    [("http://[", Cause.REDIRECT), ("http://", Cause.REDIRECT), ("file:///etc/passwd", Cause.BLOCKED)],
)
def test_a_redirect_that_leads_nowhere_fails(location: str, cause: Cause) -> None:
    settings = Settings()
    attempt = make_attempt(settings)
    redirected(attempt, location)
    assert failure(attempt.follow_redirect).cause is cause


@pytest.mark.parametrize(
    ("headers", "read"),
    [
        ([(LENGTH, "0")], True),
        ([(LENGTH, str(MAX_DRAINED))], True),
        ([(LENGTH, str(MAX_DRAINED + 1))], False),
        ([(CODING, "chunked")], True),
        ([], False),
    ],
)
def test_the_body_of_a_redirect_is_read_where_that_is_cheaper_than_a_connection(
    headers: list[tuple[str, str]], read: bool
) -> None:
    attempt = make_attempt()
    assert respond(attempt, 302, [*headers, (LOCATION, "/")]) is read


def test_the_body_of_a_redirect_is_not_read_for_ever() -> None:
    attempt = make_attempt()
    respond(attempt, 302, [(CODING, "chunked"), (LOCATION, "/")])
    attempt.on_data(b"x" * MAX_DRAINED)
    assert failure(attempt.on_data, b"x").cause is Cause.TOO_LARGE


def test_the_body_of_a_redirect_may_be_in_any_coding() -> None:
    attempt = make_attempt()
    respond(attempt, 302, [(LENGTH, "4"), (ENCODING, "snappy"), (LOCATION, "/")])
    receive(attempt, b"????")
    assert attempt.redirecting


def test_the_body_of_a_redirect_must_be_whole_too() -> None:
    attempt = make_attempt()
    respond(attempt, 302, [(LENGTH, "5"), (LOCATION, "/")])
    assert failure(receive, attempt, b"mo").cause is Cause.INCOMPLETE


# --- the clock ---


def test_each_phase_gets_the_time_since_the_last_lap(clock: Clock) -> None:
    attempt = make_attempt()
    for phase, seconds in ((CONNECT, 1.0), (DNS, 2.0), (CONNECT, 4.0), (TLS, 8.0), (WAIT, 16.0)):
        clock.now += seconds
        assert attempt.lap(phase) == clock.now
    assert attempt.phases == [2.0, 5.0, 8.0, 16.0, 0.0, 0.0, 0.0, 0.0]


def test_a_first_byte_in_the_past_ends_the_wait_then_and_one_before_the_last_lap_counts_nothing(clock: Clock) -> None:
    attempt = make_attempt()
    clock.now += 10.0
    attempt.first_byte(clock.now - 4.0)
    attempt.first_byte(clock.now - 5.0)
    attempt.lap(RECEIVE)
    assert (attempt.phases[WAIT], attempt.phases[RECEIVE]) == (6.0, 4.0)


def test_what_is_noticed_late_is_lag_from_its_arrival_on(clock: Clock) -> None:
    attempt = make_attempt()
    clock.now += 10.0
    attempt.laps((DNS, clock.now - 7.0), (CONNECT, clock.now - 4.0))
    assert (attempt.phases[DNS], attempt.phases[CONNECT], attempt.phases[LAG]) == (3.0, 3.0, 4.0)


def test_the_end_of_a_phase_is_neither_before_its_beginning_nor_in_the_future(clock: Clock) -> None:
    attempt = make_attempt()
    clock.now += 10.0
    attempt.laps((DNS, inf), (CONNECT, 0.0), (TLS, inf))
    assert (attempt.phases[DNS], sum(attempt.phases)) == (10.0, 10.0)


@pytest.mark.parametrize(
    ("last", "receive", "lag"), [(inf, 8.0, 0.0), (3.0, 3.0, 5.0), (-1.0, 0.0, 8.0)], ids=["on", "amid", "before"]
)
def test_the_body_is_received_until_its_last_byte_arrived(
    clock: Clock, last: float, receive: float, lag: float
) -> None:
    attempt = make_attempt()
    respond(attempt, 200, sized(b"xy"))
    attempt.last_byte_at = clock.now + last
    clock.now += 5.0
    attempt.on_data(b"x")
    clock.now += 3.0
    attempt.on_data(b"y")
    attempt.on_end()
    attempt.finish(None)
    assert (attempt.phases[RECEIVE], attempt.phases[LAG]) == (receive, lag)


def test_a_last_byte_that_is_noticed_after_a_lap_turns_that_into_lag(clock: Clock) -> None:
    attempt = make_attempt()
    respond(attempt, 200, sized(b"xy"))
    clock.now += 5.0
    attempt.on_data(b"x")
    attempt.shorten_receive(clock.now - 3.0)
    assert (attempt.phases[RECEIVE], attempt.phases[LAG]) == (2.0, 3.0)
    attempt.shorten_receive(clock.now - 30.0)
    assert (attempt.phases[RECEIVE], attempt.phases[LAG]) == (0.0, 5.0)


def ticking(steps: list[float]) -> Iterator[float]:
    """A clock that moves at every look, by these steps again and again."""
    while True:
        yield from steps


@pytest.mark.parametrize("end", ["well", "cut", "damaged", "too large", "redirect too large"])
@examples(60)
@given(
    steps=st.lists(st.sampled_from([0.0, 0.25, 0.5, 3.0]), min_size=1, max_size=8),
    size=st.integers(0, 3000),
    hops=st.integers(0, 2),
    arrivals=st.lists(st.sampled_from([-9.0, -0.5, 0.0, 2.0, inf]), min_size=5, max_size=5),
)
def test_the_phases_add_up_to_the_whole_time(
    end: str, steps: list[float], size: int, hops: int, arrivals: list[float]
) -> None:
    """`arrivals`: when something arrived, in seconds after the last lap."""
    looks = accumulate(ticking(steps))
    last = 0.0

    def look() -> float:
        nonlocal last
        last = next(looks)
        return last

    settings = Settings(min_speed=0, max_filesize=1000 if end == "too large" else 10_000)
    wire = gzip.compress(bytes(size))
    failed: AttemptFailed | None = None
    with pytest.MonkeyPatch.context() as patch:
        for module in (rules, attempt_clock, attempt_state):
            patch.setattr(module, "perf_counter", look)
        attempt = make_attempt(settings)
        dns, tcp, tls, first, whole = (attempt.last_lap + arrival for arrival in arrivals)
        attempt.laps((DNS, dns), (CONNECT, tcp))
        attempt.laps((LAG, tls - 1), (TLS, tls))
        attempt.first_byte(min(first, attempt.last_lap))
        for _ in range(hops):
            redirected(attempt)
            attempt.follow_redirect()
        try:
            if end == "redirect too large":
                redirected(attempt, body=bytes(MAX_DRAINED + 1))
            respond(attempt, 200, [(ENCODING, "gzip")])
            attempt.last_byte_at = whole
            for at in range(0, len(wire) - (end == "cut"), 7):
                if at == 70:
                    attempt.shorten_receive(whole)
                attempt.on_data(wire[at : at + 7])
            if end == "damaged":
                attempt.on_data(b"more")
            attempt.on_end()
        except AttemptFailed as problem:
            failed = problem
        attempt.finish(failed)
    assert sum(attempt.phases) == last - attempt.began  # these steps add up without rounding
    assert min(attempt.phases) >= 0


@pytest.mark.parametrize(
    ("reached", "phase"),
    [
        ("nothing", WAIT),
        ("connecting", CONNECT),
        ("handshaking", TLS),
        ("connected", WAIT),
        ("answered", RECEIVE),
        ("received", LAG),
    ],
)
def test_the_time_of_a_failure_counts_to_the_phase_it_happened_in(clock: Clock, reached: str, phase: int) -> None:
    attempt = make_attempt()
    if reached == "connecting":
        attempt.begin_exchange()
    elif reached == "handshaking":
        attempt.begin_exchange()
        attempt.connecting_phase = TLS
    elif reached == "connected":
        connect(attempt)
    elif reached == "answered":
        respond(attempt, 200, [])
    elif reached == "received":
        respond(attempt, 200, [])
        attempt.last_byte_at = clock.now
    clock.now += 7.0
    attempt.finish(AttemptFailed(Cause.CANCELLED, "the run ended first"))
    assert attempt.phases == [7.0 if one == phase else 0.0 for one in range(8)]


class SlowDecoder:
    """Takes two seconds for each chunk."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def feed(self, data: bytes) -> Iterator[bytes]:
        self.clock.now += 2.0
        yield data

    def finish(self) -> None:
        pass


def test_time_in_decoding_is_told_apart_from_time_in_receiving(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_decoder, "decoder_for", lambda codings, **limits: SlowDecoder(clock))
    attempt = make_attempt()
    respond(attempt, 200, [(ENCODING, "gzip")])
    clock.now += 1.0
    attempt.on_data(b"x")
    clock.now += 4.0
    attempt.on_end()
    attempt.finish(None)
    assert (attempt.phases[RECEIVE], attempt.phases[DECODE]) == (5.0, 2.0)


# --- what is too late, and what too slow ---

LIMITS: dict[str, Any] = {"timeout": 60, "connect_timeout": 10, "read_timeout": 30}


@pytest.mark.parametrize(
    ("limits", "connecting", "left", "what"),
    [
        ({}, True, 10, "connect timeout"),
        ({}, False, 30, "read timeout"),
        ({"connect_timeout": 90}, True, 60, "(timeout)"),
        ({"read_timeout": 90}, False, 60, "(timeout)"),
        ({"connect_timeout": 5, "read_timeout": 1}, True, 5, "connect timeout"),
        ({"connect_timeout": 1, "read_timeout": 5}, False, 5, "read timeout"),
        ({"connect_timeout": 60}, True, 60, "(timeout)"),
        ({"timeout": 3}, True, 3, "no complete answer in 3 s (timeout)"),
    ],
)
def test_the_time_left_is_that_of_the_earliest_limit(
    clock: Clock, limits: dict[str, Any], connecting: bool, left: float, what: str
) -> None:
    attempt = make_attempt(Settings(**(LIMITS | limits)))
    attempt.begin_exchange()
    if not connecting:
        attempt.connected(reused=False)
    found, said = attempt.time_left(clock.now)
    assert found == left
    assert what in said
    assert attempt.time_left(clock.now + 100)[0] == left - 100


@pytest.mark.parametrize("connecting", [True, False])
def test_without_limits_an_attempt_has_months_and_the_limits_there_are_hold(clock: Clock, connecting: bool) -> None:
    unlimited = {"timeout": None, "connect_timeout": None, "read_timeout": None}
    for limits, left in ((unlimited, 300 * 86400), (unlimited | {"timeout": 7}, 7)):
        attempt = make_attempt(Settings(**limits))
        attempt.begin_exchange()
        if not connecting:
            attempt.connected(reused=False)
        found, _ = attempt.time_left(clock.now)
        assert found == left if left == 7 else found > left


def test_every_byte_gives_the_server_new_time_but_not_beyond_the_whole(clock: Clock) -> None:
    attempt = make_attempt(Settings(**LIMITS, min_speed=0))
    respond(attempt, 200, [])
    for _ in range(5):
        assert attempt.time_left(clock.now)[0] == min(30, 60 - (clock.now - attempt.began))
        clock.now += 10.0
        attempt.on_data(b"x")
    assert attempt.time_left(clock.now) == (10.0, "no complete answer in 60 s (timeout)")


def test_what_is_held_by_a_limit_of_ours_costs_the_server_no_time(clock: Clock) -> None:
    attempt = make_attempt(Settings(**LIMITS, min_speed=100, min_speed_time=10))
    respond(attempt, 200, [])
    for _ in range(5):
        clock.now += 8.0
        with attempt.on_hold():
            attempt.progress_at = clock.now  # more comes in meanwhile
            clock.now += 1000.0
            assert attempt.time_left(clock.now)[0] > 1000, "nothing times out"
        assert attempt.time_left(clock.now)[0] == min(30, 60 - (clock.now - attempt.began))
        attempt.on_data(b"x" * 1000)
    assert attempt.time_left(clock.now) == (20.0, "no complete answer in 60 s (timeout)")
    attempt.finish(None)
    assert (attempt.held, attempt.phases[RECEIVE], sum(attempt.phases)) == (5000.0, 40.0, 40.0)


def test_a_wait_that_is_cancelled_is_held_all_the_same(clock: Clock) -> None:
    attempt = make_attempt()
    respond(attempt, 200, [])
    with suppress(KeyboardInterrupt), attempt.on_hold():
        clock.now += 2.0
        raise KeyboardInterrupt
    clock.now += 1.0
    attempt.finish(AttemptFailed(Cause.CANCELLED, "the run ended first"))
    assert (attempt.held, attempt.phases[RECEIVE]) == (2.0, 1.0)


def test_each_hop_has_its_own_time_to_connect_within_that_of_the_attempt(clock: Clock) -> None:
    settings = Settings(**LIMITS)
    attempt = make_attempt(settings)
    clock.now += 20.0
    redirected(attempt)
    attempt.follow_redirect()
    attempt.begin_exchange()
    assert attempt.time_left(clock.now)[0] == 10
    clock.now += 33.0
    assert attempt.time_left(clock.now)[0] == -23
    attempt.connected(reused=False)
    assert attempt.time_left(clock.now) == (7.0, "no complete answer in 60 s (timeout)")


@pytest.mark.parametrize(("each", "fails"), [(999, True), (1000, False)])
def test_a_body_below_the_least_speed_is_too_slow(clock: Clock, each: int, fails: bool) -> None:
    attempt = make_attempt(Settings(min_speed=100, min_speed_time=30))
    respond(attempt, 200, [])
    for _ in range(2):
        clock.now += 10.0
        attempt.on_data(b"x" * each)
    clock.now += 10.0
    if fails:
        failed = failure(attempt.on_data, b"x" * each)
        assert (failed.cause, failed.message) == (Cause.TOO_SLOW, "100 bytes/s over 30 s")
    else:
        attempt.on_data(b"x" * each)


def test_the_speed_is_measured_anew_in_each_window(clock: Clock) -> None:
    attempt = make_attempt(Settings(min_speed=100, min_speed_time=10))
    respond(attempt, 200, [])
    clock.now += 10.0
    attempt.on_data(b"x" * 1_000_000)
    clock.now += 10.0
    assert failure(attempt.on_data, b"x" * 999).cause is Cause.TOO_SLOW


def test_the_speed_is_that_on_the_wire_not_that_of_what_unfolds(clock: Clock) -> None:
    wire = gzip.compress(bytes(500_000))
    attempt = make_attempt(Settings(min_speed=100, min_speed_time=10))
    respond(attempt, 200, [(ENCODING, "gzip")])
    clock.now += 10.0
    assert failure(attempt.on_data, wire[:999]).cause is Cause.TOO_SLOW


def test_the_wait_for_the_answer_does_not_count_as_slow(clock: Clock) -> None:
    attempt = make_attempt(Settings(min_speed=100, min_speed_time=10))
    connect(attempt)
    clock.now += 29.0
    attempt.lap(WAIT)
    respond(attempt, 200, [])
    clock.now += 9.0
    attempt.on_data(b"x")


def test_no_speed_is_too_slow_when_none_is_asked_for(clock: Clock) -> None:
    attempt = make_attempt(Settings(min_speed=0, min_speed_time=1, read_timeout=10**6, timeout=10**6))
    respond(attempt, 200, [])
    for _ in range(5):
        clock.now += 1000.0
        attempt.on_data(b"x")
    assert attempt.body.size == 5


# --- the outcome ---


def test_a_failure_is_told_in_one_line_without_secrets() -> None:
    attempt = make_attempt()
    message = f"a\nb {HOSTILE} http://user:SECRET@h/"
    attempt.finish(AttemptFailed(Cause.CONNECT, message, permanent=True, local_limit=True))
    assert attempt.error is not None
    assert not ACTIVE.search(attempt.error)
    assert "SECRET" not in attempt.error
    assert (attempt.cause, attempt.permanent, attempt.local_limit) == (Cause.CONNECT, True, True)


def test_what_is_not_http_is_no_response() -> None:
    attempt = make_attempt()
    respond(attempt, 200, [("A", "b"), (ENCODING, "gzip")])
    attempt.on_data(gzip.compress(b"hello"))
    attempt.finish(AttemptFailed(Cause.PROTOCOL, "a bad chunk"))
    assert (attempt.response, attempt.body, attempt.complete) == (NO_RESPONSE, NO_BODY, None)
    assert (NO_RESPONSE.status, len(NO_RESPONSE.headers), NO_BODY.size, NO_BODY.wire_size) == (None, 0, 0, 0)


def test_an_attempt_that_is_sent_says_so() -> None:
    attempt = make_attempt()
    attempt.begin_exchange()
    assert not attempt.sent
    attempt.connected(reused=False)
    assert attempt.sent


def test_a_new_exchange_forgets_the_connection_before_it() -> None:
    attempt = make_attempt()
    connect(attempt)
    attempt.answering = attempt.reused = True
    attempt.begin_exchange()
    assert (attempt.answering, attempt.reused) == (False, False)

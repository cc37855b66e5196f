"""Heads and bodies end where HTTP says, however their bytes come; a head that can be read in two ways is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from time import process_time

import pytest
from faults.wire import CHUNKED, LAST_CHUNK, POISON, chunk, head, length
from hypothesis import given, settings
from hypothesis import strategies as st

from fetchq.core.model import Cause
from fetchq.http.failure import AttemptFailed
from fetchq.http.framing import Chunks, Sized, UntilClosed, _past_empty_line, find_head
from fetchq.http.wire_checks import MAX_HEAD, MAX_HEADERS, MAX_LINE, bad_head, repair_head

EXTENSIONS = st.sampled_from([b"", b" ", b"\t ", b";a", b";a=b", b';a="b;c\\"\xff"', b";a;b=c;d"])
TRAILERS = st.lists(st.sampled_from([b"X-Sum: 1", b"x:", b"X-Folded: a\r\n b", b"X-Name: caf\xe9"]), max_size=3)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Everything that a body in chunks may be made of."""
    made = b""
    for data in draw(st.lists(st.binary(min_size=1, max_size=300), max_size=5)):
        size = b"%0*x" % (draw(st.integers(1, 20)), len(data))
        made += draw(st.sampled_from([size, size.upper()])) + draw(EXTENSIONS) + b"\r\n" + data + b"\r\n"
    made += b"0" * draw(st.integers(1, 20)) + draw(EXTENSIONS) + b"\r\n"
    return made + b"".join(line + b"\r\n" for line in draw(TRAILERS)) + b"\r\n"


def in_pieces(body: bytes, cuts: list[int]) -> list[bytes]:
    bounds = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    return [body[begin:end] for begin, end in pairwise(bounds)]


def read(body: bytes, cuts: list[int]) -> tuple[bytes, Chunks]:
    """The data of a body in chunks that arrives in pieces, and how it ended."""
    chunks = Chunks(10**9)
    return b"".join([chunks.feed(piece) for piece in in_pieces(body, cuts)]), chunks


def refused(body: bytes, cuts: list[int]) -> bool:
    _, chunks = read(body, cuts)
    assert chunks.problem is None or (chunks.ended and chunks.problem.cause is Cause.PROTOCOL)
    return chunks.problem is not None


@given(bodies(), st.lists(st.integers(0, 10_000), max_size=3), st.integers(1, 3))
def test_a_body_is_the_same_in_however_many_steps_its_chunks_are_read(body: bytes, cuts: list[int], most: int) -> None:
    chunks, found = Chunks(most), []
    for piece in in_pieces(body, cuts):
        found.append(chunks.feed(piece))
        while chunks.rest and len(found) % 3:  # sometimes more is fed before the rest was read
            found.append(chunks.feed(b""))
    while chunks.rest:
        found.append(chunks.feed(b""))
    data, whole = read(body, cuts)
    assert (b"".join(found), chunks.ended, chunks.trailers) == (data, whole.ended, whole.trailers)


def test_one_step_reads_so_many_chunks_and_no_more() -> None:
    chunks = Chunks(100)
    sizes = [len(chunks.feed(chunk(b"x") * 250 + LAST_CHUNK))]
    while not chunks.ended:
        sizes.append(len(chunks.feed(b"")))
    assert sizes == [100, 100, 50]


CUTS = st.lists(st.integers(0, 10_000), max_size=8)


@given(bodies(), CUTS, st.binary(max_size=20))
def test_what_is_allowed_passes_wherever_it_is_cut_and_what_follows_it_is_not_looked_at(
    body: bytes, cuts: list[int], after: bytes
) -> None:
    assert not refused(body + after, cuts)


@given(bodies(), st.data())
@settings(max_examples=300)
def test_whatever_is_done_to_a_body_nothing_of_it_depends_on_the_cuts(body: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(body) - 1))
    spoilt = body[:at] + data.draw(st.binary(max_size=3)) + body[at + data.draw(st.integers(0, 2)) :]
    seen = []
    for cuts in ([], list(range(len(spoilt))), data.draw(CUTS)):
        data_of, chunks = read(spoilt, cuts)
        seen.append((data_of, chunks.ended, chunks.surplus, str(chunks.problem), chunks.trailers))
    assert seen[0] == seen[1] == seen[2]


@pytest.mark.parametrize(
    "body",
    [
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\nhello\r0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"5\r\nhello\n\r0\r\n\r\n",
        b"5\nhello\r\n",
        b"5;a\nhello\r\n",
        b"5;\r\nhello\r\n",
        b"5;=a\r\nhello\r\n",
        b"5;a=\xff\r\nhello\r\n",
        b'5;a="b\r\nhello\r\n',
        b"5 ;a\r\nhello\r\n",
        b" 5\r\nhello\r\n",
        b"+5\r\nhello\r\n",
        b"0x5\r\nhello\r\n",
        b"\r\nhello\r\n",
        b"0" * 21 + b"\r\n\r\n",
        b"8000000000000000\r\n",
        b"f" * (MAX_LINE + 1),
        b"0\n\r\n",
        b"0\r\nno colon\r\n\r\n",
        b"0\r\n folded: first\r\n\r\n",
        b"0\r\nX-A : b\r\n\r\n",
        b"0\r\nX-A: b\x00\r\n\r\n",
        b"0\r\ncontent-length: 5\r\n\r\n",
        b"0\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"0\r\n" + b"X: y\r\n" * (MAX_HEADERS + 1) + b"\r\n",
        b"0\r\nX: " + b"y" * MAX_LINE + b"\r\n\r\n",
    ],
)
def test_what_a_strict_reader_would_read_in_another_way_is_refused(body: bytes) -> None:
    assert refused(body, [])
    assert refused(body, list(range(1, min(len(body), 300))))


def test_a_body_of_many_small_chunks_is_followed_too() -> None:
    assert not refused(chunk(b"x") * 100_000 + LAST_CHUNK, [65_536, 131_072])
    assert refused(chunk(b"x") * 100_000 + b"1\r\nxy\r\n" + LAST_CHUNK, [65_536, 131_072])


def test_chunk_extensions_are_bounded_beyond_the_data_of_their_chunks() -> None:
    chunks = Chunks()
    for _ in range(3000):
        chunks.feed(b"c8;x=" + b"e" * 150 + b"\r\n" + bytes(200) + b"\r\n")
    assert not chunks.ended
    for _ in range(3000):
        chunks.feed(b"1;x=" + b"e" * 150 + b"\r\nx\r\n")
    assert chunks.problem is not None
    assert chunks.problem.cause is Cause.TOO_LARGE
    assert not chunks.surplus


def test_trailers_are_the_fields_behind_the_last_chunk() -> None:
    wire = chunk(b"hello") + b"0\r\nX-Sum: 1\t\r\nx-sum:  caf\xe9 \r\nX-Folded: a\r\n  b\r\nX-None:\r\n\r\n"
    for cuts in ([], list(range(len(wire)))):
        data, chunks = read(wire, cuts)
        assert (data, chunks.ended, chunks.problem) == (b"hello", True, None)
        assert chunks.trailers == [(b"X-Sum", b"1"), (b"x-sum", b"caf\xe9"), (b"X-Folded", b"a b"), (b"X-None", b"")]


def test_trailers_are_bounded_together() -> None:
    few = b"".join(b"X-%d: %b\r\n" % (n, b"x" * 60_000) for n in range(4))
    assert not refused(b"0\r\n" + few + b"\r\n", [])
    assert refused(b"0\r\n" + few + few + b"\r\n", [])


@given(st.binary(max_size=40), st.integers(0, 40), CUTS)
def test_a_body_of_a_known_length_is_that_many_bytes_wherever_it_is_cut(raw: bytes, size: int, cuts: list[int]) -> None:
    body = Sized(size)
    assert b"".join([body.feed(piece) for piece in in_pieces(raw, cuts)]) == raw[:size]
    assert (body.ended, body.surplus) == (len(raw) >= size, len(raw) > size)


def test_a_body_that_ends_with_the_connection_has_no_end_of_its_own() -> None:
    body = UntilClosed()
    assert (body.feed(POISON), body.ended, body.surplus) == (POISON, False, False)


# --- heads ---


HINT = head(b"Link: </a>", status=b"HTTP/1.1 103 Early Hints")
PLAIN = head(length(5))


@given(st.sampled_from([b"", b"\r\n", b"\n\r\n"]), st.sampled_from([PLAIN, HINT, head()]), st.binary(max_size=50))
def test_a_head_is_found_as_soon_as_it_is_whole_and_without_empty_lines_before_it(
    blank: bytes, first: bytes, behind: bytes
) -> None:
    for end in range(len(blank + first)):
        assert find_head((blank + first)[:end]) == (b"", 0)
    assert find_head(blank + first + behind) == (first, len(blank + first))


def test_a_head_whose_lines_end_in_lf_alone_is_found() -> None:
    raw = head(length(5), CHUNKED).replace(b"\r\n", b"\n")
    assert find_head(raw + b"hello\n\n") == (raw, len(raw))


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (head(b" X-Name: a"), "the first header is the continuation of none"),
        (head(b"\tX-Name: a"), "the first header is the continuation of none"),
        (head(b"X-Name: a\x0bb"), "a control character in the head"),
        (head(b"X-Name: a\x0c"), "a control character in the head"),
        (head(status=b"HTTP/1.1 200 O\x00K"), "a control character in the head"),
        (head(*[b"X-Name: " + b"x" * 60_000] * 5), "a head of more than 262144 bytes"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * MAX_HEAD, "a head of more than 262144 bytes"),
        (b"\r\n" * 513, "more than 1024 bytes of empty lines before it"),
        (head(b"Content-Length : 84"), "a blank before the colon: Content-Length : 84"),
        (head(b"X-Name: a", b"transfer-encoding\t: chunked"), "a blank before the colon: transfer-encoding\t: chunked"),
        (head(length(5), length(6)), "several Content-Length: 5, 6"),
        (head(b"Content-Length: 5, 5", length(4)), "several Content-Length: 5, 5, 4"),
        (b"ICY 200 OK\r\n\r\n", "it begins with ICY, not with HTTP/1."),
        (b"RTSP/1.0 200 OK\r\n\r\n", "it begins with RTSP/1.0, not with HTTP/1."),
        (b"HTTP/2.0 200 OK\r\n\r\n", "it begins with HTTP/2.0, not with HTTP/1."),
        (b"SSH-2.0-x\r\n", "it begins with SSH-2.0-x, not with HTTP/1."),
        (b"<html>oops</html>", "it does not begin with HTTP/1."),
        (b"\x16\x03\x01", "it does not begin with HTTP/1."),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "it begins with SSH-2.0-OpenSSH, not with HTTP/1."),
        (b"oops", "it does not begin with HTTP/1."),
        (b"Login", "it does not begin with HTTP/1."),
        (b"A" * 40, "it begins with AAAAAAAAAA, not with HTTP/1."),
    ],
)
def test_a_head_that_is_none_or_that_others_would_read_in_another_way_is_refused(raw: bytes, said: str) -> None:
    with pytest.raises(AttemptFailed) as refusal:
        repair_head(find_head(raw)[0])
    assert (refusal.value.cause, refusal.value.message) == (Cause.PROTOCOL, f"not valid HTTP: {said}")
    assert refusal.value.stray


@pytest.mark.parametrize(
    ("raw", "repaired"),
    [
        (head(b"X-Name : a", b"Y\t: b : c"), head(b"X-Name: a", b"Y: b : c")),
        (head(b"X-Name: a \r\n  b\r\n\tc", length(5)), head(b"X-Name: a b c", length(5))),
        (head(length(5), b"X: y", length(5)), head(length(5), b"X: y")),
        (head(b"X: y", b"content-length:5 ,\t5"), head(b"X: y", length(5))),
        (head(b"Content-Length: 5, 05"), head(length(5))),
        (head(b"Content-Length: 5,,5"), head(b"Content-Length: 5,,5")),
        (head(b"X-Content-Length: 5", length(6)), head(b"X-Content-Length: 5", length(6))),
    ],
)
def test_a_head_with_but_one_meaning_is_repaired(raw: bytes, repaired: bytes) -> None:
    assert repair_head(raw) == repaired


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"X-Name value; secret", "not a header line: X-Name"),
        (b"X Name: secret", "not a header line: X Name:"),
        (b"Content-Length: -5", "not a Content-Length: -5"),
        (b"Content-Length: 5" + b"0" * 200, f"not a Content-Length: 5{'0' * 63}..."),
        (b"X: y", "a head that cannot be read"),
    ],
)
def test_the_error_shows_the_line_that_is_none(line: bytes, said: str) -> None:
    assert bad_head(head(b"Server: x", line)).message == f"not valid HTTP: {said}"


def test_a_good_length_is_not_blamed_for_another_line() -> None:
    assert bad_head(head(length(5), b"X</b>: 1")).message != "not valid HTTP: not a Content-Length: 5"
    assert bad_head(head(length(5), length(6))).message == "not valid HTTP: not a Content-Length: 6"


def test_the_error_shows_a_status_line_that_is_none() -> None:
    assert bad_head(head(status=b"HTTP/1.1 abc")).message == "not valid HTTP: not a status line: HTTP/1.1 abc"


def test_a_head_of_the_greatest_length_passes() -> None:
    lines = [b"X-Name: " + b"x" * 60_000] * 4
    lines.append(b"X: " + b"x" * (MAX_HEAD - len(head(*lines)) - len(b"X: \r\n")))
    assert find_head(head(*lines))[1] == MAX_HEAD
    with pytest.raises(AttemptFailed):
        find_head(head(*lines, b"X:"))


@given(st.lists(st.sampled_from([b"\r", b"\n", b"\n", b"a"]), max_size=14).map(b"".join), st.integers(0, 5))
def test_the_first_empty_line_is_found_however_its_lines_end(raw: bytes, start: int) -> None:
    found = re.compile(rb"\n\r?\n").search(raw, start)
    assert _past_empty_line(raw, start) == (found.end() if found else 0)


@pytest.mark.parametrize(
    "feed",
    [
        lambda blanks: Chunks().feed(b"0\r\nX: a" + blanks + b"b\r\n\r\n"),
        lambda blanks: Chunks().feed(b"0\r\nX: a\r\n b" + blanks + b"c\r\n\r\n"),
        lambda blanks: find_head(head(b"X: a" + blanks + b"b\r\n c")),
    ],
    ids=["trailer", "folded trailer", "folded header"],
)
def test_blanks_inside_of_a_line_take_no_more_time_than_others(feed: Callable[[bytes], object]) -> None:
    began = process_time()
    feed(b" \t" * 30_000)
    assert process_time() - began < 5.0  # a minute, if each blank is tried as the first of those to leave out


def test_bytes_that_come_one_by_one_are_not_searched_again_and_again() -> None:
    raw = b"HTTP/1.1 200 OK\r\n" + b"a:b\r\n" * 40_000
    chunks = Chunks()
    chunks.feed(b"5;" + b"a" * 60_000)
    began = process_time()
    for n in range(5_000):
        find_head(raw[: len(raw) - 5_000 + n], len(raw) - 5_001 + n)
        chunks.feed(b"a")
    assert process_time() - began < 5.0  # they arrive in an event loop that serves other rows, too


@given(st.lists(st.sampled_from([b"\r", b"\n", b"\n", b"a", b":"]), max_size=14).map(b"".join), CUTS)
def test_a_head_ends_at_the_same_place_if_what_was_seen_is_not_searched_again(tail: bytes, cuts: list[int]) -> None:
    raw = b"HTTP/1.1 200 OK" + tail
    seen = 0
    for cut in sorted({*(cut % len(raw) for cut in cuts), len(raw)}):
        end = ends_at(raw[:cut], 0)
        assert ends_at(raw[:cut], seen) == end
        if end:
            break
        seen = cut


def ends_at(raw: bytes, seen: int) -> int | str:
    try:
        return find_head(raw, seen)[1]
    except AttemptFailed as problem:
        return problem.message


def test_the_lines_of_one_trailer_are_limited_like_trailers() -> None:
    for lines, problem in ((MAX_HEADERS - 1, None), (MAX_HEADERS, "too many trailers")):
        chunks = Chunks()
        chunks.feed(b"0\r\na: b\r\n" + b" c\r\n" * lines + b"\r\n")
        assert (problem or "None") in str(chunks.problem)

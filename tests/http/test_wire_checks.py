"""A body in chunks is followed to the letter, however its bytes come; a head is found among the interim ones."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from faults.wire import CHUNKED, LAST_CHUNK, chunk, head, length
from hypothesis import given, settings
from hypothesis import strategies as st

from fetchq.core.model import Cause
from fetchq.http.failure import AttemptFailed
from fetchq.http.wire_checks import MAX_HEAD, MAX_HEADERS, MAX_LINE, ChunkCheck, _past_empty_line, check_head

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


def refused(body: bytes, cuts: list[int]) -> bool:
    check = ChunkCheck()
    try:
        for piece in in_pieces(body, cuts):
            check.feed(piece)
    except AttemptFailed as problem:
        return problem.cause is Cause.PROTOCOL
    return False


CUTS = st.lists(st.integers(0, 10_000), max_size=8)


@given(bodies(), CUTS, st.binary(max_size=20))
def test_what_is_allowed_passes_wherever_it_is_cut_and_what_follows_it_is_not_looked_at(
    body: bytes, cuts: list[int], after: bytes
) -> None:
    assert not refused(body + after, cuts)


@given(bodies(), st.data())
@settings(max_examples=300)
def test_whatever_is_done_to_a_body_the_verdict_does_not_depend_on_the_cuts(body: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(body) - 1))
    spoilt = body[:at] + data.draw(st.binary(max_size=3)) + body[at + data.draw(st.integers(0, 2)) :]
    every_byte = list(range(len(spoilt)))
    assert refused(spoilt, []) == refused(spoilt, every_byte) == refused(spoilt, data.draw(CUTS))


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


HINT = head(b"Link: </a>", status=b"HTTP/1.1 103 Early Hints")


@given(st.integers(0, 5), st.sampled_from([b"", b"\r\n", b"\n\r\n"]), st.binary(max_size=50))
def test_the_final_head_is_found_behind_the_interim_ones(interim: int, blank: bytes, body: bytes) -> None:
    final = head(length(5))
    before = blank + HINT * interim
    start, end = check_head(before + final + body, interim)
    assert (before + final)[start:end] == final.lstrip(b"\r\n")
    assert end == len(before + final)


def test_a_head_whose_lines_end_in_lf_alone_is_found() -> None:
    raw = head(length(5), CHUNKED).replace(b"\r\n", b"\n")
    assert check_head(raw + b"hello\n\n", 0) == (0, len(raw))


@pytest.mark.parametrize(
    "raw",
    [
        head(b" X-Name: a"),
        head(b"\tX-Name: a"),
        head(b"X-Name: a\x0bb"),
        head(b"X-Name: a\x0c"),
        head(status=b"HTTP/1.1 200 O\x00K"),
        head(*[b"X-Name: " + b"x" * 60_000] * 5),
        head(length(5))[:-2],
    ],
)
def test_a_head_that_others_would_read_in_another_way_is_refused(raw: bytes) -> None:
    with pytest.raises(AttemptFailed) as refusal:
        check_head(raw, 0)
    assert refusal.value.cause is Cause.PROTOCOL
    with pytest.raises(AttemptFailed):
        check_head(HINT + raw, 1)


def test_a_head_of_the_greatest_length_passes() -> None:
    lines = [b"X-Name: " + b"x" * 60_000] * 4
    lines.append(b"X: " + b"x" * (MAX_HEAD - len(head(*lines)) - len(b"X: \r\n")))
    assert check_head(head(*lines), 0) == (0, MAX_HEAD)
    with pytest.raises(AttemptFailed):
        check_head(head(*lines, b"X:"), 0)


@given(st.lists(st.sampled_from([b"\r", b"\n", b"\n", b"a"]), max_size=14).map(b"".join), st.integers(0, 5))
def test_the_first_empty_line_is_found_however_its_lines_end(raw: bytes, start: int) -> None:
    found = re.compile(rb"\n\r?\n").search(raw, start)
    assert _past_empty_line(raw, start) == (found.end() if found else 0)

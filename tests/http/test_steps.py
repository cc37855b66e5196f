"""A body is the same in however many steps it is decoded, and no step does more than its share of the work."""

from __future__ import annotations

import gzip
import random
import zlib
from hashlib import sha256
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.factories import examples

from fetchq.core.model import Cause
from fetchq.core.settings import Settings
from fetchq.http import body as module
from fetchq.http.body import ReceivedBody
from fetchq.http.body_buffer import BodyBuffer
from fetchq.http.content_coding import SLICE, decoder_for
from fetchq.http.decoder import PIECE
from fetchq.http.failure import AttemptFailed
from fetchq.http.zstd_decoder import zstd_module

NOISE = random.Random(1).randbytes(100_000)
DATA = bytes(40 * PIECE) + NOISE
GZIP = Settings(accept_encoded=False)


class Ticking:
    """A clock that goes on by one each time it is read, so that an instant is a number of pieces."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Ticking:
    clock = Ticking()
    monkeypatch.setattr(module, "perf_counter", clock)
    return clock


def received(codings: str, settings: Settings = GZIP) -> ReceivedBody:
    body = ReceivedBody(settings, stores=False)
    body.expect_coding(codings, None)
    return body


def steps_of(body: ReceivedBody, data: bytes, clock: Ticking, pieces: int) -> int:
    """Feed `data` in steps of so many pieces, and finish. Returns the number of steps."""
    body.feed(data, clock.now + pieces)
    steps = 1
    while body.rest is not None:
        body.go_on(clock.now + pieces)
        steps += 1
    body.finish()
    return steps


@examples(20)
@given(copies=st.integers(0, 8), pieces=st.integers(1, 40), coding=st.sampled_from(["gzip", "deflate", "gzip, gzip"]))
def test_a_body_is_the_same_in_however_many_steps_it_is_decoded(copies: int, pieces: int, coding: str) -> None:
    data = NOISE[:70_000] * copies + bytes(copies * 10_000)
    coded = data
    for name in coding.split(", "):
        coded = gzip.compress(coded, 1) if name == "gzip" else zlib.compress(coded, 1)
    clock, body = Ticking(), received(coding)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "perf_counter", clock)
        steps_of(body, coded, clock, pieces)
    assert (body.content == data, body.size, body.digest) == (True, len(data), sha256(data).hexdigest())


def test_of_a_body_that_decodes_to_a_great_size_a_step_decodes_so_many_pieces(clock: Ticking) -> None:
    body = received("gzip")
    most = 0
    body.feed(gzip.compress(DATA), clock.now + 3)
    while body.rest is not None:
        before = body.size
        body.go_on(clock.now + 3)
        most = max(most, body.size - before)
    assert most == 3 * PIECE


@pytest.mark.parametrize("coding", ["gzip", "zstd", "gzip, gzip", "zstd, gzip"])
def test_a_body_of_many_frames_without_data_takes_a_step_for_each_few_of_them(clock: Ticking, coding: str) -> None:
    frame = {"gzip": gzip.compress(b""), "zstd": zstd_module().compress(b"")}[coding.split(", ", maxsplit=1)[0]]
    coded = frame * 1000
    if "," in coding:
        coded = gzip.compress(coded)
    body = received(coding)
    assert steps_of(body, coded, clock, 10) >= 100
    assert body.size == 0


def test_coded_bytes_that_yield_nothing_are_decoded_in_slices(clock: Ticking) -> None:
    squeezer = zlib.compressobj(wbits=-15)
    nothing = b"".join(squeezer.flush(zlib.Z_FULL_FLUSH) for _ in range(30_000))
    body = received("deflate")
    assert steps_of(body, nothing + squeezer.flush(), clock, 1) >= len(nothing) // SLICE
    assert body.size == 0


def test_what_is_left_after_a_failure_is_not_decoded(clock: Ticking) -> None:
    body = received("gzip", Settings(max_filesize=10 * PIECE))
    body.feed(gzip.compress(bytes(40 * PIECE)), clock.now + 1)
    with pytest.raises(AttemptFailed) as caught:
        body.go_on(inf)
    assert caught.value.cause is Cause.TOO_LARGE
    assert body.rest is None


def test_without_a_limit_all_is_decoded_at_once() -> None:
    body = received("gzip")
    body.feed(gzip.compress(DATA))
    assert (body.rest, body.size) == (None, len(DATA))


def test_what_is_held_back_until_the_end_is_decoded_in_steps_too(clock: Ticking) -> None:
    body = received("gzip", Settings(accept_encoded=True))
    data = DATA[:-80_000]
    body.feed(gzip.compress(data))
    assert (body.rest, body.size, body.held_back) == (None, 0, True)
    body.end(clock.now + 2)
    assert body.rest is not None
    assert body.size <= 2 * PIECE
    body.go_on(inf)
    body.finish()
    assert body.content == data


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=8))
def test_the_bytes_that_are_kept_are_those_of_all_pieces(pieces: list[bytes]) -> None:
    kept = BodyBuffer()
    for piece in pieces:
        kept.add(piece)
    assert kept.take() == b"".join(pieces)


def test_a_decoder_shows_each_frame_that_adds_nothing() -> None:
    decoder = decoder_for(["gzip"])
    assert decoder is not None
    assert [*decoder.feed(gzip.compress(b"") * 5)] == [b""] * 5

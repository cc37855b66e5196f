"""The memory of decoders with large windows: what does not fit into the budget is decoded later, from the disk."""

from __future__ import annotations

from collections.abc import Iterator

import brotli
import pytest
from faults.content import zstd_frame

from fetchq.core.settings import Settings
from fetchq.http import large_windows
from fetchq.http.body import ReceivedBody
from fetchq.http.failure import AttemptFailed
from fetchq.http.large_windows import WindowedDecoder

TEXT = b"".join(b"%d " % number for number in range(20_000))
CODED = brotli.compress(TEXT, quality=1)
WINDOW = 3 * large_windows._window_of_br(CODED[0])


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_windows, "SHORT", 10_000)
    monkeypatch.setattr(large_windows, "BUDGET", 2 * WINDOW)
    monkeypatch.setattr(large_windows, "_budget", large_windows._Budget())


def receiving(coding: str = "br") -> ReceivedBody:
    body = ReceivedBody(Settings(), stores=False)
    body.expect_coding(coding, None)
    return body


def feed(body: ReceivedBody, data: bytes) -> None:
    for at in range(0, len(data), 1000):
        body.feed(data[at : at + 1000])
        while body.rest is not None:
            body.go_on()


def held(body: ReceivedBody) -> int:
    decoder = body._decoder
    assert isinstance(decoder, WindowedDecoder)
    return 0 if decoder.held is None else decoder.held.size


def test_only_so_many_large_bodies_are_decoded_as_they_arrive_and_the_others_when_they_have_ended() -> None:
    bodies = [receiving() for _ in range(5)]
    for body in bodies:
        feed(body, CODED[:-100])
    assert [held(body) > 0 for body in bodies] == [False, False, True, True, True]
    assert all(body.size == 0 for body in bodies[2:])
    for body in reversed(bodies):
        feed(body, CODED[-100:])
        body.finish()
        assert body.content == TEXT
    assert large_windows._budget._used == 0


@pytest.mark.parametrize("bits", range(10, 25))
def test_the_first_byte_of_br_tells_its_window(bits: int) -> None:
    assert large_windows._window_of_br(brotli.compress(TEXT, lgwin=bits)[0]) == 1 << bits


def test_a_body_that_has_ended_gives_its_place_back() -> None:
    for _ in range(10):
        body = receiving()
        feed(body, CODED)
        assert not held(body)
        body.finish()
    assert large_windows._budget._used == 0


def test_short_bodies_in_zstd_take_no_place() -> None:
    bodies = [receiving("zstd") for _ in range(5)]
    for body in bodies:
        feed(body, zstd_frame(20, TEXT[:5000]))
    assert large_windows._budget._used == 0
    assert not any(held(body) for body in bodies)


def test_a_body_that_is_given_up_gives_its_place_back() -> None:
    for _ in range(10):
        body = receiving()
        feed(body, CODED[:-100])
        assert not held(body)
        body.discard()
    assert large_windows._budget._used == 0


def test_of_those_on_the_disk_one_is_decoded_at_a_time() -> None:
    first, second = (WindowedDecoder(Slow(), WINDOW * 3, 0) for _ in range(2))  # neither fits
    for one in (first, second):
        assert [*one.feed(b"x")] == []
    running, waiting = first.flush(), second.flush()
    assert [next(running), next(running)] == [b"", b"decoded"]
    assert next(waiting) is large_windows.WAITING
    assert [piece for piece in running if piece] == []
    assert [next(waiting), next(waiting)] == [b"", b"decoded"]
    waiting.close()  # as when its attempt is cancelled
    assert large_windows._turn._owner is None


def test_a_turn_that_nobody_uses_is_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    turn = large_windows._Turn()
    now = 100.0
    monkeypatch.setattr(large_windows, "perf_counter", lambda: now)
    assert turn.take("a")
    assert not turn.take("b")
    now += 6.0
    assert turn.take("b")
    turn.end("a")
    assert not turn.take("a")


def test_a_bomb_on_the_disk_ends_its_turn() -> None:
    places = [receiving() for _ in range(2)]
    for body in places:
        feed(body, CODED[:-100])
    bomb = receiving()
    feed(bomb, brotli.compress(bytes(30_000_000), lgwin=18))
    with pytest.raises(AttemptFailed, match="times its size"):
        bomb.finish()
    assert large_windows._turn._owner is None


def test_what_is_wrong_with_a_body_on_the_disk_is_found_in_the_end() -> None:
    places = [receiving() for _ in range(2)]
    for body in places:
        feed(body, CODED[:-100])
    cut, damaged = receiving(), receiving()
    feed(cut, CODED[:-1])
    with pytest.raises(AttemptFailed, match="ends too early"):
        cut.finish()
    feed(damaged, CODED[:20_000] + bytes(30_000))
    with pytest.raises(AttemptFailed, match="not valid br data"):
        damaged.finish()
    assert large_windows._turn._owner is None


class Slow:
    """A decoder."""

    def feed(self, _: bytes) -> Iterator[bytes]:
        yield b"decoded"

    def finish(self) -> None:
        """Do nothing."""

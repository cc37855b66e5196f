"""However an answer is cut into packets, and whatever follows it, both engines give one and the same Result.

A sample of the answers is served here, and all of them by `scripts/torture packets`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from faults.base import Fault
from faults.wire import CHUNKED, POISON, chunk, head, length
from support.modes import ENGINE_MODES

from packets.ways import ANSWERS, Fetcher, Way, cut, differences

_EVERY = 31
"""How many answers stand for one: those of a kind are side by side."""
QUICK = [one for one in ANSWERS if one.theme not in ("time", "bombs") and one.wire is not None and one.then != "hangs"]
SAMPLE = list(itertools.islice(QUICK, 0, None, _EVERY))


@pytest.fixture(scope="module")
def fetcher() -> Iterator[Fetcher]:
    with Fetcher() as one:
        yield one


@pytest.mark.parametrize("answer", SAMPLE, ids=lambda answer: answer.name)
def test_the_packets_of_an_answer_do_not_matter(fetcher: Fetcher, answer: Fault) -> None:
    assert list(differences(fetcher, answer, ENGINE_MODES, tuple(Way))) == []


def test_there_are_enough_answers_of_both_kinds() -> None:
    good = {one.name for one in ANSWERS if one.theme == "good"}
    assert len(good) >= 100
    assert len({one.name for one in ANSWERS}) == len(ANSWERS) >= 300


@pytest.mark.parametrize("way", Way)
def test_the_packets_are_the_answer(way: Way) -> None:
    for answer in QUICK[:: _EVERY // 3]:
        wire = answer.sends() or b""
        assert b"".join(cut(wire, way)) == wire


def test_the_boundaries_are_those_of_lines_chunks_and_bodies() -> None:
    wire = head(length(5)) + b"hello" + POISON
    assert b"hello" in cut(wire, Way.BOUNDARIES)
    assert b"HTTP/1.1 200 OK" in cut(wire, Way.BOUNDARIES)
    chunked = head(CHUNKED) + chunk(b"hello") + b"0\r\nX-Sum: 1\r\n\r\n"
    assert cut(chunked, Way.BOUNDARIES)[-7:] == [b"hello", b"\r\n", b"0", b"\r\n", b"X-Sum: 1", b"\r\n", b"\r\n"]
    assert cut(wire, Way.BYTES) == [wire[at : at + 1] for at in range(len(wire))]

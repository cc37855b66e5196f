"""A list that comes in small pieces through a pipe costs no more than one that comes at once."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.factories import examples

from fetchq.inputs import guessing
from fetchq.inputs.csv import CsvParser
from fetchq.inputs.guessing import GuessingParser
from fetchq.inputs.lines import RowParser, SourceError, TextParser

CELLS = st.text(st.sampled_from(',;"\n\ra'), max_size=20)


def lines_run(call: Callable[[], object]) -> int:
    """How many lines of fetchq a call runs."""
    count = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal count
        count += event == "line"
        return trace if "fetchq" in frame.f_code.co_filename else None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


def rows(parser: RowParser, pieces: Iterator[bytes]) -> list[tuple[Any, ...]] | str:
    found = []
    try:
        for piece in pieces:
            found += parser.feed(piece)
        found += parser.finish()
    except SourceError as problem:
        return str(problem)
    return [(row.url, row.index, row.label, row.problem) for row in found]


def pieces_of(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


@pytest.mark.parametrize("line", [b"a\n", b'""\n', b'","\n', b',"\n', b'",a,"\n'])
def test_lines_behind_an_open_quote_are_not_read_again_for_each_piece(line: bytes) -> None:
    counts = [
        lines_run(lambda: rows(CsvParser(0, name="a pipe"), pieces_of(b'url\n"' + line * size, len(line))))  # noqa: B023
        for size in (100, 200, 400)
    ]
    assert counts[2] - counts[1] < 2.2 * (counts[1] - counts[0])


@examples(300)
@given(CELLS, st.sampled_from(",;"), st.integers(1, 5))
def test_the_pieces_of_csv_do_not_matter(cells: str, delimiter: str, size: int) -> None:
    data = f'url{delimiter}label\n"{cells}'.encode()
    whole = rows(CsvParser(0, name="a pipe"), iter([data]))
    assert rows(CsvParser(0, name="a pipe"), pieces_of(data, size)) == whole


class Counting:
    """A pattern that counts the characters it gets."""

    def __init__(self, pattern: Any) -> None:
        self._pattern = pattern
        self.characters = 0

    def fullmatch(self, text: bytes) -> Any:
        self.characters += len(text)
        return self._pattern.fullmatch(text)


def test_blanks_before_a_list_are_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    counting = Counting(guessing._UNDECIDED)
    monkeypatch.setattr(guessing, "_UNDECIDED", counting)
    parser = GuessingParser(0, lambda _: TextParser(0))
    found = rows(parser, pieces_of(b" \n" * 5_000 + b"[ \n" + b" " * 5_000 + b"x", 1))
    assert len(found) == 2
    assert counting.characters < 40_000  # four times: the first blank, the bracket, the x, and the byte order mark

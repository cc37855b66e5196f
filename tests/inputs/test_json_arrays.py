"""A list that is a JSON array is read like JSON Lines, element by element, whatever its name and its layout."""

from __future__ import annotations

import gzip
import io
import json
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fetchq.core.model import Request
from fetchq.inputs.lines import SourceError
from fetchq.inputs.opening import open_sources
from fetchq.inputs.source import Source
from fetchq.inputs.splitting import MAX_ROW

A, B, C = "https://example.org/a", "https://example.org/b", "https://example.org/c"


class Pieces(io.RawIOBase):
    """Gives `size` bytes per read."""

    def __init__(self, data: bytes, size: int) -> None:
        self._data = io.BytesIO(data)
        self._size = size

    def read(self, size: int = -1) -> bytes:
        return self._data.read(min(size, self._size))


def requests(source: Source) -> list[Request]:
    return [request for batch in source for request in batch]


def read(text: str | bytes, form: str | None = None, piece: int = MAX_ROW) -> list[Request]:
    data = text if isinstance(text, bytes) else text.encode()
    stdin: Any = Pieces(data, piece)
    return requests(open_sources(["-"], input_format=form, stdin=stdin))


ROWS = [A, {"url": B, "label": '[1, "2"]', "body": {"a": [1, {"b": "}]\\"}]}}, {"url": C, "method": "PUT"}]
READ = [
    Request(A, 0),
    Request(B, 1, None, (("Content-Type", "application/json"),), b'{"a":[1,{"b":"}]\\\\"}]}', '[1, "2"]'),
    Request(C, 2, "PUT"),
]


# --- what is read ---


@pytest.mark.parametrize("form", [None, "json", "jsonl"])
@pytest.mark.parametrize("indent", [None, 0, 2])
@pytest.mark.parametrize("before", ["", "\ufeff", "\r\n \t", " " * (MAX_ROW - 5)])
def test_an_array_is_read_element_by_element_on_one_line_and_on_many(
    form: str | None, indent: int | None, before: str
) -> None:
    assert read(before + json.dumps(ROWS, indent=indent), form) == READ


@pytest.mark.parametrize(
    "text", ["[]", " [ ] \n", "[\n]", "[][]", ""], ids=["short", "blanks", "lines", "two", "nothing"]
)
def test_an_empty_array_is_an_empty_list(text: str) -> None:
    assert read(text, "json") == []


def test_arrays_that_follow_each_other_are_one_list() -> None:
    assert read(f'["{A}"]["{B}"]\n[\n"{C}"\n]\n') == [Request(A, 0), Request(B, 1), Request(C, 2)]


@pytest.mark.parametrize("name", ["a.json", "a.JSON.gz", "a.jsonl", "a.txt", "a"])
def test_the_beginning_tells_an_array_whatever_the_name(tmp_path: Path, name: str) -> None:
    data = json.dumps(ROWS, indent=1).encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    assert requests(open_sources([str(tmp_path / name)])) == READ


@pytest.mark.parametrize("form", [None, "json"])
def test_json_lines_are_read_as_such_by_a_name_that_promises_an_array(form: str | None) -> None:
    lines = "".join(json.dumps(row) + "\n" for row in ({"url": A}, {"url": B, "label": 1.50}))
    assert read(lines, form) == [Request(A, 0), Request(B, 1, label="1.5")]
    assert read(f'"{A}"\n"{B}"\n', "json") == [Request(A, 0), Request(B, 1)]


def test_text_stays_text_where_it_is_asked_for_or_only_resembles_json() -> None:
    assert [request.url for request in read(f'["{A}"]', "text")] == [f'["{A}"]']
    assert [request.url for request in read(f"[a]({A})\n{B}")] == [f"[a]({A})", B]


_ROW = st.one_of(
    st.text(st.sampled_from('aé"\\[]{},: \n\t'), max_size=6).map(lambda end: A + end),
    st.builds(lambda label, body: {"url": B, "label": label, "body": body}, st.text(max_size=6), st.text(max_size=6)),
)


@settings(deadline=None)
@given(st.lists(_ROW, max_size=5), st.sampled_from([None, 0, 1]), st.booleans(), st.integers(1, 30))
def test_any_array_in_any_pieces_gives_what_json_lines_give(
    rows: list[Any], indent: int | None, ascii_only: bool, piece: int
) -> None:
    found = read(json.dumps(rows, indent=indent, ensure_ascii=ascii_only), "json", piece)
    lines = read("".join(json.dumps(row) + "\n" for row in rows), "jsonl")
    assert found == [replace(row, problem=row.problem and row.problem.replace("line", "element", 1)) for row in lines]


@settings(deadline=None)
@given(st.text(st.sampled_from('[]{},:"\\ab \n'), max_size=30), st.integers(1, 8))
def test_any_text_in_any_pieces_gives_the_same_rows_and_never_raises(text: str, piece: int) -> None:
    found = read('["a",' + text, "json", piece)
    assert found == read('["a",' + text, "json")
    assert [request.index for request in found] == list(range(len(found)))


# --- what cannot be read ---


@pytest.mark.parametrize(
    ("text", "bad"),
    [
        (f'["{A}", {B}, "{C}"]', (B, "element 2: not JSON: unexpected character, expected a JSON value (column 1)")),
        (f'["{A}", ["{B}"], "{C}"]', ("", "element 2: neither an object nor a text")),
        (f'["{A}", {{"uri": "{B}"}}, "{C}"]', ("", "element 2: no 'url' in it")),
        (f'["{A}", null, "{C}"]', ("", "element 2: neither an object nor a text")),
        (f'["{A}", "{"x" * MAX_ROW}", "{C}"]', ("", "element 2: longer than 65,536 bytes")),
    ],
)
def test_an_unusable_element_costs_its_own_row_only(text: str, bad: tuple[str, str]) -> None:
    before, found, after = read(text)
    assert (before, after) == (Request(A, 0), Request(C, 2))
    assert (found.url, found.problem, found.index) == (*bad, 1)


CUT = "the list ends before the array does: it has no closing bracket"
AFTER = "this stands after the end of the array"


@pytest.mark.parametrize(
    ("text", "url", "why"),
    [
        (f'["{A}", "{B}"', B, CUT),
        (f'["{A}", "https://exam', "", CUT),
        (f'["{A}", "https://me:s3cret', "", CUT),
        (f'["{A}",', "", CUT),
        (f'["{A}", {{"url": "{B}", "headers": {{"X": "s3cret"', B, CUT),
        (f'["{A}"] "{B}"', B, AFTER),
        (f'["{A}"]]', "", AFTER),
        (f'["{A}"], {{"url": "{B}"}}', B, AFTER),
    ],
)
def test_an_array_without_its_end_and_what_follows_the_end_are_told_in_a_row(text: str, url: str, why: str) -> None:
    first, last = read(text)
    assert first == Request(A, 0)
    assert (last.url, last.problem) == (url, f"element 2: {why}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f'{{"urls": ["{A}"]}}', "has no 'url' in its first object, which has 'urls'"),
        (f'[{{"link": "{A}", "n": 1}}]', "has no 'url' in its first object, which has 'link', 'n'"),
        ("[{}]", "has no 'url' in its first object, which has nothing"),
        (f'{{\n  "urls": ["{A}"]\n}}\n', "is neither a JSON array nor JSON Lines: an object goes on after line 1"),
    ],
)
@pytest.mark.parametrize("form", [None, "json"])
def test_a_list_of_another_shape_is_refused_before_anything_is_fetched(
    text: str, message: str, form: str | None, tmp_path: Path
) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(SourceError) as refused:
        open_sources([str(path)], input_format=form)
    assert str(refused.value) == f"{str(path)!r} {message}"


# --- what it costs ---


def test_a_large_array_on_one_line_is_read_in_constant_memory() -> None:
    class Endless(io.RawIOBase):
        left = 200

        def read(self, size: int = -1) -> bytes:
            self.left -= 1
            return b"[" + row if self.left == 199 else row if self.left > 0 else b'"x"]' if self.left == 0 else b""

    row = json.dumps({"url": A, "label": "x" * 60_000}).encode() + b","
    stdin: Any = Endless()
    tracemalloc.start()
    try:
        count = sum(len(batch) for batch in open_sources(["-"], stdin=stdin))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 200
    assert peak < 20 * MAX_ROW


def test_an_element_comes_out_of_a_pipe_before_the_next_one_is_written() -> None:
    class Once(io.RawIOBase):
        given = False

        def read(self, size: int = -1) -> bytes:
            assert not self.given, "it waits for more although a whole element has arrived"
            self.given = True
            return f'["{A}", "htt'.encode()

    stdin: Any = Once()
    assert next(iter(open_sources(["-"], stdin=stdin))) == [Request(A, 0)]

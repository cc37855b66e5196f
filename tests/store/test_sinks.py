"""What the sinks write can be read back, and nothing in it acts on a terminal or a spreadsheet."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.factories import ACTIVE, HOSTILE, any_text, examples, failed_result, make_result

from fetchq.core.model import PHASES, RECORD_FIELDS, Cause, Result, Timing
from fetchq.core.text import printable
from fetchq.store.sinks import sink_for
from fetchq.store.sinks.records_jsonl import json_line

COLUMNS = [name for name in RECORD_FIELDS if name != "timing"] + [f"timing_{phase}" for phase in PHASES]
FORMULAS = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "=",
    "=cmd|' /C calc'!A0",
    "\uff1d1+1",
    "\uff0b1",
    "\uff0d1",
    "\uff20A1",
    "\ufe661",
    "\u22121",
    " =1",
]
SIGNS = "=+-@\uff1d\uff0b\uff0d\uff20\ufe62\ufe63\ufe66\ufe6b\u2212\u207a\u207b\u207c\u208a\u208b\u208c\ufb29"

texts = any_text | st.sampled_from([HOSTILE, *FORMULAS]) | any_text.map(lambda text: "=" + text)
raw_values = st.binary(max_size=9).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
hostile_results = st.builds(
    lambda one, two, value, cause, body: make_result(
        **dict.fromkeys(("url", "label", "reason", "content_type", "path"), one),
        **dict.fromkeys(("final_url", "error", "content_encoding", "remote"), two),
        headers=[(value, value), ("X", value)],
        cause=cause,
        body=body,
    ),
    texts,
    st.just("") | texts,
    raw_values,
    st.none() | st.sampled_from(Cause),
    st.binary(max_size=20) | st.sampled_from([HOSTILE.encode("utf-8", "surrogatepass"), b"=1+1"]),
)


def written(format: str, results: Sequence[Result], include: Sequence[str] = ()) -> bytes:
    stream = io.BytesIO()
    write_to(stream, format, results, include)
    return stream.getvalue()


def write_to(stream: io.BytesIO, format: str, results: Sequence[Result], include: Sequence[str] = ()) -> None:
    sink = sink_for(format, stream, include)
    sink.write(results)
    sink.flush()


def records(results: Sequence[Result], include: Sequence[str] = ()) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written("jsonl", results, include).splitlines()]


def rows(results: Sequence[Result], include: Sequence[str] = ()) -> list[dict[str, str]]:
    text = written("csv", results, include).decode()
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, one in value.items():
            yield from strings(key)
            yield from strings(one)
    elif isinstance(value, list):
        for one in value:
            yield from strings(one)


# --- JSON Lines ---


@examples(100)
@given(st.lists(hostile_results, max_size=2), st.sampled_from([[], ["headers"], ["headers", "text"], ["base64"]]))
def test_each_result_is_one_line_of_valid_json_that_acts_on_nothing(found: list[Result], include: list[str]) -> None:
    data = written("jsonl", found, include)
    assert data.count(b"\n") == len(found)
    for line, result in zip(data.decode().split("\n")[:-1], found, strict=True):
        assert not ACTIVE.search(line)
        record = json.loads(line)
        assert list(record) == list(result.to_record(include))
        assert record["index"] == result.index
    assert not data or data.endswith(b"\n")


@examples(200)
@given(st.text())
def test_a_text_that_is_unicode_is_kept_exact(text: str) -> None:
    record = records([make_result(label=text, headers=[(text, text)])], ["headers"])[0]
    assert record["label"] == text
    assert list(strings(record["headers"])) == [text.lower(), text]


@pytest.mark.parametrize("character", HOSTILE)
def test_each_character_that_acts_is_escaped_in_json(character: str) -> None:
    data = written("jsonl", [make_result(label=f"a{character}\\{character}b")])
    assert not ACTIVE.search(data[:-1].decode())
    label = json.loads(data)["label"]
    if character.isprintable() or ord(character) not in range(0xD800, 0xE000):
        assert label == f"a{character}\\{character}b"


def test_bytes_that_are_no_text_are_escaped() -> None:
    record = records([make_result(label="caf\udce9", headers=[("X", "\ud800")])])[0]
    assert record["label"] == "caf\\udce9"


def test_characters_outside_the_basic_plane_stay() -> None:
    assert "𝄞é€".encode() in written("jsonl", [make_result(label="𝄞é€")])


@pytest.mark.parametrize(
    ("started", "text"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, 678901, UTC), "2026-01-02T03:04:05.678901Z"),
        (datetime(2026, 1, 2, 3, 4, 5, 0, UTC), "2026-01-02T03:04:05Z"),
        (None, None),
    ],
)
@pytest.mark.parametrize("format", ["jsonl", "csv"])
def test_the_time_of_the_start_is_rfc_3339_in_utc(format: str, started: datetime | None, text: str | None) -> None:
    result = make_result(started=started)
    found = records([result])[0] if format == "jsonl" else rows([result])[0]
    assert found["started"] == (text if format == "jsonl" or text else "")
    assert text is None or re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", text)


def test_a_record_has_nulls_numbers_booleans_and_words_of_the_lists() -> None:
    record = records([failed_result(Cause.TOO_SLOW, label=None, elapsed=0.25, timing=Timing(wait=0.25, tls=None))])[0]
    assert (record["ok"], record["status"], record["cause"], record["label"]) == (False, None, "too_slow", None)
    assert (record["elapsed"], record["timing"]["wait"], record["timing"]["tls"]) == (0.25, 0.25, None)


def test_the_parts_that_were_asked_for_are_in_the_record() -> None:
    result = make_result(body=b"caf\xe9", charset="latin-1", headers=[("A", "b"), ("a", "c")])
    assert records([result], ["headers", "text"])[0]["headers"] == {"a": ["b", "c"]}
    assert records([result], ["text"])[0]["body"] == "café"
    assert base64.b64decode(records([result], ["base64"])[0]["body"]) == b"caf\xe9"
    assert "body" not in records([result], ["headers"])[0]


def test_nothing_is_a_line_of_its_own() -> None:
    assert written("jsonl", []) == b""


def test_any_mapping_is_a_line() -> None:
    assert json_line({"a": [1, "\udcff", {"\udcff": None}]}) == b'{"a":[1,"\\\\udcff",{"\\\\udcff":null}]}\n'


def test_lines_are_written_as_they_come() -> None:
    stream = io.BytesIO()
    sink = sink_for("jsonl", stream)
    for number in range(3):
        sink.write([make_result(index=number)])
        sink.flush()
        assert stream.getvalue().count(b"\n") == number + 1


# --- CSV ---


@examples(100)
@given(st.lists(hostile_results, max_size=2), st.sampled_from([[], ["headers"], ["headers", "text"], ["base64"]]))
def test_each_result_is_one_row_whose_cells_act_on_nothing(found: list[Result], include: list[str]) -> None:
    data = written("csv", found, include).decode()
    lines = data.split("\r\n")
    assert lines[-1] == ""
    assert len(lines) == len(found) + 2
    assert not any(ACTIVE.search(line) for line in lines)
    table = list(csv.reader(io.StringIO(data, newline=""), strict=True))
    assert table[0][: len(COLUMNS)] == COLUMNS
    for row in table:
        assert len(row) == len(table[0])
        assert not any(cell.startswith(tuple(SIGNS)) for cell in row)


@examples(150)
@given(texts)
def test_a_text_comes_back_from_csv_as_it_is_shown(text: str) -> None:
    cell = rows([make_result(label=text)])[0]["label"]
    assert cell == printable(text) or (cell == "'" + printable(text) and text.lstrip()[0] in SIGNS)


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_cell_that_begins_like_a_formula_is_made_text(formula: str) -> None:
    row = rows([make_result(label=formula, url=formula, body=formula.encode())], ["text"])[0]
    assert row["label"] == row["url"] == row["body"] == "'" + formula


def test_the_columns_are_those_of_the_record_then_the_phases_then_what_was_asked_for() -> None:
    assert list(rows([make_result()])[0]) == COLUMNS
    assert list(rows([make_result()], ["text", "headers"])[0]) == [*COLUMNS, "headers", "trailers", "body"]
    assert list(rows([make_result()], ["base64"])[0]) == [*COLUMNS, "body"]


def test_the_cells_are_under_their_columns() -> None:
    timing = Timing(*(number + 0.5 for number in range(10)))
    result = make_result(
        index=7, status=404, cause=Cause.STATUS, headers=[("A", "b")], body=b"hello", timing=timing, elapsed=3.25
    )
    row = rows([result], ["headers", "text"])[0]
    assert (row["index"], row["ok"], row["status"], row["cause"]) == ("7", "false", "404", "status")
    assert [row[f"timing_{phase}"] for phase in PHASES] == [f"{number}.5" for number in range(10)]
    assert (row["elapsed"], row["headers"], row["body"]) == ("3.25", '{"a":["b"]}', "hello")
    assert rows([make_result()])[0]["ok"] == "true"


def test_what_is_null_is_an_empty_cell() -> None:
    row = rows([failed_result(Cause.DNS, timing=Timing(tls=None))])[0]
    assert row["status"] == row["label"] == row["sha256"] == row["timing_tls"] == ""


def test_a_csv_of_nothing_is_its_header() -> None:
    assert written("csv", []).decode() == ",".join(COLUMNS) + "\r\n"


def test_the_header_comes_once_and_rows_only_when_flushed() -> None:
    stream = io.BytesIO()
    sink = sink_for("csv", stream)
    sink.write([make_result(index=1)])
    assert stream.getvalue() == b""
    sink.flush()
    once = stream.getvalue()
    sink.flush()
    assert stream.getvalue() == once
    sink.write([make_result(index=2)])
    sink.flush()
    table = list(csv.DictReader(io.StringIO(stream.getvalue().decode(), newline="")))
    assert [row["index"] for row in table] == ["1", "2"]


# --- both ---


class Stream(io.BytesIO):
    flushed = 0

    def flush(self) -> None:
        self.flushed += 1


@pytest.mark.parametrize("format", ["jsonl", "csv"])
def test_flushing_hands_everything_on(format: str) -> None:
    stream = Stream()
    sink = sink_for(format, stream)
    sink.write([make_result()])
    sink.flush()
    assert stream.flushed == 1
    assert b"example.org" in stream.getvalue()


class Full(io.BytesIO):
    def write(self, data: Any) -> int:
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("format", ["jsonl", "csv"])
def test_a_full_disk_is_told(format: str) -> None:
    with pytest.raises(OSError, match="No space left"):
        write_to(Full(), format, [make_result()])

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fetchq.core.model import Request
from fetchq.inputs import compressed, opening, readers, splitting
from fetchq.inputs import csv as csv_module
from fetchq.inputs.lines import SourceError
from fetchq.inputs.opening import open_sources
from fetchq.inputs.source import Source
from fetchq.inputs.splitting import MAX_ROW

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

A, B, C = "https://example.org/a", "https://example.org/b", "https://example.org/c"
BOM = b"\xef\xbb\xbf"


class Pipe(io.RawIOBase):
    """Gives one piece per read, and fails the test when more is asked of it than has arrived."""

    def __init__(self, *pieces: bytes | Exception, ends: bool = True) -> None:
        self.pieces = list(pieces)
        self.ends = ends

    def read(self, size: int = -1) -> bytes:
        if not self.pieces:
            assert self.ends, "it waits for more although whole rows have arrived"
            return b""
        piece = self.pieces.pop(0)
        if isinstance(piece, Exception):
            raise piece
        assert len(piece) <= size
        return piece


def requests(source: Source) -> list[Request]:
    return [request for batch in source for request in batch]


def read(data: bytes, form: str = "text", *, piece: int | None = None, column: str = "url") -> list[Request]:
    """The rows of `data`, arriving `piece` bytes at a time."""
    pieces = [data] if piece is None else [data[at : at + piece] for at in range(0, len(data), piece)]
    stdin: Any = Pipe(*filter(None, pieces))
    with open_sources(["-"], input_format=form, url_column=column, stdin=stdin) as source:
        return requests(source)


def urls(found: list[Request]) -> list[str]:
    return [request.url for request in found]


def only(data: bytes, form: str = "text", column: str = "url") -> Request:
    (request,) = read(data, form, column=column)
    return request


def jsonl(**row: Any) -> Request:
    return only(json.dumps({"url": A, **row}).encode(), "jsonl")


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, bytes], str]:
    def write_file(name: str, data: bytes) -> str:
        (tmp_path / name).write_bytes(data)
        return str(tmp_path / name)

    return write_file


Write = Callable[[str, bytes], str]


# --- text ----------------------------------------------------------------------------------------------------------


def test_each_line_of_text_is_one_request_and_the_index_counts_them_from_0() -> None:
    assert read(f"{A}\n{B}\n{C}\n".encode()) == [Request(A, 0), Request(B, 1), Request(C, 2)]


def test_the_last_line_needs_no_newline() -> None:
    assert urls(read(f"{A}\n{B}".encode())) == [A, B]


@pytest.mark.parametrize(
    "data",
    [
        BOM + f"{A}\n{B}\n".encode(),
        f"{A}\r\n{B}\r\n".encode(),
        f"{A}\r\n{B}\r".encode(),
        f"\n\n  \n{A}\n \t \n{B}\n\r\n".encode(),
        f"  {A}\n\t{B}\t \r\n".encode(),
        f"# first\n{A}\n   # indented\n{B}\n\t#\n".encode(),
        BOM + f"# first\r\n{A}\r\n{B}".encode(),
        f"{A}\r\r\n{B}".encode(),
        b"#" * (3 * MAX_ROW) + f"\n{A}\n{B}\n".encode(),
    ],
    ids=["bom", "crlf", "cr at the end", "blank lines", "blanks", "comments", "all", "cr cr lf", "long comment"],
)
def test_bom_line_ends_blanks_and_comments_make_no_difference_to_the_rows(data: bytes) -> None:
    pieces = MAX_ROW if len(data) > MAX_ROW else 7
    assert read(data, piece=pieces) == [Request(A, 0), Request(B, 1)]


def test_a_tab_after_a_url_leads_to_csv() -> None:
    row = only(f"{A}\tx".encode())
    assert row.problem == "line 1: a tab in the URL: a list with columns needs a header, and --input-format csv"


def test_a_hash_inside_a_url_is_kept() -> None:
    assert only(f"{A}#part".encode()).url == f"{A}#part"


def test_a_byte_order_mark_is_taken_away_only_where_a_list_begins() -> None:
    assert urls(read(BOM + A.encode() + b"\n" + BOM + B.encode())) == [A, "\ufeff" + B]


def test_a_blank_that_is_not_ascii_is_left_alone_whatever_else_the_list_holds() -> None:
    line = f"\u00a0{A}\u3000\n".encode()
    assert read(line)[0] == read(line + b"\x1b\n")[0] == Request(f"\u00a0{A}\u3000", 0)


@pytest.mark.parametrize("data", [b"", BOM, b"\n\n", b"# nothing\n", b" "])
def test_a_list_without_rows_gives_no_batch_at_all(data: bytes) -> None:
    assert list(open_sources(["-"], stdin=io.BytesIO(data))) == []


def test_a_row_that_is_not_utf8_says_so_and_the_rows_after_it_are_read() -> None:
    bad, good = read(b"# caf\xe9\nhttps://example.org/caf\xe9\nhttps://example.org/caf\xc3\xa9\n")
    assert bad == Request(r"https://example.org/caf\xe9", 0, problem="line 2: not UTF-8")
    assert good == Request("https://example.org/caf\u00e9", 1)


@pytest.mark.parametrize("code", [0x00, 0x0B, 0x0D, 0x1B, 0x7F, 0x85, 0x9B])
def test_a_control_character_inside_a_line_makes_it_unusable(code: int) -> None:
    bad, good = read(f"http://a/{chr(code)}b\n{A}\n".encode())
    assert bad == Request(f"http://a/{chr(code)}b", 0, problem=f"line 1: a control character (U+{code:04X}) in the URL")
    assert good == Request(A, 1)


@pytest.mark.parametrize("piece", [1000, 65_535, MAX_ROW])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
@pytest.mark.parametrize(
    ("size", "fits"), [(MAX_ROW - 1, True), (MAX_ROW, True), (MAX_ROW + 1, False), (3 * MAX_ROW, False)]
)
def test_a_line_of_65536_bytes_is_the_longest(size: int, fits: bool, end: bytes, piece: int) -> None:
    line = A.encode().ljust(size, b"a")
    first, *rest = read(line + end + (B.encode() if end else b""), piece=piece)
    assert urls(rest) == ([B] if end else [])
    if fits:
        assert first == Request(line.decode(), 0)
    else:
        assert first == Request(line[:200].decode(), 0, problem="line 1: longer than 65,536 bytes")


@pytest.mark.parametrize("form", ["text", "jsonl", "csv"])
def test_a_line_of_10_mb_costs_one_record_and_constant_memory(form: str) -> None:
    before = b"url\n" if form == "csv" else b""
    pieces = [before, *[b"x" * MAX_ROW] * 160, b'\n"' + A.encode() + b'"\n']
    stdin: Any = Pipe(*filter(None, pieces))
    with open_sources(["-"], input_format=form, stdin=stdin) as source:
        tracemalloc.start()
        try:
            long, good = requests(source)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 20 * MAX_ROW
    assert long.url == ""
    assert long.problem == f"line {2 if before else 1}: longer than 65,536 bytes"
    assert (good.url.strip('"'), good.index, good.problem) == (A, 1, None)


def test_a_compressed_line_of_15_mb_is_read_in_constant_memory(write: Write) -> None:
    path = write("bomb.zst", zstd.compress(b"x" * 15_000_000 + b"\n" + A.encode()))
    tracemalloc.start()
    try:
        with open_sources([path]) as source:
            long, good = requests(source)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 50 * MAX_ROW
    assert (long.problem, good) == ("line 1: longer than 65,536 bytes", Request(A, 1))


@pytest.mark.parametrize("compress", [gzip.compress, zstd.compress])
def test_a_list_that_expands_too_much_is_read_up_to_there_and_named(
    write: Write, monkeypatch: pytest.MonkeyPatch, compress: Callable[[bytes], bytes]
) -> None:
    monkeypatch.setattr(compressed, "UNCHECKED", 3 * MAX_ROW)
    path = write("list.gz" if compress is gzip.compress else "list.zst", compress(f"{A}\n".encode() + b"\n" * 2**20))
    good = write("good.gz", gzip.compress(b"".join(f"{A}{number * 7919}\n".encode() for number in range(20_000))))
    with open_sources([good]) as source:
        assert len(requests(source)) == 20_000
    found: list[Request] = []
    with open_sources([path]) as source, pytest.raises(SourceError) as raised:
        found.extend(request for batch in source for request in batch)
    assert found == [Request(A, 0)]
    assert str(raised.value).startswith(
        f"{path!r}: it expands more than 100-fold; if it is a list of URLs nevertheless, "
    )


@pytest.mark.parametrize(
    ("name", "line"), [("a.txt", "\n"), ("a.txt", " \r\n"), ("a.txt", "\t\n"), ("a.csv", "\n"), ("a.jsonl", "\n")]
)
def test_blank_lines_make_no_lines_of_work_and_are_counted(write: Write, name: str, line: str) -> None:
    head, row, broken = {
        "a.txt": ("", A, "\x01"),
        "a.csv": ("url\n", A, "\x01"),
        "a.jsonl": ("", f'"{A}"', '"\x01"'),
    }[name]
    count = (20 if name == "a.csv" else 3) * MAX_ROW // len(line)
    path = write(name, f"{head}{row}\n{line * count}{broken}\n{row}".encode())
    with open_sources([path]) as source:
        first, second, third = requests(source)  # also imports what is imported late, which is not counted
    calls = 0

    def counted(*_: object) -> None:
        nonlocal calls
        calls += 1

    sys.setprofile(counted)
    try:
        with open_sources([path]) as source:
            assert len(requests(source)) == 3
    finally:
        sys.setprofile(None)
    assert (first.url, third.url) == (A, A)
    assert second.problem is not None
    assert second.problem.startswith(f"line {count + 2 + bool(head)}")
    assert calls < (16 * MAX_ROW if name == "a.csv" else 1000), "for each chunk, not for each line"


def test_the_password_of_an_unusable_row_is_not_in_its_request() -> None:
    row = only(b"https://me:" + b"secret" * 60 + b"@example.org/\xff")
    assert row.url == r"https://***@example.org/\xff"
    for end in (b"@", b"", b"@x/"):
        (row,) = read(b"https://me:" + b"secret" * 150 + end + b"x" * MAX_ROW, piece=MAX_ROW)
        assert row.url == ("https://***@x/" + "x" * 110 if end == b"@x/" else "")


_CHARS = st.text(st.sampled_from('aé#:/ \t\r\n\x00\x1b\x85\u00a0\ufeff"{},')).map(str.encode)
_LINE = st.one_of(
    _CHARS, st.binary(max_size=12), st.sampled_from([A.encode(), b"#", b" # x", b"", BOM, b"\xed\xa0\x80", b"\xe2"])
)
_LIST = st.builds(
    lambda lines, last: b"".join(line + end for line, end in lines) + last,
    st.lists(st.tuples(_LINE, st.sampled_from([b"\n", b"\r\n"]))),
    _LINE,
)


@settings(deadline=None)
@given(_LIST, st.integers(1, 40), st.sampled_from(["text", "jsonl"]))
def test_any_line_that_is_neither_blank_nor_a_comment_gives_exactly_one_request(data: bytes, k: int, form: str) -> None:
    bare = [line.strip(b" \t\r") for line in data.removeprefix(BOM).split(b"\n")]
    found = read(data, form, piece=k)
    assert len(found) == sum(1 for line in bare if line and not line.startswith(b"#"))
    assert [request.index for request in found] == list(range(len(found)))
    assert found == read(data, form)


# --- as it arrives -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["text", "csv", "jsonl"])
def test_each_line_comes_out_of_a_pipe_before_the_next_one_is_written(form: str) -> None:
    reading, writing = os.pipe()
    with open(reading, "rb") as stdin, open(writing, "wb", buffering=0) as writer:
        # Only for an implementation that waits: the end of the pipe makes it fail instead of hang.
        watchdog = threading.Timer(20, writer.close)
        watchdog.start()
        with open_sources(["-"], input_format=form, stdin=stdin) as source:
            batches = iter(source)
            for index in range(5):
                line = json.dumps(f"{A}{index}") if form == "jsonl" else f"{A}{index}"
                writer.write(("url\n" if form == "csv" and not index else "").encode() + f"{line}\n".encode())
                assert next(batches) == [Request(f"{A}{index}", index)]
        watchdog.cancel()
        watchdog.join()
        assert not writer.closed


@pytest.mark.parametrize(
    ("form", "pieces"),
    [
        ("text", [f"{A}\n{B}\nhttps://unfin".encode(), f"{C}\n".encode()]),
        ("csv", [f'url,label\n{A},1\n{B},"2\n2"\n{C},"unfin'.encode(), b'ished"\n']),
        ("csv", [f"url,label\n{A},1\n{B},2\n{C}".encode(), b",3\n"]),
        ("csv", [f'url,label\n{A},1\n{B},2\n{C},"'.encode(), b'\n"\n']),
        ("jsonl", [f'"{A}"\n"{B}"\n"unfin'.encode(), b'ished"\n']),
    ],
)
def test_rows_that_are_complete_do_not_wait_for_one_that_is_not(form: str, pieces: list[bytes]) -> None:
    stdin: Any = Pipe(pieces[0], ends=False)
    with open_sources(["-"], input_format=form, stdin=stdin) as source:
        batches = iter(source)
        assert urls(next(batches)) == [A, B]
        stdin.pieces.append(pieces[1])
        (last,) = next(batches)
        assert (last.index, last.problem) == (2, None)


def test_a_pipe_that_does_not_block_is_read_to_its_end() -> None:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with open(reading, "rb") as stdin:
        source = open_sources(["-"], stdin=stdin)
        assert os.get_blocking(reading)
        os.write(writing, A.encode())
        os.close(writing)
        assert requests(source) == [Request(A, 0)]


def test_a_named_pipe_is_read_as_it_comes_and_only_once(tmp_path: Path) -> None:
    path = str(tmp_path / "pipe.csv")
    os.mkfifo(path)
    source = open_sources([path])
    assert not source.rereadable
    writer = threading.Thread(target=Path(path).write_text, args=(f"url\n{A}\n",))
    writer.start()
    assert requests(source) == [Request(A, 0)]
    writer.join()
    with pytest.raises(SourceError, match=r"pipe\.csv' can be read only once"):
        iter(source)


def test_a_named_pipe_that_may_not_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(SourceError, match="pipe' cannot be read: permission denied"):
        open_sources([str(tmp_path / "pipe")])


# --- CSV -----------------------------------------------------------------------------------------------------------


def test_csv_takes_url_method_label_and_body_by_their_names_and_ignores_other_columns() -> None:
    data = f"n,body,url,label,method\n1,x=1,{A},first,post\n2,,{B},,\n".encode()
    assert read(data, "csv") == [Request(A, 0, method="POST", body=b"x=1", label="first"), Request(B, 1)]


@pytest.mark.parametrize(
    ("cell", "priority"),
    [("5", 5), (" -7\t", -7), ("+3", 3), ("2.0", 2), ("", 0), (" ", 0), ("1000000", 10**6), ("-1000000", -(10**6))],
)
def test_csv_takes_the_priority_too(cell: str, priority: int) -> None:
    data = f"url,priority\n{A},{cell}\n{B},0\n".encode()
    assert read(data, "csv") == [Request(A, 0, priority=priority), Request(B, 1)]


NO_PRIORITY = "the priority is not a whole number from -1,000,000 to 1,000,000"


@pytest.mark.parametrize(
    "cell", ["high", "1.5", "1e3", "1_000", "\u0665", "1000001", "-1000001", "9" * 5000, "- 1", "nan"]
)
def test_a_csv_row_with_a_priority_that_is_none_says_so(cell: str) -> None:
    bad, good = read(f"url,priority\n{A},{cell}\n{B},1\n".encode(), "csv")
    assert bad == Request(A, 0, problem=f"line 2: {NO_PRIORITY}")
    assert good == Request(B, 1, priority=1)


def test_csv_quotes_protect_commas_quotes_and_newlines() -> None:
    data = f'url,label,body\n"{A}?x=1,2","say ""hi""","one\r\ntwo"\n{B},b,\n'.encode()
    assert read(data, "csv") == [
        Request(f"{A}?x=1,2", 0, label='say "hi"', body=b"one\r\ntwo"),
        Request(B, 1, label="b"),
    ]


@pytest.mark.parametrize(
    "data",
    [
        BOM + f"url\n{A}\n{B}\n".encode(),
        BOM + f'"url"\r\n{A}\r\n{B}\r\n'.encode(),
        f"\n \nurl\n\n{A}\n  \t\n{B}".encode(),
        f" url ,n\n {A} ,1\n{B},2\n".encode(),
        f"url,\n{A},\n{B},,,\n".encode(),
        f"n\turl\n1,2\t{A}\n3\t{B}\n".encode(),
        f"a\tb,url\n1,{A}\n2,{B}\n".encode(),
    ],
    ids=["bom", "quoted header", "blank lines", "blanks", "empty columns", "tabs", "a tab in a name"],
)
def test_csv_files_may_come_in_many_dresses(data: bytes) -> None:
    assert urls(read(data, "csv")) == [A, B]
    assert read(data, "csv", piece=1) == read(data, "csv")


def test_a_tsv_file_is_tab_separated_whatever_its_header_holds(write: Write) -> None:
    path = write("list.tsv", f"url\tname, first\n{A}\tx\n".encode())
    assert urls(requests(open_sources([path]))) == [A]


def test_the_url_column_can_have_another_name() -> None:
    assert only(f"url,link\nno,{A}\n".encode(), "csv", column="link").url == A


@pytest.mark.parametrize(
    ("row", "url", "problem"),
    [
        (b"x", "", "1 columns, and the header has 3"),
        (b"POST,http://a/1,2,x", "http://a/1", "4 columns, and the header has 3"),
        (b",,", "", "no URL"),
        (b", ,x", " ", "no URL"),
        (b',"http://a/\n",', "http://a/\n", None),
        (b',"http://a/\nb",', "http://a/\nb", "a control character (U+000A) in the URL"),
        (b",http://a/\xff,", r"http://a/\xff", "not UTF-8"),
        (b",http://a/,\xff", "http://a/", "not UTF-8"),
        (b"G T,http://a/,", "http://a/", "'method' is not an HTTP method"),
        (b"CONNECT,http://a/,", "http://a/", "CONNECT cannot be fetched"),
        (b",http://a/\rb,", "", "not CSV: new-line character seen in unquoted field"),
    ],
)
def test_an_unusable_csv_row_says_why_and_the_next_one_is_read(row: bytes, url: str, problem: str | None) -> None:
    bad, good = read(b"method,url,label\n\n" + row + f"\n,{B},\n".encode(), "csv")
    if problem is None:
        problem = "a control character (U+000A) in the URL"
    assert bad == Request(url, 0, problem=f"line 3: {problem}")
    assert good == Request(B, 1)


def test_a_csv_row_is_numbered_by_the_line_it_begins_on() -> None:
    _, bad = read(f'url,label\n{A},"1\n2\n3"\n,\n'.encode(), "csv")
    assert bad.problem == "line 5: no URL"


def test_a_csv_field_over_the_limit_of_the_csv_module_costs_its_row_only() -> None:
    limit = csv.field_size_limit(20)
    try:
        long, good = read(f"url\n{A}\nhttp://b/\n".encode(), "csv")
        assert csv.field_size_limit() == 20
    finally:
        csv.field_size_limit(limit)
    assert (long.url, long.problem) == (A, "line 2: not CSV: field larger than field limit (20)")
    assert good == Request("http://b/", 1)


def test_reading_csv_leaves_the_field_limit_of_the_csv_module_alone() -> None:
    before = csv.field_size_limit()
    read(b"url\n" + b"x" * (2 * MAX_ROW), "csv", piece=MAX_ROW)
    assert csv.field_size_limit() == before


def test_a_quote_that_is_never_closed_costs_at_most_65536_bytes() -> None:
    lines = [f"http://a/{n},{n}\n" for n in range(10_000)]
    lines[5] = 'http://a/5,"5\n'
    data = "url,label\n" + "".join(lines)
    found = read(data.encode(), "csv", piece=MAX_ROW)
    assert [request.url for request in found[:5]] == [f"http://a/{n}" for n in range(5)]
    assert found[5].url == "http://a/5" or found[5].url.startswith("http://a/5,")
    assert found[5].problem == "line 7: longer than 65,536 bytes: is a quote left open?"
    assert found[6].problem is None
    assert found[6].url == f"http://a/{found[6].label}"
    swallowed = lines[5 : int(found[6].label or 0)]
    assert MAX_ROW < len("".join(swallowed)) < MAX_ROW + 20
    assert found[-1].url == "http://a/9999"
    assert read(data.encode(), "csv", piece=10_007) == found


def test_a_quote_that_the_end_leaves_open_is_told() -> None:
    good, bad = read(f'url,label\n{A},1\n{B},"2\n{C},3\n'.encode(), "csv")
    assert good == Request(A, 0, label="1")
    assert bad == Request(B, 1, problem="line 3: a quote is opened here and never closed")


def test_a_line_that_is_too_long_ends_the_open_row_it_is_in() -> None:
    data = f'url,label\n{A},"1\n'.encode() + b"x" * (2 * MAX_ROW) + f"\n{B},2\n,\n".encode()
    bad, good, last = read(data, "csv", piece=1000)
    assert bad == Request(A, 0, problem="line 2: longer than 65,536 bytes")
    assert good == Request(B, 1, label="2")
    assert last.problem == "line 5: no URL"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"link,name\n1,2\n", "standard input has no column 'url'; it has 'link', 'name'"),
        (b"a;uri\n", "standard input has no column 'url'; it has 'a', 'uri'"),
        (b"sep=;\na,url\n", "standard input has no column 'url'; it has 'a,url'"),
        (b'sep="\na"url\n', "standard input has no column 'url'; it has 'sep=\"'"),
        (b"sep=a\nbaurl\n", "standard input has no column 'url'; it has 'sep=a'"),
        (b"sep=\r\r\nb;url\r\n", "standard input has no column 'url'; it has 'sep='"),
        (b"caf\xe9\n", r"standard input has no column 'url'; it has 'caf\\xe9'"),
        (b",".join([b"x"] * 21), "has no column 'url'; it has " + "'x', " * 20 + "..."),
        (b"x" * (MAX_ROW + 1) + b"\n", "the header of standard input cannot be read: line 1: longer than 65,536 bytes"),
        (b'\n"url\n', "the header of standard input cannot be read: line 2: a quote is opened here and never closed"),
    ],
)
def test_a_csv_without_a_usable_header_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(SourceError) as refused:
        read(data, "csv", piece=MAX_ROW)
    assert message in str(refused.value)


@pytest.mark.parametrize("data", [b"", b"\n", b"url\n", b"url"])
def test_a_csv_without_rows_is_an_empty_list(data: bytes) -> None:
    assert read(data, "csv") == []


_CELLS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8).filter(lambda cell: "\0" not in cell)


# Before Python 3.13 the writer leaves a lone "\r" without quotes, unless it is part of the line's end.
_WAYS = [("\r\n", csv.QUOTE_MINIMAL), ("\r\n", csv.QUOTE_ALL), ("\n", csv.QUOTE_ALL)]


@settings(deadline=None)
@given(st.lists(st.tuples(_CELLS, _CELLS)), st.sampled_from(_WAYS), st.integers(1, 30))
def test_what_a_csv_writer_wrote_is_read_back(cells: list[tuple[str, str]], way: tuple[str, Any], k: int) -> None:
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator=way[0], quoting=way[1])
    writer.writerows([("url", "label", "body"), *((A, label, body) for label, body in cells)])
    assert read(out.getvalue().encode(), "csv", piece=k) == [
        Request(A, index, label=label or None, body=body.encode() or None) for index, (label, body) in enumerate(cells)
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    "lines",
    [
        ["name;url", f"x;{A}"],
        ["url;", f"{A};"],
        ["name|url|label", f"a;b|{A}|c,d"],
        ["name\turl, of the page\turl", f"x\ty\t{A}"],
        ['"a;b",url', f'"c;d",{A}'],
        ["sep=;", "name;url", f"x;{A}"],
        ['"sep=|"', "a;b|url", f"c;d|{A}"],
        ["SEP=\t", "name\turl", f"x\t{A}"],
        ["", "sep=^", "", "name^url", f"x^{A}"],
    ],
)
def test_the_delimiter_is_named_before_the_header_or_the_one_with_which_it_has_the_url(
    lines: list[str], end: str
) -> None:
    data = (end.join(lines) + end).encode()
    for piece in (len(data), 1):
        assert urls(read(data, "csv", piece=piece)) == [A]


def test_the_line_that_names_the_delimiter_counts_as_a_line() -> None:
    assert only(b"sep=;\nurl;label\n;x\n", "csv").problem == "line 3: no URL"


@settings(deadline=None)
@given(st.text(st.sampled_from('aé,"\n\r\t ')).map(str.encode), st.integers(1, 16), st.integers(1, 16))
def test_csv_in_any_pieces_gives_the_same_rows_and_never_raises(data: bytes, one: int, other: int) -> None:
    with (
        mock.patch.multiple(csv_module, MAX_ROW=16),
        mock.patch.multiple(splitting, MAX_ROW=16, _HEAD=8),
        mock.patch.multiple(readers, _CHUNK=16),
    ):
        found = read(b"url,label\n" + data, "csv", piece=one)
        assert found == read(b"url,label\n" + data, "csv", piece=other)
    assert [request.index for request in found] == list(range(len(found)))


# --- JSON Lines ----------------------------------------------------------------------------------------------------


def test_a_json_row_may_carry_method_headers_body_and_label() -> None:
    row = jsonl(method="put", headers={"X-A": "1", "x-b": "2"}, body="hé", label="first")
    assert row == Request(A, 0, "PUT", (("X-A", "1"), ("x-b", "2")), "hé".encode(), "first")


@pytest.mark.parametrize(
    ("given", "priority"), [(5, 5), (-7, -7), (2.0, 2), ("3", 3), (None, 0), (10**6, 10**6), (-(10**6), -(10**6))]
)
def test_a_json_row_may_carry_a_priority(given: Any, priority: int) -> None:
    row = jsonl(priority=given)
    assert row == Request(A, 0, priority=priority)
    assert type(row.priority) is int


@pytest.mark.parametrize("given", ["high", "", 1.5, True, [1], {"a": 1}, 10**6 + 1, -(10**6) - 1, 10**30, 1e300])
def test_a_json_row_with_a_priority_that_is_none_says_so(given: Any) -> None:
    assert jsonl(priority=given) == Request(A, 0, problem=f"line 1: {NO_PRIORITY}")


def test_the_headers_of_a_json_row_may_be_a_list_of_pairs() -> None:
    assert jsonl(headers=[["X-A", "1"], ["X-A", "2"]]).headers == (("X-A", "1"), ("X-A", "2"))


def test_a_json_row_may_be_the_url_alone() -> None:
    assert read(f'"{A}"\n{{"url": "{B}"}}\r\n\n# no row\n'.encode(), "jsonl") == [Request(A, 0), Request(B, 1)]


def test_null_in_a_json_row_is_the_same_as_nothing() -> None:
    assert jsonl(method=None, headers=None, body=None, label=None) == Request(A, 0)


def test_an_empty_body_in_a_json_row_is_a_body() -> None:
    assert jsonl(body="").body == b""


@pytest.mark.parametrize("body", [{"a": [1, "é"]}, [], [{"n": 123456789012345678901234567890}]])
def test_a_body_that_is_an_object_or_array_is_sent_as_that_very_json(body: Any) -> None:
    row = jsonl(body=body)
    assert row.body == json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    assert row.headers == (("Content-Type", "application/json"),)


def test_a_content_type_that_is_given_stays() -> None:
    assert jsonl(body={}, headers={"content-TYPE": "application/x"}).headers == (("content-TYPE", "application/x"),)


@pytest.mark.parametrize("label", ["7", "-1.50", "1e3", "123456789012345678901234567890"])
def test_a_label_that_is_a_number_is_kept_as_it_was_written(label: str) -> None:
    assert only(f'{{"url": "{A}", "label": {label}}}'.encode(), "jsonl").label == label


def test_the_json_key_of_the_url_can_have_another_name() -> None:
    assert only(b'{"link": "http://a/", "url": 1}', "jsonl", column="link") == Request("http://a/", 0)


@pytest.mark.parametrize(
    ("line", "url", "problem"),
    [
        ('{"url": ', "", "not JSON: unexpected end of data (column 8)"),
        ("http://a/", "http://a/", "not JSON: unexpected character, expected a JSON value (column 1)"),
        ("[" * 2000, "", "not JSON: depth limit exceeded (column 1026)"),
        ('["http://a/"]', "", "neither an object nor a text"),
        ("null", "", "neither an object nor a text"),
        ('""', "", "no URL"),
        ('"http://a/\\u0000"', "http://a/\0", "a control character (U+0000) in the URL"),
        ('{"uri": "http://a/"}', "", "no 'url' in it"),
        ('{"url": 7}', "", "'url' is not a text"),
        ('{"url": "http://a/", "method": "G T"}', "http://a/", "'method' is not an HTTP method"),
        ('{"url": "http://a/", "method": 7}', "http://a/", "'method' is not an HTTP method"),
        ('{"url": "http://a/", "headers": {"A B": "1"}}', "http://a/", "that is not a header name"),
        (
            '{"url": "http://a/", "headers": {"A": "1\\n2"}}',
            "http://a/",
            "the header A has a control character in its value",
        ),
        ('{"url": "http://a/", "body": 7}', "http://a/", "'body' is neither a text, an object nor an array"),
        ('{"url": "http://a/", "label": true}', "http://a/", "'label' is neither a text nor a number"),
        ('{"url": "http://a/", "label": [1]}', "http://a/", "'label' is neither a text nor a number"),
    ],
)
def test_an_unusable_json_row_says_why_and_the_next_one_is_read(line: str, url: str, problem: str) -> None:
    before, bad, good = read(f'"{A}"\n\n{line}\n"{B}"\n'.encode(), "jsonl")
    assert bad == Request(url, 1, problem=f"line 3: {problem}")
    assert (before, good) == (Request(A, 0), Request(B, 2))


@pytest.mark.parametrize("headers", ["A: s3cret", ["A: s3cret"], [["A", "s3cret", "x"]], [["A", 7]], {"A": 7}, 7])
def test_headers_of_the_wrong_shape_are_told_without_showing_them(headers: Any) -> None:
    row = jsonl(headers=headers)
    assert row == Request(A, 0, problem="line 1: 'headers' is neither an object of texts nor a list of [name, value]")


@pytest.mark.parametrize(
    "line",
    [
        '{"url": "http://a/", "headers": {"X-Key": "s3cret"}',
        '{"url": "http://a/", "body": "s3cret"',
        '{"url": "http://a/", "Authorization": "s3cret"',
        '{"uri": "http://a/", "x-cookie": "s3cret"}',
        '{"url": "http://a/", "headers: {"X-Key": "s3cret"}}',
        '{"url": "http://a/", headers: {X-Key: s3cret}}',
        '{"X-Key": "s3cret", "url": "http://a/"',
        '{"url": "http://me:s3cret',
        '{"url": "http:\\/\\/me:s3cret@a\\/"',
        "http://a/ X-Key: s3cret",
        '{"url": "http://me:s3cret@a/"',
        '{"url": "http://a/", "method": "http://me:s3cret@a/"}',
    ],
)
def test_what_is_shown_of_a_broken_json_row_ends_before_its_secrets(line: str) -> None:
    row = only(line.encode(), "jsonl")
    assert row.problem is not None
    assert row.url in ("http://a/", "http://***@a/", "")
    assert "s3cret" not in row.url + row.problem


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("url,method,body", "http://a/,s3cret"),
        ("method,url,body", "POST,s3cret"),
        ("body,url", "x=1,s3cret,http://a/"),
        ("url,body", 'http://a/,"s3cret'),
        ("url,body", "http://a/,s3cret\rx"),
        ("url,label", "http://me:s3,cret@a/,x"),
        ("url,label", "http://me:s3cret@a/"),
        ("url,label", "me:s3cret@a/"),
        ("url,label", '"http://me:s3cret'),
        ("url,method", "http://a/,s3 cret"),
        ("url,priority", "http://a/,s3cret"),
    ],
)
def test_what_is_shown_of_a_broken_csv_row_has_no_secrets(header: str, row: str) -> None:
    found = only(f"{header}\n{row}\n".encode(), "csv")
    assert found.problem is not None
    assert "s3" not in found.url + found.problem
    assert "cret" not in found.url + found.problem


def test_a_json_row_that_is_not_utf8_says_so() -> None:
    assert only(b'{"url": "http://a/\xff"}', "jsonl") == Request(r"http://a/\xff", 0, problem="line 1: not UTF-8")


@pytest.mark.parametrize("rest", ['"body": %s', '"label": 7, "json": %s'])
def test_json_nested_almost_as_deep_as_the_parser_allows_gives_a_request_or_a_problem(rest: str) -> None:
    depths = range(200, 1023)
    lines = (f'{{"url": "{A}", {rest}}}' % ("[" * depth + "]" * depth) for depth in depths)
    found = read("\n".join(lines).encode(), "jsonl", piece=MAX_ROW)
    assert len(found) == len(depths)
    assert {request.url for request in found} == {A}
    assert {request.problem and request.problem.partition(": ")[2] for request in found} <= {None, "nested too deep"}


def test_a_problem_is_never_longer_than_a_line_on_a_screen_or_two() -> None:
    row = jsonl(method="X " * 10_000)
    assert row.problem is not None
    assert len(row.problem) < 220


# --- files, URLs and standard input together -----------------------------------------------------------------------


def test_the_index_counts_on_over_all_arguments(write: Write) -> None:
    text, table = write("a.txt", f"{A}\n# x\n{B}\n".encode()), write("b.csv", f"url\n{C}\n".encode())
    found = requests(open_sources([text, A, "-", table], stdin=io.BytesIO(B.encode())))
    assert found == [Request(url, index) for index, url in enumerate([A, B, A, B, C])]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("list", A),
        ("list.txt", A),
        ("list.csv", f"url\n{A}"),
        ("list.CSV", f"url\n{A}"),
        ("list.tsv", f"n\turl\n1\t{A}"),
        ("list.jsonl", f'{{"url": "{A}"}}'),
        ("list.ndjson", f'"{A}"'),
    ],
)
@pytest.mark.parametrize("coding", ["", ".gz", ".zst", ".GZ"])
def test_the_format_is_guessed_from_the_name(write: Write, name: str, data: str, coding: str) -> None:
    packs: dict[str, Callable[[bytes], bytes]] = {"": bytes, ".gz": gzip.compress, ".zst": zstd.compress}
    pack = packs[coding.lower()]
    assert requests(open_sources([write(name + coding, pack(data.encode()))])) == [Request(A, 0)]


def test_a_format_that_is_given_goes_before_the_name(write: Write) -> None:
    path = write("list.csv", f'{{"url": "{A}"}}'.encode())
    assert requests(open_sources([path], input_format="jsonl")) == [Request(A, 0)]
    assert urls(requests(open_sources([path], input_format="text"))) == [f'{{"url": "{A}"}}']


def test_several_members_of_a_compressed_file_are_one_list(write: Write) -> None:
    gz = write("a.gz", gzip.compress(f"{A}\nhttps://exam".encode()) + gzip.compress(b"ple.org/b\n"))
    zst = write("a.zst", zstd.compress(f"{A}\nhttps://exam".encode()) + zstd.compress(b"ple.org/b\n"))
    assert urls(requests(open_sources([gz, zst]))) == [A, B, A, B]


def test_a_problem_names_its_file_when_there_are_several(write: Write) -> None:
    path = write("bad.txt", b"\n\xff\n")
    alone, among = requests(open_sources([path])), requests(open_sources(["http://a/\x1b", path]))
    assert alone[0].problem == "line 2: not UTF-8"
    assert among[0].problem == "argument 1: a control character (U+001B) in the URL"
    assert among[1].problem == f"line 2 of {path!r}: not UTF-8"


def test_an_argument_that_was_no_utf8_is_one_unusable_row() -> None:
    assert requests(open_sources(["http://a/\udcff\ud912"])) == [
        Request(r"http://a/\xff\ud912", 0, problem="argument 1: not UTF-8")
    ]


def test_no_arguments_are_an_empty_list() -> None:
    source = open_sources([])
    assert (list(source), source.total, source.rereadable) == ([], 0, True)


def test_the_total_is_known_when_all_arguments_are_urls(write: Write) -> None:
    path = write("a.txt", A.encode())
    assert open_sources([A, B, A]).total == 3
    assert open_sources([A, path]).total is None


def test_only_standard_input_has_no_known_end(write: Write) -> None:
    path = write("a.txt", A.encode())
    assert open_sources([A, path]).rereadable
    assert not open_sources([A, "-"], stdin=io.BytesIO()).rereadable


def test_standard_input_is_that_of_the_process_unless_one_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(A.encode())))
    assert requests(open_sources(["-"])) == [Request(A, 0)]


def test_a_closed_or_missing_standard_input_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.BytesIO()
    closed.close()
    with pytest.raises(SourceError, match="there is no standard input"):
        open_sources(["-"], stdin=closed)
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(SourceError, match="there is no standard input"):
        open_sources(["-"])


def test_files_and_urls_can_be_iterated_again(write: Write) -> None:
    source = open_sources([write("a.txt.gz", gzip.compress(A.encode())), B])
    assert requests(source) == requests(source) == [Request(A, 0), Request(B, 1)]


def test_standard_input_can_be_read_only_once() -> None:
    source = open_sources([A, "-"], stdin=io.BytesIO(B.encode()))
    assert len(requests(source)) == 2
    with pytest.raises(SourceError, match=r"^standard input can be read only once$"):
        iter(source)


def test_two_iterations_do_not_disturb_each_other(write: Write) -> None:
    source = open_sources([write("a.txt", f"{A}\n{B}".encode())])
    one, other = iter(source), iter(source)
    assert [next(one), next(other), *one, *other] == [
        [Request(A, 0)],
        [Request(A, 0)],
        [Request(B, 1)],
        [Request(B, 1)],
    ]


def test_closing_closes_the_file_that_is_being_read(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []

    def spy(*args: Any, **options: Any) -> Any:
        opened.append(open(*args, **options))  # noqa: SIM115  # whether it gets closed is the question
        return opened[-1]

    monkeypatch.setattr(opening, "open", spy, raising=False)
    with open_sources([write("a.txt", f"{A}\n{B}".encode())]) as source:
        assert [file.closed for file in opened] == [True]
        next(iter(source))
        batches = iter(source)
        next(batches)
        assert not opened[-1].closed
    assert all(file.closed for file in opened)
    assert list(batches) == []
    with pytest.raises(ValueError, match="the source is closed"):
        iter(source)


def test_closing_does_not_close_standard_input() -> None:
    stdin = io.BytesIO(A.encode())
    with open_sources(["-"], stdin=stdin) as source:
        requests(source)
    assert not stdin.closed


def test_closing_while_another_thread_reads_ends_its_iteration_after_that_read() -> None:
    reading, go = threading.Event(), threading.Event()

    class Slow(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            reading.set()
            assert go.wait(20)
            return f"{A}\n".encode()

    stdin: Any = Slow()
    source = open_sources(["-"], stdin=stdin)
    found: list[Request] = []
    thread = threading.Thread(target=lambda: found.extend(requests(source)), daemon=True)
    thread.start()
    assert reading.wait(20)
    source.close()
    go.set()
    thread.join(20)
    assert not thread.is_alive()
    assert found == []


# --- what cannot be read -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argument", "hint"),
    [
        ("missing", False),
        ("urls.txt", False),
        ("urls.CSV.gz", False),
        ("./example.org", False),
        ("folder/urls.txt", False),
        ("", False),
        ("a\0b", False),
        ("example.org", True),
        ("example.org/a", True),
        ("example.org/a.txt", True),
        ("www.example.org:8080?x=/", True),
        ("localhost:8000/a", True),
        ("127.0.0.1", True),
    ],
)
def test_a_missing_file_is_told_with_a_hint_when_it_looks_like_a_url(
    argument: str, hint: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError) as refused:
        open_sources([argument])
    expected = f"there is no file {argument!r}"
    assert str(refused.value) == expected + (" (a URL needs http:// or https://)" if hint else "")


def test_a_file_named_like_a_host_is_a_file(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write("example.org", A.encode())
    assert requests(open_sources(["example.org"])) == [Request(A, 0)]


def test_a_path_through_a_file_is_a_missing_file(write: Write) -> None:
    path = write("a.txt", b"") + "/b"
    with pytest.raises(SourceError, match="there is no file"):
        open_sources([path])


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError) as refused:
        open_sources([str(tmp_path)])
    assert str(refused.value) == f"{str(tmp_path)!r} is a folder, not a file of URLs"


def test_a_name_that_the_system_refuses_is_told() -> None:
    with pytest.raises(SourceError, match="x' cannot be read: File name too long"):
        open_sources(["x" * 5000])


def test_a_file_that_may_not_be_read_is_refused(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    path = write("a.txt", A.encode())
    monkeypatch.setattr(opening, "open", refuse, raising=False)
    with pytest.raises(SourceError, match=r"a\.txt' cannot be read: Permission denied"):
        open_sources([path])


def test_standard_input_twice_is_refused() -> None:
    with pytest.raises(SourceError, match=r"^standard input \(-\) is given twice$"):
        open_sources(["-", A, "-"], stdin=io.BytesIO())


@pytest.mark.parametrize("name", ["a.gz", "a.zst"])
@pytest.mark.parametrize("data", [b"", b"x", f"{A}\n".encode() * 100, b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd"])
def test_a_file_that_is_not_compressed_as_its_name_says_is_refused_at_once(
    write: Write, name: str, data: bytes
) -> None:
    with pytest.raises(SourceError, match=rf"{name}' cannot be read: "):
        open_sources([write(name, data)])


def test_a_compressed_empty_list_is_an_empty_list(write: Write) -> None:
    assert requests(open_sources([write("a.gz", gzip.compress(b"")), write("b.zst", zstd.compress(b""))])) == []


def test_a_csv_file_without_the_url_column_is_refused_before_anything_is_read(write: Write) -> None:
    path = write("a.csv.gz", gzip.compress(b"\n" * MAX_ROW + b"link,name\n1,2\n"))
    with pytest.raises(SourceError) as refused:
        open_sources([A, path])
    assert str(refused.value) == f"{path!r} has no column 'url'; it has 'link', 'name'"


def _noise(lines: int) -> Iterator[str]:
    seed = 1
    for _ in range(lines):
        seed = seed * 6364136223846793005 % 2**64
        yield f"http://a/{seed:x}\n"


@pytest.mark.parametrize("name", ["a.gz", "a.zst"])
@pytest.mark.parametrize("damage", ["cut", "changed", "followed"])
def test_damage_in_a_compressed_file_stops_loudly_after_the_whole_rows_before_it(
    write: Write, name: str, damage: str
) -> None:
    lines = list(_noise(50_000))
    plain = "".join(lines).encode()
    data = gzip.compress(plain) if name == "a.gz" else zstd.compress(plain)
    if damage == "cut":
        data = data[: len(data) // 2]
    elif damage == "changed":
        # gzip has one checksum, at the end: of damage before it, nobody can say where it began.
        data = data[:-8] + bytes(8) if name == "a.gz" else data[: len(data) // 2] + bytes(len(data) // 2)
    else:
        data += b"garbage"
    found: list[Request] = []
    with open_sources([write(name, data)]) as source, pytest.raises(SourceError) as stopped:
        found.extend(request for batch in source for request in batch)
    message = str(stopped.value)
    assert f"{name}' is damaged after line {len(found)}: " in message
    assert message.endswith("; what came before it was read")
    assert len(found) > 5000
    assert urls(found) == [line.strip() for line in lines[: len(found)]]


def test_a_read_error_in_the_middle_stops_loudly_after_the_rows_before_it() -> None:
    stdin: Any = Pipe(f"{A}\n{B}".encode(), OSError(5, "Input/output error"))
    batches = iter(open_sources(["-"], stdin=stdin))
    with closing(batches):
        assert next(batches) == [Request(A, 0)]
        with pytest.raises(SourceError) as stopped:
            next(batches)
    assert str(stopped.value) == (
        "standard input is damaged after line 1: Input/output error; what came before it was read"
    )


def test_a_file_that_has_gone_since_it_was_checked_stops_loudly(write: Write) -> None:
    path = write("a.txt", A.encode())
    source = open_sources([path])
    os.unlink(path)
    with pytest.raises(SourceError, match=r"a\.txt' cannot be read: No such file"):
        list(source)

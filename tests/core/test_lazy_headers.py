"""Headers that are kept as they were received read like parsed ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from support.factories import make_result

from fetchq import Result
from fetchq.core.fast_dataclass import fast_replacer
from fetchq.core.lazy_headers import field_reader, parse_fields
from fetchq.core.model import kept_headers

read = field_reader("ETag", "Last-Modified")
lines = st.builds(
    lambda name, between, value: name + between + value + b"\r\n",
    st.sampled_from([b"ETag", b"etag", b"ETAG", b"Last-Modified", b"X-ETag", b"ETags", b"Link"]),
    st.sampled_from([b": ", b":", b":\t"]),
    st.sampled_from([b'"a"', b"caf\xc3\xa9", b"caf\xe9", b"", b"ETag: x", b"b \t"]),
)


@given(st.lists(lines, max_size=5).map(b"".join))
def test_a_reader_of_fields_finds_what_is_found_in_parsed_headers(kept: bytes) -> None:
    parsed = parse_fields(kept)
    assert read(kept) == read(parsed)
    assert [value is None for value in read(kept)] == [name not in parsed for name in ("etag", "last-modified")]


def test_headers_are_parsed_when_they_are_first_read_and_a_fast_copy_keeps_them_as_they_are() -> None:
    kept: Any = b"A: b\r\nA:  c \r\n"
    result = fast_replacer(Result, "headers")(make_result(), kept)
    changed = fast_replacer(Result, "path")(result, "x")
    assert kept_headers(result) == kept_headers(changed) == kept
    assert list(result.headers.items()) == [("A", "b"), ("A", "c")]
    assert kept_headers(result) is result.headers
    assert replace(result, path="x") == changed

"""What the Thrift compact protocol encodes is read, and is the same when it is written again."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.factories import examples

from fetchq.store.sinks.thrift_compact import Struct, read_struct, struct_bytes

_NUMBERS = st.integers(-(2**63), 2**63 - 1)
_SIMPLE = st.one_of(
    st.tuples(st.sampled_from([4, 5, 6]), _NUMBERS),
    st.tuples(st.just(3), st.integers(0, 255)),
    st.tuples(st.just(7), st.binary(min_size=8, max_size=8)),
    st.tuples(st.just(8), st.binary(max_size=200)),
    st.sampled_from([(1, True), (2, False)]),
    st.tuples(st.sampled_from([9, 10]), st.tuples(st.just(6), st.lists(_NUMBERS, max_size=20))),
    st.tuples(st.just(9), st.tuples(st.just(1), st.lists(st.sampled_from([1, 2]), max_size=20))),
)


def _structs(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Struct]:
    return st.dictionaries(st.integers(1, 2000), values, max_size=4).map(lambda struct: dict(sorted(struct.items())))


def _deeper(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    structs = _structs(values)
    lists = st.tuples(st.just(12), st.lists(structs, max_size=3))
    return st.one_of(st.tuples(st.just(12), structs), st.tuples(st.just(9), lists))


@examples(40)
@given(_structs(st.recursive(_SIMPLE, _deeper, max_leaves=6)), st.binary(max_size=5))
def test_a_struct_is_read_as_it_was_written(struct: Struct, before: bytes) -> None:
    data = struct_bytes(struct)
    assert read_struct(before + data + b"more", len(before)) == (struct, len(before) + len(data))


def test_the_metadata_of_a_file_is_the_same_when_it_is_written_again() -> None:
    columns = {f"c{at}": pa.array([at, None, 2**40]) for at in range(20)}
    table = pa.table(
        {**columns, "text": ["a", "b", None], "lists": [[{"x": 1.5}], [], None], "flag": [True, False, None]}
    )
    stream = io.BytesIO()
    pq.write_table(table, stream, row_group_size=1, write_page_index=True)
    data = stream.getvalue()
    begin = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    struct, end = read_struct(data, begin)
    assert end == len(data) - 8
    assert struct_bytes(struct) == data[begin:end]


@pytest.mark.parametrize(("data", "error"), [(b"\x1b\x00\x00", ValueError), (b"\x15", IndexError)])
def test_a_map_and_data_that_are_cut_are_refused(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        read_struct(data, 0)

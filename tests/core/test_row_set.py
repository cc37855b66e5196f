"""RowSet: a set of row numbers in bits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fetchq.core.row_set import RowSet

steps = st.lists(st.tuples(st.sampled_from(["add", "discard"]), st.integers(0, 300)), max_size=80)


@given(steps)
def test_it_does_what_a_set_does(steps: list[tuple[str, int]]) -> None:
    rows, model = RowSet(), set[int]()
    for step, row in steps:
        getattr(rows, step)(row)
        getattr(model, step)(row)
        assert len(rows) == len(model)
    assert {row for row in range(320) if row in rows} == model


def test_a_million_rows_take_little_more_than_a_bit_each() -> None:
    rows = RowSet()
    for row in range(1_000_000):
        rows.add(row)
    assert len(rows) == 1_000_000
    assert len(rows._bits) < 150_000

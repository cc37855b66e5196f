"""The statements that fill a ledger: every row as it is, and few different statements."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing

from hypothesis import given
from hypothesis import strategies as st
from support.factories import examples

from fetchq.store.inserts import Inserts

COLUMN = st.sampled_from(
    [st.integers(-(2**63), 2**63 - 1), st.integers(0, 1), st.floats(0, allow_nan=False), st.text("ab"), st.binary()]
)


def rows_of(kinds: list[st.SearchStrategy[object]]) -> st.SearchStrategy[list[tuple[object, ...]]]:
    return st.lists(st.tuples(*[st.none() | kind for kind in kinds]), max_size=150)


@examples(200)
# More rows than go into one statement, with columns that are empty, or the same, in some of them, in all, or in none.
@given(st.lists(COLUMN, min_size=1, max_size=5).flatmap(rows_of), st.lists(st.integers(1, 100)))
def test_the_statements_put_in_every_row_as_it_is_and_in_order(
    values: list[tuple[object, ...]], batches: list[int]
) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        rows = [(index, *row) for index, row in enumerate(values)]
        width = len(rows[0]) if rows else 1
        connection.execute(f"CREATE TABLE t ({', '.join(f'c{column}' for column in range(width))})")
        inserts = Inserts("t")
        left = rows
        for size in [*batches, len(rows)]:
            for statement in inserts.statements(left[:size]):
                connection.execute(*statement)
            left = left[size:]
        assert connection.execute("SELECT * FROM t ORDER BY rowid").fetchall() == rows


def test_there_are_few_different_statements_whatever_the_rows_have_in_common() -> None:
    chance = random.Random(1)
    inserts = Inserts("t")
    different = set()
    for batch in range(200):
        rows = [(batch, *[chance.choice((None, 1)) for _ in range(20)]) for _ in range(chance.randrange(1, 200))]
        different |= {text for text, _ in inserts.statements(rows)}
    assert len(different) < 100

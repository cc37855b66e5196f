"""The statements that fill a ledger, and the times in it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st
from support.factories import examples

from fetchq.store.schema import inserts, utc_text

VALUES = st.none() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text("ab") | st.binary()


@examples(200)
@given(
    # More rows than go into one statement, with columns that are empty in some of them, in all, or in none.
    st.integers(1, 5).flatmap(lambda width: st.lists(st.tuples(*[VALUES] * width), max_size=150))
)
def test_the_statements_put_in_every_row_as_it_is_and_in_order(values: list[tuple[object, ...]]) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        rows = [(index, *row) for index, row in enumerate(values)]
        width = len(rows[0]) if rows else 1
        connection.execute(f"CREATE TABLE t ({', '.join(f'c{column}' for column in range(width))})")
        for statement in inserts("t", rows):
            connection.execute(*statement)
        assert connection.execute("SELECT * FROM t ORDER BY rowid").fetchall() == rows


@examples(200)
@given(st.datetimes(timezones=st.just(UTC)))
def test_a_moment_is_written_as_rfc_3339_says_and_can_be_read_back(moment: datetime) -> None:
    assert utc_text(moment) == moment.isoformat().replace("+00:00", "Z")
    assert datetime.fromisoformat(utc_text(moment)) == moment

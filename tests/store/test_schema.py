"""The times in a ledger."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st
from support.factories import examples

from fetchq.store.schema import utc_text


@examples(200)
@given(st.datetimes(timezones=st.just(UTC)))
def test_a_moment_is_written_as_rfc_3339_says_and_can_be_read_back(moment: datetime) -> None:
    assert utc_text(moment) == moment.isoformat().replace("+00:00", "Z")
    assert datetime.fromisoformat(utc_text(moment)) == moment

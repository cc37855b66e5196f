"""The texts that several views share."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fetchq.reports.text import causes_text


@given(st.permutations([("status", 3), ("dns", 1), ("connect", 1)]), st.permutations([(503, 1), (404, 1), (500, 1)]))
def test_reasons_that_are_as_frequent_are_in_the_same_order_whichever_came_first(causes: Any, statuses: Any) -> None:
    shown = "1 x 404, 1 x 500, 1 x 503, 1 connect, 1 dns"
    assert causes_text(dict(causes), dict(statuses)) == shown

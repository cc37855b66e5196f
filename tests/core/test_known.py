"""What is remembered of texts that strangers choose."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetchq.core.known import Known, RecentSet, bounded


def test_what_is_known_is_found_out_once() -> None:
    asked: list[str] = []
    known: Known[str, str] = Known(lambda text: (asked.append(text), text.upper())[1])
    assert [known["a"], known["b"], known["a"]] == ["A", "B", "A"]
    assert asked == ["a", "b"]


@given(st.lists(st.text(max_size=8)))
def test_no_more_is_kept_than_the_bounds_allow(texts: list[str]) -> None:
    known: Known[str, int] = Known(len, most=3, longest=4)
    for text in texts:
        assert known[text] == len(text)
        assert len(known) <= 3
        assert all(len(one) <= 4 for one in known)


def test_of_too_many_things_the_oldest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RecentSet, "_MOST", 20)
    recent = RecentSet()
    for number in range(100):
        recent.add(number)
        assert number in recent
        assert len(recent) <= 20


@given(st.text(), st.text())
def test_a_bounded_text_stands_for_one_text_alone(one: str, other: str) -> None:
    assert len(bounded(one * 50, 100)) <= 100
    assert (bounded(one, 100) == bounded(other, 100)) == (one == other)


def test_a_long_text_is_told_from_others_that_begin_alike() -> None:
    assert bounded("h" * 500 + "\udc80", 100) != bounded("h" * 501, 100)

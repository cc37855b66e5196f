"""Rows by number or by chance: which ones, in which order, and in how much memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.factories import examples

from fetchq.core.model import Request
from fetchq.inputs import sampling
from fetchq.inputs.opening import open_sources
from fetchq.inputs.sampling import ListTooLongError, first_rows, sample_rows, shuffled_rows

batches = st.lists(st.integers(0, 40), max_size=6)
limits = st.integers(1, 60)
seeds = st.integers(0, 2**40)


def rows_of(sizes: list[int]) -> list[list[Request]]:
    """Batches of these sizes, of numbered rows."""
    ends = [sum(sizes[: at + 1]) for at in range(len(sizes))]
    return [
        [Request("http://a.test/", row) for row in range(end - size, end)]
        for size, end in zip(sizes, ends, strict=True)
    ]


def indexes(found: sampling.Rows) -> list[int]:
    return [row.index for batch in found for row in batch]


@given(sizes=batches, limit=limits)
@examples(100)
def test_the_first_rows_are_as_many_as_there_are_or_may_be(sizes: list[int], limit: int) -> None:
    assert indexes(first_rows(rows_of(sizes), limit)) == list(range(min(sum(sizes), limit)))


@given(sizes=batches, limit=limits, seed=seeds)
@examples(100)
def test_a_sample_is_a_part_of_the_rows_in_their_order_and_follows_from_the_seed(
    sizes: list[int], limit: int, seed: int
) -> None:
    found = indexes(sample_rows(rows_of(sizes), limit, seed))
    assert found == sorted(set(found))
    assert len(found) == min(sum(sizes), limit)
    assert set(found) <= set(range(sum(sizes)))
    assert found == indexes(sample_rows(rows_of([sum(sizes)]), limit, seed)), "however the list is read"


@given(sizes=batches, seed=seeds)
@examples(100)
def test_shuffled_rows_are_all_rows_once_and_their_order_follows_from_the_seed(sizes: list[int], seed: int) -> None:
    found = indexes(shuffled_rows(rows_of(sizes), seed))
    assert sorted(found) == list(range(sum(sizes)))
    assert found == indexes(shuffled_rows(rows_of([sum(sizes)]), seed))


def test_the_order_of_a_seed_is_the_same_in_all_versions_of_python() -> None:
    assert indexes(shuffled_rows(rows_of([10]), 1)) == [8, 0, 3, 4, 5, 2, 9, 6, 7, 1]
    assert indexes(sample_rows(rows_of([100]), 5, 1)) == [10, 13, 76, 77, 96]


def test_every_row_has_the_same_chance_to_be_in_a_sample() -> None:
    seen = [0] * 10
    for seed in range(2000):
        for row in indexes(sample_rows(rows_of([10]), 3, seed)):
            seen[row] += 1
    assert all(500 < times < 700 for times in seen), seen  # 600 +- 5 standard deviations


@pytest.mark.parametrize("seed", [None, 3])
def test_the_number_of_rows_that_a_source_tells_is_what_it_yields(seed: int | None, tmp_path: Path) -> None:
    path = tmp_path / "urls.txt"
    path.write_text("http://a.test/\n" * 30)
    for limit, rows in ((None, 30), (7, 7), (40, 30)):
        with open_sources([str(path)], limit=limit, shuffle=seed) as source:
            assert source.count() == rows
            assert sum(map(len, source)) == source.read == rows
            assert source.ended
        with open_sources(["http://a.test/"] * 30, limit=limit, shuffle=seed) as source:
            assert source.total == rows


def test_more_rows_than_fit_into_memory_are_refused_and_a_sample_of_them_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sampling, "MOST_ROWS", 10)
    with pytest.raises(ListTooLongError, match="at most 10 and 500 MB of them; --limit N takes fewer"):
        shuffled_rows(rows_of([11]), 1)
    assert len(indexes(sample_rows(rows_of([1000]), 10, 1))) == 10
    monkeypatch.setattr(sampling, "MOST_BYTES", 3000)
    with pytest.raises(ListTooLongError):
        sample_rows(rows_of([1000]), 10, 1)


@pytest.mark.parametrize("part", ["url", "label", "filename", "passed", "body", "headers"])
def test_whatever_makes_rows_long_counts_towards_the_memory_that_a_shuffle_may_take(
    part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = "x" * 5000
    values: dict[str, Any] = {"body": long.encode(), "headers": (("X-Long", long),), "passed": f'{{"a":"{long}"}}'}
    rows = [replace(Request("http://h.test/", index), **{part: values.get(part, long)}) for index in range(10)]
    monkeypatch.setattr(sampling, "MOST_BYTES", 10 * 5000)
    with pytest.raises(ListTooLongError):
        shuffled_rows([rows], 1)
    monkeypatch.setattr(sampling, "MOST_BYTES", 10 * 6000)
    assert len(indexes(shuffled_rows([rows], 1))) == 10

"""The differences of two runs: each is found, nothing else is, and rows of one URL are compared in their order."""

from __future__ import annotations

import tracemalloc
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.factories import ACTIVE, any_text, examples, failed_result, make_result
from support.runs import NASTY, make_run, renumbered

from fetchq.core.model import Cause, Result
from fetchq.core.text import without_surrogates
from fetchq.reports.diff import Change, Difference, Row, differences
from fetchq.reports.diff_text import TITLES, difference_line
from fetchq.store.ledger_connection import LedgerError
from fetchq.store.stored_run import open_run

ONE, TWO = "1" * 64, "2" * 64


def compare(old: Sequence[Result], new: Sequence[Result], **given: Any) -> list[Difference]:
    with TemporaryDirectory() as folder:
        runs = [
            open_run(make_run(Path(folder) / name, [renumbered(one, at) for at, one in enumerate(results)]))
            for name, results in (("old", old), ("new", new))
        ]
        with runs[0], runs[1]:
            return list(differences(*runs, **given))


def changes(old: Sequence[Result], new: Sequence[Result], **given: Any) -> list[str]:
    return [one.change.value for one in compare(old, new, **given)]


def records(old: Sequence[Result], new: Sequence[Result]) -> list[dict[str, Any]]:
    return [one.to_record() for one in compare(old, new)]


def test_a_run_does_not_differ_from_itself() -> None:
    results = [make_result(sha256=ONE), failed_result(Cause.DNS, url="http://x/"), make_result(), make_result()]
    assert compare(results, results) == []
    assert compare([], []) == []


def test_the_order_of_the_rows_makes_no_difference() -> None:
    results = [make_result(url=f"http://h/{at}", sha256=ONE) for at in range(5)]
    assert compare(results, results[::-1]) == []


def test_a_url_that_only_one_run_has_is_new_or_gone() -> None:
    only_old, both = make_result(url="http://a/", status=204), make_result(url="http://b/")
    only_new = failed_result(Cause.TIMEOUT, url="http://c/")
    gone, new = records([only_old, both], [both, only_new])
    assert gone == {
        "url": "http://a/",
        "method": "GET",
        "change": "gone",
        "old": {"status": 204, "cause": None},
        "new": None,
        "old_index": 0,
        "new_index": None,
    }
    assert (new["change"], new["old"], new["new"]) == ("new", None, {"status": None, "cause": "timeout"})
    assert (new["old_index"], new["new_index"]) == (None, 1)


def test_the_same_url_with_another_method_is_another_one() -> None:
    assert changes([make_result(method="GET")], [make_result(method="HEAD")]) == ["gone", "new"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (make_result(status=200), make_result(status=201)),
        (make_result(status=200), make_result(status=404, cause=Cause.STATUS)),
        (make_result(status=404), make_result(status=404, cause=Cause.STATUS)),
        (make_result(), failed_result(Cause.TIMEOUT)),
        (failed_result(Cause.DNS), failed_result(Cause.CONNECT)),
        (failed_result(Cause.STATUS, status=500), failed_result(Cause.STATUS, status=503)),
    ],
)
def test_another_status_or_cause_is_a_changed_status(old: Result, new: Result) -> None:
    for before, after in ((old, new), (new, old)):
        (record,) = records([before], [after])
        assert record["change"] == "status"
        for one, result in (("old", before), ("new", after)):
            assert record[one] == {"status": result.status, "cause": result.cause and result.cause.value}


def test_another_hash_is_a_changed_content() -> None:
    (record,) = records([make_result(sha256=ONE)], [make_result(sha256=TWO)])
    assert (record["change"], record["old"], record["new"]) == ("content", ONE, TWO)


def test_a_body_that_is_not_whole_has_no_content_to_compare() -> None:
    assert changes([make_result(sha256=ONE)], [failed_result(Cause.INCOMPLETE, status=200)]) == ["status"]
    assert changes([make_result(sha256=None)], [make_result(sha256=ONE)]) == []


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        (0.1, 0.2, ["slower"]),
        (0.2, 0.1, ["faster"]),
        (1.0, 2.0, ["slower"]),
        (1.0, 1.999, []),
        (0.01, 0.1, []),
        (0.0, 0.1, ["slower"]),
        (0.1, 0.0, ["faster"]),
        (0.0, 0.0, []),
        (1e308, 1e-308, ["faster"]),
    ],
)
def test_slower_and_faster_mean_twice_and_a_tenth_of_a_second(old: float, new: float, found: list[str]) -> None:
    assert changes([make_result(elapsed=old)], [make_result(elapsed=new)]) == found


def test_how_much_slower_matters_can_be_chosen() -> None:
    old, new = [make_result(elapsed=1.0)], [make_result(elapsed=1.5)]
    assert changes(old, new, factor=1.5, least=0.5) == ["slower"]
    assert changes(old, new, factor=1.6, least=0.5) == []
    assert changes(old, new, factor=1.5, least=0.6) == []
    assert changes(old, old, factor=1.0, least=0.0) == []


def test_one_url_may_differ_in_several_ways() -> None:
    old = [make_result(sha256=ONE, elapsed=0.1)]
    new = [make_result(sha256=TWO, elapsed=1.0, status=404, cause=Cause.STATUS)]
    assert changes(old, new) == ["status", "content", "slower"]


def test_a_url_that_is_there_several_times_is_compared_in_its_order() -> None:
    old = [make_result(status=status) for status in (200, 201, 202)]
    other = make_result(url="http://a/")
    assert [(one["change"], one["old_index"], one["new_index"]) for one in records(old, [other, *old[:2]])] == [
        ("new", None, 0),
        ("gone", 2, None),
    ]
    assert [(one["change"], one["old_index"], one["new_index"]) for one in records(old[:1], old[::-1])] == [
        ("status", 0, 0),
        ("new", None, 1),
        ("new", None, 2),
    ]


@pytest.mark.parametrize("text", NASTY)
def test_a_url_that_would_do_harm_is_compared_like_any_other(text: str) -> None:
    old = [make_result(url=text, method=text, sha256=ONE, status=204)]
    assert compare(old, old) == []
    found = compare(old, [make_result(url=text, method=text, sha256=TWO, elapsed=9.0)])
    assert [one.change for one in found] == ["status", "content", "slower"]
    assert {one.row.url for one in found} == {without_surrogates(text)}
    for one in found:
        assert not ACTIVE.search(difference_line(one))


def test_a_line_of_a_ledger_that_somebody_else_wrote_does_no_harm() -> None:
    row = Row("http://a/\x1b[2J", "GET", 0, 200, "\x9b31m", "\n" * 64, 1.0)
    for change in Change:
        assert not ACTIVE.search(difference_line(Difference(change, row, row)))
    assert set(TITLES) == set(Change)


# --- for all inputs ------------------------------------------------------------------------------------------------

alike = st.builds(
    lambda url, method, status, sha256, elapsed: make_result(
        url=url, method=method, status=status, sha256=sha256, elapsed=elapsed
    ),
    st.sampled_from(["", "a", "a\x00", "a\x00b", "\uffff", "\U0001f600", "é", "A", "ab"]) | any_text,
    st.sampled_from(["GET", "HEAD"]),
    st.sampled_from([200, 201]),
    st.sampled_from([None, ONE, TWO]),
    st.sampled_from([0.0, 0.1, 0.15, 0.5]),
)


def expected(old: Sequence[Result], new: Sequence[Result]) -> set[tuple[Any, ...]]:
    """What a dictionary finds, which has room for all of it."""
    rows: dict[Any, tuple[list[Any], list[Any]]] = defaultdict(lambda: ([], []))
    for which, results in enumerate((old, new)):
        for index, result in enumerate(results):
            rows[without_surrogates(result.url), result.method][which].append((index, result))
    found: set[tuple[Any, ...]] = set()
    for before, after in rows.values():
        both = min(len(before), len(after))
        found |= {("gone", index, None) for index, _ in before[both:]}
        found |= {("new", None, index) for index, _ in after[both:]}
        for (one, was), (other, now) in zip(before[:both], after[:both], strict=True):
            if was.status != now.status:
                found.add(("status", one, other))
            if was.sha256 and now.sha256 and was.sha256 != now.sha256:
                found.add(("content", one, other))
            low, high = sorted((was.elapsed, now.elapsed))
            if high >= 2 * low and high - low >= 0.1:
                found.add(("slower" if now.elapsed == high else "faster", one, other))
    return found


@examples(60)
@given(st.lists(alike, max_size=8), st.lists(alike, max_size=8))
def test_the_differences_are_those_that_a_dictionary_finds(old: list[Result], new: list[Result]) -> None:
    found = [(one["change"], one["old_index"], one["new_index"]) for one in records(old, new)]
    assert len(set(found)) == len(found)
    assert set(found) == expected(old, new)


# --- many, and damaged ---------------------------------------------------------------------------------------------


def test_memory_does_not_grow_with_the_runs(tmp_path: Path) -> None:
    peaks = []
    for rows in (4000, 4000, 16000):  # the first one loads what is loaded once
        paths = [
            make_run(
                tmp_path / f"{name}{len(peaks)}",
                (make_result(index=at, url=f"{at * 7919 % rows}", status=status) for at in range(rows)),
            )
            for name, status in (("old", 200), ("new", 204))
        ]
        with open_run(paths[0]) as old, open_run(paths[1]) as new:
            tracemalloc.start()
            assert sum(1 for _ in differences(old, new)) == rows
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[2] < peaks[1] + 200_000  # 12000 rows would be millions


def test_a_damaged_ledger_is_said_to_be_damaged(tmp_path: Path) -> None:
    results = [make_result(index=at, url=f"http://h/{at}") for at in range(2000)]
    old, new = make_run(tmp_path / "old", results), make_run(tmp_path / "new", results)
    ledger = Path(new) / "run.db"
    content = ledger.read_bytes()
    ledger.write_bytes(content[: len(content) // 2] + b"\xa5" * (len(content) - len(content) // 2))
    with open_run(old) as one, open_run(new) as other, pytest.raises(LedgerError, match="damaged"):
        list(differences(one, other))

"""Timelines: a row for each worker, in which every fetch has its place."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.comparisons import comparison_of, measured
from support.factories import examples, make_result

from fetchq.reports.measurements import MeasuredRun, Span, spans_of
from fetchq.reports.summary_text import MAX_WORKER_ROWS
from fetchq.reports.timeline_text import LEGEND, timeline_lines, timelines

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def finished(*spans: tuple[int, int, float, float], duration: float = 8.0) -> MeasuredRun:
    """A run with these (index, worker, start, seconds)."""
    results = [
        make_result(index=index, worker=worker, started=BEGAN + timedelta(seconds=start), elapsed=seconds)
        for index, worker, start, seconds in spans
    ]
    return measured(duration, spans=spans_of(results))


def test_a_timeline_has_a_row_for_each_worker() -> None:
    run = finished((0, 1, 0, 4), (2, 1, 4, 4), (1, 2, 0, 2), (3, 2, 6, 1))
    assert timeline_lines("sync", run, width=16) == [
        "sync: 8.00 s",
        "  worker  1 |1=======3=======|",
        "  worker  2 |2===        4=  |",
        "",
    ]


def test_the_shortest_fetch_has_its_place_too() -> None:
    run = finished((0, 1, 0, 0.001), (1, 1, 7.999, 0.001), (2, 2, 8, 0))
    assert timeline_lines("sync", run, width=8)[1:3] == ["  worker  1 |1      2|", "  worker  2 |       3|"]


def test_a_timeline_reaches_as_far_as_its_last_fetch() -> None:
    assert (
        timeline_lines("sync", finished((0, 1, 0, 4), (1, 1, 4, 4), duration=1.0), width=8)[1]
        == "  worker  1 |1===2===|"
    )


def test_there_is_no_timeline_of_nothing_or_of_many_workers() -> None:
    assert timeline_lines("sync", finished()) == []
    crowd = finished(*((number, number + 1, 0.0, 1.0) for number in range(MAX_WORKER_ROWS + 1)))
    assert timeline_lines("sync", crowd) == []


@examples(100)
@given(
    st.lists(
        st.tuples(st.integers(0, 999), st.integers(1, 3), st.floats(0, 99), st.floats(0, 9)), min_size=1, max_size=9
    ),
    st.integers(1, 80),
)
def test_every_row_of_a_timeline_is_as_wide_as_asked(spans: list[tuple[int, int, float, float]], width: int) -> None:
    run = finished(*spans)
    lines = timeline_lines("sync", run, width=width)
    assert len(lines) == 2 + len({worker for _, worker, _, _ in spans})
    assert all(len(line) == len("  worker  1 ||") + width for line in lines[1:-1])
    for line in lines[1:-1]:
        worker, row = int(line.split()[1]), line.partition("|")[2].rstrip("|")
        own = {str(span.index + 1) for span in run.spans if span.worker == worker}
        assert row.strip()
        assert set(re.findall(r"\d+", row)) <= own, "a number that is none, or half of one"
        assert "+" in row or set(re.findall(r"\d+", row)) == own


def test_numbers_that_would_stand_on_each_other_become_a_plus() -> None:
    first = ((0, 1, 0, 0.01), (1, 1, 0.01, 0.01), (2, 1, 4, 4))
    second = ((10, 2, 0, 0.01), (11, 2, 0.5, 1), (12, 2, 2, 0.1), (13, 2, 3.5, 0.1), (99, 2, 7.9, 0))
    lines = timeline_lines("sync", finished(*first, *second), width=16)
    assert lines[1:3] == ["  worker  1 |+       3=======|", "  worker  2 |+== 13 14    100|"]


def test_a_timeline_has_room_for_the_number_of_any_worker() -> None:
    lines = timeline_lines("sync", finished((0, 7, 0, 8), (1, 1234, 0, 8)), width=8)
    assert lines[1:3] == ["  worker    7 |1=======|", "  worker 1234 |2=======|"]


@pytest.mark.parametrize("columns", [1, 34, 35, 60, 77, 78, 300])
def test_timelines_are_as_wide_as_the_terminal_but_not_narrower_than_20_or_wider_than_64(columns: int) -> None:
    lines = timelines(comparison_of(finished((0, 1, 0, 8)), finished((0, 123, 0, 8))), columns=columns)
    rows = [line for line in lines if "|" in line]
    assert [len(line.split("|")[1]) for line in rows] == [min(64, max(20, columns - 15))] * 2
    assert max(map(len, lines)) <= max(columns, 35)
    assert " ".join(line for line in lines[-4:] if line).endswith(LEGEND[-40:])


def test_spans_count_from_the_first_start() -> None:
    assert finished((0, 1, 5, 1), (1, 2, 3, 4)).spans == (Span(0, 1, 2.0, 3.0), Span(1, 2, 0.0, 4.0))


def test_rows_that_were_never_tried_have_no_span() -> None:
    assert spans_of([make_result(worker=None), make_result(started=None)]) == ()

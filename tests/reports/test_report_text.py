"""What people see of a run: right numbers in aligned columns, and nothing that acts on their terminal."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.factories import ACTIVE, HOSTILE, any_text, examples, failed_result, make_result

from fetchq.core.model import Cause, Request, Result, Timing
from fetchq.core.text import redact
from fetchq.reports.attribution import Attribution, Held
from fetchq.reports.summary import Summary
from fetchq.reports.summary_text import MAX_WORKER_ROWS, given_up_text, summary_lines
from fetchq.reports.text import HEADING, bytes_text, rate_text, result_line, seconds_text, start_line, table
from fetchq.reports.verdict import Bottleneck, Verdict
from fetchq.scheduling.congestion import HostBackoff
from fetchq.scheduling.limit import Limit
from fetchq.workers.worker_clock import WorkerClock

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def painted(text: str, colour: str) -> str:
    return f"<{colour}>{text}</>"


def summary_of(*results: Result, duration: float = 2.0, workers: int = 2) -> Summary:
    summary = Summary()
    summary.add(results)
    share = duration / 2
    summary.update(duration, [WorkerClock(number, number, share) for number in range(1, workers + 1)])
    return summary


# --- numbers ---


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 ms"),
        (0.00004, "0.0 ms"),
        (0.00123, "1.2 ms"),
        (0.0099, "9.9 ms"),
        (0.00999, "10 ms"),
        (0.0123, "12 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.00 s"),
        (1.234, "1.23 s"),
        (12.34, "12.3 s"),
        (123.4, "123 s"),
        (86400, "86400 s"),
    ],
)
def test_a_time_has_a_unit_that_suits_it(seconds: float, text: str) -> None:
    assert seconds_text(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (1234, "1.2 kB"),
        (99_400, "99.4 kB"),
        (99_500, "100 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (12_345_678, "12.3 MB"),
        (5e9, "5.0 GB"),
        (5e12, "5.0 TB"),
        (5e15, "5000.0 TB"),
    ],
)
def test_a_size_has_a_unit_that_suits_it(size: float, text: str) -> None:
    assert bytes_text(size) == text


@pytest.mark.parametrize(("rate", "text"), [(0, "0.0"), (1.26, "1.3"), (99.4, "99.4"), (99.6, "100"), (1234.5, "1234")])
def test_a_rate_has_a_digit_behind_the_point_while_it_is_small(rate: float, text: str) -> None:
    assert rate_text(rate) == text


@examples(200)
@given(st.floats(0, 9e4))
def test_a_time_is_never_wider_than_its_column(seconds: float) -> None:
    assert len(seconds_text(seconds)) <= 9


def test_columns_stand_under_each_other() -> None:
    assert table([["", "a", "bb"], ["long name", "1", ""], ["x", "22", "333"]]) == [
        "            a   bb",
        "long name   1",
        "x          22  333",
    ]


# --- a line for a result ---


def test_a_result_is_a_line_with_status_time_size_worker_and_url() -> None:
    line = result_line(make_result(elapsed=1.5, size=2048, worker=3))
    assert line == "   200    1.50 s    2.0 kB      3  http://example.org/"


def test_the_heading_stands_over_the_columns() -> None:
    line = result_line(make_result(elapsed=1.5, size=2048, worker=3))
    for name, value in (("status", "200"), ("time", "1.50 s"), ("size", "2.0 kB"), ("worker", "3")):
        assert HEADING.index(name) + len(name) == line.index(f" {value} ") + 1 + len(value)
    assert HEADING.index("URL") == line.index("http")


def test_a_failure_says_its_cause_and_how_often_it_was_tried() -> None:
    line = result_line(failed_result(Cause.TIMEOUT, error="no byte in 30 s", attempts=3, worker=None, elapsed=0.0))
    assert line == "   ---    0.0 ms         -      -  http://example.org/  timeout: no byte in 30 s after 3 attempts"
    line = result_line(failed_result(Cause.STATUS, error="404", status=404, attempts=1))
    assert line.endswith("http://example.org/  status: 404")


def test_good_is_green_and_bad_is_red() -> None:
    assert result_line(make_result(), painted).startswith("  <green> 200</> ")
    line = result_line(failed_result(Cause.DNS), painted)
    assert line.startswith("  <red> ---</> ")
    assert line.endswith("<red>dns: it failed</>")


@examples(150)
@given(any_text, st.none() | st.sampled_from(Cause))
def test_no_url_acts_on_a_terminal(url: str, cause: Cause | None) -> None:
    assert not ACTIVE.search(result_line(make_result(url=redact(url), cause=cause)))
    assert not ACTIVE.search(start_line(Request(url), 1))


def test_no_error_acts_on_a_terminal() -> None:
    assert not ACTIVE.search(result_line(failed_result(Cause.PROTOCOL, error=HOSTILE)))


def test_the_line_of_a_start_has_the_worker_and_the_url_without_its_userinfo() -> None:
    line = start_line(Request("http://user:SECRET@h/"), 7)
    assert line.split() == ["start", "7", "http://***@h/"]
    assert line.index("http") == result_line(make_result()).index("http")


# --- the summary ---


def test_there_is_no_summary_of_nothing() -> None:
    assert summary_lines(Summary()) == []


def test_the_summary_of_one_result() -> None:
    timing = Timing(queued=1.0, connect=0.25, wait=0.5, receive=0.25)
    lines = summary_lines(summary_of(make_result(size=1000, wire_size=500, elapsed=1.0, timing=timing), workers=1))
    assert lines == [
        "1 URL: 1 ok, 0 failed, in 2.00 s (0.5 URL/s)",
        "1.0 kB of bodies, 500 B on the wire, 250 B/s",
        "fetch times add up to 1.00 s: 0.5 URLs at a time, with 1 worker",
        "",
        "time per URL     p50     p90     p99     max",
        "total         1.00 s  1.00 s  1.00 s  1.00 s",
        "wait          500 ms  500 ms  500 ms  500 ms",
        "",
        "worker  URLs    busy  share",
        "1          1  1.00 s   50 %",
    ]


def test_the_summary_ends_with_where_the_time_went_and_with_the_verdict() -> None:
    summary = summary_of(make_result(), workers=1)
    held = (Held(Limit.PER_HOST, "http://example.org", 15.0), Held(Limit.PER_HOST, "http://b", 4.0))
    summary.attribution = Attribution(workers=10, duration=10.0, wait=71.0, held=held, connect=9.6, own=0.4)
    summary.verdict = Verdict(Bottleneck.PER_HOST, "Held by --per-host 4 on example.org for 19 % of the workers' time.")
    assert summary_lines(summary)[-3:] == [
        "",
        "where the workers' time went: wait 71 %, held 19 % (--per-host on example.org and 1 other), connect 10 %",
        "Held by --per-host 4 on example.org for 19 % of the workers' time.",
    ]
    assert summary_lines(summary, columns=60)[-5:] == [
        "",
        "where the workers' time went: wait 71 %, held 19 %",
        "  (--per-host on example.org and 1 other), connect 10 %",
        "Held by --per-host 4 on example.org for 19 % of the workers'",
        "  time.",
    ]


def test_a_run_whose_time_is_not_known_has_neither() -> None:
    summary = summary_of(make_result(), workers=1)
    summary.attribution = Attribution(workers=1, duration=0.0)
    assert not any("where the" in line for line in summary_lines(summary))


def test_the_summary_says_what_was_done_about_which_hosts() -> None:
    summary = Summary()
    summary.add([make_result()])
    notes = [
        HostBackoff("http://a", refusals=12, least_window=1, rate=19.2),
        HostBackoff("http://b", least_window=4.5, slowed_by=("timeout", "503")),
        HostBackoff("http://c", pauses=4, least_window=1, given_up=True),
        *[HostBackoff(f"http://d{number}", refusals=1) for number in range(9)],
    ]
    summary.update(1.0, [], notes)
    lines = summary_lines(summary)
    assert "http://a: 12 refusals, asked 19.2 times a second" in lines
    assert "http://b: down to 4 at a time (timeout, 503)" in lines
    assert "http://c: down to 1 at a time, set aside 4 times (no connection), given up" in lines
    assert "http://d6: 1 refusal" in lines
    assert "http://d7: 1 refusal" not in lines
    assert "and 2 other hosts" in lines
    assert any(line.startswith("hosts that refuse, fail or grow slow") and "--no-adapt" in line for line in lines)


def test_rows_that_were_never_tried_are_neither_ok_nor_failed_and_the_rate_counts_what_was_done() -> None:
    summary = summary_of(
        *[make_result()] * 26,
        failed_result(Cause.CANCELLED, attempts=1),
        *[failed_result(Cause.CANCELLED, attempts=0)] * 2184,
    )
    summary.duration = 3.0
    assert summary_lines(summary)[0] == "2,211 URLs: 26 ok, 0 failed, 1 cut off, 2,184 not tried, in 3.00 s (8.7 URL/s)"
    assert (summary.done, summary.failed, summary.unfinished, summary.causes) == (26, 0, 2185, {})


def test_the_summary_counts_statuses_and_names_the_hosts_where_rows_failed() -> None:
    summary = summary_of(
        *[failed_result(Cause.STATUS, status=404)] * 9,
        *[failed_result(Cause.STATUS, status=500, url="http://b.test/")] * 7,
        failed_result(Cause.INVALID_URL, url="nonsense"),
    )
    lines = summary_lines(summary)
    assert "failed: 9 x 404, 7 x 500, 1 invalid_url" in lines
    assert "failed at: http://example.org 9, http://b.test 7" in lines


def test_no_line_of_the_summary_is_wider_than_the_terminal() -> None:
    summary = summary_of(*[failed_result(Cause.STATUS, status=status) for status in range(400, 430)])
    lines = summary_lines(summary, columns=60)
    assert max(map(len, lines)) <= 60
    assert " ".join(" ".join(lines).split()).count(" x 4") == 30


def test_hosts_that_were_given_up_are_counted() -> None:
    summary = Summary()
    assert given_up_text(summary) is None
    summary.hosts = [HostBackoff("http://a", pauses=4), HostBackoff("http://b", given_up=True)]
    assert given_up_text(summary) == "1 host was given up"
    summary.hosts *= 2
    assert given_up_text(summary) == "2 hosts were given up"


def test_the_summary_names_the_causes_and_the_retries() -> None:
    summary = summary_of(
        failed_result(Cause.DNS, attempts=1),
        failed_result(Cause.TIMEOUT, attempts=3, timing=Timing(held=1.5, wait=1.0)),
        failed_result(Cause.TIMEOUT, attempts=1),
        make_result(),
    )
    lines = summary_lines(summary)
    assert "failed: 2 timeout, 1 dns" in lines
    assert "6 attempts were made" in lines
    assert lines[0].startswith("4 URLs: 1 ok, 3 failed")


def test_rows_that_were_never_tried_have_no_percentiles() -> None:
    lines = summary_lines(summary_of(failed_result(Cause.INVALID_URL, attempts=0), workers=0))
    assert lines[-1] == "failed: 1 invalid_url"
    assert not any("p50" in line for line in lines)


def test_results_that_took_no_time_at_all_are_no_division_by_zero() -> None:
    lines = summary_lines(summary_of(make_result(elapsed=0.0, timing=Timing()), duration=0.0))
    assert lines[0].endswith("in 0.0 ms (1000000000 URL/s)")


def test_insecure_is_said() -> None:
    said = "TLS certificates were not verified (--insecure)"
    assert said in summary_lines(summary_of(make_result()), insecure=True)
    assert said not in summary_lines(summary_of(make_result()))


def test_the_colours_of_the_summary() -> None:
    summary = summary_of(make_result(), failed_result(Cause.DNS))
    assert summary_lines(summary, paint=painted)[0].startswith("2 URLs: <green>1 ok</>, <red>1 failed</>,")
    assert "<red>" not in "".join(summary_lines(summary_of(make_result()), paint=painted))
    assert "<yellow>" in "".join(summary_lines(summary, paint=painted, insecure=True))


def test_a_row_for_each_of_a_few_workers() -> None:
    lines = summary_lines(summary_of(make_result(), workers=MAX_WORKER_ROWS))
    assert [line.split()[0] for line in lines[-MAX_WORKER_ROWS:]] == [
        str(number) for number in range(1, MAX_WORKER_ROWS + 1)
    ]


@pytest.mark.parametrize(("idle", "said"), [(1, "1 worker"), (9, "9 workers")])
def test_workers_that_had_nothing_to_do_share_one_line(idle: int, said: str) -> None:
    summary = summary_of(make_result(), workers=2)
    summary.update(2.0, [WorkerClock(1, 0), WorkerClock(2, 1, 1.0), *[WorkerClock(n, 0) for n in range(3, idle + 2)]])
    assert summary_lines(summary)[-3:] == [
        "worker  URLs    busy  share",
        "2          1  1.00 s   50 %",
        f"{said} had nothing to do",
    ]


def test_where_no_worker_had_anything_to_do_there_is_no_table() -> None:
    summary = Summary()
    summary.add([failed_result(Cause.INVALID_URL, attempts=0)])
    summary.update(0.1, [WorkerClock(1), WorkerClock(2)])
    assert summary_lines(summary)[-3:] == ["failed: 1 invalid_url", "", "2 workers had nothing to do"]


def test_many_workers_are_condensed() -> None:
    lines = summary_lines(summary_of(make_result(), workers=MAX_WORKER_ROWS + 1))
    assert lines[-4:] == [
        "17 workers   least  median    most",
        "URLs             1       9      17",
        "busy        1.00 s  1.00 s  1.00 s",
        "share         50 %    50 %    50 %",
    ]


@examples(60)
@given(
    st.lists(
        st.builds(
            lambda cause, elapsed, wait, attempts: make_result(
                cause=cause, elapsed=elapsed, timing=Timing(wait=wait), attempts=attempts
            ),
            st.none() | st.sampled_from(Cause),
            st.floats(0, 1e6),
            st.floats(0, 1e6),
            st.integers(0, 5),
        ),
        max_size=5,
    ),
    st.floats(0, 1e6),
    st.integers(0, 40),
)
def test_every_run_can_be_shown(results: list[Result], duration: float, workers: int) -> None:
    summary = summary_of(*results, duration=duration, workers=workers)
    lines = summary_lines(summary)
    assert bool(lines) == bool(results)
    assert not any(ACTIVE.search(line) for line in lines)

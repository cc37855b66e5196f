"""The verdict on a run: the right bottleneck, a sentence that can be shown, and a prediction that follows from it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.factories import ACTIVE, HOSTILE, any_text, examples, failed_result, make_result

from fetchq.core.model import Cause, Timing
from fetchq.core.settings import Settings
from fetchq.reports.attribution import Attribution, Blocked, Held
from fetchq.reports.diagnosis import verdict_of
from fetchq.reports.estimate import makespan
from fetchq.reports.summary import Summary
from fetchq.reports.verdict import Bottleneck, Verdict
from fetchq.scheduling.congestion import HostBackoff
from fetchq.scheduling.host_load import HostLoad
from fetchq.scheduling.limit import Limit

HOST = "https://example.org"


def ended(
    rows: list[float],
    *,
    workers: int,
    duration: float,
    phase: str = "wait",
    held: dict[Limit, float] | None = None,
    host: str | None = HOST,
    loads: list[HostLoad] | None = None,
    wire_size: int = 0,
    blocked: tuple[Blocked, ...] = (),
    **parts: float,
) -> Summary:
    """A run of rows that took these seconds in one phase. The time of the workers that is left is `finished`."""
    summary = Summary()
    summary.add(make_result(elapsed=one, timing=Timing(**{phase: one}), wire_size=wire_size) for one in rows)
    summary.update(duration, [], loads=[HostLoad(HOST, len(rows), sum(rows), 0.0)] if loads is None else loads)
    limits = tuple(Held(limit, host, seconds) for limit, seconds in (held or {}).items())
    parts = {phase: sum(rows), **parts}
    cpu = parts.pop("cpu", 0.001)
    rest = workers * duration - sum(parts.values()) - sum(one.seconds for one in limits)
    parts.setdefault("finished", max(0.0, rest))
    summary.attribution = Attribution(
        workers=workers, duration=duration, held=limits, cpu=cpu, blocked=blocked, **parts
    )
    return summary


def verdict(summary: Summary, *, cores: int = 1, **options: Any) -> Verdict:
    assert summary.attribution is not None
    options.setdefault("workers", summary.attribution.workers)
    found = verdict_of(summary, Settings(**options), cores=cores)
    assert found is not None
    return found


def one_named(found: Verdict, bottleneck: Bottleneck, seconds: float | None, rel: float = 0.05) -> None:
    assert found.bottleneck is bottleneck, found.text
    assert found.predicted == (None if seconds is None else pytest.approx(seconds, rel)), found.text


# --- waiting for servers ---


def test_busy_workers_are_too_few_up_to_the_number_that_helps() -> None:
    found = verdict(ended([2.1] * 40, workers=2, duration=42.1))
    one_named(found, Bottleneck.WORKERS, 2 * 2.1 + 0.1)
    assert found.text == (
        "example.org answered in 2.10 s at the median; "
        "more workers would help until about 20, which would take about 4.3 s."
    )
    assert found.advice == {"workers": "20"}
    assert found.share == pytest.approx(84 / 84.2)


def test_more_workers_than_rows_are_not_recommended() -> None:
    found = verdict(ended([1.0] * 12, workers=4, duration=3.1))
    assert found.advice == {"workers": "12"}
    one_named(found, Bottleneck.WORKERS, 1.1)


def test_more_workers_than_the_cpu_can_serve_are_not_recommended() -> None:
    found = verdict(ended([0.1] * 1000, workers=10, duration=10.0, cpu=4.5))
    assert found.advice is not None
    assert 18 <= int(found.advice["workers"]) <= 22  # 10 x 0.9 / 0.45
    assert found.predicted == pytest.approx(5.0, rel=0.06)


def test_more_workers_than_all_hosts_may_have_are_not_recommended() -> None:
    loads = [HostLoad(f"http://h{number}", 50, 50.0, 0.0) for number in range(4)]
    found = verdict(ended([1.0] * 200, workers=4, duration=50.0, loads=loads), per_host=2)
    one_named(found, Bottleneck.WORKERS, 25.0)
    assert found.advice == {"workers": "8"}
    assert found.text.startswith("The servers answered in 1.00 s at the median")


def test_a_slow_host_among_quick_ones_is_named() -> None:
    loads = [HostLoad("http://slow", 40, 40.0, 0.0), HostLoad("http://quick", 400, 4.0, 0.0)]
    found = verdict(ended([1.0] * 40 + [0.01] * 400, workers=10, duration=4.5, loads=loads))
    assert found.bottleneck is Bottleneck.SLOW_HOST
    assert found.subject == "http://slow"
    assert found.text.startswith(
        "slow took 91 % of the time of all requests, 1.00 s for each (the other hosts 10 ms); more workers would help"
    )
    assert found.predicted is not None
    assert 1.0 < found.predicted < 2.5


def test_hosts_that_are_alike_are_no_slow_host() -> None:
    loads = [HostLoad("http://a", 60, 60.0, 0.0), HostLoad("http://b", 40, 40.0, 0.0)]
    assert verdict(ended([1.0] * 100, workers=10, duration=10.0, loads=loads)).bottleneck is Bottleneck.WORKERS


@pytest.mark.parametrize(
    ("phase", "words"),
    [("dns", "Looking up names took"), ("connect", "Connecting took"), ("tls", "TLS handshakes took")],
)
def test_connections_that_take_longest_are_named(phase: str, words: str) -> None:
    found = verdict(ended([0.2] * 50, workers=5, duration=2.0, phase=phase))
    one_named(found, Bottleneck(phase), 0.2)
    assert found.text.startswith(f"{words} 100 % of the workers' time, 200 ms per URL")


def test_bodies_that_take_longest_leave_open_whether_it_is_the_network() -> None:
    found = verdict(ended([1.0] * 50, workers=5, duration=10.0, phase="receive", wire_size=1_000_000))
    one_named(found, Bottleneck.BANDWIDTH, None)
    assert "at 5.0 MB/s all together; whether the network is full or the servers send slowly" in found.text


def test_one_request_at_a_time_is_compared_with_the_event_loop() -> None:
    found = verdict(ended([1.5, 1.0, 0.5, 0.2], workers=2, duration=3.21, turn=3.21), mode="sync")
    one_named(found, Bottleneck.SYNC, 1.7)
    assert found.text == "Mode sync makes one request at a time; --mode async would take about 1.7 s."
    assert found.advice == {"mode": "async"}
    alone = verdict(ended([0.5] * 20, workers=1, duration=10.0), mode="sync")
    assert alone.advice == {"mode": "async", "workers": "10"}
    one_named(alone, Bottleneck.SYNC, 1.0)


# --- limits ---


def test_a_limit_per_host_says_how_many_workers_would_do_and_what_twice_the_limit_gives() -> None:
    found = verdict(ended([0.5] * 80, workers=20, duration=10.1, held={Limit.PER_HOST: 145.0}), per_host=4)
    one_named(found, Bottleneck.PER_HOST, 5.1)
    assert found.text == (
        "Held by --per-host 4 on example.org for 72 % of the workers' time; 4 workers would do, "
        "and --per-host 8 would take about 5.1 s."
    )
    assert found.subject == HOST
    assert found.advice == {"per_host": "8"}


def test_a_limit_that_holds_several_hosts_names_the_one_it_holds_longest() -> None:
    summary = ended([0.5] * 80, workers=20, duration=5.0, held={Limit.PER_HOST: 30.0})
    assert summary.attribution is not None
    held = (*summary.attribution.held, Held(Limit.PER_HOST, "http://b", 20.0), Held(Limit.RATE, None, 40.0))
    summary.attribution = Attribution(workers=20, duration=5.0, held=held, wait=10.0)
    assert verdict(summary, per_host=4).text.startswith("Held by --per-host 4 on example.org and 1 other for 50 %")


@pytest.mark.parametrize(
    ("limit", "options", "words", "advice", "seconds"),
    [
        (Limit.RATE, {"rate": 10}, "--rate 10/s for", {"rate": "20/s"}, 5.0),
        (Limit.RATE, {"rate": "600/m"}, "--rate 10/s for", {"rate": "20/s"}, 5.0),
        (Limit.HOST_INTERVAL, {"host_interval": 0.1}, "--host-interval 0.1 on", {"host_interval": "0.05"}, 5.0),
        (Limit.LIMIT_RATE, {"limit_rate": "10k"}, "--limit-rate, 10.0 kB/s, for", {"limit_rate": "20k"}, 5.0),
    ],
)
def test_a_limit_that_is_set_is_named_with_twice_as_much(
    limit: Limit, options: dict[str, Any], words: str, advice: dict[str, str], seconds: float
) -> None:
    host = HOST if limit is Limit.HOST_INTERVAL else None
    summary = ended([0.01] * 100, workers=5, duration=10.0, held={limit: 49.0}, host=host, wire_size=1000)
    found = verdict(summary, **options)
    one_named(found, Bottleneck(limit.value), seconds)
    assert f"Held by {words}" in found.text
    assert found.advice == advice
    assert verdict(summary, **options | found.advice) is not None  # it is a setting that Settings takes


@pytest.mark.parametrize(
    ("limit", "bottleneck", "words"),
    [
        (Limit.BACK_OFF, Bottleneck.BACK_OFF, "example.org was held back for 50 % of the workers' time"),
        (Limit.RETRY_AFTER, Bottleneck.BACK_OFF, "since it refused 7 requests; it bears about 12.0 a second."),
        (Limit.OUTAGE, Bottleneck.OUTAGE, "example.org could not be connected to"),
        (Limit.RETRY_WAIT, Bottleneck.RETRIES, "waited for their next attempt"),
        (Limit.ROBOTS, Bottleneck.ROBOTS, "The robots.txt of example.org"),
        (Limit.HOST_INTERVAL, Bottleneck.HOST_INTERVAL, "the Crawl-delay of example.org"),
        (Limit.ADDRESS, Bottleneck.DNS, "The address of example.org"),
        (Limit.FIRST_ANSWER, Bottleneck.SLOW_HOST, "example.org had answered nothing yet"),
        (Limit.CONNECTIONS, Bottleneck.CONNECTIONS, "limit of open files"),
    ],
)
def test_a_limit_that_no_setting_raises_is_named_without_a_prediction(
    limit: Limit, bottleneck: Bottleneck, words: str
) -> None:
    summary = ended([0.1] * 50, workers=5, duration=10.0, held={limit: 25.0})
    if limit is Limit.RETRY_AFTER:
        summary.hosts = [HostBackoff(HOST, refusals=7, rate=12.0)]
    found = verdict(summary)
    one_named(found, bottleneck, None)
    assert words in found.text


def test_a_host_that_refused_everything_is_not_said_to_bear_anything() -> None:
    summary = ended([0.1] * 5, workers=5, duration=10.0, held={Limit.RETRY_AFTER: 25.0})
    summary.hosts, summary.loads = [HostBackoff(HOST, refusals=7, rate=12.0)], [HostLoad(HOST, 7, 0.5, 0.5)]
    assert verdict(summary).text.endswith(", since it refused 7 requests.")


def test_every_limit_has_a_sentence() -> None:
    for limit in Limit:
        for host in (HOST, None):
            found = verdict(ended([0.1] * 50, workers=5, duration=10.0, held={limit: 25.0}, host=host))
            assert found.bottleneck is not Bottleneck.UNKNOWN
            assert "None" not in found.text


# --- the machine, and what is around it ---


def test_a_busy_event_loop_says_from_where_on_workers_do_not_help() -> None:
    hosts = [HostLoad(f"http://{name}.example.org", 5000, 250.0, 0.0) for name in "ab"]
    busy = {"wait": 500.0, "lag": 2400.0, "own": 90.0}
    summary = ended([0.05] * 10_000, workers=300, duration=10.0, cpu=9.7, loads=hosts, **busy)
    found = verdict(summary, cores=2)
    one_named(found, Bottleneck.CPU, 5.0, 0.1)
    assert found.text == (
        "CPU: the event loop was busy 97 % of the time; --workers above 57 does not help, "
        "but --processes 2 would take about 5.2 s."
    )
    one_named(verdict(summary, cores=1), Bottleneck.CPU, None)


def test_processes_are_advised_only_for_a_list_of_several_hosts() -> None:
    busy = {"wait": 500.0, "lag": 2400.0, "own": 90.0}
    found = verdict(ended([0.05] * 10_000, workers=300, duration=10.0, cpu=9.7, **busy), cores=2)
    one_named(found, Bottleneck.CPU, None)
    assert found.text == "CPU: the event loop was busy 97 % of the time; --workers above 57 does not help."


def test_workers_that_the_cpu_hardly_serves_are_limited_by_it() -> None:
    hosts = [HostLoad(f"http://{name}.example.org", 2500, 50.0, 0.0) for name in "ab"]
    found = verdict(ended([0.02] * 5000, workers=12, duration=10.0, cpu=8.4, loads=hosts), cores=2)
    one_named(found, Bottleneck.CPU, None)  # two processes would have as many workers, which wait as long
    assert found.text == "CPU: the event loop was busy 84 % of the time; --workers above 11 does not help."


def test_threads_that_share_a_core_are_told_of_the_event_loop() -> None:
    found = verdict(ended([0.05] * 1000, workers=50, duration=4.0, cpu=3.9, own=100.0), mode="threads")
    assert found.bottleneck is Bottleneck.CPU
    assert found.advice == {"mode": "async"}


def test_decoding_is_named_where_it_takes_the_cpu() -> None:
    found = verdict(ended([0.05] * 100, workers=10, duration=5.0, cpu=4.9, phase="decode", own=1.0))
    assert "98 % of the time, 100 % of it to decode bodies;" in found.text


def test_a_cpu_that_others_use_is_not_blamed_on_the_run() -> None:
    found = verdict(ended([0.05] * 100, workers=10, duration=5.0, cpu=1.0, lag=40.0))
    one_named(found, Bottleneck.UNKNOWN, None)
    assert "fetchq used only 20 % of one core" in found.text


def test_code_that_blocks_the_event_loop_is_named() -> None:
    blocked = (Blocked("parse (scrape.py:12)", 8.0), Blocked("other (scrape.py:30)", 0.5))
    found = verdict(ended([0.1] * 100, workers=10, duration=9.6, blocked=blocked, lag=80.0))
    one_named(found, Bottleneck.CALLBACK, 1.1)
    assert found.subject == "parse (scrape.py:12)"
    assert found.text.startswith("parse (scrape.py:12) blocked the event loop for 89 % of the time; without that")


@pytest.mark.parametrize("parts", [{"callback": 45.0}, {"callback": 4.0, "lag": 35.0}])
def test_an_on_start_that_takes_long_is_named(parts: dict[str, float]) -> None:
    found = verdict(ended([0.05] * 100, workers=10, duration=5.0, **parts))
    assert (found.bottleneck, found.subject) == (Bottleneck.CALLBACK, "on_start")
    assert found.predicted is not None


def test_a_list_that_comes_slowly_is_named() -> None:
    found = verdict(ended([0.1] * 100, workers=10, duration=10.0, input=90.0))
    one_named(found, Bottleneck.INPUT, 1.0, 0.2)
    assert found.text.startswith("The list came slowly: for 90 % of the workers' time, no URL was there to fetch")


def test_a_slow_disk_and_a_slow_reader_are_told_apart(tmp_path: Any) -> None:
    summary = ended([0.1] * 100, workers=10, duration=10.0, output=85.0)
    one_named(verdict(summary), Bottleneck.OUTPUT, 1.5)
    one_named(verdict(summary, output=str(tmp_path / "run")), Bottleneck.STORE, 1.5)
    one_named(verdict(ended([0.1] * 100, workers=10, duration=10.0, store=85.0)), Bottleneck.STORE, None)


def test_rows_that_failed_are_named_with_their_host() -> None:
    summary = ended([0.1] * 10, workers=5, duration=6.2, wait=31.0)
    summary.add(failed_result(Cause.TIMEOUT, elapsed=3.0, attempts=3, timing=Timing(wait=3.0)) for _ in range(10))
    summary.loads = [HostLoad("http://bad", 30, 30.0, 30.0), HostLoad(HOST, 10, 1.0, 0.0)]
    found = verdict(summary)
    one_named(found, Bottleneck.RETRIES, None)
    assert found.text.startswith(
        "Rows that failed took 97 % of the time of all (10 timeout), most of it at bad; a short"
    )
    assert found.subject == "http://bad"


# --- no limit, and nothing to tell ---


def test_a_run_without_a_limit_is_told_so() -> None:
    found = verdict(ended([0.2, 0.5, 1.0, 1.5], workers=10, duration=1.52))
    one_named(found, Bottleneck.NONE, None)
    assert found.text == (
        "Nothing limited the run: all 4 URLs were fetched at once, and the slowest took 1.50 s of the 1.52 s."
    )
    alone = verdict(ended([1.5], workers=10, duration=1.52))
    assert alone.text == "Nothing limited the run: its one URL took 1.50 s of the 1.52 s."


def test_one_row_that_takes_as_long_as_the_run_is_told() -> None:
    found = verdict(ended([0.1] * 50 + [9.8], workers=10, duration=10.0))
    one_named(found, Bottleneck.SLOW_URL, None)
    assert found.text.startswith("The slowest URL took 9.80 s of the 10.0 s")


def test_a_short_run_tells_nothing() -> None:
    found = verdict(ended([0.001] * 30, workers=2, duration=0.027))
    one_named(found, Bottleneck.UNKNOWN, None)
    assert found.text == "The run took only 27 ms, which is too short to tell what limited it."


def test_a_run_without_an_attempt_tells_nothing() -> None:
    summary = ended([], workers=2, duration=1.0)
    summary.add([failed_result(Cause.INVALID_URL, attempts=0, elapsed=0.0, timing=Timing())])
    assert verdict(summary).bottleneck is Bottleneck.UNKNOWN


def test_there_is_no_verdict_without_an_attribution_or_a_row() -> None:
    summary = ended([1.0] * 5, workers=1, duration=5.0)
    summary.attribution = None
    assert verdict_of(summary, Settings()) is None
    empty = ended([], workers=1, duration=5.0)
    assert verdict_of(empty, Settings()) is None


@pytest.mark.parametrize("rows", [1, 5])
def test_a_run_that_ended_before_its_few_rows_were_done_tells_nothing(rows: int) -> None:
    summary = ended([2.0] * rows, workers=5, duration=2.1)
    found = verdict_of(summary, Settings(workers=5), whole=False)
    assert found is not None
    assert found.bottleneck is Bottleneck.UNKNOWN
    assert found.text == "The run was ended after 2.10 s, too early to tell what limited it."


def test_nothing_is_predicted_for_a_run_that_was_stopped() -> None:
    summary = ended([2.1] * 40, workers=2, duration=42.1)
    summary.add([failed_result(Cause.CANCELLED, elapsed=0.0, attempts=0, timing=Timing())])
    found = verdict(summary)
    one_named(found, Bottleneck.WORKERS, None)
    assert found.text.endswith("; more workers would help until about 20.")


@pytest.mark.parametrize(
    ("options", "cpu", "bottleneck", "why"),
    [
        ({"limit_rate": 1000}, 0.1, Bottleneck.LIMIT_RATE, "--limit-rate allows no more"),
        ({"per_host": 5}, 0.1, Bottleneck.PER_HOST, "--per-host allows no more"),
        ({"rate": 5}, 0.1, Bottleneck.RATE, "--rate allows no more"),
        ({"host_interval": 0.2}, 0.1, Bottleneck.HOST_INTERVAL, "--host-interval allows no more"),
    ],
)
def test_where_more_workers_would_not_help_the_verdict_names_what_they_would_meet(
    options: dict[str, Any], cpu: float, bottleneck: Bottleneck, why: str
) -> None:
    found = verdict(ended([1.0] * 50, workers=5, duration=10.0, cpu=cpu, wire_size=200), **options)
    one_named(found, bottleneck, None)
    assert found.text == f"example.org answered in 1.00 s at the median; more workers would not help, since {why}."


# --- rules for all inputs ---

seconds = st.floats(0.0, 1e5)
parts = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ["input", "finished", "turn", "dns", "connect", "tls", "wait", "receive", "decode", "store", "lag"], seconds
    )
    | {"callback": seconds, "output": seconds, "own": seconds, "cpu": seconds},
)
summaries = st.builds(
    lambda rows, workers, duration, phase, held, host, loads, blocked, parts: ended(
        rows,
        workers=workers,
        duration=duration,
        phase=phase,
        held=held,
        host=host,
        loads=loads,
        blocked=blocked,
        **parts,
    ),
    st.lists(st.floats(0.0, 1e4), max_size=6),
    st.integers(1, 30),
    st.floats(0.0, 1e5),
    st.sampled_from(["dns", "connect", "wait", "receive", "decode"]),
    st.dictionaries(st.sampled_from(Limit), seconds, max_size=3),
    st.none() | any_text,
    st.lists(st.builds(HostLoad, any_text, st.integers(1, 99), seconds, seconds), max_size=3),
    st.lists(st.builds(Blocked, any_text, seconds), max_size=2).map(tuple),
    parts,
)
choices = st.fixed_dictionaries(
    {"mode": st.sampled_from(["async", "threads", "sync"])},
    optional={"per_host": st.integers(1, 9), "rate": st.floats(0.01, 1e4), "limit_rate": st.integers(1, 10**9)},
)


@examples(300)
@given(summaries, choices, st.integers(1, 4))
def test_every_verdict_is_one_safe_line_with_a_share_and_a_prediction_within_bounds(
    summary: Summary, chosen: dict[str, Any], cores: int
) -> None:
    assert summary.attribution is not None
    found = verdict_of(summary, Settings(workers=summary.attribution.workers, **chosen), cores=cores)
    if found is None:
        return
    assert found.text.endswith(".")
    assert len(found.text) <= 500
    assert not ACTIVE.search(found.text)
    assert 0.0 <= found.share <= 1.0
    assert found.predicted is None or 0.0 <= found.predicted <= summary.duration
    if found.advice is not None:
        Settings(**{"workers": summary.attribution.workers, **chosen, **found.advice})
    assert Verdict.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_a_hostile_host_is_shown_safely() -> None:
    host = f"http://{HOSTILE}user:SECRET@x"
    found = verdict(ended([0.5] * 80, workers=20, duration=10.1, held={Limit.PER_HOST: 150.0}, host=host), per_host=4)
    assert not ACTIVE.search(found.text)


@examples(100)
@given(st.lists(st.floats(0.001, 100.0), min_size=1, max_size=50), st.integers(1, 60))
def test_no_schedule_is_shorter_than_its_longest_job_or_its_work_divided_by_the_workers(
    jobs: list[float], workers: int
) -> None:
    took = makespan([(one, 1) for one in jobs], workers)
    assert max(max(jobs), sum(jobs) / workers) <= took * (1 + 1e-9)
    assert took <= (sum(jobs) / workers + max(jobs)) * (1 + 1e-9)


@pytest.mark.parametrize("value", [None, [], "x", {}, {"bottleneck": 1, "text": "x", "share": 0}, {"text": "x"}])
def test_what_is_no_verdict_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="verdict"):
        Verdict.from_json(value)


def test_a_bottleneck_of_a_later_version_is_unknown() -> None:
    assert Verdict.from_json({"bottleneck": "moon", "text": "x.", "share": 0.5}).bottleneck is Bottleneck.UNKNOWN

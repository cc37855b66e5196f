"""What becomes of each attempt: a Result, or another try. The pools themselves are tested against servers."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime

import pytest
from codetiming import Timer
from hypothesis import given
from hypothesis import strategies as st
from support.factories import ACTIVE, HOSTILE, any_text, examples, make_attempt, respond

from fetchq.core.model import Cause, Complete, Request, Result, Timing
from fetchq.core.settings import Settings
from fetchq.http.attempt import CONNECT, DECODE, DNS, RECEIVE, TLS, WAIT, Attempt, AttemptFailed
from fetchq.http.url import Refused
from fetchq.scheduling.job import Job
from fetchq.workers import settle as pool
from fetchq.workers.settle import MOST_STARVED, STARVED_WAIT, Desk, WorkerClock

WALL = 1_700_000_000.25


pytestmark = pytest.mark.usefixtures("no_jitter")


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wall clock that stands still."""
    monkeypatch.setattr(pool, "time", lambda: WALL)


def taken(request: Request | None = None) -> Job:
    """A job that a worker has just taken, for the first time."""
    job = Job(request or Request("http://example.org/"), 10.0)
    job.queued, job.first_taken = 1.0, WALL
    job.attempts += 1
    return job


def answered(
    status: int = 200, body: bytes = b"hello", headers: tuple[tuple[str, str], ...] = (), **request: str
) -> Attempt:
    attempt = make_attempt(**request)  # type: ignore[arg-type]
    respond(attempt, status, [("Content-Length", str(len(body))), *headers])
    failed: AttemptFailed | None = None
    try:
        attempt.on_data(body)
        attempt.on_end()
    except AttemptFailed as problem:
        failed = problem
    attempt.finish(failed)
    attempt.phases = [0.0] * 7
    return attempt


def failed(cause: Cause = Cause.TIMEOUT, *, starved: bool = False) -> Attempt:
    attempt = make_attempt()
    attempt.finish(AttemptFailed(cause, "it failed", starved=starved))
    attempt.phases = [0.0] * 7
    return attempt


def settled(attempt: Attempt, job: Job | None = None, **settings: object) -> Result:
    found = Desk(Settings(**settings)).settle(job or taken(), attempt, 1)  # type: ignore[arg-type]
    assert isinstance(found, Result)
    return found


# --- from an attempt to a result ---


def test_a_result_tells_what_the_attempt_found() -> None:
    request = Request("http://example.org/", index=7, label="mine")
    attempt = answered(headers=(("Content-Type", "Text/HTML; charset=UTF-8"), ("A", "b")))
    attempt.remote = "192.0.2.1:80"
    result = Desk(Settings(mode="threads", workers=3)).settle(taken(request), attempt, 3)
    assert isinstance(result, Result)
    assert (result.index, result.url, result.label, result.method) == (7, "http://example.org/", "mine", "GET")
    assert (result.ok, result.status, result.reason, result.cause, result.error) == (True, 200, "OK", None, None)
    assert (result.attempts, result.redirects, result.size, result.wire_size) == (1, 0, 5, 5)
    assert (result.content_type, result.charset) == ("Text/HTML; charset=UTF-8", "utf-8")
    assert (result.complete, result.path, result.http_version) == (Complete.YES, None, "1.1")
    assert (result.worker, result.mode, result.remote) == (3, "threads", "192.0.2.1:80")
    assert result.started == datetime.fromtimestamp(WALL, UTC)
    assert result.headers["a"] == "b"
    assert (result.body, result.sha256) == (b"hello", attempt.digest)


def test_the_results_of_a_pool_are_like_any_other() -> None:
    desk = Desk(Settings())
    job = Job(Request("http://example.org/"), 0.0)
    for result in (settled(answered()), desk.cancel(job)):
        assert type(result) is Result
        assert pickle.loads(pickle.dumps(result)) == result
        assert replace(result) == result
        with pytest.raises(FrozenInstanceError):
            result.ok = False  # type: ignore[misc]
        with pytest.raises((AttributeError, TypeError)):
            result.more = 1  # type: ignore[attr-defined]
        assert type(result.timing) is Timing


def test_a_result_without_a_content_type_has_no_charset() -> None:
    result = settled(answered())
    assert (result.content_type, result.charset) == (None, None)


def test_a_content_type_in_latin_1_is_readable_and_so_is_its_charset() -> None:
    result = settled(answered(headers=(("Content-Type", "text/caf\udce9; charset=caf\udce9"),)))
    assert (result.content_type, result.charset) == ("text/café; charset=café", "café")


def test_a_result_shows_no_userinfo() -> None:
    url = "http://user:SECRET@example.org/"
    result = settled(answered(url=url), taken(Request(url)))
    assert (result.url, result.final_url) == ("http://***@example.org/", "http://example.org/")
    url = "http://example.org/?to=http://user:SECRET@host/"
    result = settled(answered(url=url), taken(Request(url)))
    assert result.url == result.final_url == "http://example.org/?to=http://***@host/"
    assert "SECRET" not in repr(result) + str(result.to_record())


def test_the_final_url_is_the_one_that_was_dialled() -> None:
    url = "http://Bücher.example"
    result = settled(answered(url=url), taken(Request(url)))
    assert (result.url, result.final_url) == (url, "http://xn--bcher-kva.example")


def test_the_phases_of_all_attempts_are_in_the_result() -> None:
    job, desk = taken(), Desk(Settings())
    first, last = failed(), answered()
    first.phases[CONNECT], last.phases[CONNECT] = 1.0, 2.0
    last.phases[DNS], last.phases[WAIT], last.phases[RECEIVE], last.phases[DECODE] = 4.0, 8.0, 16.0, 32.0
    assert desk.settle(job, first, 1) == 0.5
    job.held += 0.5
    job.attempts += 1
    result = desk.settle(job, last, 1)
    assert isinstance(result, Result)
    assert result.timing == Timing(1.0, 0.5, dns=4.0, connect=3.0, wait=8.0, receive=16.0, decode=32.0)
    assert (result.elapsed, result.attempts) == (63.0, 2)


def test_tls_is_null_where_it_cannot_be_told_apart() -> None:
    attempt = answered()
    attempt.phases[TLS] = 1.0
    assert settled(attempt).timing.tls is None
    attempt.tls_known = True
    assert settled(attempt).timing.tls == 1.0


# --- another try, or not ---


def test_a_failure_that_may_pass_is_tried_again_until_there_are_no_retries_left() -> None:
    job, desk = taken(), Desk(Settings(retries=2))
    waits = []
    while isinstance(found := desk.settle(job, failed(), 1), float):
        waits.append(found)
        job.attempts += 1
    assert waits == [0.5, 1.0]
    assert (found.attempts, found.cause, found.error, found.ok) == (3, Cause.TIMEOUT, "it failed", False)


def test_a_failure_that_will_not_pass_is_a_result_at_once() -> None:
    result = settled(answered(404))
    assert (result.cause, result.error, result.status, result.attempts) == (Cause.STATUS, "404 OK", 404, 1)
    assert result.body == b"hello"


def test_a_date_in_retry_after_is_read_against_the_wall_clock() -> None:
    attempt = answered(503, headers=(("Retry-After", "Tue, 14 Nov 2023 22:13:29 GMT"),))
    assert Desk(Settings()).settle(taken(), attempt, 1) == 8.75


def test_once_the_run_stops_nothing_is_tried_again_but_what_would_have_been_is_not_done() -> None:
    desk = Desk(Settings(retries=2))
    desk.stopping = True
    for attempt in (failed(), failed(starved=True)):
        result = desk.settle(taken(), attempt, 1)
        assert isinstance(result, Result)
        assert result.cause is Cause.CANCELLED


def test_once_the_run_stops_the_last_of_the_tries_still_counts() -> None:
    desk = Desk(Settings(retries=0))
    desk.stopping = True
    result = desk.settle(taken(), failed(), 1)
    assert isinstance(result, Result)
    assert result.cause is Cause.TIMEOUT


def test_a_machine_at_its_limit_costs_the_request_no_attempt() -> None:
    job, desk = taken(), Desk(Settings(retries=0))
    for _ in range(MOST_STARVED):
        attempt = failed(Cause.CONNECT, starved=True)
        attempt.phases[CONNECT] = 1.0
        assert desk.settle(job, attempt, 1) == STARVED_WAIT
        assert job.attempts == 0
        job.attempts += 1
    result = desk.settle(job, failed(Cause.CONNECT, starved=True), 1)
    assert isinstance(result, Result)
    assert (result.attempts, result.elapsed) == (1, MOST_STARVED)


# --- rows that are not fetched ---


@pytest.mark.parametrize("worker", [None, 2])
def test_a_refused_request_has_a_result_too(worker: int | None) -> None:
    request = Request("http://user:SECRET@h:0/", index=3, label="mine")
    result = Desk(Settings(workers=2)).refuse(Job(request, 0.0), Refused(Cause.INVALID_URL, "port 0"), worker)
    assert (result.index, result.label, result.worker, result.url) == (3, "mine", worker, "http://***@h:0/")
    assert (result.ok, result.cause, result.error) == (False, Cause.INVALID_URL, "port 0")
    assert (result.status, result.attempts, result.elapsed, result.started) == (None, 0, 0.0, None)
    assert (len(result.headers), result.body, result.complete, result.final_url) == (0, b"", None, None)
    assert result.timing == Timing()


@pytest.mark.parametrize(
    ("settings", "row", "method"),
    [({}, None, "GET"), ({"data": "x"}, None, "POST"), ({"method": "PUT"}, None, "PUT"), ({}, "DELETE", "DELETE")],
)
def test_a_refused_request_has_the_method_it_would_have_had(
    settings: dict[str, str], row: str | None, method: str
) -> None:
    desk = Desk(Settings(**settings))  # type: ignore[arg-type]
    assert desk.refuse(Job(Request("x", method=row), 0.0), Refused(Cause.INVALID_URL, ""), None).method == method


def test_a_refused_post_of_a_row_with_a_body_is_a_post() -> None:
    result = Desk(Settings()).cancel(Job(Request("http://h/", body=b"x"), 0.0))
    assert result.method == "POST"


def test_a_cancelled_request_keeps_what_it_had_cost() -> None:
    job, desk = taken(), Desk(Settings())
    attempt = failed()
    attempt.phases[WAIT] = 2.0
    desk.settle(job, attempt, 1)
    result = desk.cancel(job)
    assert (result.cause, result.error, result.attempts) == (Cause.CANCELLED, "the run ended first", 1)
    assert (result.elapsed, result.timing.wait, result.timing.queued) == (2.0, 2.0, 1.0)
    assert result.started == datetime.fromtimestamp(WALL, UTC)


@examples(150)
@given(any_text | st.text("@:/\\ SECRET\n").map(lambda text: f"http://u:SECRET{text}@h/"))
def test_the_error_of_any_refusal_is_one_safe_line(message: str) -> None:
    result = Desk(Settings()).refuse(Job(Request("x"), 0.0), Refused(Cause.INVALID_URL, message), None)
    assert result.error is not None
    assert not ACTIVE.search(result.error)


@pytest.mark.parametrize(
    "url", ["http://user:SECRET@exa℀mple.com/", "http://user:SECRET@h:99999/", "http://user:\x1bSECRET@h/"]
)
def test_the_record_of_an_unusable_row_shows_no_password(url: str) -> None:
    request = Request(url)
    with pytest.raises(Refused) as caught:
        Desk(Settings()).target_of(Job(request, 0.0))
    result = Desk(Settings()).refuse(Job(request, 0.0), caught.value, 1)
    assert "SECRET" not in str(result.to_record())


# --- where a request goes ---


def test_a_row_that_its_source_found_unusable_is_not_even_read() -> None:
    with pytest.raises(Refused) as caught:
        Desk(Settings()).target_of(Job(Request("http://example.org/", problem="row 3: not UTF-8"), 0.0))
    assert (caught.value.cause, caught.value.message) == (Cause.INVALID_URL, "row 3: not UTF-8")


def test_any_other_row_goes_where_its_url_says() -> None:
    assert Desk(Settings()).target_of(Job(Request("http://example.org/x"), 0.0)).text == "http://example.org/x"
    with pytest.raises(Refused):
        Desk(Settings()).target_of(Job(Request(HOSTILE), 0.0))


# --- the clocks ---


def test_each_worker_has_a_clock_that_counts_its_attempts() -> None:
    desk = Desk(Settings(workers=3))
    assert desk.clocks == [WorkerClock(1), WorkerClock(2), WorkerClock(3)]
    desk.settle(taken(), answered(), 2)
    desk.settle(taken(), failed(), 2)
    desk.settle(taken(), answered(), 3)
    assert [clock.fetched for clock in desk.clocks] == [0, 2, 1]


def test_a_worker_that_waits_because_of_a_limit_of_ours_is_not_busy() -> None:
    desk = Desk(Settings())
    attempt = answered()
    attempt.held = 2.0
    desk.clocks[0].busy = 5.0
    desk.settle(taken(), attempt, 1)
    assert desk.clocks[0].busy == 3.0


def test_a_workers_timer_keeps_no_measurements_and_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    before = dict(Timer.timers)
    timer = Desk(Settings()).timer()
    timer.start()
    assert timer.stop() >= 0
    assert dict(Timer.timers) == before
    assert capsys.readouterr() == ("", "")

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
from fetchq.http.attempt import Attempt
from fetchq.http.failure import AttemptFailed
from fetchq.http.phases import CONNECT, DECODE, DNS, RECEIVE, TLS, WAIT
from fetchq.http.retry import LOCAL_LIMIT_WAIT, MAX_LOCAL_LIMIT_RETRIES
from fetchq.http.url import Refused
from fetchq.scheduling.job import Job
from fetchq.workers import settle
from fetchq.workers.run import Run
from fetchq.workers.run_state import RunControl
from fetchq.workers.settle import Retry, Settler
from fetchq.workers.worker_clock import WorkerClock

WALL = 1_700_000_000.25


pytestmark = pytest.mark.usefixtures("no_jitter")


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wall clock that stands still."""
    monkeypatch.setattr(settle, "time", lambda: WALL)


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
    attempt.phases = [0.0] * 8
    return attempt


def failed(cause: Cause = Cause.TIMEOUT, *, local_limit: bool = False) -> Attempt:
    attempt = make_attempt()
    attempt.finish(AttemptFailed(cause, "it failed", local_limit=local_limit))
    attempt.phases = [0.0] * 8
    return attempt


def make_settler(settings: Settings | None = None, control: RunControl | None = None) -> Settler:
    return Settler(settings or Settings(), control or RunControl())


def settled(attempt: Attempt, job: Job | None = None, settler: Settler | None = None, worker: int = 1) -> Result:
    found = (settler or make_settler()).settle(job or taken(), attempt, WorkerClock(worker))
    assert isinstance(found, Result)
    return found


def cancelled(settler: Settler, job: Job) -> Result:
    """What `job` comes to when it is taken once the run has been stopped."""
    settler._control.stop()
    with pytest.raises(Refused) as caught:
        settler.begin(job)
    return settler.refuse(job, caught.value, 1)


# --- from an attempt to a result ---


def test_a_result_tells_what_the_attempt_found() -> None:
    request = Request("http://example.org/", index=7, label="mine")
    attempt = answered(headers=(("Content-Type", "Text/HTML; charset=UTF-8"), ("A", "b")))
    attempt.remote = "192.0.2.1:80"
    result = settled(attempt, taken(request), make_settler(Settings(mode="threads", workers=3)), worker=3)
    assert (result.index, result.url, result.label, result.method) == (7, "http://example.org/", "mine", "GET")
    assert (result.ok, result.status, result.reason, result.cause, result.error) == (True, 200, "OK", None, None)
    assert (result.attempts, result.redirects, result.size, result.wire_size) == (1, 0, 5, 5)
    assert (result.content_type, result.charset) == ("Text/HTML; charset=UTF-8", "utf-8")
    assert (result.complete, result.path, result.http_version) == (Complete.YES, None, "1.1")
    assert (result.worker, result.mode, result.remote) == (3, "threads", "192.0.2.1:80")
    assert result.started == datetime.fromtimestamp(WALL, UTC)
    assert result.headers["a"] == "b"
    assert (result.body, result.sha256) == (b"hello", attempt.body.digest)


def test_the_results_of_a_pool_are_like_any_other() -> None:
    job = Job(Request("http://example.org/"), 0.0)
    for result in (settled(answered()), cancelled(make_settler(), job)):
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
    job, settler = taken(), make_settler()
    first, last = failed(), answered()
    first.phases[CONNECT], last.phases[CONNECT] = 1.0, 2.0
    last.phases[DNS], last.phases[WAIT], last.phases[RECEIVE], last.phases[DECODE] = 4.0, 8.0, 16.0, 32.0
    assert settler.settle(job, first, WorkerClock(1)) == Retry(0.5)
    job.held += 0.5
    job.attempts += 1
    result = settled(last, job, settler)
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
    job, settler = taken(), make_settler(Settings(retries=2))
    waits = []
    while isinstance(found := settler.settle(job, failed(), WorkerClock(1)), Retry):
        waits.append(found.after)
        job.attempts += 1
    assert waits == [0.5, 1.0]
    assert (found.attempts, found.cause, found.error, found.ok) == (3, Cause.TIMEOUT, "it failed", False)


def test_a_failure_that_will_not_pass_is_a_result_at_once() -> None:
    result = settled(answered(404))
    assert (result.cause, result.error, result.status, result.attempts) == (Cause.STATUS, "404 OK", 404, 1)
    assert result.body == b"hello"


def test_a_date_in_retry_after_is_read_against_the_wall_clock() -> None:
    attempt = answered(503, headers=(("Retry-After", "Tue, 14 Nov 2023 22:13:29 GMT"),))
    assert make_settler().settle(taken(), attempt, WorkerClock(1)) == Retry(8.75)


def test_once_the_run_stops_nothing_is_tried_again_but_what_would_have_been_is_not_done() -> None:
    control = RunControl()
    settler = make_settler(Settings(retries=2), control)
    control.stop()
    for attempt in (failed(), failed(local_limit=True)):
        assert settled(attempt, settler=settler).cause is Cause.CANCELLED


def test_once_the_run_stops_the_last_of_the_tries_still_counts() -> None:
    control = RunControl()
    settler = make_settler(Settings(retries=0), control)
    control.stop()
    assert settled(failed(), settler=settler).cause is Cause.TIMEOUT


def test_a_machine_at_its_limit_costs_the_request_no_attempt() -> None:
    job, settler = taken(), make_settler(Settings(retries=0))
    for _ in range(MAX_LOCAL_LIMIT_RETRIES):
        attempt = failed(Cause.CONNECT, local_limit=True)
        attempt.phases[CONNECT] = 1.0
        assert settler.settle(job, attempt, WorkerClock(1)) == Retry(LOCAL_LIMIT_WAIT)
        assert job.attempts == 0
        job.attempts += 1
    result = settled(failed(Cause.CONNECT, local_limit=True), job, settler)
    assert (result.attempts, result.elapsed) == (1, MAX_LOCAL_LIMIT_RETRIES)


# --- rows that are not fetched ---


@pytest.mark.parametrize("cause", [Cause.INVALID_URL, Cause.CANCELLED])
def test_a_refused_request_has_a_result_too_and_a_cancelled_one_names_no_worker(cause: Cause) -> None:
    request = Request("http://user:SECRET@h:0/", index=3, label="mine")
    result = make_settler(Settings(workers=2)).refuse(Job(request, 0.0), Refused(cause, "port 0"), 2)
    assert (result.index, result.label, result.url) == (3, "mine", "http://***@h:0/")
    assert result.worker == (None if cause is Cause.CANCELLED else 2)
    assert (result.ok, result.cause, result.error) == (False, cause, "port 0")
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
    settler = make_settler(Settings(**settings))  # type: ignore[arg-type]
    assert settler.refuse(Job(Request("x", method=row), 0.0), Refused(Cause.INVALID_URL, ""), 1).method == method


def test_a_refused_post_of_a_row_with_a_body_is_a_post() -> None:
    result = cancelled(make_settler(), Job(Request("http://h/", body=b"x"), 0.0))
    assert result.method == "POST"


def test_a_cancelled_request_keeps_what_it_had_cost() -> None:
    job, settler = taken(), make_settler()
    attempt = failed()
    attempt.phases[WAIT] = 2.0
    settler.settle(job, attempt, WorkerClock(1))
    result = cancelled(settler, job)
    assert (result.cause, result.error, result.attempts) == (Cause.CANCELLED, "the run ended first", 1)
    assert (result.elapsed, result.timing.wait, result.timing.queued) == (2.0, 2.0, 1.0)
    assert result.started == datetime.fromtimestamp(WALL, UTC)


@examples(150)
@given(any_text | st.text("@:/\\ SECRET\n").map(lambda text: f"http://u:SECRET{text}@h/"))
def test_the_error_of_any_refusal_is_one_safe_line(message: str) -> None:
    result = make_settler().refuse(Job(Request("x"), 0.0), Refused(Cause.INVALID_URL, message), 1)
    assert result.error is not None
    assert not ACTIVE.search(result.error)


@pytest.mark.parametrize(
    "url", ["http://user:SECRET@exa℀mple.com/", "http://user:SECRET@h:99999/", "http://user:\x1bSECRET@h/"]
)
def test_the_record_of_an_unusable_row_shows_no_password(url: str) -> None:
    request = Request(url)
    with pytest.raises(Refused) as caught:
        make_settler().begin(Job(request, 0.0))
    result = make_settler().refuse(Job(request, 0.0), caught.value, 1)
    assert "SECRET" not in str(result.to_record())


# --- where a request goes ---


def test_a_row_that_its_source_found_unusable_is_not_even_read() -> None:
    with pytest.raises(Refused) as caught:
        make_settler().begin(Job(Request("http://example.org/", problem="row 3: not UTF-8"), 0.0))
    assert (caught.value.cause, caught.value.message) == (Cause.INVALID_URL, "row 3: not UTF-8")


def test_any_other_row_goes_where_its_url_says() -> None:
    assert make_settler().begin(Job(Request("http://example.org/x"), 0.0)).text == "http://example.org/x"
    with pytest.raises(Refused):
        make_settler().begin(Job(Request(HOSTILE), 0.0))


# --- the clocks ---


def test_each_worker_has_a_clock_that_counts_its_attempts() -> None:
    run = Run(Settings(workers=3))
    assert run.clocks == [WorkerClock(1), WorkerClock(2), WorkerClock(3)]
    run.settler.settle(taken(), answered(), run.clocks[1])
    run.settler.settle(taken(), failed(), run.clocks[1])
    run.settler.settle(taken(), answered(), run.clocks[2])
    assert [clock.fetched for clock in run.clocks] == [0, 2, 1]


def test_a_worker_that_waits_because_of_a_limit_of_ours_is_not_busy() -> None:
    clock, attempt = WorkerClock(1, busy=5.0), answered()
    attempt.held = 2.0
    make_settler().settle(taken(), attempt, clock)
    assert clock.busy == 3.0


def test_a_workers_timer_keeps_no_measurements_and_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    before = dict(Timer.timers)
    timer = WorkerClock(1).timer
    timer.start()
    assert timer.stop() >= 0
    assert dict(Timer.timers) == before
    assert capsys.readouterr() == ("", "")

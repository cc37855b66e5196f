"""Which HEADs are followed by a GET, and what becomes of the body that comes with it."""

from __future__ import annotations

import pytest
from support.factories import connect, make_attempt, respond

from fetchq.core.model import Cause, Complete
from fetchq.core.settings import Settings
from fetchq.http.attempt import Attempt
from fetchq.http.failure import AttemptFailed
from fetchq.http.head_fallback import falls_back_to_get
from fetchq.http.retry import NONE_UNCOUNTED, plan_retry
from fetchq.http.unread_body import MOST_READ

HEAD = Settings(head=True, retries=0)


def answered(status: int, settings: Settings = HEAD, **fields: str) -> Attempt:
    """An attempt whose whole answer has this status, and no body."""
    attempt = make_attempt(settings, **fields)
    respond(attempt, status, [("Content-Length", "0")])
    failed = None
    try:
        attempt.on_end()
    except AttemptFailed as problem:
        failed = problem
    attempt.finish(failed)
    return attempt


def failed(cause: Cause, *, connected: bool = True) -> Attempt:
    """An attempt that has failed before an answer."""
    attempt = make_attempt(HEAD)
    if connected:
        connect(attempt)
    else:
        attempt.begin_exchange()
    attempt.finish(AttemptFailed(cause, "it failed"))
    return attempt


@pytest.mark.parametrize("status", [200, 204, 301, 400, 401, 403, 404, 405, 410, 429, 500, 501, 503])
def test_a_head_is_followed_by_a_get_after_403_405_and_501(status: int) -> None:
    attempt = answered(status)
    assert attempt.method == "HEAD"
    assert falls_back_to_get(attempt, HEAD) == (status in (403, 405, 501))


@pytest.mark.parametrize("cause", Cause)
def test_a_head_is_followed_by_a_get_where_nothing_valid_was_answered(cause: Cause) -> None:
    no_answer = cause in (Cause.CONNECT, Cause.TIMEOUT, Cause.PROTOCOL, Cause.INCOMPLETE)
    assert falls_back_to_get(failed(cause), HEAD) == no_answer
    assert not falls_back_to_get(failed(cause, connected=False), HEAD)


def test_what_is_accepted_is_no_reason_for_a_get_nor_is_a_head_that_was_asked_for() -> None:
    accepting = Settings(head=True, accept="+405")
    assert not falls_back_to_get(answered(405, accepting), accepting)
    plain = Settings(method="HEAD")
    assert not falls_back_to_get(answered(405, plain), plain)
    assert make_attempt(HEAD, method="POST").method == "POST"


def test_the_get_comes_at_once_and_is_no_retry() -> None:
    attempt = answered(405)
    plan = plan_retry(attempt, 1, NONE_UNCOUNTED, HEAD, jitter=1.0, now=0.0)
    assert plan is not None
    assert (plan.delay, plan.with_get) == (0.0, True)
    uncounted = NONE_UNCOUNTED.including(attempt, plan)
    again = answered(500, HEAD, method="GET")
    assert plan_retry(again, 2, uncounted, HEAD, jitter=1.0, now=0.0) is None
    once = Settings(head=True, retries=1)
    assert plan_retry(again, 2, uncounted, once, jitter=1.0, now=0.0) is not None
    assert plan_retry(again, 3, uncounted, once, jitter=1.0, now=0.0) is None


def test_where_there_was_no_answer_the_get_is_the_first_retry_and_there_is_one_in_any_case() -> None:
    attempt, again = failed(Cause.TIMEOUT), answered(500, HEAD, method="GET")
    for retries, more in ((0, False), (1, False), (2, True)):
        settings = Settings(head=True, retries=retries)
        plan = plan_retry(attempt, 1, NONE_UNCOUNTED, settings, jitter=1.0, now=0.0)
        assert plan is not None
        assert plan.with_get
        uncounted = NONE_UNCOUNTED.including(attempt, plan)
        assert (plan_retry(again, 2, uncounted, settings, jitter=1.0, now=0.0) is not None) == more


@pytest.mark.parametrize("status", [200, 404])
@pytest.mark.parametrize("announced", [True, False])
def test_a_long_body_is_cut_off_and_its_status_counts(status: int, announced: bool) -> None:
    attempt = make_attempt(HEAD, method="GET")
    length = 10 * MOST_READ
    framing = ("Content-Length", str(length)) if announced else ("Transfer-Encoding", "chunked")
    with pytest.raises(AttemptFailed) as cut:  # noqa: PT012  # where depends on whether the length is announced
        respond(attempt, status, [framing, ("Content-Encoding", "gzip")])
        for _ in range(0, length, 1000):
            attempt.on_data(b"x" * 1000)
    assert attempt.body.wire_size <= MOST_READ + 1000
    attempt.finish(cut.value)
    assert attempt.cause is (None if status == 200 else Cause.STATUS)
    assert (attempt.complete, attempt.body.size, attempt.body.digest) == (Complete.NO, 0, None)


def test_a_short_body_is_read_so_that_the_connection_can_be_used_again_and_is_not_kept() -> None:
    attempt = make_attempt(HEAD, method="GET")
    assert respond(attempt, 200, [("Content-Length", "5"), ("Content-Encoding", "gzip")])
    attempt.on_data(b"plain")
    attempt.on_end()
    attempt.finish(None)
    assert (attempt.cause, attempt.complete) == (None, Complete.YES)
    assert (attempt.body.wire_size, attempt.body.size, attempt.body.content) == (5, 0, b"")
    assert attempt.body.content_encoding == "gzip"

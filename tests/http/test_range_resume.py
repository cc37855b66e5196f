"""Going on with a body that broke off, by hand: which ones, how it is asked for, and which answers are the rest."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from contextlib import nullcontext
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.factories import URL, examples, make_attempt, make_plan, raw_headers, respond
from support.store import run_folder, temporary

from fetchq.core.model import Cause, Complete, Request, Result
from fetchq.core.settings import Settings
from fetchq.http import range_resume as rules
from fetchq.http.attempt import Attempt
from fetchq.http.failure import AttemptFailed
from fetchq.http.hop import Hop
from fetchq.http.range_resume import MIN_RESUMED, Partial, check_end
from fetchq.http.response import read_head
from fetchq.http.url import Refused, parse_url
from fetchq.scheduling.job import Job
from fetchq.workers.run_state import RunControl
from fetchq.workers.settle import Retry, Settler
from fetchq.workers.worker_clock import WorkerClock

Headers = list[tuple[str, str]]
BODY = Random(7).randbytes(MIN_RESUMED + 100_000)
SOME = MIN_RESUMED + 1
"""The fewest bytes that are worth to be gone on with."""
ETAG = '"v1"'
TAGGED: Headers = [("ETag", ETAG)]
OTHER = "http://example.org/other"


def sized(headers: Iterable[tuple[str, str]] = TAGGED, size: int = len(BODY)) -> Headers:
    return [("Content-Length", str(size)), *headers]


def broken(
    headers: Headers | None = None,
    *,
    cause: Cause = Cause.INCOMPLETE,
    got: int = SOME,
    status: int = 200,
    settings: Settings | None = None,
    **fields: Any,
) -> Attempt:
    """An attempt that fails after so many bytes of the body."""
    attempt = make_attempt(settings, **fields)
    respond(attempt, status, sized() if headers is None else headers)
    attempt.on_data(BODY[:got])
    attempt.finish(AttemptFailed(cause, "it broke off"))
    return attempt


def left(headers: Headers | None = None, **how: Any) -> Partial:
    """What a broken attempt leaves for the next one."""
    partial = broken(headers, **how).partial
    assert partial is not None
    return partial


def next_attempt(partial: Partial | None, settings: Settings | None = None, url: str = URL) -> Attempt:
    settings = settings or Settings()
    return Attempt(make_plan(settings), Request(url), parse_url(url), partial)


def a_range(first: int = SOME, last: int | None = None, total: object = len(BODY)) -> tuple[str, str]:
    return "Content-Range", f"bytes {first}-{len(BODY) - 1 if last is None else last}/{total}"


def rest_of(first: int = SOME, more: Headers = TAGGED) -> Headers:
    """The head of a 206 with all that is missing."""
    return [("Content-Length", str(len(BODY) - first)), a_range(first), *more]


def bytes_of(partial: Partial) -> int:
    """What it holds in memory."""
    kept = partial.body._kept
    return 0 if kept is None else len(kept.take())


def refused(attempt: Attempt, headers: Headers, status: int = 206) -> AttemptFailed:
    """How the attempt fails with this answer; the partial body is gone then."""
    partial = attempt.partial
    assert partial is not None
    with pytest.raises(AttemptFailed) as caught:
        respond(attempt, status, headers)
    attempt.finish(caught.value)
    assert attempt.partial is None
    assert bytes_of(partial) == 0
    return caught.value


# --- which bodies are gone on with ---


@pytest.mark.parametrize("cause", [Cause.INCOMPLETE, Cause.TIMEOUT, Cause.TOO_SLOW])
def test_a_long_body_that_broke_off_is_gone_on_with(cause: Cause) -> None:
    hop = next_attempt(left(cause=cause)).begin_exchange()
    assert (hop.headers["Range"], hop.headers["If-Range"]) == (f"bytes={SOME}-", ETAG)


@pytest.mark.parametrize(
    "cause", [Cause.CANCELLED, Cause.PROTOCOL, Cause.DECODE, Cause.TOO_LARGE, Cause.STORE, Cause.CONNECT]
)
def test_no_other_failure_is_gone_on_from(cause: Cause) -> None:
    assert broken(cause=cause).partial is None


def test_a_body_of_a_mebibyte_is_not_worth_it() -> None:
    assert broken(got=MIN_RESUMED).partial is None


@pytest.mark.parametrize(
    "tags",
    [[], ['W/"v1"'], ['w/"v1"'], ["v1"], ['""'], ['"v1"', '"v1"'], ['"v1", "v2"'], ['"a b"'], ['"caf\udce9"'], ['"']],
)
def test_only_one_strong_etag_will_do(tags: list[str]) -> None:
    assert broken(sized(("ETag", tag) for tag in tags)).partial is None


def test_a_server_that_gives_no_ranges_is_asked_for_none() -> None:
    assert broken(sized([*TAGGED, ("Accept-Ranges", "NONE")])).partial is None
    assert broken(sized([*TAGGED, ("Accept-Ranges", "bytes")])).partial is not None


@pytest.mark.parametrize("status", [201, 203, 404, 503])
def test_only_the_body_of_a_200_is_gone_on_with(status: int) -> None:
    assert broken(status=status).partial is None


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_only_a_get_is_gone_on_with(method: str) -> None:
    assert broken(method=method).partial is None


def test_a_post_that_became_a_get_would_be_posted_again_and_is_not() -> None:
    attempt = make_attempt(method="POST", body=b"x")
    respond(attempt, 303, [("Location", OTHER), ("Content-Length", "0")])
    attempt.on_end()
    attempt.follow_redirect()
    assert attempt.hop.method == "GET"
    respond(attempt, 200, sized())
    attempt.on_data(BODY[:SOME])
    attempt.finish(AttemptFailed(Cause.INCOMPLETE, "it broke off"))
    assert attempt.partial is None


@pytest.mark.parametrize("name", ["Range", "range", "If-Range", "IF-RANGE"])
def test_a_range_of_the_users_own_is_left_alone(name: str) -> None:
    assert broken(headers=None, settings=Settings(headers=[f"{name}: x"])).partial is None


def test_a_body_that_is_all_there_but_for_its_end_is_begun_anew() -> None:
    assert broken(sized(size=SOME)).partial is None
    assert broken(sized(size=SOME + 1)).partial is not None


def test_a_body_whose_write_was_interrupted_is_begun_anew() -> None:
    attempt = make_attempt()
    respond(attempt, 200, sized())
    attempt.on_data(BODY[:SOME])
    attempt.body.writing = True
    attempt.finish(AttemptFailed(Cause.TIMEOUT, "no complete answer"))
    assert attempt.partial is None


# --- how it is asked for ---


def test_only_the_url_that_the_beginning_came_from_is_asked_for_the_rest() -> None:
    partial = left()
    here = Hop(parse_url(URL), "GET", {"A": "b"}, None)
    elsewhere = here._replace(target=parse_url(OTHER))
    assert partial.range_request(elsewhere) is elsewhere
    assert partial.range_request(here).headers == {"A": "b", "Range": f"bytes={SOME}-", "If-Range": ETAG}
    assert here.headers == {"A": "b"}


def test_what_is_asked_is_not_what_the_next_hop_gets() -> None:
    attempt = next_attempt(left())
    assert "Range" in attempt.begin_exchange().headers
    respond(attempt, 302, [("Location", OTHER), ("Content-Length", "0")])
    attempt.on_end()
    attempt.follow_redirect()
    assert attempt.begin_exchange() is attempt.hop
    assert attempt.hop.headers == {}


def test_an_attempt_without_a_beginning_asks_as_ever() -> None:
    attempt = next_attempt(None)
    assert attempt.begin_exchange() is attempt.hop


# --- the rest ---


def continued(partial: Partial, headers: Headers, data: bytes, settings: Settings | None = None) -> Attempt:
    attempt = next_attempt(partial, settings)
    respond(attempt, 206, headers, reason="Partial Content")
    attempt.on_data(data)
    attempt.on_end()
    attempt.finish(None)
    return attempt


@pytest.mark.parametrize(
    "length", [[("Content-Length", str(len(BODY) - SOME))], [("Transfer-Encoding", "chunked")], []]
)
def test_the_rest_makes_the_body_whole_and_it_counts_as_the_200_it_is(length: Headers) -> None:
    first = sized([*TAGGED, ("Content-Type", "text/x")])
    attempt = continued(left(first), [*length, a_range(), *TAGGED, ("Content-Type", "text/y")], BODY[SOME:])
    assert (attempt.body.content, attempt.body.digest) == (BODY, sha256(BODY).hexdigest())
    assert (attempt.body.size, attempt.body.wire_size) == (len(BODY), len(BODY))
    assert (attempt.status, attempt.response.reason, attempt.complete) == (200, "OK", Complete.YES)
    assert (attempt.headers["Content-Type"], attempt.headers["Content-Length"]) == ("text/x", str(len(BODY)))
    assert (attempt.cause, attempt.partial) == (None, None)


@pytest.mark.parametrize("length", [[("Transfer-Encoding", "chunked")], []])
def test_the_content_range_tells_a_length_that_was_not_known(length: Headers) -> None:
    attempt = continued(left([*length, *TAGGED]), rest_of(), BODY[SOME:])
    assert (attempt.body.content, attempt.complete) == (BODY, Complete.YES)


def test_an_asterisk_will_do_where_the_length_is_known() -> None:
    assert continued(left(), [a_range(total="*"), *TAGGED], BODY[SOME:]).body.content == BODY
    error = refused(next_attempt(left([("Transfer-Encoding", "chunked"), *TAGGED])), [a_range(total="*"), *TAGGED])
    assert error.cause is Cause.INCOMPLETE


def test_a_coded_body_goes_on_in_the_middle_of_its_coding() -> None:
    plain = BODY * 2
    wire = gzip.compress(plain, 1)
    gz: Headers = [*TAGGED, ("Content-Encoding", "gzip")]
    attempt = make_attempt()
    respond(attempt, 200, sized(gz, len(wire)))
    attempt.on_data(wire[:SOME])
    attempt.finish(AttemptFailed(Cause.TIMEOUT, "it broke off"))
    head = ("Content-Range", f"bytes {SOME}-{len(wire) - 1}/{len(wire)}")
    assert attempt.partial is not None
    attempt = continued(attempt.partial, [head, *gz], wire[SOME:])
    assert (attempt.body.content, attempt.body.size, attempt.body.wire_size) == (plain, len(plain), len(wire))
    assert attempt.body.content_encoding == "gzip"


def test_a_server_may_give_less_than_was_asked_for_and_is_asked_again() -> None:
    partial = left()
    for first in range(SOME, len(BODY), 20_000):
        last = min(first + 20_000, len(BODY)) - 1
        attempt = next_attempt(partial)
        assert attempt.begin_exchange().headers["Range"] == f"bytes={first}-"
        respond(attempt, 206, [a_range(first, last), *TAGGED])
        attempt.on_data(BODY[first : last + 1])
        if last + 1 < len(BODY):
            with pytest.raises(AttemptFailed, match=f"{last + 1} bytes of {len(BODY)}") as caught:
                attempt.on_end()
            assert caught.value.cause is Cause.INCOMPLETE
            attempt.finish(caught.value)
            assert (attempt.status, attempt.body.wire_size, attempt.body.content) == (200, last + 1, b"")
            assert attempt.partial is not None
            partial = attempt.partial
    attempt.on_end()
    assert attempt.body.content == BODY


@examples(50)
@given(cuts=st.lists(st.integers(1, 2999), min_size=1, max_size=5, unique=True), pieces=st.integers(1, 700))
def test_wherever_it_breaks_off_the_parts_make_the_body(cuts: list[int], pieces: int) -> None:
    body = BODY[:3000]
    partial: Partial | None = None
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(rules, "MIN_RESUMED", 0)
        start = 0
        for end in [*sorted(cuts), len(body)]:
            attempt = next_attempt(partial)
            head = ("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            respond(attempt, 206 if start else 200, [*TAGGED, head] if start else sized(size=len(body)))
            for at in range(start, end, pieces):
                attempt.on_data(body[at : min(at + pieces, end)])
            if end < len(body):
                attempt.finish(AttemptFailed(Cause.INCOMPLETE, "it broke off"))
            start, partial = end, attempt.partial
    attempt.on_end()
    assert (attempt.body.content, attempt.body.digest) == (body, sha256(body).hexdigest())


# --- what is not the rest ---


@pytest.mark.parametrize(
    "headers",
    [
        [*TAGGED],
        [a_range(), a_range(), *TAGGED],
        [("Content-Type", "Multipart/ByteRanges; boundary=x"), *TAGGED],
        [("Content-Type", "multipart/byteranges; boundary=x"), a_range(), *TAGGED],
        [a_range(last=SOME - 1), *TAGGED],
        [a_range(total=len(BODY) - 1), *TAGGED],
        [("Content-Length", "7"), a_range(), *TAGGED],
        *[
            [("Content-Range", text), *TAGGED]
            for text in (
                "",
                f"bytes {SOME}-",
                f"bytes */{len(BODY)}",
                f"bytes={SOME}-{len(BODY) - 1}/{len(BODY)}",
                f"items {SOME}-{len(BODY) - 1}/{len(BODY)}",
                f"bytes {SOME}-{len(BODY) - 1}/{len(BODY)}, bytes 0-1/2",
                f"bytes +{SOME}-{len(BODY) - 1}/{len(BODY)}",
                f"bytes {SOME}-{len(BODY) - 1}/{'9' * 19}",
                "bytes \u0661-\u0662/\u0663",
            )
        ],
    ],
    ids=lambda headers: "; ".join(value for _, value in headers[:2]) if isinstance(headers, list) else None,
)
def test_a_206_that_is_not_valid_is_not_http(headers: Headers) -> None:
    attempt = next_attempt(left())
    error = refused(attempt, headers)
    assert (error.cause, attempt.status, attempt.body.wire_size) == (Cause.PROTOCOL, None, 0)


@pytest.mark.parametrize(
    "headers",
    [
        [a_range(SOME - 1), *TAGGED],
        [a_range(SOME + 1), *TAGGED],
        [a_range(0), *TAGGED],
        [a_range(total=len(BODY) + 1), *TAGGED],
        [a_range(last=len(BODY), total=len(BODY) + 1), *TAGGED],
        [a_range(last=len(BODY), total="*"), *TAGGED],
        rest_of(more=[("ETag", '"v2"')]),
        rest_of(more=[("ETag", f"W/{ETAG}")]),
        rest_of(more=[*TAGGED, *TAGGED]),
        rest_of(more=[]),
        rest_of(more=[*TAGGED, ("Content-Encoding", "gzip")]),
    ],
)
def test_what_does_not_fit_is_begun_anew(headers: Headers) -> None:
    attempt = next_attempt(left())
    error = refused(attempt, headers)
    assert (error.cause, error.permanent, attempt.body.content, attempt.body.wire_size) == (
        Cause.INCOMPLETE,
        False,
        b"",
        0,
    )


def test_plain_bytes_are_never_the_rest_of_coded_ones() -> None:
    wire = gzip.compress(BODY, 0)
    attempt = make_attempt()
    respond(attempt, 200, sized([*TAGGED, ("Content-Encoding", "gzip")], len(wire)))
    attempt.on_data(wire[:SOME])
    attempt.finish(AttemptFailed(Cause.INCOMPLETE, "it broke off"))
    again = next_attempt(attempt.partial)
    head = ("Content-Range", f"bytes {SOME}-{len(wire) - 1}/{len(wire)}")
    assert refused(again, [head, *TAGGED]).cause is Cause.INCOMPLETE


def test_a_416_means_to_begin_anew_even_where_it_is_accepted() -> None:
    settings = Settings(accept="200,416", retry_on="416")
    error = refused(next_attempt(left(), settings), [("Content-Range", f"bytes */{SOME}")], 416)
    assert error.cause is Cause.INCOMPLETE


@pytest.mark.parametrize("status", [200, 203, 204, 304, 404, 410])
def test_any_other_answer_stands_for_itself(status: int) -> None:
    partial = left()
    attempt = next_attempt(partial)
    respond(attempt, status, [("Content-Length", "3"), ("ETag", '"v2"')])
    assert attempt.partial is None
    assert (attempt.status, attempt.headers["ETag"]) == (status, '"v2"')
    assert (attempt.body is partial.body, attempt.body.wire_size) == (False, 0)
    assert bytes_of(partial) == 0


@pytest.mark.parametrize("attempt", [next_attempt(left(), url=OTHER), make_attempt()], ids=["elsewhere", "at all"])
def test_a_206_where_no_part_was_asked_for_is_no_answer(attempt: Attempt) -> None:
    with pytest.raises(AttemptFailed) as caught:
        respond(attempt, 206, [a_range(), *TAGGED, ("Content-Length", "3")])
    assert caught.value.cause is Cause.PROTOCOL


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_asks_to_come_back_later_is_asked_for_the_rest_then(status: int) -> None:
    partial = left()
    attempt = next_attempt(partial)
    respond(attempt, status, [("Content-Length", "3")])
    attempt.on_data(b"abc")
    with pytest.raises(AttemptFailed) as caught:
        attempt.on_end()
    attempt.finish(caught.value)
    assert (attempt.partial, attempt.status, attempt.body.content) == (partial, status, b"abc")
    assert continued(partial, rest_of(), BODY[SOME:]).body.content == BODY


def test_an_attempt_that_gets_no_answer_leaves_the_beginning_to_the_next() -> None:
    partial = left()
    attempt = next_attempt(partial)
    attempt.finish(AttemptFailed(Cause.CONNECT, "connection refused"))
    assert (attempt.partial, attempt.body.size, attempt.status) == (partial, 0, None)
    assert continued(partial, rest_of(), BODY[SOME:]).body.content == BODY


def test_more_than_the_content_range_says_is_not_http() -> None:
    attempt = next_attempt(left())
    respond(attempt, 206, [("Transfer-Encoding", "chunked"), a_range(last=SOME + 9), *TAGGED])
    attempt.on_data(BODY[SOME : SOME + 11])
    with pytest.raises(AttemptFailed) as caught:
        attempt.on_end()
    assert caught.value.cause is Cause.PROTOCOL


def test_nothing_goes_on_after_more_than_the_content_range_said() -> None:
    attempt = next_attempt(left())
    respond(attempt, 206, [("Transfer-Encoding", "chunked"), a_range(last=SOME + 9), *TAGGED])
    attempt.on_data(BODY[SOME : SOME + 11])
    attempt.finish(AttemptFailed(Cause.TIMEOUT, "it broke off"))
    assert attempt.partial is None


@pytest.mark.parametrize(
    ("received", "end", "total", "cause"),
    [
        (5, 5, None, None),
        (4, 5, None, Cause.INCOMPLETE),
        (5, 5, 5, None),
        (4, 5, 5, Cause.INCOMPLETE),
        (5, 5, 6, Cause.INCOMPLETE),
        (6, 5, 6, Cause.PROTOCOL),
    ],
)
def test_a_body_is_whole_when_all_of_it_has_come(received: int, end: int, total: int | None, cause: Cause) -> None:
    with nullcontext() if cause is None else pytest.raises(AttemptFailed) as caught:
        check_end(received, end, total)
    assert caught is None or caught.value.cause is cause


# --- the limits ---


def test_the_limit_of_size_holds_for_the_whole_body() -> None:
    limits = Settings(max_filesize=len(BODY) - 1)
    chunked: Headers = [("Transfer-Encoding", "chunked"), *TAGGED]
    attempt = next_attempt(left(chunked, settings=limits), limits)
    with pytest.raises(AttemptFailed, match="at most") as caught:
        respond(attempt, 206, rest_of())
    attempt.finish(caught.value)
    assert (caught.value.cause, attempt.partial) == (Cause.TOO_LARGE, None)


# --- what becomes of it ---


def settle(settler: Settler, job: Job, attempt: Attempt) -> Result | Retry:
    job.attempts += 1
    return settler.settle(job, attempt, WorkerClock(1))


def cancel(settler: Settler, job: Job) -> Result:
    return settler.refuse(job, Refused(Cause.CANCELLED, "the run ended first"), 1)


def test_a_job_takes_it_along_to_its_next_attempt() -> None:
    settler, job = Settler(Settings(), RunControl()), Job(Request(URL), 0.0)
    attempt = broken()
    assert isinstance(settle(settler, job, attempt), Retry)
    assert job.partial is attempt.partial
    assert job.partial is not None
    result = settle(settler, job, continued(job.partial, rest_of(), BODY[SOME:]))
    assert isinstance(result, Result)
    assert (result.ok, result.status, result.attempts, result.body) == (True, 200, 2, BODY)
    assert settler._with_partial == set()


def test_a_machine_at_its_limit_does_not_lose_it() -> None:
    settler, job = Settler(Settings(), RunControl()), Job(Request(URL), 0.0)
    settle(settler, job, broken())
    partial = job.partial
    attempt = next_attempt(partial)
    attempt.finish(AttemptFailed(Cause.CONNECT, "no descriptors", local_limit=True))
    settle(settler, job, attempt)
    assert partial is not None
    assert job.partial is partial


def test_it_is_let_go_when_there_is_no_next_attempt() -> None:
    attempt = broken()
    partial = attempt.partial
    assert partial is not None
    result = settle(Settler(Settings(retries=0), RunControl()), Job(Request(URL), 0.0), attempt)
    assert isinstance(result, Result)
    assert (result.cause, result.wire_size, result.body) == (Cause.INCOMPLETE, SOME, b"")
    assert bytes_of(partial) == 0


def test_it_is_let_go_when_the_job_is_cancelled() -> None:
    settler, job = Settler(Settings(), RunControl()), Job(Request(URL), 0.0)
    settle(settler, job, broken())
    assert job.partial is not None
    cancel(settler, job)
    assert (bytes_of(job.partial), settler._with_partial) == (0, set())


def test_no_more_bodies_wait_than_there_are_workers() -> None:
    settler = Settler(Settings(workers=2), RunControl())
    jobs = [Job(Request(URL), 0.0) for _ in range(4)]
    attempts = [broken() for _ in jobs]
    partials = [attempt.partial for attempt in attempts]
    for job, attempt in zip(jobs, attempts, strict=True):
        settle(settler, job, attempt)
    assert [job.partial is not None for job in jobs] == [True, True, False, False]
    assert [bytes_of(partial) for partial in partials if partial] == [SOME, SOME, 0, 0]
    cancel(settler, jobs[0])
    settle(settler, jobs[2], broken())
    assert jobs[2].partial is not None


@pytest.mark.parametrize("how", ["final", "cancelled", "refused", "stands for itself"])
def test_its_file_goes_with_it_unless_a_later_session_may_go_on(how: str, tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    settings = Settings(output=str(folder), keep_body=False)
    attempt = make_attempt(settings)
    respond(attempt, 200, sized())
    attempt.on_data(BODY[:SOME])
    attempt.body.write()
    attempt.finish(AttemptFailed(Cause.INCOMPLETE, "it broke off"))
    assert len([*folder.parts.iterdir()]) == 2
    control = RunControl()
    settler, job = Settler(settings, control), Job(Request(URL), 0.0)
    if how == "final":
        control.stop()
    settle(settler, job, attempt)
    if how == "cancelled":
        cancel(settler, job)
    elif how == "refused":
        refused(next_attempt(job.partial, settings), [], 416)
    elif how == "stands for itself":
        respond(next_attempt(job.partial, settings), 200, sized(size=3))
    assert temporary(folder) == []
    assert len([*folder.parts.iterdir()]) == (2 if how in ("final", "cancelled") else 0)


def test_the_stored_body_is_the_whole_one(tmp_path: Path) -> None:
    settings = Settings(output=str(run_folder(tmp_path)), keep_body=False)
    attempt = continued(left(settings=settings), rest_of(), BODY[SOME:], settings)
    assert attempt.body.spool is not None
    assert Path(attempt.body.spool.path()).read_bytes() == BODY


def test_header_maps_compare_names_without_case() -> None:
    partial = left([("content-length", str(len(BODY))), ("etag", ETAG)])
    hop = next_attempt(partial).hop
    answer = raw_headers([("content-range", a_range()[1]), ("etag", ETAG)])
    assert partial.match(hop, read_head("GET", 206, None, answer, (1, 1))) == (len(BODY), len(BODY))

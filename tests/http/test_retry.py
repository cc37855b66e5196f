"""When a failed attempt is tried again, and how long before that."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from email.utils import formatdate
from math import inf
from sqlite3 import connect
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.factories import any_text, examples, header_map

from fetchq.core.model import Cause
from fetchq.core.settings import Settings
from fetchq.http.acceptance import IDEMPOTENT
from fetchq.http.retry import LONGEST_WAIT, Signal, retry_delay, retryable, signal_of, with_retry_after
from fetchq.http.retry_after import retry_after

NOW = 1_700_000_000.0
TRANSIENT = (Cause.CONNECT, Cause.DNS, Cause.TIMEOUT, Cause.TOO_SLOW, Cause.INCOMPLETE, Cause.CHECKSUM)
FINAL = tuple(cause for cause in Cause if cause not in (*TRANSIENT, Cause.STATUS))
NOT_PROCESSED = (425, 429, 503)


@dataclass
class Failure:
    """An outcome, as the policy sees it."""

    cause: Cause | None = Cause.STATUS
    permanent: bool = False
    sent: bool = True
    method: str = "GET"
    status: int | None = 503
    headers: Mapping[str, str] = field(default_factory=dict)


def delay(outcome: Failure, attempts: int = 1, jitter: float = 1.0, **settings: Any) -> float | None:
    return retry_delay(outcome, attempts, Settings(**settings), jitter=jitter, now=NOW)


def refusal(**headers: str) -> Failure:
    """A 503 with these headers."""
    return Failure(headers=header_map((name.replace("_", "-"), value) for name, value in headers.items()))


def http_date(seconds: float) -> str:
    return formatdate(NOW + seconds, usegmt=True)


outcomes = st.builds(
    Failure,
    cause=st.none() | st.sampled_from(Cause),
    permanent=st.booleans(),
    sent=st.booleans(),
    method=st.sampled_from(["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "M-SEARCH"]),
    status=st.none() | st.integers(100, 999) | st.sampled_from([408, 425, 429, 500, 502, 503, 504]),
    headers=st.dictionaries(
        st.sampled_from(["Retry-After", "Date"]),
        any_text | st.integers().map(str) | st.floats(-1e9, 1e10).map(lambda at: formatdate(at, usegmt=True)),
    ),
)


# --- rules for all outcomes ---


@examples(400)
@given(
    outcomes,
    st.integers(1, 10**6),
    st.floats(0, 1),
    st.integers(0, 10**6),
    st.floats(0, 1e7),
    st.floats(0, 1e6),
)
def test_a_delay_is_bounded_and_there_are_never_more_attempts_than_allowed(
    outcome: Failure, attempts: int, jitter: float, retries: int, wait: float, most: float
) -> None:
    settings = Settings(retries=retries, retry_wait=wait, max_retry_after=most)
    found = retry_delay(outcome, attempts, settings, jitter=jitter, now=NOW)
    if attempts > retries or outcome.cause is None or (outcome.permanent and outcome.cause is not Cause.STATUS):
        assert found is None
    assert found is None or 0 <= found <= max(LONGEST_WAIT, most)


@examples(300)
@given(outcomes, st.integers(1, 3))
def test_what_may_have_done_something_is_not_done_twice(outcome: Failure, attempts: int) -> None:
    found = delay(outcome, attempts, retries=3)
    if found is not None and outcome.method not in IDEMPOTENT:
        assert not outcome.sent or outcome.status in NOT_PROCESSED


def test_a_success_is_final() -> None:
    assert delay(Failure(cause=None, status=200)) is None
    assert delay(Failure(cause=None, status=503)) is None


# --- what it shows about the host ---


@pytest.mark.parametrize(
    ("status", "asked", "signal"),
    [
        (503, "86400", (Signal.WAIT_TOO_LONG, 86400)),
        (429, "121", (Signal.WAIT_TOO_LONG, 121)),
        (429, "120", (Signal.REFUSED, 120)),
        (500, "5", (Signal.REFUSED, 5)),
        (404, "86400", (Signal.GOOD, None)),
        (202, "10", (Signal.GOOD, None)),
        (202, "86400", (Signal.GOOD, None)),
    ],
)
def test_a_retry_after_holds_the_host_unless_it_is_that_of_a_success(
    status: int, asked: str, signal: tuple[Signal, float | None]
) -> None:
    outcome = Failure(status=status, headers={"Retry-After": asked})
    assert signal_of(outcome, Settings(retry_on="+202"), NOW) == signal


def test_rows_of_a_host_that_asked_for_too_long_a_wait_are_worth_a_retry() -> None:
    with closing(connect(":memory:")) as db:
        db.execute("CREATE TABLE records (cause, status)")
        rows = [("status", 503), ("status", 404), ("status", None), ("timeout", None), ("tls", None), (None, 503)]
        db.executemany("INSERT INTO records VALUES (?, ?)", rows)
        found = db.execute(f"SELECT cause, status FROM records WHERE {retryable([503, 429])}")
        assert list(found) == [("status", 503), ("status", None), ("timeout", None)]


# --- how often, and how long ---


@pytest.mark.parametrize("retries", [0, 1, 2, 7])
def test_there_is_one_attempt_and_so_many_retries(retries: int) -> None:
    attempts = 1
    while delay(Failure(), attempts, retries=retries) is not None:
        attempts += 1
    assert attempts == retries + 1


def test_the_wait_doubles_up_to_its_bound() -> None:
    waits = [delay(Failure(), attempts, retries=10) for attempts in range(1, 11)]
    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30, 30, 30]


def test_the_jitter_is_full() -> None:
    assert delay(Failure(), 3, jitter=0.0, retries=3) == 0.0
    assert delay(Failure(), 3, jitter=0.25, retries=3) == 0.5


@examples(100)
@given(st.floats(0, 1000), st.floats(0, 1), st.integers(1, 200))
def test_the_wait_never_shrinks_from_one_attempt_to_the_next(wait: float, jitter: float, attempts: int) -> None:
    before = delay(Failure(), attempts, jitter, retries=10**6, retry_wait=wait)
    after = delay(Failure(), attempts + 1, jitter, retries=10**6, retry_wait=wait)
    assert before is not None
    assert after is not None
    assert before <= after <= LONGEST_WAIT


@pytest.mark.parametrize("wait", [0.0, 1e-300, 0.5, 1e7])
def test_a_million_attempts_do_not_overflow(wait: float) -> None:
    found = delay(Failure(), 10**6, retries=10**6, retry_wait=wait)
    assert found is not None
    assert 0 <= found <= LONGEST_WAIT


# --- what is tried again ---


@pytest.mark.parametrize("cause", TRANSIENT)
def test_a_failure_that_may_pass_is_tried_again(cause: Cause) -> None:
    assert delay(Failure(cause=cause, status=None)) == 0.5
    assert delay(Failure(cause=cause, status=200)) == 0.5


@pytest.mark.parametrize("cause", FINAL)
def test_a_failure_that_will_not_pass_is_final(cause: Cause) -> None:
    assert delay(Failure(cause=cause, status=None)) is None
    assert delay(Failure(cause=cause, status=503)) is None


def test_a_name_that_does_not_exist_is_not_asked_for_again() -> None:
    assert delay(Failure(cause=Cause.DNS, status=None, permanent=True)) is None
    assert delay(Failure(cause=Cause.DNS, status=None, permanent=False)) == 0.5


@pytest.mark.parametrize("method", sorted(IDEMPOTENT))
def test_an_idempotent_method_is_sent_again(method: str) -> None:
    assert delay(Failure(method=method)) == 0.5
    assert delay(Failure(method=method, status=500)) == 0.5
    assert delay(Failure(method=method, cause=Cause.TIMEOUT, status=None, sent=True)) == 0.5


@pytest.mark.parametrize("method", ["POST", "PATCH", "M-SEARCH"])
def test_a_method_that_is_not_idempotent_is_sent_again_only_where_nothing_was_done(method: str) -> None:
    assert delay(Failure(method=method, cause=Cause.CONNECT, status=None, sent=False)) == 0.5
    assert delay(Failure(method=method, cause=Cause.CONNECT, status=None, sent=True)) is None
    assert delay(Failure(method=method, cause=Cause.TIMEOUT, status=None, sent=True)) is None
    for status in (408, 500, 502, 504):
        assert delay(Failure(method=method, status=status)) is None
    for status in NOT_PROCESSED:
        assert delay(Failure(method=method, status=status)) == 0.5


def test_only_the_listed_statuses_are_tried_again() -> None:
    assert delay(Failure(status=404)) is None
    assert delay(Failure(status=404), retry_on="404") == 0.5
    assert delay(Failure(status=503), retry_on="404") is None
    assert delay(Failure(method="POST", status=429), retry_on="500") is None


# --- Retry-After ---


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0.0), ("7", 7.0), (" 7 ", 7.0), ("0010", 10.0), ("1" * 15, 111_111_111_111_111.0), ("9" * 5000, 1e15 - 1)],
)
def test_retry_after_is_read_as_seconds(text: str, seconds: float) -> None:
    assert retry_after({"Retry-After": text}, NOW) == seconds


@pytest.mark.parametrize(
    "text",
    ["", " ", "-5", "+5", "1.5", "5s", "soon", "٣", "²", "0x10", "1,2", "NaN", "inf", "Tue", "\0", "\udcff", "(" * 99],
)
def test_a_retry_after_that_is_nonsense_is_ignored(text: str) -> None:
    assert retry_after({"Retry-After": text}, NOW) is None
    assert delay(refusal(Retry_After=text)) == 0.5


def test_without_a_retry_after_nothing_is_asked_for() -> None:
    assert retry_after({"Date": http_date(0)}, NOW) is None


def test_a_longer_wait_than_the_run_allows_is_no_retry() -> None:
    assert delay(refusal(Retry_After="7")) == 7
    assert delay(refusal(Retry_After="120")) == 120
    assert delay(refusal(Retry_After="121")) is None
    assert delay(refusal(Retry_After="9" * 20)) is None
    assert delay(refusal(Retry_After="7"), max_retry_after=5) is None
    assert delay(refusal(Retry_After="0"), max_retry_after=0) == 0.5
    assert delay(refusal(Retry_After="99"), max_retry_after=0) is None
    assert delay(refusal(Retry_After="5"), deadline=4) is None


@pytest.mark.parametrize("durable", [False, True])
def test_a_wait_that_ends_after_the_deadline_is_left_to_the_next_session_if_there_is_one(durable: bool) -> None:
    settings = Settings(deadline=100, output="run" if durable else None)
    assert retry_delay(refusal(Retry_After="50"), 1, settings, jitter=1, now=NOW, left=50) == 50
    found = retry_delay(refusal(Retry_After="50"), 1, settings, jitter=1, now=NOW, left=49)
    assert found == (50 if durable else None)


@pytest.mark.parametrize(
    ("asked", "left", "settings", "note"),
    [
        ("86400", inf, {}, "; Retry-After asks for 86400 s, --max-retry-after is 120 s"),
        ("86400", 3.9, {"deadline": 4}, "; Retry-After asks for 86400 s, --max-retry-after is 120 s"),
        ("60", 3.9, {"deadline": "4s"}, "; Retry-After asks for 60 s, --deadline is 4 s"),
        ("60", 1.2345, {"deadline": 100}, "; Retry-After asks for 60 s, --deadline leaves 1.234 s"),
        ("60", -1, {"deadline": 100}, "; Retry-After asks for 60 s, --deadline leaves 0 s"),
        ("1", inf, {"max_retry_after": "20ms"}, "; Retry-After asks for 1 s, --max-retry-after is 0.02 s"),
        (http_date(3600), inf, {}, "; Retry-After asks for 3600 s, --max-retry-after is 120 s"),
        ("60", inf, {}, ""),
        ("soon", inf, {}, ""),
        ("86400", inf, {"retry_on": "429"}, ""),
    ],
)
def test_a_row_that_is_not_tried_again_tells_the_wait_that_was_asked_for(
    asked: str, left: float, settings: dict[str, Any], note: str
) -> None:
    found = with_retry_after(refusal(Retry_After=asked), "503 Busy", Settings(**settings), now=NOW, left=left)
    assert found == f"503 Busy{note}"


def test_retry_after_does_not_shorten_the_wait() -> None:
    assert delay(refusal(Retry_After="1"), 4, retries=9) == 4
    assert delay(refusal(Retry_After="0")) == 0.5


def test_retry_after_counts_only_with_a_status_that_is_tried_again() -> None:
    outcome = Failure(cause=Cause.INCOMPLETE, status=200, headers={"Retry-After": "60"})
    assert delay(outcome) == 0.5
    assert delay(Failure(cause=Cause.INCOMPLETE, status=503, headers={"Retry-After": "60"})) == 60


def test_the_name_of_the_header_has_no_case() -> None:
    assert retry_after(header_map([("retry-AFTER", "7")]), NOW) == 7


def test_a_date_is_read_against_the_servers_own_clock() -> None:
    headers = {"Retry-After": http_date(3600 + 9), "Date": http_date(3600)}
    assert retry_after(headers, NOW) == 9


def test_a_date_is_read_against_our_clock_where_the_server_names_none() -> None:
    assert retry_after({"Retry-After": http_date(9)}, NOW) == 9
    assert retry_after({"Retry-After": http_date(9), "Date": "today"}, NOW) == 9


def test_a_date_that_is_past_asks_for_no_wait() -> None:
    assert retry_after({"Retry-After": http_date(-99)}, NOW) == 0


@pytest.fixture
def far_from_greenwich(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if not hasattr(time, "tzset"):
        pytest.skip("the time zone of a process cannot be set here")
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "XXX+05:30")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("far_from_greenwich")
@pytest.mark.parametrize(
    "date",
    [
        "Tue, 14 Nov 2023 22:13:29 GMT",
        "Tuesday, 14-Nov-23 22:13:29 GMT",
        "Tue Nov 14 22:13:29 2023",
        "Tue, 14 Nov 2023 22:13:29 -0000",
        "Tue, 14 Nov 2023 22:13:29",
    ],
)
def test_each_form_of_a_date_is_in_utc_wherever_we_are(date: str) -> None:
    assert retry_after({"Retry-After": date}, NOW) == 9  # RFC 9110, 5.6.7: all three forms


@examples(400)
@given(any_text | st.text("0123456789 :,+-ADFGMTabcdehilnortuvy()"), any_text | st.just(http_date(0)))
def test_whatever_a_server_says_the_wait_is_a_number_or_none(text: str, date: str) -> None:
    found = retry_after({"Retry-After": text, "Date": date}, NOW)
    assert found is None or found >= 0


@examples(100)
@given(st.integers(0, 10**9), st.integers(-(10**9), 10**9))
def test_a_date_and_its_date_header_give_their_difference(ahead: int, skew: int) -> None:
    headers = {"Retry-After": http_date(skew + ahead), "Date": http_date(skew)}
    assert retry_after(headers, NOW) == ahead

"""A job adds up what its attempts cost, and leaves them as they are."""

from __future__ import annotations

import pytest
from support.factories import make_attempt

from fetchq.core.model import Request, Timing
from fetchq.http.attempt import Attempt
from fetchq.http.phases import CONNECT, DECODE, DNS, RECEIVE, TLS, WAIT
from fetchq.scheduling.job import Job


def make_job() -> Job:
    return Job(Request("http://h/"), 0.0)


def attempt_of(*, tls_known: bool = False, **phases: float) -> Attempt:
    attempt = make_attempt()
    order = {"dns": DNS, "connect": CONNECT, "tls": TLS, "wait": WAIT, "receive": RECEIVE, "decode": DECODE}
    for name, seconds in phases.items():
        attempt.phases[order[name]] = seconds
    attempt.tls_known = tls_known
    return attempt


def test_the_phases_are_summed_over_all_attempts() -> None:
    job = make_job()
    job.add(attempt_of(dns=1, connect=2, wait=3))
    job.add(attempt_of(wait=4))
    last = attempt_of(connect=5, receive=6, decode=7)
    timing, elapsed = job.timing(last)
    assert timing == Timing(0, 0, dns=1, connect=7, tls=None, wait=7, receive=6, decode=7)
    assert elapsed == 28
    assert job.timing(last) == (timing, elapsed), "asking does not change anything"
    assert job.timing(None) == (Timing(dns=1, connect=2, wait=7), 10)


def test_the_attempts_themselves_are_left_alone() -> None:
    job, first, last = make_job(), attempt_of(wait=1), attempt_of(wait=2)
    job.add(first)
    job.add(last)
    job.timing(last)
    assert (first.phases[WAIT], last.phases[WAIT]) == (1, 2)


@pytest.mark.parametrize("known_at", [0, 1])
def test_tls_is_told_apart_where_one_attempt_could(known_at: int) -> None:
    job = make_job()
    attempts = [attempt_of(tls=0.5, tls_known=at == known_at) for at in range(2)]
    job.add(attempts[0])
    assert job.timing(attempts[1])[0].tls == 1.0


def test_what_the_attempts_were_held_for_is_no_part_of_what_has_elapsed() -> None:
    job = make_job()
    job.held = 1.0
    first, last = attempt_of(wait=0.5), attempt_of(wait=0.5)
    first.held, last.held = 2.0, 4.0
    job.add(first)
    timing, elapsed = job.timing(last)
    assert (timing.held, timing.wait, elapsed) == (7.0, 1.0, 1.0)


def test_a_job_that_was_never_tried_has_only_waited() -> None:
    job = make_job()
    job.queued, job.held = 1.0, 2.0
    assert job.timing(None) == (Timing(queued=1.0, held=2.0), 0.0)

"""What the waiting jobs wait for: each limit is told from the others, with its host; the clock is the test's."""

from __future__ import annotations

from math import inf
from time import perf_counter
from typing import Any

import pytest
from support.factories import Outcome

from fetchq.core.model import Cause, Request
from fetchq.core.settings import Settings
from fetchq.http.robots_txt import RobotsCache, Rules
from fetchq.scheduling.held import waiting_jobs
from fetchq.scheduling.job import Job
from fetchq.scheduling.limit import Limit
from fetchq.scheduling.schedule import Schedule

NOW = 1000.0
H = "http://h"
DOWN = Outcome(Cause.CONNECT, None, sent=False)
REFUSED = Outcome(Cause.STATUS, 429, after="30")
OVERLOADED = Outcome(Cause.STATUS, 503)


class Queue:
    """A schedule at one moment, or a little later."""

    def __init__(self, *rows: str, max_in_flight: float = inf, **options: Any) -> None:
        settings = Settings(**options)
        self.schedule = Schedule(settings, RobotsCache(settings) if settings.robots else None, max_in_flight)
        for index, url in enumerate(rows):
            self.schedule.add(Job(Request(url, index), NOW), NOW)

    def start(self, *, sent: bool = True) -> Job:
        self.schedule.release(NOW)
        job = self.schedule.take(NOW)
        if sent:
            self.schedule.sent(job, NOW)
        return job

    def answer(self, outcome: Outcome, job: Job | None = None) -> Job:
        """Have an attempt come out so, and its row wait for a retry if it failed."""
        job = self.start() if job is None else job
        self.schedule.done(job, outcome, NOW, NOW)  # type: ignore[arg-type]  # it is like an Attempt
        if outcome.cause is not None:
            self.schedule.hold(job, NOW, 100.0)
        return job

    def held(self, after: float = 0.0) -> dict[tuple[str, str | None], float]:
        jobs = waiting_jobs(self.schedule, NOW + after)
        assert jobs.ready + sum(jobs.held.values()) == len(self.schedule)
        return {(limit.value, host): count for (limit, host), count in jobs.held.items()}


def rows(count: int, host: str = H) -> list[str]:
    return [f"{host}/{index}" for index in range(count)]


def test_no_job_is_held_without_a_limit() -> None:
    queue = Queue(*rows(5), *rows(3, "http://other"))
    assert queue.held() == {}
    assert waiting_jobs(queue.schedule, NOW).ready == 8


def test_rows_above_per_host_are_held_also_while_some_may_go() -> None:
    queue = Queue(*rows(5), per_host=2)
    assert queue.held() == {("per_host", H): 3}
    queue.start()
    assert queue.held() == {("per_host", H): 3}
    queue.start()
    assert queue.held() == {("per_host", H): 3}


def test_the_interval_holds_a_host_before_and_after_the_request_is_sent() -> None:
    queue = Queue(*rows(3), *rows(1, "http://other"), host_interval=5)
    job = queue.start(sent=False)
    assert queue.held() == {("host_interval", H): 2}
    queue.schedule.sent(job, NOW)
    assert queue.held() == {("host_interval", H): 2}


def test_the_rate_holds_the_run_and_no_host() -> None:
    queue = Queue(*rows(4), *rows(4, "http://other"), rate=1, workers=64)
    assert queue.held() == {("rate", None): 7}
    queue.start()
    assert queue.held() == {("rate", None): 7}


def test_a_limit_of_the_host_comes_before_that_of_the_run() -> None:
    queue = Queue(*rows(4), *rows(4, "http://other"), rate=1, per_host=1, workers=64)
    queue.start()
    assert queue.held() == {("rate", None): 1, ("per_host", H): 3, ("per_host", "http://other"): 3}


def test_the_limit_of_open_files_holds_the_run() -> None:
    queue = Queue(*rows(4), max_in_flight=1)
    queue.start()
    assert queue.held() == {("connections", None): 3}


def test_a_host_that_refuses_is_held_for_the_time_that_it_asks_for_and_then_slowed_down() -> None:
    queue = Queue(*rows(4))
    queue.answer(REFUSED)
    assert queue.held() == {("retry_after", H): 4}, "its own row as well"
    queue.schedule.release(NOW + 31.0)
    assert queue.held(after=31.0) == {("retry_wait", H): 1, ("back_off", H): 2}


def test_a_host_that_fails_again_and_again_is_slowed_down() -> None:
    queue = Queue(*rows(30))
    for _ in range(10):
        queue.answer(OVERLOADED)
    queue.start()
    assert queue.held() == {("retry_wait", H): 10, ("back_off", H): 19}


def test_a_host_that_is_down_is_paused() -> None:
    queue = Queue(*rows(9))
    for _ in range(5):
        queue.answer(DOWN)
    assert queue.held() == {("outage", H): 9}


def test_a_row_waits_for_its_retry_while_others_of_its_host_go() -> None:
    queue = Queue(*rows(3))
    queue.answer(OVERLOADED)
    assert queue.held() == {("retry_wait", H): 1}


def test_rows_wait_for_the_robots_txt_of_their_host_also_while_that_is_retried() -> None:
    queue = Queue(*rows(3), robots=True)
    job = queue.start()
    assert queue.held() == {("robots", H): 3}
    queue.answer(OVERLOADED, job)
    assert queue.held() == {("robots", H): 4}
    queue.schedule.release(NOW + 100.0)
    again = queue.schedule.take(NOW + 100.0)
    queue.schedule.done(again, Outcome(), NOW + 100.0, NOW)  # type: ignore[arg-type]
    queue.schedule.learn_robots(again, Rules(), NOW + 100.0)
    assert queue.held(after=100.0) == {}


def test_rows_wait_for_the_address_of_their_host() -> None:
    queue = Queue(*rows(3), per_host_by="ip", robots=True)
    queue.start()
    assert queue.held() == {("address", H): 3}


def test_rows_wait_for_the_first_answer_of_their_host_if_there_are_others() -> None:
    queue = Queue(*rows(100), *rows(100, "http://other"), workers=32)
    for _ in range(4):
        queue.start()
    assert queue.held() == {("first_answer", H): 98, ("first_answer", "http://other"): 98}


def test_a_host_that_was_given_up_holds_nothing() -> None:
    queue = Queue(*rows(9))
    for _ in range(5):
        queue.answer(Outcome(Cause.DNS, None, sent=False, permanent=True))
    assert queue.held() == {("retry_wait", H): 5}
    assert waiting_jobs(queue.schedule, NOW).ready == 4


def test_nothing_is_held_once_the_run_ends() -> None:
    queue = Queue(*rows(9), per_host=1)
    queue.answer(OVERLOADED)
    queue.schedule.end(NOW)
    assert queue.held() == {}


@pytest.mark.parametrize("hosts", [3000, 20_000])
def test_thousands_of_hosts_are_estimated_from_a_sample(hosts: int) -> None:
    queue = Queue(*(f"http://h{number % hosts}/{number}" for number in range(2 * hosts)), per_host=1, workers=10)
    for _ in range(10):
        queue.start()
    jobs = waiting_jobs(queue.schedule, NOW)
    assert sum(jobs.held.values()) == pytest.approx(hosts, rel=0.05)
    assert {limit for limit, _ in jobs.held} == {Limit.PER_HOST}
    assert len(jobs.held) <= 400
    took = []
    for _ in range(20):
        began = perf_counter()
        waiting_jobs(queue.schedule, NOW)
        took.append(perf_counter() - began)
    assert min(took) < 0.005

"""A server that is away for a minute costs no row; the clock is the test's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random

import pytest
from support.factories import make_attempt, respond

from fetchq.core.model import Cause, Request
from fetchq.core.settings import Settings
from fetchq.http.attempt import Attempt
from fetchq.http.failure import AttemptFailed
from fetchq.http.url import Refused
from fetchq.scheduling.job import Job
from fetchq.scheduling.schedule import Schedule
from fetchq.workers.run_state import RunControl
from fetchq.workers.settle import Retry, Settler
from fetchq.workers.worker_clock import WorkerClock

LATENCY = 0.002


def attempt_at(host: str, *, up: bool) -> Attempt:
    attempt = make_attempt(url=f"http://{host}/")
    if up:
        respond(attempt, 200, [("Content-Length", "0")])
        attempt.on_end()
    attempt.finish(None if up else AttemptFailed(Cause.CONNECT, "connection refused"))
    attempt.phases = [0.0] * 8
    return attempt


class Simulation:
    """A run in which all attempts last two milliseconds; `is_up(host, now)` says whether they are answered."""

    def __init__(self, is_up: Callable[[str, float], bool], *, done_first: bool = True, **options: object) -> None:
        """`done_first`: whether the schedule hears of an attempt before it is settled, as in mode `async`."""
        settings = Settings(**options)  # type: ignore[arg-type]  # what a user would type
        self.is_up = is_up
        self.done_first = done_first
        self.workers = settings.workers
        self.schedule = Schedule(settings)
        self.settler = Settler(settings, RunControl())
        self.now = 0.0
        self.causes: Counter[str | None] = Counter()
        self.attempts: list[int] = []

    def run(self, hosts: list[str]) -> Counter[str | None]:
        """Fetch a row of each of `hosts`. Returns how many there are of each cause."""
        for index, host in enumerate(hosts):
            self.schedule.add(Job(Request(f"http://{host}/", index), self.now), self.now)
        while True:
            self.schedule.release(self.now)
            jobs = []
            while self.schedule and len(jobs) < self.workers:
                jobs.append(self.schedule.take(self.now))
            self.now += LATENCY
            for job in jobs:
                self._fetch(job)
            if not jobs:
                if (due := self.schedule.next_due()) is None:
                    return self.causes
                self.now = max(self.now, due)

    def _fetch(self, job: Job) -> None:
        try:
            self.settler.begin(job)
        except Refused as refused:
            outcome: object = self.settler.refuse(job, refused, 1)
            self.schedule.done(job, None, self.now, self.now)
        else:
            job.attempts += 1
            host = job.request.url.split("/")[2]
            attempt = attempt_at(host, up=self.is_up(host, self.now))
            if self.done_first:
                self.schedule.done(job, attempt, self.now, self.now)
            outcome = self.settler.settle(job, attempt, WorkerClock(1))
            if not self.done_first:
                self.schedule.done(job, attempt, self.now, self.now)
        if isinstance(outcome, Retry):
            self.schedule.hold(job, self.now, outcome.after)
        else:
            self.causes[outcome.cause] += 1  # type: ignore[attr-defined]  # it is a Result
            self.attempts.append(job.attempts)


@pytest.fixture(autouse=True)
def random(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fetchq.workers.settle.random", Random(1).random)


@pytest.mark.parametrize("done_first", [True, False])
@pytest.mark.parametrize("workers", [1, 10, 64])
@pytest.mark.parametrize("began", [0.01, 0.1])
@pytest.mark.parametrize("seconds", [1, 40, 60])
def test_a_server_that_is_away_for_up_to_a_minute_costs_no_row(
    done_first: bool, workers: int, began: float, seconds: float
) -> None:
    run = Simulation(lambda _, now: not began < now < began + seconds, done_first=done_first, workers=workers)
    assert run.run(["h"] * 1000) == {None: 1000}
    assert run.now < seconds + 20


def test_the_last_row_of_a_list_outlives_an_outage_too() -> None:
    run = Simulation(lambda _, now: not 0.003 < now < 40, workers=1)
    assert run.run(["h"] * 2) == {None: 2}
    assert run.attempts[-1] > 3


def test_a_server_that_stays_away_is_given_up_after_a_minute() -> None:
    run = Simulation(lambda _, now: now < 0.05)
    causes = run.run(["h"] * 1000)
    assert set(causes) == {None, Cause.CONNECT}
    assert 60 < run.now < 80
    assert max(run.attempts) <= 12, "asked now and then"


def test_a_host_that_never_answers_costs_its_rows_no_minute() -> None:
    run = Simulation(lambda *_: False)
    assert run.run(["h"] * 100) == {Cause.CONNECT: 100}
    assert run.now < 20
    assert max(run.attempts) <= 3


def test_without_adapting_each_failure_counts() -> None:
    run = Simulation(lambda _, now: now < 0.05, adapt=False)
    assert run.run(["h"] * 1000)[Cause.CONNECT] > 0
    assert max(run.attempts) == 3


def test_without_retries_none_is_made() -> None:
    run = Simulation(lambda _, now: not 0.05 < now < 40, retries=0)
    assert 0 < run.run(["h"] * 1000)[Cause.CONNECT] < 50
    assert max(run.attempts) == 1


def test_a_dead_member_of_a_domain_whose_others_answer_is_tried_no_more_often_than_allowed() -> None:
    hosts = ["dead.example.org" if number % 3 == 0 else "good.example.org" for number in range(300)]
    run = Simulation(lambda host, _: host.startswith("good"), per_host_by="domain", workers=4)
    causes = run.run(hosts)
    assert causes[None] == 200
    assert causes[Cause.CONNECT] == 100

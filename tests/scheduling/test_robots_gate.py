"""Where robots.txt is obeyed, nothing goes before the rules are there, nothing is lost, and nobody else waits."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from support.factories import Outcome

from fetchq.core.model import Cause, Request
from fetchq.core.settings import Settings
from fetchq.http.robots_txt import RobotsCache, Rules
from fetchq.scheduling.job import Job, JobKind
from fetchq.scheduling.schedule import Schedule

WALL = 1_700_000_000.0
ALL = "User-agent: *\nDisallow:"
NO_ODD = "User-agent: *\nDisallow: /odd"


OK = Outcome()
DOWN = Outcome(Cause.CONNECT, None, sent=False)


def is_internal(job: Job) -> bool:
    return job.kind is JobKind.ROBOTS_TXT


class Bench:
    """A schedule with its clock."""

    def __init__(self, **options: object) -> None:
        self.settings = Settings(**options)  # type: ignore[arg-type]  # what a user would type
        self.cache = RobotsCache(self.settings)
        self.schedule = Schedule(self.settings, self.cache)
        self.now = 1000.0
        self.made = 0

    def add(self, *paths: str, host: str = "h", priority: int = 0) -> None:
        for path in paths:
            self.schedule.add(Job(Request(f"http://{host}{path}", self.made, priority=priority), self.now), self.now)
            self.made += 1

    def take(self) -> Job:
        self.schedule.release(self.now)
        return self._taken()

    def _taken(self) -> Job:
        job = self.schedule.take(self.now)
        self.schedule.sent(job, self.now)
        return job

    def take_all(self) -> list[Job]:
        self.schedule.release(self.now)
        jobs: list[Job] = []
        while self.schedule:
            jobs.append(self._taken())
        return jobs

    def done(self, job: Job, outcome: Outcome | None = OK) -> None:
        self.schedule.done(job, outcome, self.now, WALL)  # type: ignore[arg-type]  # it is like one

    def learn(self, job: Job, text: str = ALL, outcome: Outcome = OK) -> None:
        self.done(job, outcome)
        self.schedule.learn_robots(job, Rules(text), self.now)

    def numbers(self) -> list[int]:
        return [job.request.index for job in self.take_all()]


def test_only_a_run_that_obeys_asks_for_rules() -> None:
    for cache, kind in ((None, JobKind.ROW), (RobotsCache(Settings()), JobKind.ROBOTS_TXT)):
        schedule = Schedule(Settings(), cache)
        schedule.add(Job(Request("http://h/a"), 0.0), 0.0)
        assert schedule.take(0.0).kind is kind


def test_a_host_is_asked_for_its_rules_before_its_first_row_goes_and_only_once() -> None:
    bench = Bench()
    bench.add("/a", "/b", "/c")
    (internal,) = bench.take_all()
    assert internal.request.url == "http://h/robots.txt"
    bench.add("/d")
    assert bench.take_all() == []
    bench.learn(internal)
    assert bench.numbers() == [0, 1, 2, 3]
    bench.add("/e")
    assert bench.numbers() == [4]


def test_another_host_does_not_wait_for_it() -> None:
    bench = Bench()
    bench.add("/a", host="known")
    bench.learn(bench.take())
    bench.take_all()
    bench.add("/b", host="slow")
    assert is_internal(bench.take())
    bench.add("/c", host="known")
    assert bench.numbers() == [2]


def test_the_time_that_a_row_waits_for_the_rules_counts_as_held() -> None:
    bench = Bench()
    bench.add("/a")
    internal = bench.take()
    bench.now += 3.0
    bench.learn(internal)
    bench.now += 1.0
    row = bench.take()
    assert (row.held, row.queued) == (3.0, 1.0)


def test_a_row_that_is_disallowed_is_given_out_to_be_refused_and_counts_for_no_limit() -> None:
    bench = Bench(per_host=1, host_interval=60)
    bench.add("/odd/1", "/odd/2", "/odd/3", "/even")
    internal = bench.take()
    bench.learn(internal, NO_ODD)
    bench.now += 60.0
    jobs = bench.take_all()
    assert [job.request.index for job in jobs] == [0, 1, 2, 3]
    assert [job.refused is None for job in jobs] == [False, False, False, True]
    assert jobs[0].refused is not None
    assert jobs[0].refused.cause is Cause.BLOCKED
    assert jobs[0].refused.message == "robots.txt of http://h disallows it"


@pytest.mark.parametrize("path", ["/odd", "/x/../odd", "/./odd", "/%6fdd", "/odd#x"])
def test_a_row_is_checked_by_what_would_be_sent(path: str) -> None:
    bench = Bench()
    bench.add(path)
    bench.learn(bench.take(), NO_ODD)
    assert bench.take().refused is not None


def test_what_no_request_can_be_made_of_asks_for_nothing_and_is_left_to_its_worker() -> None:
    bench = Bench()
    for url in ("ftp://h/odd", "http://h:99999/odd", "nonsense", "http:///odd"):
        bench.schedule.add(Job(Request(url), bench.now), bench.now)
    jobs = bench.take_all()
    assert len(jobs) == 4
    assert not any(is_internal(job) or job.refused for job in jobs)
    bench.add("/odd\x01")
    bench.learn(bench.take(), NO_ODD)
    assert bench.take().refused is None


def test_the_rows_wait_while_another_attempt_at_the_rules_is_due_later() -> None:
    bench = Bench()
    bench.add("/a")
    internal = bench.take()
    bench.done(internal, DOWN)
    bench.schedule.hold(internal, bench.now, 5.0)
    bench.add("/b", priority=9)
    assert bench.take_all() == []
    assert bench.schedule.next_due() == bench.now + 5.0
    bench.now += 5.0
    assert bench.take() is internal
    bench.learn(internal)
    assert bench.numbers() == [1, 0]


def test_the_interval_that_a_host_asks_for_is_kept_from_its_first_row_on() -> None:
    bench = Bench(host_interval=1)
    bench.add("/a", "/b")
    bench.learn(bench.take(), "User-agent: *\nCrawl-delay: 4")
    assert bench.take_all() == []
    bench.now += 1.0
    assert bench.numbers() == [0]
    bench.now += 3.9
    assert bench.take_all() == []
    bench.now += 0.1
    assert bench.numbers() == [1]


def test_a_host_whose_rules_are_there_goes_before_those_that_have_not_been_asked() -> None:
    bench = Bench()
    for number in range(5):
        bench.add("/a", "/b", host=f"h{number}")
    internal = bench.take()
    bench.learn(internal)
    assert bench.take().request.index == 0


def test_a_host_whose_rules_had_to_go_is_asked_again_but_the_row_that_they_came_for_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench()
    bench.add("/odd/1", "/odd/2")
    bench.learn(bench.take(), NO_ODD)
    bench.cache._drop("http://h")
    first, internal = bench.take(), bench.take()
    assert first.refused is not None
    assert is_internal(internal)
    bench.learn(internal, ALL)
    assert bench.take().refused is None


def test_rules_are_asked_for_again_after_a_day() -> None:
    bench = Bench()
    bench.add("/odd")
    bench.learn(bench.take(), NO_ODD)
    assert bench.take().refused is not None
    bench.now += 86399.0
    bench.add("/odd")
    assert bench.take().refused is not None
    bench.now += 1.0
    bench.add("/odd")
    bench.learn(bench.take(), ALL)
    assert bench.take().refused is None


def test_at_the_end_of_the_run_an_internal_job_that_waits_comes_out_like_the_rows() -> None:
    bench = Bench()
    bench.add("/a", host="h")
    bench.add("/b", host="i")
    held, under_way = bench.take_all()
    bench.done(held, DOWN)
    bench.schedule.hold(held, bench.now, 5.0)
    bench.schedule.end(bench.now)
    jobs = bench.take_all()
    assert {job.request.index for job in jobs if not is_internal(job)} == {0, 1}
    assert held in jobs
    for internal in (held, under_way):
        bench.learn(internal)
    assert len(bench.schedule) == 0


def test_a_host_that_was_given_up_is_not_asked() -> None:
    bench = Bench()
    bench.add("/a")
    internal = bench.take()
    assert internal.host_queue is not None
    internal.host_queue.give_up(Cause.CONNECT, "nobody is there", bench.now + 300)
    bench.done(internal, DOWN)
    bench.schedule.hold(internal, bench.now, 1.0)
    bench.now += 1.0
    first, second = bench.take_all()
    assert first is internal
    assert first.refused is not None
    assert second.refused is not None
    bench.done(first, None)
    bench.schedule.learn_robots(first, Rules(unavailable="x"), bench.now)


# --- what holds for all inputs ---

HOSTS = ("a", "b", "c")


class Run(RuleBasedStateMachine):
    """Rows and internal jobs of three hosts on their way, and beside them plain lists that say where each must be."""

    @initialize(
        per_host=st.none() | st.integers(1, 2), interval=st.sampled_from([0.0, 1.0]), rate=st.sampled_from([None, 2.0])
    )
    def begin(self, per_host: int | None, interval: float, rate: float | None) -> None:
        self.bench = Bench(per_host=per_host, host_interval=interval, rate=rate, workers=8)
        self.schedule = self.bench.schedule
        self.waiting: set[int] = set()
        self.working: list[Job] = []
        self.finished: list[int] = []
        self.internal: list[Job] = []
        """All that were given out and have not ended."""
        self.held: list[Job] = []
        """Those of them that wait for another attempt."""
        self.told: dict[str, int] = dict.fromkeys(HOSTS, 0)
        self.strict: set[str] = set()
        """Hosts that have ever disallowed anything."""
        self.ended = False

    @rule(host=st.sampled_from(HOSTS), path=st.sampled_from(["/odd", "/even"]), priority=st.integers(-1, 1))
    def a_request_is_read(self, host: str, path: str, priority: int) -> None:
        self.waiting.add(self.bench.made)
        self.bench.add(path, host=host, priority=priority)

    @precondition(lambda self: len(self.working) < 8)
    @rule()
    def a_worker_looks_for_work(self) -> None:
        self.schedule.release(self.bench.now)
        if not self.schedule:
            return
        job = self.schedule.take(self.bench.now)
        host = job.request.url[7]
        if is_internal(job):
            if job in self.held:
                self.held.remove(job)
            else:
                assert not any(other.request.url[7] == host for other in self.internal), "it is asked twice at a time"
                self.internal.append(job)
            if self.ended or job.refused is not None:
                self._learn(job, ALL)
            else:
                self.working.append(job)
            return
        self.waiting.remove(job.request.index)
        if self.ended or job.refused is not None:
            if job.refused is not None and job.refused.cause is Cause.BLOCKED:
                assert "odd" in job.request.url
                assert host in self.strict
            self.finished.append(job.request.index)
            return
        assert self.told[host], "it goes before the rules are there"
        assert not any(other.request.url[7] == host for other in self.internal), "it goes while they are on their way"
        self.working.append(job)

    @precondition(lambda self: self.working)
    @rule(
        at=st.integers(0, 7),
        outcome=st.sampled_from([OK, OK, OK, DOWN, Outcome(Cause.STATUS, 429), Outcome(Cause.STATUS, 404)]),
        again=st.sampled_from([None, None, 0.0, 2.0]),
        text=st.sampled_from([ALL, NO_ODD, "", "User-agent: *\nCrawl-delay: 2"]),
    )
    def a_worker_is_done(self, at: int, outcome: Outcome, again: float | None, text: str) -> None:
        job = self.working.pop(at % len(self.working))
        self.bench.done(job, outcome)
        if again is not None:
            self.schedule.hold(job, self.bench.now, again)
            if is_internal(job):
                self.held.append(job)
            else:
                self.waiting.add(job.request.index)
        elif is_internal(job):
            self._learn(job, text)
        else:
            self.finished.append(job.request.index)

    def _learn(self, job: Job, text: str) -> None:
        self.internal.remove(job)
        host = job.request.url[7]
        self.told[host] += 1
        if text == NO_ODD:
            self.strict.add(host)
        self.schedule.learn_robots(job, Rules(text), self.bench.now)

    @rule(host=st.sampled_from(HOSTS), very=st.integers(0, 3))
    def the_rules_of_a_host_are_forgotten(self, host: str, very: int) -> None:
        if very == 0:
            self.bench.cache._drop(f"http://{host}")

    @rule(seconds=st.sampled_from([0.01, 1.0, 400.0]))
    def time_passes(self, seconds: float) -> None:
        self.bench.now += seconds

    @rule(very=st.integers(0, 30))
    def the_run_ends(self, very: int) -> None:
        if very == 0:
            self.ended = True
            self.schedule.end(self.bench.now)

    @invariant()
    def nothing_is_lost_or_there_twice(self) -> None:
        working = [job.request.index for job in self.working if not is_internal(job)]
        assert sorted([*self.waiting, *working, *self.finished]) == list(range(self.bench.made))
        assert len(self.schedule) == len(self.waiting) + len(self.held)

    def teardown(self) -> None:
        """However things stand, the workers can end the run by waiting."""
        if not hasattr(self, "bench"):
            return
        for _ in range(10_000):
            for job in self.working:
                self.bench.done(job, OK)
                if is_internal(job):
                    self._learn(job, NO_ODD)
                else:
                    self.finished.append(job.request.index)
            self.working = []
            if not self.waiting and not self.internal:
                break
            self.schedule.release(self.bench.now)
            if self.schedule:
                self.a_worker_looks_for_work()
                continue
            due = self.schedule.next_due()
            assert due is not None, "a worker would wait for ever"
            assert due > self.bench.now
            self.bench.now = due
        assert sorted(self.finished) == list(range(self.bench.made))


TestNothingGoesBeforeTheRulesAreThere = Run.TestCase
TestNothingGoesBeforeTheRulesAreThere.settings = settings(
    max_examples=150, stateful_step_count=60, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)

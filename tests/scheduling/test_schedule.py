"""The schedule keeps every limit, loses no job, starves no host and lets no worker idle; the clock is the test's."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from support.factories import Outcome

from fetchq.core.model import Cause, Request
from fetchq.core.settings import Settings
from fetchq.http.attempt import Attempt
from fetchq.http.phases import WAIT
from fetchq.http.robots_txt import Rules
from fetchq.http.url import Refused
from fetchq.scheduling.backlog import READ_AHEAD
from fetchq.scheduling.held import waiting_jobs
from fetchq.scheduling.job import Job
from fetchq.scheduling.schedule import Schedule

WALL = 1_700_000_000.0


OK = Outcome()
NOT_FOUND = Outcome(Cause.STATUS, 404)
DOWN = Outcome(Cause.CONNECT, None, sent=False)
NO_SUCH_NAME = Outcome(Cause.DNS, None, sent=False, permanent=True)


def refusal(after: str | None = None, status: int = 429) -> Outcome:
    return Outcome(Cause.STATUS, status, after=after)


def make_job(index: int = 0, host: str = "h", *, priority: int = 0, problem: str | None = None) -> Job:
    return Job(Request(f"http://{host}/{index}", index=index, priority=priority, problem=problem), 0.0)


def indexes(jobs: list[Job]) -> list[int]:
    return [job.request.index for job in jobs]


class Bench:
    """A schedule with its clock, and what is in flight."""

    def __init__(self, *, now: float = 1000.0, **options: object) -> None:
        self.schedule = Schedule(Settings(**options))  # type: ignore[arg-type]  # what a user would type
        self.now = now
        self.made = 0

    def add(self, host: str = "h", count: int = 1, **details: object) -> None:
        for _ in range(count):
            self.schedule.add(make_job(self.made, host, **details), self.now)  # type: ignore[arg-type]
            self.made += 1

    def take(self) -> Job:
        self.schedule.release(self.now)
        job = self.schedule.take(self.now)
        self.schedule.sent(job, self.now)
        return job

    def take_all(self, most: int = 10_000) -> list[Job]:
        """All that may go now."""
        self.schedule.release(self.now)
        jobs: list[Job] = []
        while self.schedule and len(jobs) < most:
            jobs.append(self.schedule.take(self.now))
            self.schedule.sent(jobs[-1], self.now)
        return jobs

    def done(self, job: Job, outcome: Outcome | None = OK) -> None:
        if outcome is not None:
            outcome.phases[WAIT] = self.now - job.taken_at - outcome.held
        self.schedule.done(job, outcome, self.now, WALL)  # type: ignore[arg-type]  # it is like one

    def fetch_until_done(self, outcome: Outcome = OK, seconds: float = 0.001, most: int = 1_000_000) -> list[float]:
        """One worker fetches all there is. Returns the time of each start."""
        starts = []
        while len(self.schedule) and len(starts) < most:
            self.schedule.release(self.now)
            if not self.schedule:
                due = self.schedule.next_due()
                assert due is not None
                assert due > self.now
                self.now = due
                continue
            job = self.schedule.take(self.now)
            starts.append(self.now)
            self.schedule.sent(job, self.now)
            self.now += seconds
            self.done(job, outcome)
        return starts


# --- what holds for all inputs ---

HOSTS = ("a", "b", "c")
DELAYS = st.sampled_from([0.0, 0.25, 1.0, 5.0]) | st.floats(0, 10)


class Run(RuleBasedStateMachine):
    """Jobs of three hosts on their way, and beside them plain lists that say where each must be."""

    @initialize(
        per_host=st.none() | st.integers(1, 3),
        interval=st.sampled_from([0.0, 0.25, 1.0]),
        rate=st.none() | st.sampled_from([0.5, 2.0, 3.7, 20.0]),
        adapt=st.booleans(),
        lookahead=st.sampled_from([1, 10, 100_000]),
    )
    def begin(self, per_host: int | None, interval: float, rate: float | None, adapt: bool, lookahead: int) -> None:
        self.settings = Settings(
            per_host=per_host, host_interval=interval, rate=rate, adapt=adapt, lookahead=lookahead, workers=8
        )
        self.schedule = Schedule(self.settings)
        self.now = 100.0
        self.made = 0
        self.jobs: dict[int, Job] = {}
        self.waiting: dict[int, float] = {}
        """Index to when it may go, as far as the job itself is concerned."""
        self.working: list[Job] = []
        self.unsent: list[Job] = []
        """Those of them that have not gone out yet."""
        self.finished: list[int] = []
        self.starts: dict[str, list[float]] = {host: [] for host in HOSTS}
        self.all_starts: list[float] = []
        self.quiet_until = dict.fromkeys(HOSTS, 0.0)
        self.ended = False
        self.born: dict[int, float] = {}
        self.worked: dict[int, float] = {}

    @rule(host=st.sampled_from(HOSTS), priority=st.integers(-1, 1), unusable=st.integers(0, 9).map(lambda n: n == 9))
    def a_request_is_read(self, host: str, priority: int, unusable: bool) -> None:
        job = make_job(self.made, host, priority=priority, problem="a bad line" if unusable else None)
        self.jobs[self.made] = job
        self.waiting[self.made] = self.now
        self.born[self.made], self.worked[self.made] = self.now, 0.0
        self.schedule.add(job, self.now)
        self.made += 1

    @precondition(lambda self: len(self.working) < 8)
    @rule(at_once=st.booleans())
    def a_worker_looks_for_work(self, at_once: bool) -> None:
        self.schedule.release(self.now)
        if not self.schedule:
            with pytest.raises(IndexError):
                self.schedule.take(self.now)
            self._all_are_held()
            return
        job = self.schedule.take(self.now)
        assert self.waiting.pop(job.request.index) <= self.now
        assert job.queued >= 0
        assert job.held >= 0
        index = job.request.index
        assert job.queued + job.held == pytest.approx(self.now - self.born[index] - self.worked[index])
        if job.request.problem is not None or self.ended or job.refused is not None:
            self.finished.append(index)
            return
        self.working.append(job)
        host = job.request.url[7]
        assert self.now >= self.quiet_until[host]
        self.unsent.append(job)
        self.last_taken = self.now
        if at_once:
            self._goes_out(job)

    @precondition(lambda self: self.unsent)
    @rule(at=st.integers(0, 7))
    def an_attempt_goes_out(self, at: int) -> None:
        self._goes_out(self.unsent[at % len(self.unsent)])

    def _goes_out(self, job: Job) -> None:
        self.unsent.remove(job)
        self.schedule.sent(job, self.now)
        self.starts[job.request.url[7]].append(self.now)
        self.all_starts.append(self.now)

    def _all_are_held(self) -> None:
        """Nothing may go: each that waits has a reason."""
        rate = self.settings.rate
        if rate is not None and (self.all_starts or self.unsent):
            window = max(1.0, max(1, int(rate)) / rate)
            recent = len([at for at in self.all_starts if at > self.now - window]) + len(self.unsent)
            if recent >= max(1, int(rate)) or self.now < self.last_taken + 1 / rate:
                return
        for index, due in self.waiting.items():
            queue = self.jobs[index].host_queue
            if due > self.now:
                continue
            assert queue is not None
            assert not self.ended
            assert max(queue.due(self.now), self.schedule._order.first_answer_wait_ends(queue)) > self.now

    @precondition(lambda self: self.working)
    @rule(
        at=st.integers(0, 7),
        outcome=st.sampled_from([OK, OK, NOT_FOUND, DOWN, NO_SUCH_NAME, Outcome(Cause.TLS, None)])
        | st.sampled_from([refusal("3"), refusal(), refusal("1", 503), refusal(None, 503), refusal("nonsense")])
        | st.just(refusal("86400")),
        again=st.none() | DELAYS,
    )
    def a_worker_is_done(self, at: int, outcome: Outcome, again: float | None) -> None:
        job = self.working.pop(at % len(self.working))
        index = job.request.index
        self.worked[index] += self.now - job.taken_at
        if job in self.unsent:
            self._goes_out(job)
        self.schedule.done(job, outcome, self.now, WALL)  # type: ignore[arg-type]
        asked = outcome.headers.get("Retry-After")
        if asked is not None and asked.isdigit() and int(asked) <= 120:
            host = job.request.url[7]
            self.quiet_until[host] = max(self.quiet_until[host], self.now + int(asked))
        if again is None or self.ended:
            self.finished.append(index)
        else:
            self.schedule.hold(job, self.now, again)
            self.waiting[index] = self.now + again

    @rule(seconds=st.sampled_from([0.01, 0.25, 1.0, 400.0]) | st.floats(0, 10))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(very=st.integers(0, 30))
    def the_run_ends(self, very: int) -> None:
        if very == 0:
            self.ended = True
            self.schedule.end(self.now)
            self.waiting = dict.fromkeys(self.waiting, self.now)

    @invariant()
    def nothing_is_lost_or_there_twice(self) -> None:
        working = [job.request.index for job in self.working]
        assert sorted([*self.waiting, *working, *self.finished]) == list(range(self.made))
        assert len(self.schedule) == len(self.waiting)
        hosts = self.schedule.hosts
        assert hosts.busy == len(hosts.queues) - len(hosts._idle)
        assert {id(queue) for queue in hosts.busy_queues} == {id(queue) for queue in hosts if not queue.idle}

    @invariant()
    def each_waiting_job_is_ready_or_held(self) -> None:
        jobs = waiting_jobs(self.schedule, self.now)
        assert jobs.ready + sum(jobs.held.values()) == len(self.schedule)
        assert min(jobs.held.values(), default=1) > 0
        if self.schedule:
            assert jobs.ready >= 1

    @invariant()
    def no_limit_is_exceeded(self) -> None:
        settings = self.settings
        for host in HOSTS:
            active = sum(job.request.url[7] == host for job in self.working)
            assert settings.per_host is None or active <= settings.per_host
            for before, after in zip(self.starts[host], self.starts[host][1:], strict=False):
                assert after - before >= settings.host_interval - 1e-9
        if settings.rate is not None and self.all_starts:
            most = max(1, int(settings.rate))
            span = max(1.0, most / settings.rate)
            assert sum(at > self.all_starts[-1] - span + 1e-9 for at in self.all_starts) <= most

    def teardown(self) -> None:
        """However things stand, the workers can end the run by waiting."""
        for job in self.working:
            self.schedule.done(job, OK, self.now, WALL)  # type: ignore[arg-type]
            self.finished.append(job.request.index)
        self.working = []
        for _ in range(10_000):
            if not self.waiting:
                break
            self.schedule.release(self.now)
            if not self.schedule:
                due = self.schedule.next_due()
                assert due is not None
                assert due > self.now, "a worker would wait for ever"
                self.now = due
                continue
            job = self.schedule.take(self.now)
            self.schedule.done(job, OK if job.refused is None else None, self.now, WALL)  # type: ignore[arg-type]
            del self.waiting[job.request.index]
            self.finished.append(job.request.index)
        assert sorted(self.finished) == list(range(self.made))


TestLimitsAreKeptAndNothingIsLost = Run.TestCase
TestLimitsAreKeptAndNothingIsLost.settings = settings(
    max_examples=150, stateful_step_count=60, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


# --- order ---


def test_one_host_is_served_in_order() -> None:
    bench = Bench()
    bench.add(count=5)
    assert indexes(bench.take_all()) == [0, 1, 2, 3, 4]


def test_hosts_take_turns_however_the_list_is_sorted() -> None:
    bench = Bench(workers=100)
    for host in ("a", "b", "c"):
        bench.add(host, count=3)
    assert indexes(bench.take_all()) == [0, 3, 6, 1, 4, 7, 2, 5, 8]


def test_a_higher_priority_goes_first_within_its_host() -> None:
    bench = Bench()
    for priority in (0, -1, 5, 0, 5, -1, 1):
        bench.add(priority=priority)
    assert indexes(bench.take_all()) == [2, 4, 6, 0, 3, 1, 5]


def test_a_priority_takes_nothing_from_another_host() -> None:
    bench = Bench(workers=100)
    bench.add("a", count=2)
    bench.add("b", count=2, priority=9)
    assert indexes(bench.take_all()) == [0, 2, 1, 3]


def test_a_row_that_cannot_be_tried_waits_for_nobody() -> None:
    bench = Bench(rate="1/h", per_host=1)
    bench.add()
    bench.take()
    bench.add(problem="a bad line", count=2)
    assert indexes(bench.take_all()) == [1, 2]


def test_what_is_tried_again_goes_before_what_has_not_been_tried() -> None:
    bench = Bench()
    bench.add(count=2)
    job = bench.take()
    bench.done(job, DOWN)
    bench.schedule.hold(job, bench.now, 1.0)
    bench.now += 1.0
    assert indexes(bench.take_all()) == [0, 1]


def test_of_those_that_are_tried_again_the_one_that_was_due_first_goes_first() -> None:
    bench = Bench()
    for index, delay in ((0, 3.0), (1, 1.0), (2, 2.0)):
        bench.schedule.hold(make_job(index), bench.now, delay)
        bench.schedule.hold(make_job(index + 10, priority=1), bench.now, delay)
    bench.now += 5.0
    assert indexes(bench.take_all()) == [11, 12, 10, 1, 2, 0]


@pytest.mark.parametrize(("workers", "few"), [(1, 1), (10, 1), (50, 3)])
@pytest.mark.parametrize("quick", [1, 4])
def test_a_host_that_never_answers_keeps_few_of_the_workers(workers: int, few: int, quick: int) -> None:
    bench = Bench(workers=workers)
    bench.add("slow", count=1000)
    for number in range(quick):
        bench.add(f"quick{number}", count=5000)
    stuck = 0
    working: list[Job] = []
    for _ in range(2000):
        while len(working) + stuck < workers and bench.schedule:
            job = bench.take()
            if "slow" in job.request.url:
                stuck += 1
            else:
                working.append(job)
        bench.now += 0.01
        if working:
            bench.done(working.pop(0))
    assert stuck == few


def test_a_host_that_grows_slow_keeps_few_of_the_workers_while_others_have_something_to_do() -> None:
    bench = Bench(workers=32)
    bench.add("slow", count=100)
    bench.add("quick", count=100)
    for _ in range(20):
        bench.done(bench.take())
    for job in sorted(bench.take_all(32), key=lambda job: job.request.url):  # the quick ones first
        bench.now += 0.6 if "slow" in job.request.url else 0.0
        bench.done(job)
    assert sum("slow" in job.request.url for job in bench.take_all(32)) == 2
    bench = Bench(workers=32)
    bench.add("slow", count=100)
    for _ in range(20):
        job = bench.take()
        bench.now += 0.6
        bench.done(job)
    assert len(bench.take_all(32)) == 32, "there is nobody else"


def test_hosts_that_nobody_knows_are_tried_by_a_few_before_the_others_follow() -> None:
    bench = Bench(workers=64)
    bench.add("a", count=100)
    bench.add("b", count=100)
    first = bench.take_all(64)
    assert len(first) == 2 * 4
    bench.now += 0.01
    (known,) = (job for job in first if job.request.index == 0)
    bench.done(known)
    assert all("a/" in job.request.url for job in bench.take_all(64 - 7))
    bench = Bench(workers=64)
    bench.add("a", count=100)
    bench.add("b", count=100)
    bench.take_all(64)
    bench.now += 0.05
    jobs = bench.take_all(64 - 8)
    assert len(jobs) == 64 - 8, "none of them has answered in time: nobody waits any longer"
    assert jobs[0].held == pytest.approx(0.05)


def test_all_workers_go_to_the_only_host_there_is() -> None:
    bench = Bench(workers=50)
    bench.add(count=80)
    assert len(bench.take_all(50)) == 50


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("http://h/", "http://H:80/x", True),
        ("http://h?a", "http://h#b", True),
        ("http://u:p@h/", "http://h/", True),
        ("http://h./", "http://h/", True),
        ("https://h/", "https://h:443/", True),
        ("http://h/", "https://h/", False),
        ("http://h/", "http://h:81/", False),
        ("http://h/", "http://i/", False),
    ],
)
def test_a_host_is_a_scheme_a_name_and_a_port(first: str, second: str, same: bool) -> None:
    bench = Bench(per_host=1)
    bench.schedule.add(Job(Request(first, 0), 0.0), bench.now)
    bench.schedule.add(Job(Request(second, 1), 0.0), bench.now)
    assert len(bench.take_all()) == (1 if same else 2)


def test_rows_that_no_attempt_was_made_at_do_not_make_a_host_known() -> None:
    bench = Bench(workers=32)
    bench.add("hangs", 100)
    bench.add("other")
    few = [job for job in bench.take_all() if "hangs" in job.request.url]
    assert 0 < len(few) < 32
    for job in few:
        bench.done(job, None)
    assert len(bench.take_all()) == len(few), "nobody knows yet whether it answers"


def test_the_trial_is_over_when_there_is_no_other_host_any_more() -> None:
    bench = Bench(workers=16)
    bench.add("a")
    bench.add("b", count=5)
    a, b = bench.take_all(16)
    assert bench.take_all(16) == []
    bench.done(a)
    assert indexes([b, *bench.take_all(16)]) == [1, 2, 3, 4, 5]


def test_what_is_tried_again_gets_its_turn_beside_a_host_with_many_rows() -> None:
    bench = Bench(workers=4)
    bench.add("a")
    bench.add("b", count=100)
    a = next(job for job in bench.take_all(4) if job.request.index == 0)
    bench.done(a, DOWN)
    bench.schedule.hold(a, bench.now, 0.1)
    bench.now += 0.2
    for _ in range(3):
        if (job := bench.take()) is a:
            return
        bench.done(job)
    raise AssertionError("it waits for all of the other host's rows")


def test_a_retry_goes_to_the_queue_of_its_host_also_when_that_was_forgotten() -> None:
    bench = Bench(workers=4, per_host=1)
    bench.add("a")
    job = bench.take()
    bench.done(job, NOT_FOUND)
    bench.schedule.hold(job, bench.now, 5.0)
    for number in range(10_050):
        bench.add(f"h{number}")
        bench.done(bench.take())
    bench.add("a")
    bench.now += 5.0
    assert len(bench.take_all(4)) == 1


# --- limits ---


def test_no_more_than_per_host_are_under_way_and_one_that_ends_lets_the_next_one_go() -> None:
    bench = Bench(per_host=2)
    bench.add(count=5)
    first, _ = bench.take_all()
    bench.done(first)
    assert indexes(bench.take_all()) == [2]
    assert bench.take_all() == []


def test_the_rate_spreads_the_starts_and_no_second_has_more() -> None:
    bench = Bench(rate="200/s")
    bench.add(count=1000)
    starts = bench.fetch_until_done(seconds=0.0)
    assert len(starts) == 1000
    assert max(sum(at <= other < at + 1.0 for other in starts) for at in starts) == 200
    assert starts[-1] - starts[0] == pytest.approx(5.0, rel=0.01)


def test_a_late_worker_does_not_slow_the_rate_down_for_good() -> None:
    bench = Bench(rate="200/s")
    bench.add(count=1000)
    starts = bench.fetch_until_done(seconds=0.007)  # the one worker is always late: by 2 ms, each time
    assert starts[-1] - starts[0] == pytest.approx(1000 * 0.007, rel=0.01)
    bench = Bench(rate="100/s")
    bench.add(count=1000)
    starts = bench.fetch_until_done(seconds=0.009)
    assert starts[-1] - starts[0] == pytest.approx(10.0, rel=0.02)


def test_the_interval_is_kept_between_the_starts_of_one_host() -> None:
    bench = Bench(host_interval=0.05)
    bench.add("a", count=10)
    bench.add("b", count=10)
    starts = bench.fetch_until_done(seconds=0.0)
    assert starts[-1] - starts[0] == pytest.approx(0.45)


def test_the_time_held_is_told_from_the_time_in_the_queue() -> None:
    bench = Bench(per_host=1)
    bench.add(count=2)
    first = bench.take()
    bench.now += 3.0
    bench.done(first)
    bench.now += 2.0  # it may go, but nobody is free
    second = bench.take()
    assert (second.held, second.queued) == (3.0, 2.0)


def test_held_by_the_host_and_by_the_rate_at_once_is_held_once() -> None:
    bench = Bench(per_host=1, rate="10/s")
    bench.add("a", count=2)
    first = bench.take()
    bench.now += 0.05
    bench.done(first)
    bench.now += 0.05
    second = bench.take()
    assert second.held == pytest.approx(0.1)
    assert second.queued == pytest.approx(0.0)


# --- what hosts say ---


@pytest.mark.parametrize("adapt", [True, False])
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_holds_the_host_and_nobody_else(adapt: bool, status: int) -> None:
    bench = Bench(adapt=adapt)
    bench.add("a", count=3)
    bench.add("b", count=1)
    job = bench.take()
    bench.done(job, refusal("7", status))
    assert indexes(bench.take_all()) == [3]
    bench.now += 6.999
    assert bench.take_all() == []
    bench.now += 0.001
    assert indexes(bench.take_all()) == [1], "one at first, and no burst"


@pytest.mark.parametrize("adapt", [True, False])
def test_a_host_that_asks_for_longer_than_the_run_waits_is_asked_a_few_times_and_then_given_up(adapt: bool) -> None:
    bench = Bench(adapt=adapt)
    bench.add("a", count=1000)
    bench.add("b", count=1)
    bench.done(bench.take(), refusal("86400"))
    (other,) = bench.take_all()
    assert other.request.index == 1000
    bench.done(other)
    for hold in (1, 2, 4, 5):
        bench.now += hold - 0.001
        assert bench.take_all() == []
        bench.now += 0.001
        (job,) = bench.take_all()
        assert job.refused is None
        bench.done(job, refusal("86400"))
    rest = bench.take_all()
    assert len(rest) == 995
    assert {job.refused.cause for job in rest if job.refused is not None} == {Cause.STATUS}
    assert str(rest[0].refused).startswith("http://a was given up after answering 429 each time; Retry-After asks")
    assert bench.schedule.hosts.backoffs()[0].given_up
    bench.now += 86400
    bench.add("a")
    assert bench.take().refused is None, "it is asked again when it said"


def test_a_host_of_which_only_some_urls_ask_for_a_day_is_not_given_up() -> None:
    bench = Bench(adapt=False)
    bench.add(count=40)
    for number in range(40):
        bench.now += 10
        job = bench.take()
        assert job.refused is None
        bench.done(job, OK if number % 5 == 4 else refusal("86400", 503))


def test_a_date_counts_from_the_clock_on_the_wall() -> None:
    bench = Bench()
    bench.add(count=2)
    bench.done(bench.take(), refusal("Tue, 14 Nov 2023 22:13:30 GMT"))  # ten seconds after WALL
    bench.now += 9.9
    assert bench.take_all() == []
    bench.now += 0.1
    assert len(bench.take_all()) == 1


def test_a_refusal_without_a_time_holds_the_host_a_little_longer_each_time() -> None:
    bench = Bench(adapt=False)
    bench.add(count=20)
    holds = []
    for _ in range(6):
        bench.done(bench.take(), refusal())
        due = bench.schedule.next_due()
        assert due is not None
        holds.append(due - bench.now)
        bench.now = due
    assert holds == [1.0, 2.0, 4.0, 5.0, 5.0, 5.0]


def test_one_bad_url_among_many_good_ones_slows_nobody_down() -> None:
    bench = Bench(workers=100)
    bench.add(count=2000)
    for number in range(1000):
        bench.done(bench.take(), refusal(None, 503) if number % 20 == 0 else OK)
    assert len(bench.take_all(100)) == 100


def test_a_host_that_fails_again_and_again_is_asked_less() -> None:
    bench = Bench(workers=64)
    bench.add(count=2000)
    jobs = bench.take_all(64)
    for job in jobs:
        bench.now += 0.001
        bench.done(job, refusal(None, 503))
    assert len(bench.take_all()) < 40
    backoff = bench.schedule.hosts.backoffs()[0]
    assert (backoff.host, backoff.least_window < 64) == ("http://h", True)


def test_a_host_that_gets_slow_is_asked_less_and_one_that_always_was_is_not() -> None:
    bench = Bench(workers=64)
    bench.add("always", count=300)
    for _ in range(300):
        job = bench.take()
        bench.now += 3.0
        bench.done(job)
    assert bench.schedule.hosts.backoffs() == []
    bench.add("grows", count=500)
    for number in range(300):
        job = bench.take()
        bench.now += 0.1 if number < 100 else 3.0
        bench.done(job)
    assert [backoff.host for backoff in bench.schedule.hosts.backoffs()] == ["http://grows"]


def test_a_host_is_not_slow_because_of_a_limit_of_ours() -> None:
    bench = Bench(workers=64)
    bench.add("limited", count=500)
    held = Outcome()
    held.held = 2.9
    for number in range(300):
        job = bench.take()
        bench.now += 0.1 if number < 100 else 3.0
        bench.done(job, OK if number < 100 else held)
    assert bench.schedule.hosts.backoffs() == []
    assert job.host_queue is not None
    assert not job.host_queue.slow


def test_without_adapting_only_refusals_have_consequences() -> None:
    bench = Bench(workers=64, adapt=False)
    bench.add(count=5000)
    for outcome in (refusal(None, 503), DOWN, Outcome(Cause.INCOMPLETE)):
        for job in bench.take_all(64):
            bench.now += 1.0
            bench.done(job, outcome)
        taken = bench.take_all(64)
        assert len(taken) == 64
        for job in taken:
            bench.done(job)


@pytest.mark.parametrize("burst", [64, 500])
@pytest.mark.parametrize("counts_refused", [False, True])
def test_a_host_that_refuses_more_than_20_a_second_is_soon_asked_just_that(burst: int, counts_refused: bool) -> None:
    bench = Bench(workers=burst)
    bench.add(count=2000)
    accepted: list[float] = []
    asked: list[float] = []
    refused: list[float] = []
    began = bench.now
    ended = 0
    while ended < 2000:
        jobs = bench.take_all(burst)
        if not jobs:
            due = bench.schedule.next_due()
            assert due is not None
            bench.now = max(due, bench.now)
            continue
        bench.now += 0.001
        for job in jobs:
            counted = asked if counts_refused else accepted
            free = sum(at > bench.now - 1.0 for at in counted[-burst:]) < 20
            asked.append(bench.now)
            if free:
                accepted.append(bench.now)
                bench.done(job)
                ended += 1
            else:
                refused.append(bench.now)
                bench.done(job, refusal("1"))
                bench.schedule.hold(job, bench.now, 1.0)
    late = sum(at > began + 10 for at in refused)
    assert late <= 0.05 * (late + sum(at > began + 10 for at in accepted))
    assert 2000 / (bench.now - began) >= 0.85 * 20


# --- hosts that are down ---


def go_down(bench: Bench, outcome: Outcome = DOWN, longest: float = 100) -> list[float]:
    """All attempts fail until the host is given up. Returns the pauses."""
    pauses = []
    began = bench.now
    while not bench.schedule.hosts.backoffs() or not bench.schedule.hosts.backoffs()[0].given_up:
        if not (jobs := bench.take_all(1)):
            due = bench.schedule.next_due()
            assert due is not None
            pauses.append(due - bench.now)
            bench.now = due
            continue
        bench.done(jobs[0], outcome)
        assert bench.now - began < longest
    return pauses


def test_a_host_that_is_down_is_set_aside_for_longer_and_longer_and_then_given_up() -> None:
    bench = Bench()
    bench.add("dead", count=1000)
    assert go_down(bench) == [1.0, 2.0, 4.0, 8.0]
    bench.add("good")
    jobs = bench.take_all()
    (good,) = (job for job in jobs if "good" in job.request.url)
    assert good.refused is None
    jobs.remove(good)
    assert len(jobs) == 1000 - 5 - 4
    assert all(isinstance(job.refused, Refused) and job.refused.cause is Cause.CONNECT for job in jobs)
    assert "http://dead was given up" in str(jobs[0].refused)


@pytest.mark.parametrize("answer", [OK, NOT_FOUND, refusal(None, 503), Outcome(redirects=1), Outcome(Cause.TLS, None)])
def test_a_host_that_has_answered_before_gets_more_than_a_minute(answer: Outcome) -> None:
    bench = Bench()
    bench.add(count=1000)
    bench.done(bench.take(), answer)
    assert go_down(bench) == [1, 2, 4, 8, 16, 16, 16]


@pytest.mark.parametrize(
    ("retry_wait", "pauses"),
    [("0", [1, 2, 4, 8, 16, 16, 16]), ("3s", [6, 12, 16, 16, 16, 16, 16]), ("1m", [60] * 30)],
)
def test_no_host_that_has_answered_is_given_up_sooner_than_one_that_never_has(
    retry_wait: str, pauses: list[float]
) -> None:
    bench = Bench(retry_wait=retry_wait)
    bench.add("dead", count=20)
    never = go_down(bench, longest=2000)
    other = Bench(retry_wait=retry_wait)
    other.add("up", count=100)
    other.done(other.take())
    assert go_down(other, longest=2000) == pauses
    assert sum(never) <= sum(pauses) >= 60


def test_a_name_that_does_not_exist_is_given_up_without_a_pause() -> None:
    bench = Bench()
    bench.add(count=10)
    assert go_down(bench, NO_SUCH_NAME) == []
    assert {job.refused.cause for job in bench.take_all() if job.refused is not None} == {Cause.DNS}


def test_a_host_that_was_given_up_gets_another_chance_later() -> None:
    bench = Bench()
    bench.add(count=20)
    go_down(bench)
    assert all(job.refused for job in bench.take_all())
    bench.now += 300
    bench.add(count=5)
    (job,) = bench.take_all()
    assert job.refused is None
    bench.done(job, DOWN)
    assert all(job.refused for job in bench.take_all())
    bench.now += 300
    bench.add(count=5)
    (job,) = bench.take_all()
    bench.done(job)
    assert not any(job.refused for job in bench.take_all())


def test_one_answer_brings_a_host_back() -> None:
    bench = Bench()
    bench.add(count=100)
    for _ in range(5):
        bench.done(bench.take(), DOWN)
    bench.now += 1.0
    bench.done(bench.take(), NOT_FOUND)
    for _ in range(4):
        bench.done(bench.take(), DOWN)
    assert bench.take().refused is None


def test_failures_that_were_under_way_when_the_host_was_set_aside_count_once() -> None:
    bench = Bench(workers=64)
    bench.add(count=1000)
    for job in bench.take_all(64):
        bench.now += 0.001
        bench.done(job, DOWN)
    due = bench.schedule.next_due()
    assert due is not None
    assert due - bench.now < 1.0
    assert bench.take_all() == []


# --- reading ahead ---


def test_ready_jobs_stop_the_reading_and_half_of_them_start_it_again() -> None:
    bench = Bench()
    bench.add()
    bench.done(bench.take())  # the host is there
    assert bench.schedule.backlog.low()
    while not bench.schedule.backlog.full():
        bench.add()
    assert len(bench.schedule) == READ_AHEAD
    while not bench.schedule.backlog.low():
        bench.take()
    assert len(bench.schedule) == READ_AHEAD // 2


def test_the_first_host_of_a_list_does_not_stop_the_reading_before_it_has_answered() -> None:
    bench = Bench(lookahead=5000)
    while not bench.schedule.backlog.full():
        bench.add("a")
    assert len(bench.schedule) == 5000
    bench = Bench()
    for number in range(READ_AHEAD):
        assert not bench.schedule.backlog.full()
        bench.add(f"h{number}")
    assert bench.schedule.backlog.full(), "many hosts are enough, though none of them is known"


def test_quick_hosts_are_read_for_in_time_beside_one_that_never_answers() -> None:
    bench = Bench(workers=50)
    bench.add("stuck", count=READ_AHEAD)
    bench.add("quick", count=READ_AHEAD)
    for job in bench.take_all(50):
        if "quick" in job.request.url:
            bench.done(job)
    while not bench.schedule.backlog.low():
        job = bench.take()
        if "quick" in job.request.url:
            bench.done(job)
    left = sum("quick" in job.request.url for job in bench.take_all())
    assert left > 100, "there is time to read more, before the rest of the workers go to the other one"


def test_jobs_that_must_wait_do_not_stop_the_reading_until_the_lookahead_is_used_up() -> None:
    bench = Bench(per_host=1, lookahead=5000)
    bench.add("a")
    bench.take()
    while not bench.schedule.backlog.full():
        bench.add("a")
    assert len(bench.schedule) == 5000
    assert not bench.schedule.backlog.low()


def test_held_jobs_count_towards_the_lookahead_too() -> None:
    bench = Bench(lookahead=10)
    for index in range(10):
        assert not bench.schedule.backlog.full()
        bench.schedule.hold(make_job(index), bench.now, 1.0)
    assert bench.schedule.backlog.full()


def test_what_waits_for_a_slow_host_does_not_stop_the_reading() -> None:
    bench = Bench(workers=4)
    bench.add("slow", count=READ_AHEAD)
    bench.done(bench.take())
    jobs = bench.take_all(4)
    assert not bench.schedule.backlog.low()
    bench.now += 2.0
    bench.done(jobs[0])
    bench.take()
    assert bench.schedule.backlog.low()


# --- the end ---


def test_at_the_end_nothing_is_held_back_any_more() -> None:
    bench = Bench(per_host=1, rate="1/s")
    bench.add("a", count=3)
    bench.take()
    bench.schedule.hold(make_job(9), bench.now, 1000)
    bench.now += 2.0
    bench.schedule.end(bench.now)
    bench.add("a")
    jobs = bench.take_all()
    assert indexes(jobs) == [1, 2, 9, 3]
    assert jobs[0].held == pytest.approx(2.0)
    assert jobs[2].held == pytest.approx(2.0)
    assert bench.schedule.next_due() is None


def test_what_would_be_held_after_the_end_is_not_and_ending_twice_changes_nothing() -> None:
    bench = Bench()
    bench.add()
    job = bench.take()
    bench.schedule.end(bench.now)
    bench.done(job, DOWN)
    bench.schedule.hold(job, bench.now, 1000.0)
    bench.schedule.end(bench.now)
    assert bench.schedule.take(bench.now) is job
    assert len(bench.schedule) == 0


def test_hosts_that_nobody_asks_any_more_are_forgotten_but_not_what_was_done_about_them() -> None:
    bench = Bench(workers=2)
    bench.add("refuses")
    bench.done(bench.take(), refusal("1"))
    for number in range(10_050):
        bench.add(f"h{number}")
        bench.done(bench.take())
    assert len(bench.schedule.hosts.queues) <= 10_000
    assert [(backoff.host, backoff.refusals) for backoff in bench.schedule.hosts.backoffs()] == [("http://refuses", 1)]
    assert bench.schedule.hosts.backoffs()[0].rate < inf


def bound(bench: Bench) -> dict[str, bool]:
    return dict(bench.schedule.hosts.bound(bench.now))


def test_another_schedule_may_have_a_host_that_nothing_is_under_way_at() -> None:
    bench = Bench()
    bench.add("h", 2)
    assert bound(bench) == {"http://h": False}
    jobs = bench.take_all()
    assert bound(bench) == {"http://h": False}
    for job, outcome in zip(jobs, (OK, NOT_FOUND), strict=True):
        bench.done(job, outcome)
    assert bound(bench) == {}


@pytest.mark.parametrize("outcome", [refusal("5"), DOWN, NO_SUCH_NAME], ids=["refused", "down", "given up"])
def test_no_other_schedule_may_have_a_host_that_was_held_back(outcome: Outcome) -> None:
    bench = Bench()
    for _ in range(5):
        bench.add()
        bench.done(bench.take(), outcome)
        bench.now += 1000.0
    assert bound(bench) == {"http://h": True}


def test_no_other_schedule_may_have_a_host_before_its_interval_has_passed() -> None:
    bench = Bench(host_interval=2.0)
    bench.add()
    bench.done(bench.take())
    bench.now += 1.9
    assert bound(bench) == {"http://h": False}
    bench.now += 0.1
    assert bound(bench) == {}


def test_the_schedule_takes_what_an_engine_makes() -> None:
    assert {name for name in vars(OK) if name not in dir(Attempt)} == set()


def test_what_an_internal_job_brings_is_refused_by_a_schedule_that_gives_out_none() -> None:
    bench = Bench()
    with pytest.raises(RuntimeError, match=r"no jobs for a robots\.txt: http://h/0"):
        bench.schedule.learn_robots(make_job(), Rules(), bench.now)
    with pytest.raises(RuntimeError, match="no jobs for an address: http://h/0"):
        bench.schedule.learn_address(make_job(), "192.0.2.1", bench.now)

"""The schedule gives out every job once, in order, and none before it is due; the clock is the test's."""

from __future__ import annotations

import pytest
from factories import make_attempt
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from fetchq.engines.attempt import CONNECT, DECODE, DNS, RECEIVE, TLS, WAIT, Attempt
from fetchq.model import Request, Timing
from fetchq.schedule import LOOKAHEAD, MOST_HELD, Job, Schedule


def make_job(index: int = 0, now: float = 0.0) -> Job:
    return Job(Request(f"http://h/{index}", index=index), now)


def indexes(jobs: list[Job]) -> list[int]:
    return [job.request.index for job in jobs]


def attempt_of(*, tls_known: bool = False, **phases: float) -> Attempt:
    attempt = make_attempt()
    order = {"dns": DNS, "connect": CONNECT, "tls": TLS, "wait": WAIT, "receive": RECEIVE, "decode": DECODE}
    for name, seconds in phases.items():
        attempt.phases[order[name]] = seconds
    attempt.tls_known = tls_known
    return attempt


# --- the schedule ---


class Waiting(RuleBasedStateMachine):
    """A schedule, and beside it two plain lists that say what must be in it."""

    @initialize()
    def begin(self) -> None:
        self.schedule = Schedule()
        self.now = 0.0
        self.made = 0
        self.ready: list[Job] = []
        self.held: list[Job] = []
        self.working: list[Job] = []
        self.answered: list[Job] = []

    @rule()
    def a_request_is_read(self) -> None:
        job = make_job(self.made, self.now)
        self.made += 1
        self.schedule.add(job)
        self.ready.append(job)

    @rule()
    def a_worker_takes_one(self) -> None:
        if self.ready:
            job = self.schedule.take()
            assert job is self.ready.pop(0)
            assert job.due <= self.now
            job.taken(self.now, self.now)
            self.working.append(job)
        else:
            with pytest.raises(IndexError):
                self.schedule.take()

    @rule(delay=st.sampled_from([0.0, 0.25, 1.0, 5.0]) | st.floats(0, 10))
    def a_worker_fails(self, delay: float) -> None:
        if self.working:
            job = self.working.pop(0)
            self.schedule.hold(job, self.now, delay)
            assert job.due == self.now + delay
            self.held.append(job)

    @rule()
    def a_worker_is_done(self) -> None:
        if self.working:
            self.answered.append(self.working.pop())

    @rule(seconds=st.sampled_from([0.25, 1.0]) | st.floats(0, 10))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def what_is_due_is_released(self) -> None:
        released = self.schedule.release(self.now)
        due = sorted((job for job in self.held if job.due <= self.now), key=lambda job: job.due)
        assert released == due  # sorted is stable: of those due at once, the one held first comes first
        self.held = [job for job in self.held if job not in due]
        for job in released:
            self.schedule.add(job)
            self.ready.append(job)

    @rule()
    def the_run_ends(self) -> None:
        waiting = [*self.ready, *sorted(self.held, key=lambda job: job.due)]
        drained = self.schedule.drain(self.now)
        assert drained == waiting
        self.answered += drained
        self.ready, self.held = [], []
        assert self.schedule.next_due() is None

    @invariant()
    def nothing_is_lost_or_there_twice(self) -> None:
        jobs = [*self.ready, *self.held, *self.working, *self.answered]
        assert sorted(indexes(jobs)) == list(range(self.made))
        assert len(self.schedule) == len(self.ready)
        assert self.schedule.next_due() == min((job.due for job in self.held), default=None)

    def teardown(self) -> None:
        self.answered += self.schedule.drain(self.now)
        assert sorted(indexes([*self.working, *self.answered])) == list(range(self.made))


TestNothingIsLostAndNothingComesEarly = Waiting.TestCase
TestNothingIsLostAndNothingComesEarly.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def test_a_held_job_comes_out_when_it_is_due_and_not_before() -> None:
    schedule = Schedule()
    schedule.hold(make_job(1), 10.0, 2.0)
    assert schedule.next_due() == 12.0
    assert schedule.release(11.999) == []
    assert indexes(schedule.release(12.0)) == [1]
    assert schedule.release(99.0) == []
    assert len(schedule) == 0


def test_the_schedule_is_full_at_its_bounds_and_hungry_well_before() -> None:
    schedule = Schedule()
    assert schedule.hungry()
    for index in range(LOOKAHEAD):
        assert not schedule.full()
        schedule.add(make_job(index))
    assert schedule.full()
    assert not schedule.hungry()
    while not schedule.hungry():
        schedule.take()
    assert len(schedule) == LOOKAHEAD // 2
    assert not schedule.full()


def test_many_held_jobs_stop_the_reading_too() -> None:
    schedule = Schedule()
    job = make_job()
    for _ in range(MOST_HELD):
        assert not schedule.full()
        assert schedule.hungry()
        schedule.hold(job, 0.0, 1.0)
    assert schedule.full()
    assert not schedule.hungry()


# --- the job ---


def test_the_time_in_the_queue_counts_from_when_the_job_was_ready() -> None:
    job = make_job(now=10.0)
    job.taken(12.5, 1_700_000_000.0)
    assert (job.queued, job.first_taken) == (2.5, 1_700_000_000.0)
    Schedule().hold(job, 20.0, 5.0)
    job.taken(26.0, 1_700_000_099.0)
    assert (job.queued, job.held) == (3.5, 5.0)
    assert job.first_taken == 1_700_000_000.0


def test_a_job_that_is_taken_early_was_not_queued() -> None:
    job = make_job(now=10.0)
    job.taken(9.0, 0.0)
    assert job.queued == 0.0


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


def test_a_job_that_was_never_tried_has_only_waited() -> None:
    job = make_job()
    job.queued, job.held = 1.0, 2.0
    assert job.timing(None) == (Timing(queued=1.0, held=2.0), 0.0)

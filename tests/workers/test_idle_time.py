"""Idle time is divided by its reasons without a rest; the clock is the test's."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.factories import examples

from fetchq.core.model import Request
from fetchq.core.settings import Settings
from fetchq.scheduling.job import Job
from fetchq.scheduling.limit import Limit
from fetchq.scheduling.schedule import Schedule
from fetchq.workers.idle_time import Idle, IdleTime
from fetchq.workers.worker_clock import WorkerClock

HOST = "http://h"
PER_HOST = (Limit.PER_HOST, HOST)


class Pool:
    """Workers that are idle at first."""

    def __init__(self, workers: int, rows: int = 0, **options: Any) -> None:
        self.schedule = Schedule(Settings(workers=workers, **options))
        self.idle = IdleTime(workers, self.schedule)
        self.clocks = [WorkerClock(number) for number in range(1, workers + 1)]
        self.idle.begin(0.0)
        for index in range(rows):
            self.schedule.add(Job(Request(f"{HOST}/{index}", index), 0.0), 0.0)


@given(
    st.integers(1, 5),
    st.lists(st.tuples(st.integers(0, 4), st.floats(0, 3), st.sampled_from(["turn", "beat", "row", "input"]))),
)
@examples(100)
def test_the_parts_add_up_to_the_time_for_which_workers_were_idle(
    workers: int, events: list[tuple[int, float, str]]
) -> None:
    pool = Pool(workers, per_host=1)
    now = total = 0.0
    for index, (number, seconds, event) in enumerate(events):
        now += seconds
        total += seconds * sum(clock.is_idle for clock in pool.clocks)
        clock = pool.clocks[number % workers]
        if event == "beat":
            pool.idle.sample(now)
        elif event == "row":
            pool.schedule.add(Job(Request(f"{HOST}/{index}", index), now), now)
        elif event == "input":
            pool.idle.input_ended(now)
        elif clock.is_idle:
            pool.idle.leave(clock, now)
        else:
            pool.idle.enter(clock, now)
    total += sum(clock.is_idle for clock in pool.clocks)
    found = pool.idle.seconds(now + 1.0)
    assert sum(found.values()) == pytest.approx(total, abs=1e-6)
    assert min(found.values(), default=0.0) >= 0


def test_as_many_idle_workers_are_held_as_jobs_wait_and_the_others_have_none() -> None:
    pool = Pool(10, rows=4, per_host=1)
    pool.idle.leave(pool.clocks[0], 0.0)
    pool.schedule.take(0.0)
    pool.idle.input_ended(0.0)
    assert pool.idle.seconds(2.0) == pytest.approx({PER_HOST: 6.0, Idle.FINISHED: 12.0})


def test_without_the_end_of_the_input_a_worker_waits_for_it() -> None:
    pool = Pool(3)
    pool.idle.sample(1.0)
    assert pool.idle.seconds(2.0) == {Idle.INPUT: 6.0}


def test_time_between_two_samples_is_divided_by_both() -> None:
    pool = Pool(1, rows=2, per_host=1)
    pool.schedule.take(0.0)
    pool.idle.changed(0.0)
    pool.schedule.end(1.0)
    pool.idle.sample(1.0)
    assert pool.idle.seconds(1.0) == {PER_HOST: 0.5, Idle.WAKING: 0.5}


def test_a_worker_that_ends_is_idle_until_every_result_is_written() -> None:
    pool = Pool(2)
    for clock in pool.clocks:
        pool.idle.leave(clock, 0.0)
    pool.idle.enter(pool.clocks[0], 1.0, ended=True)
    pool.idle.input_ended(1.0)
    pool.idle.enter(pool.clocks[1], 3.0, ended=True)
    pool.idle.end(4.0)
    assert pool.idle.seconds(5.0) == pytest.approx({Idle.FINISHED: 4.0, Idle.OUTPUT: 2.0})


def test_in_mode_sync_the_others_wait_for_their_turn_and_all_wait_together() -> None:
    pool = Pool(4, rows=3, host_interval=10)
    pool.idle.one_works(1.0)
    pool.schedule.sent(pool.schedule.take(1.0), 1.0)
    pool.idle.all_wait(2.0, Idle.OUTPUT)
    pool.idle.all_wait(3.0)
    assert pool.idle.seconds(5.0) == pytest.approx(
        {Idle.INPUT: 4.0 + 2 * 2, Idle.TURN: 3.0, Idle.OUTPUT: 4.0, (Limit.HOST_INTERVAL, HOST): 2 * 2}
    )


def test_samples_take_a_bounded_share_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = 0.0

    def thread_time() -> float:
        nonlocal cpu
        cpu += 0.0005  # between two calls, so for each sample
        return cpu

    monkeypatch.setattr("fetchq.workers.idle_time.thread_time", thread_time)
    pool = Pool(1)
    calls = 100_000
    for call in range(calls):
        pool.idle.sample(call * 0.001)
    assert cpu / 2 < 0.006 * calls * 0.001


def test_thousands_of_hosts_take_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fetchq.workers.idle_time._MOST_HOSTS", 10)
    pool = Pool(1)
    for number in range(100):
        pool.idle._shares = {(Limit.PER_HOST, f"http://h{number}"): 1.0}
        pool.idle._count(number + 1.0)
        pool.idle._divide(pool.idle._shares)
    found = pool.idle.seconds(100.0)
    assert len(found) == 11
    assert found[Limit.PER_HOST, None] == pytest.approx(90.0)

"""The order in which a driver runs shards, and what it does when one fails, with an executor of the test's own."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from uuid import uuid4

import pytest
from support.jobs import prepared

from fetchq.cluster.attempt import ShardFailedError, StoppedError, stop_name
from fetchq.cluster.driver import Driver
from fetchq.cluster.executors import ClusterError, ShardProcessDiedError
from fetchq.cluster.job import Job
from fetchq.cluster.marker import Marker
from fetchq.cluster.opened_storage import open_storage
from fetchq.cluster.storage import JobStorage
from fetchq.cluster.tasks import ShardTask
from fetchq.core.disk import StorageError
from fetchq.core.model import Request
from fetchq.core.settings import Settings

Outcome = Marker | BaseException


def marker_of(task: ShardTask) -> Marker:
    shard = task.shard
    return Marker(shard.number, "a", "f", (), shard.rows, shard.rows, 0, {}, "0", "now", 0.1)


class Played:
    """Ends each attempt soon, as `outcome` says of a task and of how often its shard was begun."""

    remote = True

    def __init__(self, outcome: Callable[[ShardTask, int], Outcome], slots: int = 2) -> None:
        self._outcome = outcome
        self._slots = slots
        self.begun: list[int] = []
        self.running: dict[int, tuple[Future[Marker], ShardTask]] = {}
        self.beside: list[list[int]] = []
        """The shards that were running when each one was begun, this one included."""

    def slots(self) -> int:
        return self._slots

    def submit(self, task: ShardTask) -> Future[Marker]:
        number = task.shard.number
        assert task.shard.lane not in {one.shard.lane for _, one in self.running.values()}, "two shards of a lane"
        self.begun.append(number)
        future: Future[Marker] = Future()
        self.running[number] = future, task
        self.beside.append(list(self.running))
        threading.Timer(0.005, self.end, (number,)).start()
        return future

    def end(self, number: int) -> None:
        future, task = self.running.pop(number, (None, None))
        if future is None or task is None:
            return
        outcome = self._outcome(task, self.begun.count(number))
        if isinstance(outcome, BaseException):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)

    def close(self) -> None:
        pass


@pytest.fixture
def storage() -> JobStorage:
    return open_storage(f"memory://{uuid4().hex}")


def job_of(storage: JobStorage, *, shards: int = 12, lanes: int = 3) -> Job:
    return prepared(storage, [Request(f"http://host{row % 9}.test/", row) for row in range(60)], shards, lanes)


def driven(storage: JobStorage, job: Job, executor: Played) -> tuple[Driver, list[str]]:
    said: list[str] = []
    driver = Driver(storage, job, Settings(), say=said.append)
    driver.prepare()
    driver.drive(executor)
    return driver, said


def test_every_shard_is_run_once_and_those_of_a_lane_in_their_order(storage: JobStorage) -> None:
    job = job_of(storage)
    executor = Played(lambda task, _: marker_of(task))
    driver, said = driven(storage, job, executor)
    assert sorted(executor.begun) == list(range(12))
    for lane in job.lanes:
        assert [number for number in executor.begun if number in lane.shards] == list(lane.shards)
    assert (driver.outcome.shards, driver.outcome.rows, said) == (12, 60, [])


def test_a_shard_that_fails_is_tried_three_times_and_the_next_of_its_lane_goes_on(storage: JobStorage) -> None:
    job = job_of(storage)
    executor = Played(lambda task, _: ShardFailedError("broken") if task.shard.number == 1 else marker_of(task))
    driver, said = driven(storage, job, executor)
    assert Counter(executor.begun)[1] == 3
    assert sorted(set(executor.begun)) == list(range(12))
    assert driver.outcome.given_up == {1: "broken"}
    assert said[-1] == "shard 1 is given up: broken"


def test_what_an_engine_cannot_send_is_a_failure_of_its_shard(storage: JobStorage) -> None:
    job = job_of(storage)
    executor = Played(lambda task, _: TypeError("cannot pickle") if task.shard.number == 1 else marker_of(task))
    driver, _ = driven(storage, job, executor)
    assert driver.outcome.given_up == {1: "TypeError: cannot pickle"}


def test_when_the_storage_fails_the_driver_ends(storage: JobStorage) -> None:
    with pytest.raises(StorageError, match="Install s3fs"):
        driven(storage, job_of(storage), Played(lambda *_: StorageError("Install s3fs")))


def test_when_one_shard_after_the_other_fails_the_driver_ends(storage: JobStorage) -> None:
    executor = Played(lambda *_: ShardFailedError("the disk is full"), 1)
    with pytest.raises(ClusterError, match="5 shards failed one after the other"):
        driven(storage, job_of(storage), executor)
    assert len(executor.begun) < 36, "not all three attempts at all twelve"


def test_a_shard_that_would_fail_again_is_tried_once(storage: JobStorage) -> None:
    job = job_of(storage)
    executor = Played(
        lambda task, _: ShardFailedError("changed", final=True) if task.shard.number == 1 else marker_of(task)
    )
    driver, _ = driven(storage, job, executor)
    assert Counter(executor.begun)[1] == 1
    assert driver.outcome.given_up == {1: "changed"}


def test_a_shard_that_recovers_is_no_failure(storage: JobStorage) -> None:
    executor = Played(lambda task, times: ShardProcessDiedError("died") if times < 3 else marker_of(task))
    driver, _ = driven(storage, job_of(storage), executor)
    assert driver.outcome.given_up == {}
    assert set(Counter(executor.begun).values()) == {3}


def test_a_shard_whose_lane_was_taken_is_run_again_and_not_counted(storage: JobStorage) -> None:
    executor = Played(lambda task, times: StoppedError() if times < 6 and task.shard.number == 0 else marker_of(task))
    driver, _ = driven(storage, job_of(storage), executor)
    assert driver.outcome.given_up == {}
    assert Counter(executor.begun)[0] == 6


def test_shards_that_are_done_are_not_run(storage: JobStorage) -> None:
    job = job_of(storage)
    for number in (0, 5):
        storage.write(job.shards[number].marker, b"")
    executor = Played(lambda task, _: marker_of(task))
    driven(storage, job, executor)
    assert sorted(executor.begun) == [number for number in range(12) if number not in (0, 5)]


def test_an_error_of_the_cluster_ends_the_driver(storage: JobStorage) -> None:
    with pytest.raises(ClusterError, match="gone"):
        driven(storage, job_of(storage), Played(lambda *_: ClusterError("gone")))


def test_a_shard_that_has_died_twice_is_tried_while_nothing_else_runs(storage: JobStorage) -> None:
    executor = Played(lambda task, _: ShardProcessDiedError("died") if task.shard.number == 1 else marker_of(task), 3)
    driven(storage, job_of(storage), executor)
    last = max(at for at, number in enumerate(executor.begun) if number == 1)
    assert executor.beside[last] == [1]


class Held(Played):
    """Ends no attempt."""

    def end(self, number: int) -> None:
        pass


def test_an_aborted_driver_leaves_word_for_the_shards_under_way(storage: JobStorage) -> None:
    driver = Driver(storage, job_of(storage), Settings())
    driver.prepare()
    executor = Held(lambda task, _: marker_of(task), 1)
    threading.Timer(0.05, driver.abort).start()
    driver.drive(executor)
    assert storage.exists(stop_name(driver.run))
    assert len(executor.begun) == 1


def test_a_stopped_driver_begins_no_shard(storage: JobStorage) -> None:
    driver = Driver(storage, job_of(storage), Settings())
    driver.prepare()
    driver.stop()
    executor = Played(lambda task, _: marker_of(task))
    driver.drive(executor)
    assert executor.begun == []

"""The queue of the async pool gives out every job once and none too early, and is an asyncio.Queue in all the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from time import perf_counter

import pytest
from support.factories import Clock, Outcome

from fetchq.core.model import Request
from fetchq.core.settings import Settings
from fetchq.http.robots_txt import RobotsCache, Rules
from fetchq.scheduling.backlog import READ_AHEAD
from fetchq.scheduling.job import Job, JobKind
from fetchq.scheduling.schedule import Schedule
from fetchq.workers.request_queue import RequestQueue


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The queue's clock. The loop keeps its own time: its timers are only armed again, not hurried."""
    clock = Clock()
    for module in ("request_queue", "release_timer"):
        monkeypatch.setattr(f"fetchq.workers.{module}.perf_counter", clock)
    return clock


def make_queue(settings: Settings) -> RequestQueue:
    return RequestQueue(Schedule(settings))


def make_job(index: int, now: float = 0.0) -> Job:
    return Job(Request("http://h/", index), now)


def indexes(jobs: list[Job]) -> list[int]:
    return [job.request.index for job in jobs]


async def turns(n: int = 5) -> None:
    """Let the loop do what is ready to be done."""
    for _ in range(n):
        await asyncio.sleep(0)


def look_now(queue: RequestQueue) -> None:
    """Have the queue see what is due: the loop's timers do not know how late it is by the queue's clock."""
    queue.close()
    queue.hold(make_job(999), 1e6)


async def test_what_may_go_comes_out_in_the_order_in_which_it_was_put() -> None:
    queue = make_queue(Settings())
    for index in range(5):
        queue.put_nowait(make_job(index))
    assert indexes([await queue.get() for _ in range(5)]) == [0, 1, 2, 3, 4]
    assert queue.empty()


async def test_workers_that_wait_get_a_job_each_and_none_gets_one_twice() -> None:
    queue = make_queue(Settings())
    workers = [asyncio.create_task(queue.get()) for _ in range(3)]
    await turns()
    for index in range(3):
        queue.put_nowait(make_job(index))
    assert sorted(indexes(list(await asyncio.gather(*workers)))) == [0, 1, 2]


async def test_a_job_that_must_wait_counts_as_none_to_get() -> None:
    queue = make_queue(Settings(per_host=1))
    queue.hold(make_job(0), 1000)
    queue.put_nowait(make_job(1))
    queue.put_nowait(make_job(2))
    assert (await queue.get()).request.index == 1
    assert queue.empty()
    with pytest.raises(asyncio.QueueEmpty):
        queue.get_nowait()
    queue.close()


async def test_a_worker_that_is_done_lets_the_next_job_of_its_host_go() -> None:
    queue = make_queue(Settings(per_host=1))
    queue.put_nowait(make_job(0))
    queue.put_nowait(make_job(1))
    first = await queue.get()
    worker = asyncio.create_task(queue.get())
    await turns()
    assert not worker.done()
    queue.done(first, None)
    assert (await asyncio.wait_for(worker, 10)).request.index == 1


async def test_all_that_becomes_due_at_once_wakes_all_the_workers_it_needs(clock: Clock) -> None:
    queue = make_queue(Settings())
    for index in range(3):
        queue.hold(make_job(index), 10)
    workers = [asyncio.create_task(queue.get()) for _ in range(4)]
    await turns()
    clock.now += 10
    queue.put_nowait(make_job(3))
    look_now(queue)
    done, _ = await asyncio.wait(workers, timeout=10)
    queue.close()
    assert sorted(task.result().request.index for task in done) == [0, 1, 2, 3]


async def test_held_jobs_come_out_when_they_are_due_and_the_one_that_is_due_first_comes_first(clock: Clock) -> None:
    queue = make_queue(Settings())
    for index, delay in ((0, 30), (1, 10), (2, 20)):
        queue.hold(make_job(index), delay)
    clock.now += 19
    look_now(queue)
    await asyncio.sleep(0.01)
    assert indexes([queue.get_nowait()]) == [1]
    assert queue.empty()
    clock.now += 100
    look_now(queue)
    await asyncio.sleep(0.01)
    assert sorted(indexes([queue.get_nowait(), queue.get_nowait()])) == [0, 2]
    assert queue.empty()


async def test_a_timer_that_fires_too_early_is_armed_again(clock: Clock) -> None:
    queue = make_queue(Settings())
    queue.hold(make_job(0), 0.0005)  # the loop will find that it is due; the clock of the queue does not move
    await asyncio.sleep(0.01)
    assert queue.empty()
    clock.now += 1
    assert indexes([await asyncio.wait_for(queue.get(), 10)]) == [0]


async def test_held_jobs_come_by_the_real_clock_in_the_order_in_which_they_are_due() -> None:
    queue = make_queue(Settings())
    queue.hold(make_job(0), 0.02)
    queue.hold(make_job(1), 0.01)
    queue.hold(make_job(2), 0)
    async with asyncio.timeout(10):
        assert indexes([await queue.get() for _ in range(3)]) == [2, 1, 0]


async def test_a_worker_that_was_woken_and_cancelled_at_once_passes_the_job_on() -> None:
    queue = make_queue(Settings())
    first, second = (asyncio.create_task(queue.get()) for _ in range(2))
    await turns()
    queue.put_nowait(make_job(7))
    first.cancel()
    assert (await asyncio.wait_for(second, 10)).request.index == 7
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_a_worker_that_is_cancelled_while_it_waits_is_not_woken() -> None:
    queue = make_queue(Settings())
    first, second = (asyncio.create_task(queue.get()) for _ in range(2))
    await turns()
    first.cancel()
    await turns()
    queue.put_nowait(make_job(7))
    assert (await asyncio.wait_for(second, 10)).request.index == 7


async def test_the_rate_holds_the_workers_by_the_real_clock() -> None:
    queue = make_queue(Settings(rate=100))
    for index in range(20):
        queue.put_nowait(make_job(index))
    began = perf_counter()
    async with asyncio.timeout(30):
        jobs = []
        while len(jobs) < 20:
            jobs.append(await queue.get())
            queue.sent(jobs[-1])
    assert indexes(jobs) == list(range(20))
    assert perf_counter() - began >= 0.17
    assert sum(job.held for job in jobs) > 1.0
    queue.close()


async def test_room_is_made_when_half_of_a_full_queue_was_taken() -> None:
    queue = make_queue(Settings())
    queue.put_nowait(make_job(0))
    queue.done(queue.get_nowait(), Outcome())  # type: ignore[arg-type]  # it is like one: the host is there
    index = 0
    while not queue.full():
        queue.put_nowait(make_job(index))
        index += 1
    assert index == READ_AHEAD
    source = asyncio.create_task(queue.put(make_job(index)))
    await turns()
    while queue.qsize() > READ_AHEAD // 2 + 1:
        queue.get_nowait()
    await turns()
    assert not source.done()
    queue.get_nowait()
    await asyncio.wait_for(source, 10)
    assert not queue.full()
    assert queue.qsize() == READ_AHEAD // 2 + 1


async def test_a_batch_is_put_as_far_as_there_is_room_and_the_rest_when_there_is_some() -> None:
    queue = make_queue(Settings(lookahead=10))
    source = asyncio.create_task(queue.put_all([Request("http://h/", index) for index in range(25)]))
    await turns()
    assert (queue.qsize(), source.done()) == (10, False)
    indexes_got = []
    async with asyncio.timeout(10):
        while not source.done():
            indexes_got.append(queue.get_nowait().request.index)
            assert queue.qsize() <= 10
            await turns()
    while not queue.empty():
        indexes_got.append(queue.get_nowait().request.index)
    assert indexes_got == list(range(25))


async def test_a_batch_wakes_all_the_workers_it_needs() -> None:
    queue = make_queue(Settings())
    workers = [asyncio.create_task(queue.get()) for _ in range(3)]
    await turns()
    await queue.put_all([Request("http://h/", index) for index in range(3)])
    assert sorted(indexes(list(await asyncio.gather(*workers)))) == [0, 1, 2]


async def test_what_comes_before_an_exception_of_the_source_is_put_and_wakes_a_worker() -> None:
    def requests() -> Iterator[Request]:
        yield Request("http://h/", 0)
        yield Request("http://h/", 1)
        raise ValueError("no more")

    queue = make_queue(Settings())
    worker = asyncio.create_task(queue.get())
    await turns()
    with pytest.raises(ValueError, match="no more"):
        queue.put_ready(requests())
    assert indexes([await worker, await queue.get()]) == [0, 1]
    queue.task_done()
    queue.task_done()
    await queue.join()


async def test_adding_stops_at_its_time_between_two_requests(clock: Clock) -> None:
    def requests() -> Iterator[Request]:
        for index in range(10):
            clock.now += 1.0
            yield Request("http://h/", index)

    queue, coming = make_queue(Settings()), requests()
    assert queue.put_ready(coming, clock() + 2.5) == 3
    assert next(coming).index == 3


async def test_join_waits_until_every_job_that_was_put_is_done_also_one_that_was_held() -> None:
    queue = make_queue(Settings())
    await queue.put(make_job(0))
    await queue.put_all([Request("http://h/", 1)])
    first, second = await queue.get(), await queue.get()
    joined = asyncio.create_task(queue.join())
    queue.hold(first, 0)
    queue.task_done()
    queue.task_done()
    await turns()
    assert second.request.index == 1
    assert not joined.done(), "one is still to be got again"
    assert await asyncio.wait_for(queue.get(), 10) is first
    queue.task_done()
    await asyncio.wait_for(joined, 10)
    with pytest.raises(ValueError, match="too many times"):
        queue.task_done()
    queue.put_nowait(make_job(2))
    again = asyncio.create_task(queue.join())
    await turns()
    assert not again.done()
    queue.get_nowait()
    queue.task_done()
    await asyncio.wait_for(again, 10)


async def test_join_waits_for_the_internal_requests_of_the_schedule_too() -> None:
    settings = Settings(robots=True)
    queue = RequestQueue(Schedule(settings, RobotsCache(settings)))
    queue.put_nowait(make_job(0))
    robots = queue.get_nowait()
    assert robots.kind is JobKind.ROBOTS_TXT
    queue.drain()
    assert (await queue.get()).request.index == 0
    queue.task_done()
    joined = asyncio.create_task(queue.join())
    await turns()
    assert not joined.done()
    queue.done(robots, None)
    queue.learn_robots(robots, Rules())
    queue.task_done()
    await asyncio.wait_for(joined, 10)


async def test_at_the_end_all_comes_out_that_waits_and_all_that_comes() -> None:
    queue = make_queue(Settings(per_host=1))
    queue.put_nowait(make_job(0))
    queue.hold(make_job(1), 1000)
    queue.put_nowait(make_job(2))
    worker = asyncio.create_task(queue.get())
    await turns()
    queue.drain()
    queue.put_nowait(make_job(3))
    async with asyncio.timeout(10):
        assert indexes([await worker, *[await queue.get() for _ in range(3)]]) == [0, 2, 1, 3]


async def test_closing_stops_the_timer() -> None:
    queue = make_queue(Settings())
    queue.hold(make_job(0), 0.001)
    queue.close()
    queue.close()
    await asyncio.sleep(0.005)
    assert queue.empty()


async def test_a_source_that_was_cancelled_while_it_waited_for_room_does_not_disturb_the_queue() -> None:
    queue = make_queue(Settings())
    for index in range(READ_AHEAD):
        queue.put_nowait(make_job(index))
    source = asyncio.create_task(queue.put(make_job(READ_AHEAD)))
    await turns()
    source.cancel()
    await asyncio.wait([source])
    assert indexes([queue.get_nowait() for _ in range(READ_AHEAD)]) == list(range(READ_AHEAD))

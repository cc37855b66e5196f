"""The queue of the async pool gives out every job once and none too early; the outbox holds no more than it may."""

from __future__ import annotations

import asyncio
from time import perf_counter

import pytest
from support.factories import Clock, Outcome, make_result

from fetchq.core.model import Request
from fetchq.core.settings import Settings
from fetchq.scheduling.job import Job
from fetchq.scheduling.schedule import READ_AHEAD
from fetchq.workers.async_queue import RequestQueue, ResultQueue
from fetchq.workers.result_buffer import MOST_BYTES, MOST_RESULTS


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The queue's clock. The loop keeps its own time: its timers are only armed again, not hurried."""
    clock = Clock()
    monkeypatch.setattr("fetchq.workers.async_queue.perf_counter", clock)
    return clock


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


# --- the queue -------------------------------------------------------------------------------------------------------


async def test_what_may_go_comes_out_in_the_order_in_which_it_was_put() -> None:
    queue = RequestQueue(Settings())
    for index in range(5):
        queue.put_nowait(make_job(index))
    assert indexes([await queue.get() for _ in range(5)]) == [0, 1, 2, 3, 4]
    assert queue.empty()


async def test_workers_that_wait_get_a_job_each_and_none_gets_one_twice() -> None:
    queue = RequestQueue(Settings())
    workers = [asyncio.create_task(queue.get()) for _ in range(3)]
    await turns()
    for index in range(3):
        queue.put_nowait(make_job(index))
    assert sorted(indexes(list(await asyncio.gather(*workers)))) == [0, 1, 2]


async def test_a_job_that_must_wait_counts_as_none_to_get() -> None:
    queue = RequestQueue(Settings(per_host=1))
    queue.hold(make_job(0), 1000)
    queue.put_nowait(make_job(1))
    queue.put_nowait(make_job(2))
    assert (await queue.get()).request.index == 1
    assert queue.empty()
    with pytest.raises(asyncio.QueueEmpty):
        queue.get_nowait()
    queue.close()


async def test_a_worker_that_is_done_lets_the_next_job_of_its_host_go() -> None:
    queue = RequestQueue(Settings(per_host=1))
    queue.put_nowait(make_job(0))
    queue.put_nowait(make_job(1))
    first = await queue.get()
    worker = asyncio.create_task(queue.get())
    await turns()
    assert not worker.done()
    queue.done(first, None)
    assert (await asyncio.wait_for(worker, 10)).request.index == 1


async def test_all_that_becomes_due_at_once_wakes_all_the_workers_it_needs(clock: Clock) -> None:
    queue = RequestQueue(Settings())
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
    queue = RequestQueue(Settings())
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
    queue = RequestQueue(Settings())
    queue.hold(make_job(0), 0.0005)  # the loop will find that it is due; the clock of the queue does not move
    await asyncio.sleep(0.01)
    assert queue.empty()
    clock.now += 1
    assert indexes([await asyncio.wait_for(queue.get(), 10)]) == [0]


async def test_held_jobs_come_by_the_real_clock_in_the_order_in_which_they_are_due() -> None:
    queue = RequestQueue(Settings())
    queue.hold(make_job(0), 0.02)
    queue.hold(make_job(1), 0.01)
    queue.hold(make_job(2), 0)
    async with asyncio.timeout(10):
        assert indexes([await queue.get() for _ in range(3)]) == [2, 1, 0]


async def test_a_worker_that_was_woken_and_cancelled_at_once_passes_the_job_on() -> None:
    queue = RequestQueue(Settings())
    first, second = (asyncio.create_task(queue.get()) for _ in range(2))
    await turns()
    queue.put_nowait(make_job(7))
    first.cancel()
    assert (await asyncio.wait_for(second, 10)).request.index == 7
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_a_worker_that_is_cancelled_while_it_waits_is_not_woken() -> None:
    queue = RequestQueue(Settings())
    first, second = (asyncio.create_task(queue.get()) for _ in range(2))
    await turns()
    first.cancel()
    await turns()
    queue.put_nowait(make_job(7))
    assert (await asyncio.wait_for(second, 10)).request.index == 7


async def test_the_rate_holds_the_workers_by_the_real_clock() -> None:
    queue = RequestQueue(Settings(rate=100))
    for index in range(20):
        queue.put_nowait(make_job(index))
    began = perf_counter()
    async with asyncio.timeout(30):
        jobs = []
        while len(jobs) < 20:
            jobs.append(await queue.get())
            queue.went_out(jobs[-1])
    assert indexes(jobs) == list(range(20))
    assert perf_counter() - began >= 0.17
    assert sum(job.held for job in jobs) > 1.0
    queue.close()


async def test_room_is_made_when_half_of_a_full_queue_was_taken() -> None:
    queue = RequestQueue(Settings())
    queue.put_nowait(make_job(0))
    queue.done(queue.get_nowait(), Outcome())  # type: ignore[arg-type]  # it is like one: the host is there
    index = 0
    while not queue.sated():
        queue.put_nowait(make_job(index))
        index += 1
    assert index == READ_AHEAD
    source = asyncio.create_task(queue.room())
    await turns()
    while queue.qsize() > READ_AHEAD // 2 + 1:
        queue.get_nowait()
    await turns()
    assert not source.done()
    queue.get_nowait()
    await asyncio.wait_for(source, 10)
    assert not queue.sated()


async def test_at_the_end_all_comes_out_that_waits_and_all_that_comes() -> None:
    queue = RequestQueue(Settings(per_host=1))
    queue.put_nowait(make_job(0))
    queue.hold(make_job(1), 1000)
    queue.put_nowait(make_job(2))
    worker = asyncio.create_task(queue.get())
    await turns()
    queue.end()
    queue.put_nowait(make_job(3))
    async with asyncio.timeout(10):
        assert indexes([await worker, *[await queue.get() for _ in range(3)]]) == [0, 2, 1, 3]


async def test_closing_lets_the_source_go_on_and_stops_the_timer() -> None:
    queue = RequestQueue(Settings())
    source = asyncio.create_task(queue.room())
    await turns()
    queue.hold(make_job(0), 0.001)
    queue.close()
    queue.close()
    await asyncio.wait_for(source, 10)
    await asyncio.sleep(0.005)
    assert queue.empty()


async def test_a_source_that_was_cancelled_while_it_waited_for_room_does_not_disturb_the_queue() -> None:
    queue = RequestQueue(Settings())
    for index in range(READ_AHEAD):
        queue.put_nowait(make_job(index))
    source = asyncio.create_task(queue.room())
    await turns()
    source.cancel()
    await asyncio.wait([source])
    assert indexes([queue.get_nowait() for _ in range(READ_AHEAD)]) == list(range(READ_AHEAD))


# --- the outbox ------------------------------------------------------------------------------------------------------


async def test_the_outbox_gives_all_that_it_has_in_the_order_in_which_it_came() -> None:
    outbox = ResultQueue()
    for index in range(3):
        await outbox.put(make_result(index=index))
    assert [result.index for result in await outbox.take()] == [0, 1, 2]


async def test_the_outbox_waits_for_its_first_result() -> None:
    outbox = ResultQueue()
    taker = asyncio.create_task(outbox.take())
    await turns()
    assert not taker.done()
    await outbox.put(make_result(index=5))
    assert [result.index for result in await asyncio.wait_for(taker, 10)] == [5]


async def test_the_outbox_holds_no_more_results_than_it_may() -> None:
    outbox = ResultQueue()
    for index in range(MOST_RESULTS):
        await asyncio.wait_for(outbox.put(make_result(index=index)), 10)
    late = [asyncio.create_task(outbox.put(make_result(index=MOST_RESULTS + n))) for n in range(3)]
    await turns()
    assert not any(one.done() for one in late)
    assert len(await outbox.take()) == MOST_RESULTS
    await asyncio.wait_for(asyncio.gather(*late), 10)
    assert [result.index - MOST_RESULTS for result in await outbox.take()] == [0, 1, 2]


async def test_the_outbox_holds_hardly_more_bytes_than_it_may() -> None:
    outbox = ResultQueue()
    half = make_result(body=bytes(MOST_BYTES // 2))
    await outbox.put(half)
    await outbox.put(half)
    late = asyncio.create_task(outbox.put(make_result(index=9)))
    await turns()
    assert not late.done()
    assert len(await outbox.take()) == 2
    await asyncio.wait_for(late, 10)
    assert [result.index for result in await outbox.take()] == [9]


async def test_headers_are_bytes_that_the_outbox_holds_too() -> None:
    outbox = ResultQueue()
    await outbox.put(make_result(headers=[("X-Long", "x" * (MOST_BYTES - 5))]))
    assert not outbox.offer(make_result())
    await outbox.take()
    assert outbox.offer(make_result())


async def test_a_body_larger_than_the_outbox_passes_all_the_same() -> None:
    outbox = ResultQueue()
    await asyncio.wait_for(outbox.put(make_result(body=bytes(MOST_BYTES + 1))), 10)
    assert len(await outbox.take()) == 1


async def test_many_who_wait_to_put_lose_nothing_and_never_overfill_it() -> None:
    outbox = ResultQueue()
    putters = [asyncio.create_task(outbox.put(make_result(index=n))) for n in range(3 * MOST_RESULTS + 7)]
    taken: list[int] = []
    async with asyncio.timeout(10):
        while len(taken) < len(putters):
            batch = await outbox.take()
            assert len(batch) <= MOST_RESULTS
            taken += [result.index for result in batch]
            await turns()
    assert sorted(taken) == list(range(len(putters)))
    await asyncio.gather(*putters)


async def test_a_cancelled_put_puts_nothing_and_holds_up_nobody() -> None:
    outbox = ResultQueue()
    for _ in range(MOST_RESULTS):
        await outbox.put(make_result())
    first, second = (asyncio.create_task(outbox.put(make_result(index=n))) for n in (1, 2))
    await turns()
    first.cancel()
    await turns()
    await outbox.take()
    await asyncio.wait_for(second, 10)
    assert first.cancelled()
    assert [result.index for result in await outbox.take()] == [2]


async def test_a_cancelled_take_takes_nothing() -> None:
    outbox = ResultQueue()
    taker = asyncio.create_task(outbox.take())
    await turns()
    taker.cancel()
    await asyncio.wait([taker])
    await outbox.put(make_result(index=1))
    assert [result.index for result in await outbox.take()] == [1]


async def test_a_closed_outbox_gives_what_is_left_and_then_an_empty_list_again_and_again() -> None:
    outbox = ResultQueue()
    await outbox.put(make_result(index=1))
    outbox.close()
    assert [result.index for result in await outbox.take()] == [1]
    assert await asyncio.wait_for(outbox.take(), 10) == []
    assert await asyncio.wait_for(outbox.take(), 10) == []


async def test_closing_wakes_the_one_who_waits_for_a_result() -> None:
    outbox = ResultQueue()
    taker = asyncio.create_task(outbox.take())
    await turns()
    outbox.close()
    assert await asyncio.wait_for(taker, 10) == []

"""The queue of Results holds no more than it may, and loses none."""

from __future__ import annotations

import asyncio

from support.factories import make_result

from fetchq.workers.result_buffer import DURABLE_LINGER, MOST_BYTES, MOST_DURABLE_RESULTS, MOST_RESULTS, ResultQueue


async def turns(n: int = 5) -> None:
    """Let the loop do what is ready to be done."""
    for _ in range(n):
        await asyncio.sleep(0)


async def test_the_queue_gives_all_that_it_has_in_the_order_in_which_it_came() -> None:
    results = ResultQueue()
    for index in range(3):
        await results.put(make_result(index=index))
    assert [result.index for result in await results.take()] == [0, 1, 2]


async def test_the_queue_waits_for_its_first_result() -> None:
    results = ResultQueue()
    taker = asyncio.create_task(results.take())
    await turns()
    assert not taker.done()
    await results.put(make_result(index=5))
    assert [result.index for result in await asyncio.wait_for(taker, 10)] == [5]


async def test_the_queue_holds_no_more_results_than_it_may() -> None:
    results = ResultQueue()
    for index in range(MOST_RESULTS):
        await asyncio.wait_for(results.put(make_result(index=index)), 10)
    late = [asyncio.create_task(results.put(make_result(index=MOST_RESULTS + n))) for n in range(3)]
    await turns()
    assert not any(one.done() for one in late)
    assert len(await results.take()) == MOST_RESULTS
    await asyncio.wait_for(asyncio.gather(*late), 10)
    assert [result.index - MOST_RESULTS for result in await results.take()] == [0, 1, 2]


async def test_the_queue_of_a_durable_run_holds_more_results() -> None:
    results = ResultQueue(DURABLE_LINGER)
    for index in range(MOST_DURABLE_RESULTS):
        assert results.offer(make_result(index=index))
    assert not results.offer(make_result(index=MOST_DURABLE_RESULTS))
    assert len(await results.take()) == MOST_DURABLE_RESULTS > MOST_RESULTS


async def test_the_queue_holds_hardly_more_bytes_than_it_may() -> None:
    results = ResultQueue()
    half = make_result(body=bytes(MOST_BYTES // 2))
    await results.put(half)
    await results.put(half)
    late = asyncio.create_task(results.put(make_result(index=9)))
    await turns()
    assert not late.done()
    assert len(await results.take()) == 2
    await asyncio.wait_for(late, 10)
    assert [result.index for result in await results.take()] == [9]


async def test_headers_are_bytes_that_the_queue_holds_too() -> None:
    results = ResultQueue()
    await results.put(make_result(headers=[("X-Long", "x" * (MOST_BYTES - 5))]))
    assert not results.offer(make_result())
    await results.take()
    assert results.offer(make_result())


async def test_a_body_larger_than_the_queue_passes_all_the_same() -> None:
    results = ResultQueue()
    await asyncio.wait_for(results.put(make_result(body=bytes(MOST_BYTES + 1))), 10)
    assert len(await results.take()) == 1


async def test_many_who_wait_to_put_lose_nothing_and_never_overfill_it() -> None:
    results = ResultQueue()
    putters = [asyncio.create_task(results.put(make_result(index=n))) for n in range(3 * MOST_RESULTS + 7)]
    taken: list[int] = []
    async with asyncio.timeout(10):
        while len(taken) < len(putters):
            batch = await results.take()
            assert len(batch) <= MOST_RESULTS
            taken += [result.index for result in batch]
            await turns()
    assert sorted(taken) == list(range(len(putters)))
    await asyncio.gather(*putters)


async def test_a_cancelled_put_puts_nothing_and_holds_up_nobody() -> None:
    results = ResultQueue()
    for _ in range(MOST_RESULTS):
        await results.put(make_result())
    first, second = (asyncio.create_task(results.put(make_result(index=n))) for n in (1, 2))
    await turns()
    first.cancel()
    await turns()
    await results.take()
    await asyncio.wait_for(second, 10)
    assert first.cancelled()
    assert [result.index for result in await results.take()] == [2]


async def test_a_cancelled_take_takes_nothing() -> None:
    results = ResultQueue()
    taker = asyncio.create_task(results.take())
    await turns()
    taker.cancel()
    await asyncio.wait([taker])
    await results.put(make_result(index=1))
    assert [result.index for result in await results.take()] == [1]


async def test_a_closed_queue_gives_what_is_left_and_then_an_empty_list_again_and_again() -> None:
    results = ResultQueue()
    await results.put(make_result(index=1))
    results.close()
    assert [result.index for result in await results.take()] == [1]
    assert await asyncio.wait_for(results.take(), 10) == []
    assert await asyncio.wait_for(results.take(), 10) == []


async def test_closing_wakes_the_one_who_waits_for_a_result() -> None:
    results = ResultQueue()
    taker = asyncio.create_task(results.take())
    await turns()
    results.close()
    assert await asyncio.wait_for(taker, 10) == []

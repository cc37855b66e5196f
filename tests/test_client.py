"""A Client: one run for many calls. What they share, and what each keeps to itself."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from typing import Any

import pytest
from support.leaks import calm_loop, nothing_left
from support.servers import Counted, ScriptServer, answer, by_path, hang, ok
from support.waiting import A_MOMENT, PATIENCE

from fetchq import Cause, Client, Request, Result, SettingsError, fetch_map

slow = {"/slow": hang}


def leaves_nothing(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., Coroutine[Any, Any, None]]:
    """A test after which no task, thread or descriptor is left."""

    @wraps(test)
    async def run(*args: Any, **named: Any) -> None:
        with nothing_left():
            async with asyncio.timeout(PATIENCE), calm_loop():
                await test(*args, **named)

    return run


async def until(met: Callable[[], bool]) -> None:
    while not met():  # noqa: ASYNC110  # it is nothing that anybody tells of
        await asyncio.sleep(0.001)


# --- what the calls share ---


@leaves_nothing
async def test_calls_one_after_the_other_use_the_same_connection() -> None:
    with ScriptServer(ok) as server:
        async with Client() as client:
            for _ in range(5):
                assert (await client.fetch(server.url)).body == b"ok"
            assert [one.index for one in await client.fetch_all([server.url] * 3, deadline=PATIENCE)] == [0, 1, 2]
            assert client.summary.total == client.summary.ok == 8
        assert set(server.connections[:5]) == {server.connections[0]}


@leaves_nothing
async def test_the_limit_of_a_host_holds_for_all_calls_together() -> None:
    counted = Counted()
    with ScriptServer(counted) as server:
        async with Client(workers=20, per_host=2) as client:
            lists = await asyncio.gather(*(client.fetch_all([server.url] * 4) for _ in range(5)))
    assert counted.most == 2
    assert all(one.ok for results in lists for one in results)


@leaves_nothing
async def test_each_call_gets_its_own_rows_with_their_indexes_within_it() -> None:
    with ScriptServer(ok) as server:
        async with Client(workers=5) as client:

            async def one_call(number: int) -> None:
                rows = [Request(server.url, label=f"{number}-{index}") for index in range(30)]
                results = await client.fetch_all(rows)
                assert [result.label for result in results] == [row.label for row in rows]
                assert [result.index for result in results] == list(range(30))
                assert results.summary.total == 30

            await asyncio.gather(*map(one_call, range(8)))
            assert client.summary.total == 240


# --- a call that ends early ---


async def leave_fetch(client: Client, url: str) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await client.fetch(url)


async def leave_fetch_all(client: Client, url: str) -> None:
    task = asyncio.create_task(client.fetch_all([url] * 50))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def leave_fetch_iter(client: Client, url: str) -> None:
    async with client.fetch_iter(f"{url}?{n}" for n in range(10**9)) as run:
        waiting = asyncio.ensure_future(anext(run))
        await asyncio.sleep(0.05)
        waiting.cancel()
        await asyncio.wait([waiting])


@pytest.mark.parametrize("leave", [leave_fetch, leave_fetch_all, leave_fetch_iter])
@leaves_nothing
async def test_a_call_that_is_left_frees_the_workers_and_hurts_no_other(
    leave: Callable[[Client, str], Any],
) -> None:
    with ScriptServer(by_path(slow)) as server:
        async with Client(workers=2) as client:
            await leave(client, server.url + "/slow")
            assert [one.ok for one in await client.fetch_all([server.url] * 20)] == [True] * 20
            assert len(client._run.schedule) == 0
            assert client._run.calls == {}


@leaves_nothing
async def test_a_call_left_while_its_rows_wait_for_a_retry_takes_them_out() -> None:
    with ScriptServer(by_path({"/busy": answer(status=b"503 Busy")})) as server:
        async with Client(workers=2, retry_wait=30, adapt=False) as client:
            task = asyncio.create_task(client.fetch_all([server.url + "/busy"] * 4))
            await server.got(4)
            await until(lambda: len(client._run.schedule) == 4)
            task.cancel()
            await asyncio.wait([task])
            assert len(client._run.schedule) == 0
            assert (await client.fetch(server.url)).ok


@leaves_nothing
async def test_the_deadline_of_a_call_bounds_that_call_alone() -> None:
    with ScriptServer(by_path(slow)) as server:
        async with Client(workers=3) as client:
            late = asyncio.create_task(client.fetch_all([server.url + "/slow"] * 300, deadline=0.2))
            assert (await client.fetch(server.url)).ok
            results = await late
            assert [one.cause for one in results] == [Cause.CANCELLED] * 300
            assert [one.index for one in results] == list(range(300))
            assert (await client.fetch(server.url + "/slow", deadline="100ms")).cause is Cause.CANCELLED


@leaves_nothing
async def test_at_its_deadline_a_list_comes_to_its_end_and_an_endless_iterable_is_not_read_further() -> None:
    with ScriptServer(hang) as server:
        async with Client(workers=2, deadline=0.1) as client:
            assert len([one async for one in client.fetch_iter([server.url] * 25_000)]) == 25_000
            endless = (server.url for _ in range(10**9))
            assert len([one async for one in client.fetch_iter(endless)]) < 25_000


@leaves_nothing
async def test_a_reader_that_is_slow_holds_back_its_own_rows_alone() -> None:
    body = b"x" * 1_000_000
    with ScriptServer(by_path({"/large": answer(body)})) as server:
        async with Client(workers=4) as client, client.fetch_iter([server.url + "/large"] * 200) as run:
            await anext(run)
            for _ in range(50):
                assert (await client.fetch(server.url)).ok
            await until(lambda: client._run.schedule.in_flight == 0)
            assert server.seen.count("/large") < 30
            assert len([one async for one in run]) == 199


# --- what the caller's own code raises ---


def breaks() -> Iterator[str]:
    yield "http://127.0.0.1:9/"
    raise ZeroDivisionError("the list")


async def breaks_async() -> AsyncIterator[str]:
    yield "http://127.0.0.1:9/"
    raise ZeroDivisionError("the list")


def raise_it(*_: object) -> None:
    raise ZeroDivisionError("the callback")


async def raise_it_later(*_: object) -> None:
    await asyncio.sleep(0)
    raise ZeroDivisionError("the callback")


@pytest.mark.parametrize(
    "call",
    [
        lambda client, url: client.fetch_all(breaks()),
        lambda client, url: client.fetch_all(breaks_async()),
        lambda client, url: client.fetch_all([url] * 40, on_start=raise_it),
        lambda client, url: client.fetch_all([url] * 40, on_start=raise_it_later),
        lambda client, url: client.fetch_all([url] * 40, on_result=raise_it),
        lambda client, url: client.fetch_all([url] * 40, on_result=raise_it_later),
    ],
    ids=["iterable", "async_iterable", "on_start", "async_on_start", "on_result", "async_on_result"],
)
@leaves_nothing
async def test_what_the_callers_code_raises_is_raised_in_that_call_alone(call: Callable[..., Any]) -> None:
    with ScriptServer(ok) as server:
        async with Client(workers=3) as client:
            others = asyncio.create_task(client.fetch_all([server.url] * 100))
            with pytest.raises(ZeroDivisionError):
                await call(client, server.url)
            assert all(one.ok for one in await others)


@leaves_nothing
async def test_on_start_gets_the_index_within_the_call() -> None:
    begun: list[int] = []
    with ScriptServer(ok) as server:
        async with Client(workers=3) as client:
            await client.fetch(server.url)
            await client.fetch_all([server.url] * 5, on_start=lambda request, _: begun.append(request.index))
    assert sorted(begun) == [0, 1, 2, 3, 4]


@leaves_nothing
async def test_a_bug_in_the_run_fails_every_call_and_those_that_come_later(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptServer(by_path(slow)) as server:
        async with Client(workers=3) as client:
            waiting = asyncio.create_task(client.fetch(server.url + "/slow"))
            await server.got(1)
            monkeypatch.setattr(client._run.settler, "settle", raise_it)
            for failing in (client.fetch(server.url), waiting):
                with pytest.raises(ZeroDivisionError):
                    await failing
            with pytest.raises(RuntimeError, match="has failed"):
                await client.fetch(server.url)


# --- where it may be used ---


@leaves_nothing
async def test_closing_ends_what_is_under_way_as_cancelled() -> None:
    results: list[Result] = []

    async def go_on(client: Client, url: str) -> None:
        results.extend(await client.fetch_all([url] * 40))

    with ScriptServer(hang) as server:
        async with Client(workers=3) as client:
            task = asyncio.create_task(go_on(client, server.url))
            await server.got(3)
        await task
    assert [one.cause for one in results] == [Cause.CANCELLED] * 40


@leaves_nothing
async def test_a_client_that_was_not_entered_or_is_closed_says_so() -> None:
    client = Client()
    with pytest.raises(RuntimeError, match="inside `async with`"):
        await client.fetch("http://127.0.0.1:9/")
    async with client:
        pass
    with pytest.raises(RuntimeError, match="closed"):
        await client.fetch("http://127.0.0.1:9/")
    await client.aclose()
    with pytest.raises(RuntimeError, match="once"):
        await client.__aenter__()


@leaves_nothing
async def test_a_client_belongs_to_its_event_loop() -> None:
    async with Client() as client:
        with pytest.raises(RuntimeError, match="event loop"):
            await asyncio.to_thread(lambda: asyncio.run(client.fetch("http://127.0.0.1:9/")))


@pytest.mark.parametrize(
    "given",
    [
        {"output": "kept"},
        {"har": "a.har"},
        {"trace": "a"},
        {"report": "a.html"},
        {"max_failures": 3},
        {"fail_fast": True},
        {"mode": "sync"},
    ],
)
def test_a_setting_of_one_list_is_refused(given: Any) -> None:
    with pytest.raises(SettingsError, match="Client") as raised:
        Client(**given)
    assert raised.value.name in given


# --- a function over the results ---


def body_of(result: Result) -> bytes:
    return result.body


async def body_later(result: Result) -> bytes:
    await asyncio.sleep(0)
    return result.body


def names_thread(_: Result) -> str:
    return threading.current_thread().name


def refuses_three(result: Result) -> int:
    if result.index == 3:
        raise ZeroDivisionError("three")
    return result.index


def finds_none(result: Result) -> bytes:
    return next(line for line in (result.body or b"").splitlines() if line == b"title")


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("parse", [body_of, body_later])
@leaves_nothing
async def test_fetch_map_yields_one_value_for_each_row(parse: Callable[[Result], Any], ordered: bool) -> None:
    with ScriptServer(lambda conn, asked: answer(asked.target.encode())(conn, asked)) as server:
        urls = [f"{server.url}/{n}" for n in range(200)]
        values = [one async for one in fetch_map(parse, urls, ordered=ordered, workers=5)]
        async with Client(workers=5) as client:
            more = [one async for one in client.fetch_map(parse, urls, ordered=ordered)]
    expected = [f"/{n}".encode() for n in range(200)]
    for found in (values, more):
        assert (found if ordered else sorted(found, key=lambda one: int(one[1:]))) == expected


@leaves_nothing
async def test_in_order_no_more_rows_are_fetched_than_the_window_has_while_the_first_is_slow() -> None:
    with ScriptServer(by_path(slow)) as server:
        urls = itertools.chain([server.url + "/slow"], (f"{server.url}/{n}" for n in range(10**9)))
        async with fetch_map(body_of, urls, workers=2, parsers=2) as values:
            waiting = asyncio.ensure_future(anext(values))
            await server.got(16)
            await asyncio.sleep(A_MOMENT)
            waiting.cancel()
            await asyncio.wait([waiting])
        assert len(server.seen) == 16


@leaves_nothing
async def test_a_plain_function_runs_in_threads_or_in_the_executor_that_is_given() -> None:
    with ScriptServer(ok) as server, ThreadPoolExecutor(1, "mine") as mine:
        assert {one[:12] async for one in fetch_map(names_thread, [server.url] * 9)} == {"fetchq-parse"}
        assert {one async for one in fetch_map(names_thread, [server.url] * 9, executor=mine)} == {"mine_0"}


@leaves_nothing
async def test_what_the_function_raises_ends_the_iteration_or_becomes_a_result() -> None:
    with ScriptServer(ok) as server:
        with pytest.raises(ZeroDivisionError):
            [one async for one in fetch_map(refuses_three, [server.url] * 50)]
        values = [one async for one in fetch_map(refuses_three, [server.url] * 5, on_error="result")]
    assert [one for one in values if isinstance(one, int)] == [0, 1, 2, 4]
    failed = values[3]
    assert isinstance(failed, Result)
    assert (failed.cause, failed.ok, failed.error) == (Cause.CALLBACK, False, "ZeroDivisionError: three")


@pytest.mark.parametrize("ordered", [True, False])
@leaves_nothing
async def test_a_next_that_finds_nothing_in_the_function_ends_the_iteration_or_becomes_a_result(ordered: bool) -> None:
    with ScriptServer(ok) as server:
        with pytest.raises(RuntimeError, match="raised StopIteration"):
            [one async for one in fetch_map(finds_none, [server.url] * 9, ordered=ordered)]
        values = [one async for one in fetch_map(finds_none, [server.url] * 9, ordered=ordered, on_error="result")]
    assert [one.cause for one in values if isinstance(one, Result)] == [Cause.CALLBACK] * 9


@leaves_nothing
async def test_leaving_fetch_map_leaves_nothing_behind() -> None:
    with ScriptServer(ok) as server:
        async with fetch_map(body_of, (server.url for _ in range(10**9)), ordered=False) as values:
            async for one in values:
                assert one == b"ok"
                break


def test_fetch_map_refuses_what_cannot_be() -> None:
    with pytest.raises(SettingsError, match="mode"):
        fetch_map(body_of, [], mode="sync")
    with pytest.raises(ValueError, match="on_error"):
        fetch_map(body_of, [], on_error="ignore")  # type: ignore[call-overload]  # it is what the test is about
    with pytest.raises(ValueError, match="parsers"):
        fetch_map(body_of, [], parsers=0)

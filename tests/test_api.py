"""The three functions of the library: what goes in, what comes out, in which order, what is raised and counted."""

from __future__ import annotations

import asyncio
import copy
import inspect
import itertools
import json
import os
import pickle
import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.cli import Cli
from support.leaks import calm_loop, nothing_left
from support.modes import blocking, concurrent
from support.servers import ScriptServer, answer, by_path, closed_port, hang, late, ok
from support.waiting import A_MOMENT, PATIENCE, ended, in_time
from yarl import URL

from fetchq import Cause, Request, Result, Results, Settings, Summary, fetch_all, fetch_all_sync, fetch_iter
from fetchq.cli.practice.server import PracticeServer
from fetchq.core.settings import MODES
from fetchq.reports.summary_text import summary_lines
from fetchq.scheduling.backlog import READ_AHEAD
from fetchq.workers.result_buffer import MOST_BYTES, MOST_RESULTS

BAD_ROW = "this is no URL"
FUNCTIONS = ("fetch_all", "fetch_iter", "fetch_all_sync")


async def gather(urls: Any, **options: Any) -> list[Result]:
    async with aclosing(fetch_iter(urls, **options)) as results:
        return [result async for result in results]


async def call(function: str, urls: Any, **options: Any) -> list[Result]:
    if function == "fetch_all":
        return await fetch_all(urls, **options)
    if function == "fetch_iter":
        return sorted(await gather(urls, **options), key=lambda result: result.index)
    return fetch_all_sync(urls, **options)


async def rows_of(*urls: Any) -> AsyncIterator[Any]:
    for url in urls:
        await asyncio.sleep(0)
        yield url


# --- one Result for each row, in the order of the rows ---------------------------------------------------------------


class Row(NamedTuple):
    """A row, and what its Result must be."""

    row: str | URL | Request
    check: Callable[[Result], bool]


def good(n: int) -> Callable[[str], Row]:
    return lambda url: Row(f"{url}/bytes/{n}", lambda result: result.ok and result.size == len(result.body) == n)


def as_yarl(n: int) -> Callable[[str], Row]:
    return lambda url: Row(URL(f"{url}/bytes/{n}"), lambda result: result.ok and result.url.endswith(f"/bytes/{n}"))


def posted(body: bytes, label: str | None, index: int) -> Callable[[str], Row]:
    def make(url: str) -> Row:
        request = Request(f"{url}/echo", index, "POST", (("X-Mine", "1"),), body, label)

        def check(result: Result) -> bool:
            said = result.json()
            sent = said["method"] == result.method == "POST" and ["X-Mine", "1"] in said["headers"]
            return result.ok and sent and said["body"].encode() == body and result.label == label

        return Row(request, check)

    return make


def redirected(n: int) -> Callable[[str], Row]:
    def check(result: Result) -> bool:
        return result.ok and result.redirects == n and str(result.final_url).endswith("/redirect/0")

    return lambda url: Row(f"{url}/redirect/{n}", check)


def with_status(status: int) -> Callable[[str], Row]:
    def check(result: Result) -> bool:
        return result.status == status and (result.cause is None if status < 300 else result.cause is Cause.STATUS)

    return lambda url: Row(f"{url}/status/{status}", check)


def failing(row: str | Request, cause: Cause, attempts: int = 0) -> Callable[[str], Row]:
    return lambda _: Row(row, lambda result: result.cause is cause and result.attempts == attempts and not result.ok)


def refused(_: str) -> Row:
    return Row(CLOSED, lambda result: result.cause is Cause.CONNECT and result.attempts == 1)


CLOSED = "http://127.0.0.1:1/"
"""Replaced by a port that is surely closed while the test runs."""

makers = st.one_of(
    st.integers(0, 3000).map(good),
    st.integers(0, 300).map(as_yarl),
    st.builds(posted, st.sampled_from([b"", b"a=1", b"x" * 5000]), st.sampled_from([None, "", "é\n"]), st.integers()),
    st.integers(0, 3).map(redirected),
    st.sampled_from([200, 204, 299, 404, 410, 500]).map(with_status),
    st.sampled_from(["", BAD_ROW, "http://", "http://h:99999/", "example.org/a", "http://a b/", "\x00"]).map(
        lambda row: failing(row, Cause.INVALID_URL)
    ),
    st.sampled_from(["ftp://h/", "file:///etc/passwd", "javascript:alert(1)", "data:,x"]).map(
        lambda row: failing(row, Cause.BLOCKED)
    ),
    st.just(failing(Request("http://h/", problem="not a row"), Cause.INVALID_URL)),
    st.just(refused),
)


@pytest.mark.parametrize("mode", MODES)
@given(made=st.lists(makers, max_size=12), workers=st.integers(1, 4))
@settings(max_examples=20, deadline=None)
def test_every_row_of_any_mixture_gets_exactly_one_result_in_the_order_of_the_rows(
    practice: PracticeServer, mode: str, made: list[Callable[[str], Row]], workers: int
) -> None:
    with closed_port() as closed:
        rows = [make(practice.url) for make in made]
        given_rows = [closed if one.row is CLOSED else one.row for one in rows]
        results = fetch_all_sync(given_rows, mode=mode, workers=workers, retries=0)
    assert [result.index for result in results] == list(range(len(rows)))
    wrong = [result for one, result in zip(rows, results, strict=True) if not one.check(result)]
    assert wrong == []
    assert {result.mode for result in results} <= {mode}


async def test_results_are_in_the_order_of_the_rows_even_where_the_last_row_is_answered_first(mode: str) -> None:
    def last_first(conn: Any, asked: Any) -> None:
        if asked.path == "/first":
            conn.server.event("answered").wait(PATIENCE)
        ok(conn, asked)

    finished = []

    def on_result(result: Result) -> None:
        finished.append(result.index)
        server.event("answered").set()

    with ScriptServer(last_first) as server:
        if mode == "sync":
            server.event("answered").set()
        urls = [f"{server.url}/first", f"{server.url}/second"]
        results = await fetch_all(urls, mode=mode, workers=2, on_result=on_result)
    assert [result.url for result in results] == urls
    assert finished == ([0, 1] if mode == "sync" else [1, 0])


@concurrent
async def test_fetch_iter_yields_what_finishes_first_first(mode: str) -> None:
    with ScriptServer(by_path({"/slow": hang})) as server:
        urls = [f"{server.url}/slow", *(f"{server.url}/{n}" for n in range(5))]
        async with aclosing(fetch_iter(urls, mode=mode, workers=2)) as results:
            first = [(await anext(results)).index for _ in range(5)]
    assert sorted(first) == [1, 2, 3, 4, 5]


async def test_the_index_that_a_request_was_given_is_replaced_by_its_row(mode: str) -> None:
    requests = [Request(BAD_ROW, index=7, label=label) for label in ("a", "b", "c")]
    for results in (await fetch_all(requests, mode=mode), fetch_all_sync(requests, mode=mode)):
        assert [(result.index, result.label) for result in results] == [(0, "a"), (1, "b"), (2, "c")]
    assert [request.index for request in requests] == [7, 7, 7]


def test_an_empty_list_gives_an_empty_list(mode: str) -> None:
    assert fetch_all_sync([], mode=mode) == []


async def test_an_empty_async_iterable_gives_an_empty_list() -> None:
    assert await fetch_all(rows_of()) == []


def test_the_same_url_twice_is_two_rows_and_two_results(mode: str) -> None:
    with ScriptServer() as server:
        results = fetch_all_sync([server.url] * 3, mode=mode)
        assert len(server.log) == 3
    assert [result.index for result in results] == [0, 1, 2]


def test_a_generator_is_as_good_as_a_list(mode: str, practice: PracticeServer) -> None:
    results = fetch_all_sync((f"{practice.url}/bytes/{n}" for n in range(5)), mode=mode)
    assert [result.size for result in results] == [0, 1, 2, 3, 4]


async def test_fetch_iter_takes_a_generator(mode: str, practice: PracticeServer) -> None:
    results = await gather((f"{practice.url}/bytes/{n}" for n in range(5)), mode=mode, workers=2)
    assert {result.index: result.size for result in results} == {0: 0, 1: 1, 2: 2, 3: 3, 4: 4}


async def test_an_async_iterable_works_with_both_async_functions(practice: PracticeServer) -> None:
    urls = [f"{practice.url}/bytes/1", URL(f"{practice.url}/bytes/2"), Request(f"{practice.url}/bytes/3", label="x")]
    results = await fetch_all(rows_of(*urls))
    assert [(result.index, result.size, result.label) for result in results] == [
        (0, 1, None),
        (1, 2, None),
        (2, 3, "x"),
    ]
    assert len(await gather(rows_of(*urls))) == 3


async def test_results_come_while_an_async_iterable_still_waits_for_its_next_row(practice: PracticeServer) -> None:
    more = asyncio.Event()

    async def rows() -> AsyncIterator[str]:
        yield f"{practice.url}/bytes/1"
        await more.wait()
        yield f"{practice.url}/bytes/2"

    async with aclosing(fetch_iter(rows())) as results:
        async with asyncio.timeout(PATIENCE):
            assert (await anext(results)).size == 1
            more.set()
            assert (await anext(results)).size == 2


@blocking  # in the async mode a generator that blocks, blocks the loop, as the docstring says
async def test_results_come_while_a_generator_still_makes_its_next_row(mode: str) -> None:
    more = threading.Event()

    def rows() -> Iterator[str]:
        yield BAD_ROW
        assert more.wait(PATIENCE)
        yield BAD_ROW

    async with aclosing(fetch_iter(rows(), mode=mode)) as results:
        assert (await anext(results)).index == 0
        more.set()
        assert (await anext(results)).index == 1


# --- what is wrong is said -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", [None, 1, b"http://h/", ["http://h/"]], ids=repr)
async def test_a_row_of_another_type_raises_typeerror(mode: str, row: Any) -> None:
    with nothing_left():
        with pytest.raises(TypeError, match=r"row 1 is \w+"):
            await fetch_all([BAD_ROW, row], mode=mode)
        with pytest.raises(TypeError, match=r"row 1 is \w+"):
            await gather(iter([BAD_ROW, row]), mode=mode)
        with pytest.raises(TypeError, match=r"row 1 is \w+"):
            in_time(lambda: fetch_all_sync([BAD_ROW, row], mode=mode))


@pytest.mark.parametrize("one", ["http://127.0.0.1:1/", b"http://127.0.0.1:1/"], ids=["str", "bytes"])
@pytest.mark.parametrize("function", FUNCTIONS)
async def test_a_single_url_in_place_of_a_list_raises_typeerror(mode: str, function: str, one: Any) -> None:
    with pytest.raises(TypeError, match="a list"):
        await call(function, one, mode=mode)


async def test_what_is_no_iterable_at_all_raises_typeerror(mode: str) -> None:
    nothing: Any = None
    for call in (fetch_all(nothing, mode=mode), gather(nothing, mode=mode)):
        with pytest.raises(TypeError):
            await call
    with pytest.raises(TypeError):
        fetch_all_sync(nothing, mode=mode)


async def test_settings_together_with_knobs_raise_typeerror_that_names_the_knobs() -> None:
    with pytest.raises(TypeError, match="workers, retries"):
        await fetch_all([], settings=Settings(), workers=1, retries=0)
    with pytest.raises(TypeError, match="workers"):
        await gather([], settings=Settings(), workers=1)
    with pytest.raises(TypeError, match="workers"):
        fetch_all_sync([], settings=Settings(), workers=1)


async def test_settings_alone_are_obeyed(mode: str, practice: PracticeServer) -> None:
    chosen = Settings(mode=mode, workers=1, accept="404", retries=0)
    results = [*await fetch_all([f"{practice.url}/status/404"], settings=chosen)]
    results += fetch_all_sync([f"{practice.url}/status/404"], settings=chosen)
    assert [(result.ok, result.status, result.mode) for result in results] == [(True, 404, mode)] * 2


async def test_a_wrong_setting_raises_settingserror_before_anything_is_read() -> None:
    def rows() -> Iterator[str]:
        raise AssertionError("it was read")
        yield

    for call in (fetch_all(rows(), workers=0), gather(rows(), workers=0)):
        with pytest.raises(ValueError, match="workers"):
            await call
    with pytest.raises(ValueError, match="workers"):
        fetch_all_sync(rows(), workers=0)


@blocking
async def test_an_async_iterable_with_a_blocking_mode_raises_typeerror(mode: str) -> None:
    with nothing_left():
        with pytest.raises(TypeError, match="needs mode 'async'"):
            await fetch_all(rows_of(BAD_ROW), mode=mode)
        with pytest.raises(TypeError, match="needs mode 'async'"):
            await gather(rows_of(BAD_ROW), mode=mode)


def test_an_async_iterable_given_to_fetch_all_sync_raises_typeerror(mode: str) -> None:
    endless: Any = rows_of(BAD_ROW)
    with pytest.raises(TypeError):
        fetch_all_sync(endless, mode=mode)


async def test_an_exception_of_the_iterable_is_raised_to_the_caller(mode: str) -> None:
    def rows() -> Iterator[str]:
        yield from [BAD_ROW] * 3
        raise LookupError("no more rows")

    with nothing_left():
        for call in (fetch_all(rows(), mode=mode), gather(rows(), mode=mode)):
            with pytest.raises(LookupError, match="no more rows"):
                await call
        with pytest.raises(LookupError, match="no more rows"):
            in_time(lambda: fetch_all_sync(rows(), mode=mode))


async def test_an_exception_of_an_async_iterable_is_raised_though_requests_are_under_way() -> None:
    with nothing_left(), ScriptServer(hang) as server:

        async def rows() -> AsyncIterator[str]:
            yield server.url
            await server.got(1)
            raise LookupError("no more rows")

        async with calm_loop():
            task = asyncio.create_task(fetch_all(rows()))
            assert await ended(task)
            with pytest.raises(LookupError, match="no more rows"):
                task.result()
            del task


# --- bounded memory --------------------------------------------------------------------------------------------------


@concurrent
async def test_an_endless_iterable_is_not_read_far_ahead_of_a_consumer_that_pauses(mode: str) -> None:
    workers = 4
    # A batch that the consumer has begun, one that waits for it, and what the workers have in hand.
    lookahead = 2 * READ_AHEAD
    bound = lookahead + 2 * MOST_RESULTS + 2 * workers
    pulled, many, too_many = 0, threading.Event(), threading.Event()

    def rows() -> Iterator[str]:
        nonlocal pulled
        while not too_many.is_set():
            pulled += 1
            if pulled > READ_AHEAD:
                many.set()
            if pulled > bound:
                too_many.set()
            yield BAD_ROW

    async with aclosing(fetch_iter(rows(), mode=mode, workers=workers, lookahead=lookahead)) as results:
        await anext(results)
        assert await asyncio.to_thread(many.wait, PATIENCE)
        assert not await asyncio.to_thread(too_many.wait, A_MOMENT), "it is read without end"
        before = pulled
        for _ in range(bound):
            await anext(results)
        assert before < pulled <= bound + before  # it goes on when the consumer does


async def test_the_serial_mode_reads_a_row_when_it_is_asked_for_a_result_and_not_before() -> None:
    pulled = 0

    def rows() -> Iterator[str]:
        nonlocal pulled
        while True:
            pulled += 1
            yield BAD_ROW

    async with aclosing(fetch_iter(rows(), mode="sync", workers=3)) as results:
        for n in range(1, 6):
            await anext(results)
            assert pulled == n


@concurrent
async def test_bodies_that_nobody_takes_stop_the_fetching(mode: str) -> None:
    size, workers = 4_000_000, 2
    fit = MOST_BYTES // size  # more than a byte over the bound is never waited for, so each is full at this

    def rows() -> Iterator[str]:
        while True:
            yield server.url

    with ScriptServer(answer(bytes(size))) as server:
        async with aclosing(fetch_iter(rows(), mode=mode, workers=workers)) as results:
            await anext(results)
            await server.got(1 + fit + workers)
            more_than_fit = 2 * (fit + workers) + 2
            assert not await asyncio.to_thread(server.wait_for_requests, more_than_fit, A_MOMENT)


def test_bodies_are_not_kept_when_they_are_not_wanted(mode: str, practice: PracticeServer) -> None:
    (result,) = fetch_all_sync([f"{practice.url}/bytes/1000"], mode=mode, keep_body=False)
    assert (result.ok, result.size, result.body) == (True, 1000, b"")
    assert result.sha256 is not None


# --- callbacks -------------------------------------------------------------------------------------------------------

KINDS = ("function", "function that returns something", "coroutine function")


def as_kind(kind: str, plain: Callable[..., None]) -> Callable[..., Any]:
    if kind == "function":
        return plain
    if kind == "function that returns something":
        return lambda *args: (plain(*args),)

    async def coroutine(*args: Any) -> None:
        await asyncio.sleep(0)
        plain(*args)

    return coroutine


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("function", FUNCTIONS)
async def test_callbacks_are_told_of_every_attempt_and_of_every_result(mode: str, function: str, kind: str) -> None:
    started: list[tuple[int, int]] = []
    finished: list[Result] = []
    lock = threading.Lock()

    def on_start(request: Request, worker: int) -> None:
        with lock:
            started.append((request.index, worker))

    scripts = {"/always": answer(status=b"503 Sorry"), "/404": answer(status=b"404 Not Found")}
    with ScriptServer(by_path(scripts)) as server:
        urls = [f"{server.url}/ok", f"{server.url}/always", BAD_ROW, f"{server.url}/404"]
        callbacks = {"on_start": as_kind(kind, on_start), "on_result": as_kind(kind, finished.append)}
        results = await call(function, urls, mode=mode, workers=2, retries=2, retry_wait=0, **callbacks)
    # Of the unusable row no attempt was made.
    assert sorted(index for index, _ in started) == [0, 1, 1, 1, 3]
    assert {worker for _, worker in started} <= {1, 2}
    assert sorted(finished, key=lambda result: result.index) == results
    assert all((result.index, result.worker) in started for result in results if result.attempts)


@pytest.mark.parametrize(
    ("asks", "problem"),
    [
        ({"headers": ["A: b"]}, "headers are pairs of a name and a value"),
        ({"headers": "A: b"}, "headers are pairs of a name and a value"),
        ({"headers": [("A", 1)]}, "headers are pairs of a name and a value"),
        ({"headers": 5}, "headers are pairs of a name and a value"),
        ({"headers": {"AB": "xy", "A B": "c"}}, "not a header name"),
        ({"method": "POST", "body": "text"}, "the body is not bytes"),
        ({"method": "POST", "body": {"a": 1}}, "the body is not bytes"),
        ({"method": 5}, "the method is not a text"),
        ({"label": 5}, "the label is not a text"),
    ],
)
@pytest.mark.parametrize("durable", [True, False])
async def test_a_request_of_the_wrong_types_costs_its_own_row_alone(
    mode: str, practice: PracticeServer, tmp_path: Path, asks: dict[str, Any], problem: str, durable: bool
) -> None:
    url = f"{practice.url}/json"
    output = {"output": tmp_path / "run"} if durable else {}
    first, bad, last = await fetch_all([url, Request(url, **asks), url], mode=mode, **output)
    assert (first.ok, last.ok) == (True, True)
    assert (bad.cause, bad.error is not None and problem in bad.error) == (Cause.INVALID_URL, True), bad.error


async def test_the_headers_of_a_request_may_be_a_mapping(mode: str, practice: PracticeServer) -> None:
    request = Request(f"{practice.url}/echo", headers={"X-Mine": "1"})
    (result,) = await fetch_all([request], mode=mode)
    assert ["X-Mine", "1"] in result.json()["headers"]


async def test_on_result_is_called_before_the_result_is_yielded(mode: str) -> None:
    told: list[int] = []
    async with aclosing(
        fetch_iter([BAD_ROW] * 3, mode=mode, on_result=lambda result: told.append(result.index))
    ) as all_:
        yielded = 0
        async for result in all_:
            yielded += 1
            assert told[-1] == result.index
            assert len(told) == yielded


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("callback", ["on_start", "on_result"])
@pytest.mark.parametrize("function", FUNCTIONS)
async def test_what_a_callback_raises_ends_the_run_and_reaches_the_caller(
    mode: str, function: str, callback: str, kind: str
) -> None:
    calls = 0

    def fail(*_: object) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise ZeroDivisionError("in the callback")

    async def run() -> None:
        with ScriptServer() as server:
            callbacks = {callback: as_kind(kind, fail)}
            await call(function, [server.url] * 50, mode=mode, workers=1, **callbacks)

    async with calm_loop():
        with nothing_left():
            task = asyncio.create_task(run())
            assert await ended(task)
            with pytest.raises(ZeroDivisionError, match="in the callback"):
                task.result()
            del task
    assert calls == 3


async def test_what_on_start_raises_ends_the_run_though_other_workers_wait_for_a_server(mode: str) -> None:
    with nothing_left(), ScriptServer(hang) as server:

        def on_start(request: Request, _: int) -> None:
            if mode == "sync" or request.index == 2:
                raise ZeroDivisionError("in the callback")

        async with calm_loop():
            task = asyncio.create_task(fetch_all([server.url] * 3, mode=mode, workers=3, on_start=on_start))
            assert await ended(task)
            with pytest.raises(ZeroDivisionError):
                task.result()
            del task


async def test_a_cancellederror_that_a_callback_raises_is_not_lost(mode: str, practice: PracticeServer) -> None:
    async def on_start(*_: object) -> None:
        raise asyncio.CancelledError("of the callback's own")

    task = asyncio.create_task(fetch_all([f"{practice.url}/json"], mode=mode, on_start=on_start))
    try:
        assert await ended(task), "it hangs"
        assert task.cancelled() or task.exception() is not None
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_a_cancellederror_that_an_async_iterable_raises_is_not_lost() -> None:
    async def rows() -> AsyncIterator[str]:
        yield BAD_ROW
        raise asyncio.CancelledError("of the iterable's own")

    task = asyncio.create_task(fetch_all(rows()))
    try:
        assert await ended(task), "it hangs"
        assert task.cancelled() or task.exception() is not None
    finally:
        task.cancel()
        await asyncio.wait([task])


@pytest.mark.parametrize("how", ["cancelled", "deadline"])
async def test_a_coroutine_on_start_that_waits_for_ever_does_not_outlive_the_run(mode: str, how: str) -> None:
    waiting, release = asyncio.Event(), asyncio.Event()

    async def on_start(*_: object) -> None:
        waiting.set()
        await release.wait()

    options = {"deadline": A_MOMENT} if how == "deadline" else {}
    with ScriptServer() as server:
        task = asyncio.create_task(fetch_all([server.url], mode=mode, on_start=on_start, **options))
        try:
            await waiting.wait()
            if how == "cancelled":
                task.cancel()
            assert await ended(task), "it hangs"
            assert task.cancelled() if how == "cancelled" else task.result()[0].cause is Cause.CANCELLED
        finally:
            release.set()
            await asyncio.wait([task])


# --- the summary of a run --------------------------------------------------------------------------------------------


def numbers_of(results: list[Result]) -> tuple[object, ...]:
    failed = Counter(result.cause.value for result in results if result.cause is not None)
    sums = [sum(getattr(result, name) for result in results) for name in ("attempts", "size", "wire_size")]
    return (len(results), len(results) - failed.total(), failed, *sums)


def counted(summary: Summary) -> tuple[object, ...]:
    return (summary.total, summary.ok, summary.causes, summary.attempts, summary.size, summary.wire_size)


@pytest.mark.parametrize("function", ["fetch_all", "fetch_all_sync"])
@pytest.mark.parametrize("durable", [False, True])
async def test_the_results_of_a_run_have_its_summary(mode: str, function: str, durable: bool, tmp_path: Path) -> None:
    output = {"output": tmp_path / "run", "dedupe": True} if durable else {}
    with ScriptServer(by_path({"/404": answer(status=b"404 Not Found")})) as server:
        urls = [f"{server.url}/ok", f"{server.url}/404", BAD_ROW, f"{server.url}/ok?2"]
        results: Any = await call(function, urls, mode=mode, workers=2, **output)
    summary = results.summary
    assert counted(summary) == numbers_of(results)
    assert (summary.total, summary.failed, summary.causes) == (4, 2, {"status": 1, "invalid_url": 1})
    assert summary.fetch_time == pytest.approx(sum(result.elapsed for result in results))
    assert 0 < max(result.elapsed for result in results) <= summary.duration
    assert summary.concurrency == pytest.approx(summary.fetch_time / summary.duration)
    assert summary.elapsed.percentile(100) == pytest.approx(max(result.elapsed for result in results))
    assert sum(worker.attempts for worker in summary.workers.values()) == 3
    assert sum(summary.phases.values()) >= summary.fetch_time
    assert summary == copy.deepcopy(results).summary, "it changes no more"


async def test_the_summary_of_a_run_under_way_is_up_to_date_and_stays_afterwards(mode: str) -> None:
    with ScriptServer() as server:
        async with fetch_iter([f"{server.url}/{n}" for n in range(50)], mode=mode, workers=4) as run:
            assert (run.summary.total, run.summary.duration, run.summary.concurrency) == (0, 0, 0)
            seen = duration = 0
            async for result in run:
                assert result.ok
                seen += 1
                assert run.summary.total >= seen
                assert run.summary.duration > duration
                duration = run.summary.duration
            assert (run.summary.total, len(run.summary.workers)) == (50, 4)
    last = copy.deepcopy(run.summary)
    assert last.duration >= duration
    assert run.summary == last


async def test_the_summary_of_a_run_that_was_left_counts_what_was_done(mode: str) -> None:
    with ScriptServer() as server:
        async with fetch_iter((server.url for _ in itertools.count()), mode=mode, workers=4) as run:
            async for _ in run:
                if run.summary.total >= 20:
                    break
    assert run.summary.total == run.summary.ok >= 20
    assert run.summary.duration > 0


async def test_awaiting_the_summary_runs_the_rest_of_the_run_and_calls_back_for_each_result(mode: str) -> None:
    seen: list[int] = []
    with ScriptServer() as server:
        urls = [server.url] * 20
        async with fetch_iter(urls, mode=mode, workers=4, on_result=lambda result: seen.append(result.index)) as run:
            first = await anext(run)
            summary = await run.summary
            assert summary is run.summary
            assert [result async for result in run] == []
            assert await summary is summary, "it has ended"
        assert first.ok
    assert (summary.total, summary.ok, sorted(seen)) == (20, 20, list(range(20)))
    assert pickle.loads(pickle.dumps(summary)) == copy.deepcopy(summary) == summary


async def test_awaiting_the_summary_raises_what_the_run_raises_and_returns_at_once_after_the_end(
    practice: PracticeServer,
) -> None:
    def on_result(result: Result) -> None:
        raise ZeroDivisionError

    run = fetch_iter([f"{practice.url}/json"], on_result=on_result)
    with pytest.raises(ZeroDivisionError):
        await run.summary
    async with fetch_iter(itertools.repeat(f"{practice.url}/json")) as run:
        await anext(run)
    summary = await run.summary
    assert summary.total >= 1
    of_results = (await fetch_all([BAD_ROW])).summary
    assert await of_results is of_results


def test_the_summary_of_a_run_that_goes_on_counts_this_session_alone(mode: str, tmp_path: Path) -> None:
    with ScriptServer() as server:
        urls = [f"{server.url}/{n}" for n in range(5)]
        fetch_all_sync(urls[:3], mode=mode, output=tmp_path / "run")
        results = fetch_all_sync(urls, mode=mode, output=tmp_path / "run", resume=True)
    assert (len(results), results.summary.total) == (5, 2)


async def test_the_summary_tells_of_hosts_that_refused(mode: str) -> None:
    with ScriptServer(answer(status=b"429 Too Many Requests")) as server:
        results = await fetch_all([server.url], mode=mode, retries=1, retry_wait=0)
    assert [(host.host, host.refusals) for host in results.summary.hosts] == [(server.url, 2)]


def test_a_run_that_ends_after_a_failure_has_rows_that_were_not_tried(mode: str, practice: PracticeServer) -> None:
    urls = [f"{practice.url}/json", *[f"{practice.url}/status/404"] * 5]
    results = fetch_all_sync(urls, mode=mode, workers=1, fail_fast=True)
    summary = results.summary
    assert [result.cause for result in results] == [None, Cause.STATUS, *[Cause.CANCELLED] * 4]
    assert (summary.total, summary.ok, summary.failed, summary.not_tried, summary.done) == (6, 1, 1, 4, 2)
    assert (summary.statuses, summary.failed_hosts) == ({404: 1}, {practice.url: 1})
    assert summary.verdict is not None
    assert summary.verdict.predicted is None


def test_the_summary_has_the_numbers_that_the_command_line_shows(mode: str, cli: Cli, practice: PracticeServer) -> None:
    urls = [f"{practice.url}/bytes/300", f"{practice.url}/status/404", f"{practice.url}/status/503", "nonsense"]
    done = cli(cli.write("urls.txt", "\n".join(urls)), "--mode", mode, "--workers", "2", "--retries", "0")
    shown = summary_lines(fetch_all_sync(urls, mode=mode, workers=2, retries=0).summary)
    times = r"[0-9.]+ (ms|s|URL/s|[kM]?B/s|%|URLs at a time)"
    told = re.sub(times, "...", done.said).splitlines()
    for line in shown[:4]:
        assert re.sub(times, "...", line) in told
    assert shown[3] == "failed: 1 x 404, 1 x 503, 1 invalid_url"


def test_results_are_a_list_in_every_respect(practice: PracticeServer) -> None:
    results = fetch_all_sync([f"{practice.url}/bytes/1", BAD_ROW])
    assert isinstance(results, list)
    assert results == list(results)
    assert type(results[:1]) is type(results[:0] + results) is list
    for again in (pickle.loads(pickle.dumps(results)), copy.copy(results), copy.deepcopy(results)):
        assert (type(again), again, again.summary) == (Results, results, results.summary)
    assert (Results(), Results().summary) == ([], Summary())
    assert repr(results) == repr(list(results))
    assert repr(Results(results * 4)) == f"{repr(list(results) * 3)[:-1]}, ...]"


# --- keyword arguments -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "near"),
    [("wokers", "workers"), ("header", "headers"), ("onstart", "on_start"), ("setting", "settings"), ("zzzzz", None)],
)
async def test_a_misspelt_keyword_is_refused_with_the_nearest_right_one(wrong: str, near: str | None) -> None:
    hint = f"; did you mean '{near}'?" if near else ""
    for function in (fetch_all, fetch_iter, fetch_all_sync):
        unchecked: Any = function
        with pytest.raises(TypeError) as caught:
            await unchecked(["http://h/"], **{wrong: 1})
        assert str(caught.value) == f"{function.__name__}() got an unexpected keyword argument '{wrong}'{hint}"


SETTING_UP = ["settings", "on_start", "on_result", "progress"]


@pytest.mark.parametrize("function", [fetch_all, fetch_iter, fetch_all_sync])
def test_help_lists_every_setting_with_its_default_and_unit(function: Callable[..., Any]) -> None:
    said = function.__doc__ or ""
    for one in fields(Settings):
        assert re.search(rf"^    {one.name}=\S+( \([a-z |]+\))?: \S", said, re.MULTILINE), one.name
    assert "    timeout=300.0 (seconds): " in said
    assert "    max_filesize='100M' (bytes): " in said
    assert "    mode='async' (async|threads|sync): " in said
    assert "--" not in said
    assert max(map(len, said.splitlines())) <= 120
    assert list(inspect.signature(function).parameters) == ["urls", *SETTING_UP, "options"]


# --- where it may be called ------------------------------------------------------------------------------------------


async def test_fetch_all_sync_works_inside_a_running_loop(mode: str) -> None:
    # The loop stands still meanwhile, as it does in a notebook: the server has to have threads of its own.
    with nothing_left(), ScriptServer() as server:
        results = fetch_all_sync([f"{server.url}/{n}" for n in range(5)], mode=mode, workers=2)
    assert [result.ok for result in results] == [True] * 5
    assert asyncio.get_running_loop().is_running()


async def test_what_is_raised_inside_a_running_loop_is_raised_to_the_caller(mode: str) -> None:
    def on_result(_: Result) -> None:
        raise ZeroDivisionError("in the callback")

    with nothing_left(), pytest.raises(ZeroDivisionError):
        fetch_all_sync([BAD_ROW], mode=mode, on_result=on_result)


def test_fetch_all_sync_may_run_in_several_threads_at_once(mode: str) -> None:
    together = threading.Barrier(4)

    def script(conn: Any, asked: Any) -> None:
        together.wait(PATIENCE)  # all four runs are under way
        ok(conn, asked)

    with nothing_left(), ScriptServer(script) as server, ThreadPoolExecutor(4) as threads:
        runs = [threads.submit(fetch_all_sync, [f"{server.url}/{n}"], mode=mode) for n in range(4)]
        results = [run.result(PATIENCE)[0] for run in runs]
    assert [(result.index, result.ok) for result in results] == [(0, True)] * 4
    assert [result.url.rpartition("/")[2] for result in results] == ["0", "1", "2", "3"]


async def test_several_runs_go_on_side_by_side_in_one_loop(mode: str) -> None:
    runs = 3
    together = threading.Barrier(runs)

    def script(conn: Any, asked: Any) -> None:
        together.wait(PATIENCE)
        ok(conn, asked)

    with ScriptServer(script) as server:
        done = await asyncio.gather(*(fetch_all([server.url], mode=mode, workers=1) for _ in range(runs)))
    assert [result.ok for results in done for result in results] == [True] * runs


async def test_a_run_needs_no_free_thread_of_the_loops_executor(mode: str) -> None:
    # A user's own work may fill it, and as many runs as it has threads would wait for each other.
    busy, release = threading.Event(), threading.Event()

    def work() -> None:
        busy.set()
        release.wait()

    loop = asyncio.get_running_loop()
    executor = ThreadPoolExecutor(1)
    loop.set_default_executor(executor)
    try:
        work_of_the_user = loop.run_in_executor(None, work)
        with ScriptServer() as server:
            task = asyncio.create_task(fetch_all([server.url], mode=mode))
            finished = await ended(task)
            release.set()
            await asyncio.wait([task, work_of_the_user])
            assert finished, "it hangs"
            assert task.result()[0].ok
    finally:
        release.set()


SCRIPT = """
import sys
from fetchq import fetch_all_sync
results = fetch_all_sync([sys.argv[1] + "/json", "nonsense"], mode=sys.argv[2], workers=2)
assert [result.ok for result in results] == [True, False], results
"""


def test_a_plain_script_with_all_warnings_ends_without_a_word(mode: str, practice: PracticeServer) -> None:
    quiet = {name: value for name, value in os.environ.items() if name != "PYTHONASYNCIODEBUG"}  # that would talk
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT, practice.url, mode],
        env=quiet,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


# --- secrets ---------------------------------------------------------------------------------------------------------


def test_a_password_in_a_url_is_used_and_shown_nowhere(mode: str) -> None:
    with ScriptServer(by_path({"/gone": answer(status=b"404 Not Found")})) as server:
        rows = [
            server.url.replace("://", "://user:s3cr3t@") + "/a",
            server.url.replace("://", "://user:s3cr3t@") + "/gone",
            "ftp://user:s3cr3t@h/",
            "http://user:s3cr3t@h:99999/",
            "http://user:s3cr3t@[::1/",
            "http://user:s3cr3t@a b/",
        ]
        results = fetch_all_sync(rows, mode=mode)
        sent = [asked.header("Authorization") for asked in server.log]
    assert sent == ["Basic dXNlcjpzM2NyM3Q="] * 2
    assert [result.url.partition("@")[0].partition("//")[2] for result in results] == ["***"] * 6
    records = [json.dumps(result.to_record(include=["headers", "text"]), default=str) for result in results]
    said = [*records, *map(repr, results)]
    assert [text for text in said if "s3cr3t" in text or "dXNlcjpzM2NyM3Q" in text] == []


@concurrent
def test_a_slow_url_does_not_hold_up_the_others(mode: str) -> None:
    with ScriptServer(by_path({"/slow": late(A_MOMENT)})) as server:
        urls = [f"{server.url}/slow", *(f"{server.url}/{n}" for n in range(20))]
        order: list[int] = []
        fetch_all_sync(urls, mode=mode, workers=2, on_result=lambda result: order.append(result.index))
    assert order[-1] == 0 or order.index(0) > 5

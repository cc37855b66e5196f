"""Hosts are treated as they should be, as a server on many addresses counts it."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import aclosing

import pytest
from politeness import counting
from support.waiting import PATIENCE

from fetchq import fetch_all_sync, fetch_iter
from fetchq.workers import thread_pool
from fetchq.workers.async_pool import AsyncPool


def test_no_host_has_more_than_its_number_of_requests_at_a_time(mode: str) -> None:
    with counting() as counted:
        hosts = [f"http://127.0.0.{host}:{counted.port}" for host in range(2, 6)]
        urls = [f"{host}/ok/5?{row}" for row in range(12 if mode == "sync" else 40) for host in hosts]
        results = fetch_all_sync(urls, mode=mode, workers=60, per_host=3)
        assert all(result.ok for result in results)
    assert len(counted.hosts) == 4
    assert len(counted.starts) == len(urls)
    assert 1 <= counted.peak <= 3


@pytest.mark.parametrize("mode", ["async", "threads"])
async def test_a_host_that_never_answers_keeps_none_of_the_others_waiting(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The workers start when all rows are read, however long that takes on a loaded machine.
    monkeypatch.setitem(AsyncPool.run.__kwdefaults__, "start_delay", PATIENCE)
    monkeypatch.setattr(thread_pool, "WORKER_START_DELAY", PATIENCE)
    with counting() as counted:
        stuck = [f"http://127.0.0.9:{counted.port}/hang?{row}" for row in range(300)]
        quick = [f"http://127.0.0.{host}:{counted.port}/ok?{row}" for host in range(2, 6) for row in range(300)]
        ended: Counter[str] = Counter()
        async with asyncio.timeout(PATIENCE):
            async with aclosing(fetch_iter([*stuck, *quick], mode=mode, workers=10, timeout=600)) as results:
                async for result in results:
                    assert result.ok
                    ended[result.url.split(":")[1]] += 1
                    if ended.total() == len(quick):
                        break
    assert sorted(ended.values()) == [300] * 4


async def test_rows_that_may_go_do_not_wait_for_those_that_may_not(mode: str) -> None:
    with counting() as counted:
        held = [f"http://127.0.0.2:{counted.port}/ok?{row}" for row in range(50)]
        free = [f"http://127.0.0.3:{counted.port}/ok?{row}" for row in range(3)]
        rows = [held[0], *held[1:], *free]
        seen = []
        async with asyncio.timeout(PATIENCE):
            async with aclosing(fetch_iter(rows, mode=mode, workers=2, host_interval=30)) as results:
                async for result in results:
                    seen.append(result.url)
                    if len(seen) == 2:
                        break
    assert sorted(seen) == [held[0], free[0]]


def test_refusals_hold_the_host_and_all_rows_end_ok(mode: str) -> None:
    with counting() as counted:
        urls = [f"http://127.0.0.2:{counted.port}/most/20?{row}" for row in range(30)]
        results = fetch_all_sync(urls, mode=mode, workers=25, retries=5)
    assert all(result.ok for result in results)
    (host,) = counted.hosts.values()
    assert host["refused"] == len(host["starts"]) - 30
    if host["refused"]:
        assert max(result.timing.held for result in results) > 0.5

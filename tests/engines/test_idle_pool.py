"""Connections that wait for another request."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable

import pytest

from fetchq.engines.aiohttp import idle_pool
from fetchq.engines.aiohttp.idle_pool import IdlePool
from fetchq.http.keep_alive import Announced
from fetchq.http.response import NO_RESPONSE


class FakeConnection:
    """The part of a connection that the pool uses."""

    def __init__(self, key: Hashable = "a") -> None:
        self.key = key
        self.open = True
        self.idle_since = 0.0
        self.announced: Announced | None = None
        self.transport = None

    def close(self) -> None:
        self.open = False

    def is_connected(self) -> bool:
        return self.open


async def test_a_connection_is_given_out_once_and_only_to_where_it_leads() -> None:
    pool: IdlePool[FakeConnection] = IdlePool(10)
    connection = FakeConnection()
    pool.add(connection, NO_RESPONSE)
    assert pool.take("b") is None
    assert pool.take("a") is connection
    assert pool.take("a") is None
    pool.close()
    assert connection.open, "it is at work"


async def test_of_several_the_one_that_has_rested_shortest_goes_first() -> None:
    pool: IdlePool[FakeConnection] = IdlePool(10)
    connections = [FakeConnection() for _ in range(3)]
    for connection in connections:
        pool.add(connection, NO_RESPONSE)
    assert [pool.take("a") for _ in range(4)] == [*reversed(connections), None]
    pool.close()


async def test_of_one_too_many_the_one_that_has_rested_longest_is_closed() -> None:
    pool: IdlePool[FakeConnection] = IdlePool(2)
    connections = [FakeConnection(number) for number in range(3)]
    for connection in connections:
        pool.add(connection, NO_RESPONSE)
    assert [connection.open for connection in connections] == [False, True, True]
    assert len(pool) == 2
    assert pool.take(0) is None
    pool.close()


async def test_where_there_is_no_room_none_rests() -> None:
    pool: IdlePool[FakeConnection] = IdlePool(0)
    pool.add(connection := FakeConnection(), NO_RESPONSE)
    assert (connection.open, len(pool)) == (False, 0)
    pool.close()


async def test_one_that_the_server_has_closed_is_not_given_out() -> None:
    pool: IdlePool[FakeConnection] = IdlePool(10)
    good, gone = FakeConnection(), FakeConnection()
    pool.add(good, NO_RESPONSE)
    pool.add(gone, NO_RESPONSE)
    gone.open = False
    assert pool.take("a") is good
    pool.close()


async def test_closing_closes_all_and_leaves_no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    pool: IdlePool[FakeConnection] = IdlePool(10)
    connections = [FakeConnection() for _ in range(3)]
    for connection in connections:
        pool.add(connection, NO_RESPONSE)
    pool.close()
    assert not any(connection.open for connection in connections)
    assert pool._timer is None


async def test_one_that_nobody_asks_for_is_closed_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(idle_pool, "perf_counter", lambda: now)
    pool: IdlePool[FakeConnection] = IdlePool(10)
    first, second = FakeConnection("a"), FakeConnection("b")
    pool.add(first, NO_RESPONSE)
    now += 20.0
    pool.add(second, NO_RESPONSE)
    now += 10.0
    pool._sweep()
    assert (first.open, second.open) == (False, True)
    assert pool._timer is not None, "the other one is to be closed as well"
    left = pool._timer.when() - asyncio.get_running_loop().time()
    assert 19.0 < left <= 20.0
    now += 20.0
    pool._sweep()
    assert not second.open
    assert pool._timer is None
    pool.close()

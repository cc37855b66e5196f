"""The pool gives back idle connections, the latest one first."""

from __future__ import annotations

from typing import Any

import pytest

from fetchq.engines.aiohttp.idle_pool import IdlePool
from fetchq.http.response import NO_RESPONSE


class Idle:
    """What the pool asks of a connection."""

    def __init__(self, key: str) -> None:
        self.key, self.open = key, True
        self.idle_since, self.announced = 0.0, None
        self.unsolicited = self.should_close = False
        self.transport = None

    def close(self) -> None:
        self.open = False

    def is_connected(self) -> bool:
        return self.open


def pool_of(size: int, *connections: Idle) -> IdlePool[Any]:
    pool: IdlePool[Any] = IdlePool(size)
    for connection in connections:
        pool.add(connection, NO_RESPONSE)
    return pool


async def test_each_server_gets_its_latest_connection_first() -> None:
    a1, b1, a2, b2 = (Idle(key) for key in "abab")
    pool = pool_of(10, a1, b1, a2, b2)
    assert len(pool) == 4
    assert [pool.take(key) for key in "aabbab"] == [a2, a1, b2, b1, None, None]
    assert not len(pool)
    pool.close()


@pytest.mark.parametrize("size", [0, 1, 2])
async def test_the_connection_that_was_idle_longest_is_closed_for_one_too_many(size: int) -> None:
    connections = [Idle("a"), Idle("b"), Idle("a"), Idle("b")]
    pool = pool_of(size, *connections)
    assert len(pool) == size
    assert [connection.open for connection in connections] == [False] * (4 - size) + [True] * size
    pool.close()
    assert not any(connection.open for connection in connections)
    assert not len(pool)


async def test_a_connection_that_the_server_has_closed_is_passed_over() -> None:
    good, closed, latest = Idle("a"), Idle("a"), Idle("a")
    pool = pool_of(10, good, closed, latest)
    closed.open = latest.open = False
    assert pool.take("a") is good
    pool.close()

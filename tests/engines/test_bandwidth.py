"""The limit on bytes per second: what it lets through, and whom it is held against, which is nobody."""

from __future__ import annotations

import asyncio
import gzip
import heapq
import os
import socket
from time import perf_counter
from typing import Any

import pytest
from faults.wire import CHUNKED, Asked, Connection, head, length
from hypothesis import given
from hypothesis import strategies as st
from support.factories import examples
from support.leaks import calm_loop, nothing_left
from support.modes import every_mode
from support.servers import ScriptServer, answer, by_path
from support.tls import Authority
from support.waiting import A_MOMENT, ended, in_time

from fetchq import Cause, Result, fetch_all, fetch_all_sync
from fetchq.core.model import PHASES
from fetchq.core.settings import Settings
from fetchq.engines import blocking_engines
from fetchq.engines.bandwidth import CATCH_UP, ByteRate, buffer_for

NOISE = os.urandom(200_000)
EARLY = 0.9
"""How much of the time that a limit asks for a run may make up for by its beginning, and by rounding."""
LOOSE = 5.0
"""Seconds more than it should take that a busy machine may need."""


# --- the clock of the bytes ------------------------------------------------------------------------------------------

rates = st.sampled_from([1.0, 1000.0, 3e6, 1e9])
sizes = st.integers(1, 100_000)


def bound(rate: float, seconds: float, most: int) -> float:
    return rate * seconds * (1 + 1e-9) + max(rate * CATCH_UP, most) + 1


@examples(200)
@given(rates, st.lists(st.tuples(st.floats(0, 2), sizes), min_size=1, max_size=30))
def test_no_span_of_time_has_more_than_its_bytes_and_a_constant(rate: float, pieces: list[tuple[float, int]]) -> None:
    limit, now, over = ByteRate(rate), 1000.0, []
    for gap, size in pieces:
        now += gap
        over.append((max(now, limit.reserve(size, now)), size))
    for first, (begin, _) in enumerate(over):
        sizes_since = 0
        for end, size in over[first:]:
            sizes_since += size
            assert sizes_since <= bound(rate, end - begin, max(size for _, size in over))


@examples(100)
@given(rates, st.lists(st.lists(sizes, min_size=1, max_size=8), min_size=1, max_size=8))
def test_readers_that_always_have_something_to_read_get_all_of_the_rate(rate: float, readers: list[list[int]]) -> None:
    """And no more: each waits until its piece's time is over, and reads the next one then."""
    limit, total = ByteRate(rate), sum(map(sum, readers))
    turns = [(0.0, number) for number in range(len(readers))]
    queues = [list(pieces) for pieces in readers]
    last = 0.0
    while turns:
        now, number = heapq.heappop(turns)
        if queues[number]:
            until = limit.reserve(queues[number].pop(), now)
            last = max(last, until)
            heapq.heappush(turns, (max(now, until), number))
    assert last == pytest.approx(total / rate)


def test_what_was_not_used_is_lost_but_for_a_moment() -> None:
    limit = ByteRate(100.0)
    assert limit.reserve(100, 10.0) == pytest.approx(11)
    assert limit.reserve(100, 500.0) == pytest.approx(501 - CATCH_UP)


def test_a_reader_that_is_a_little_late_slows_nobody_down() -> None:
    limit, now = ByteRate(1000.0), 0.0
    for _ in range(1000):
        now = max(now, limit.reserve(100, now)) + CATCH_UP / 2
    assert now == pytest.approx(1000 * 100 / 1000, rel=0.001)


@pytest.mark.parametrize(
    ("rate", "buffer"), [(None, None), (1, 16384), (100_000, 25_000), (200_000, 50_000), (262_144, None), (10**9, None)]
)
def test_a_connection_receives_little_ahead_where_the_limit_is_low(rate: float | None, buffer: int | None) -> None:
    assert buffer_for(rate) == buffer


def test_the_engines_of_all_workers_have_one_limit_and_none_without_one() -> None:
    limited = blocking_engines(Settings(mode="threads", workers=3, limit_rate=1000))
    unlimited = blocking_engines(Settings(workers=3))
    for engine in limited + unlimited:
        engine.close()
    assert len({id(engine._rate) for engine in limited}) == 1  # type: ignore[attr-defined]
    assert limited[0]._rate is not None  # type: ignore[attr-defined]
    assert all(engine._rate is None for engine in unlimited)  # type: ignore[attr-defined]


# --- against a server ------------------------------------------------------------------------------------------------


def limited(server: ScriptServer, mode: str, wire: int, rate: int, paths: int = 1, **options: Any) -> list[Result]:
    """The results for so many paths, which must have taken the time that so many bytes on the wire need."""
    began = perf_counter()
    rows = [f"{server.url}/{number}" for number in range(paths)]
    results = fetch_all_sync(rows, mode=mode, limit_rate=rate, **{"retries": 0, "workers": 1, **options})
    took = perf_counter() - began
    assert wire / rate * EARLY <= took <= wire / rate + LOOSE
    for result in results:
        phases = sum(getattr(result.timing, name) or 0.0 for name in PHASES if name not in ("queued", "held"))
        assert result.elapsed == pytest.approx(phases, abs=1e-6)
        assert result.elapsed + result.timing.held + result.timing.queued <= took
    return results


def test_a_long_body_comes_at_the_rate_and_the_wait_is_held_and_not_received(mode: str) -> None:
    with nothing_left(), ScriptServer(answer(NOISE)) as server:
        (result,) = limited(server, mode, len(NOISE), 250_000)
    assert result.body == NOISE
    assert result.timing.held >= len(NOISE) / 250_000 * EARLY - 0.2
    assert result.elapsed < result.timing.held


@every_mode
def test_many_workers_share_one_rate(mode: str) -> None:
    with ScriptServer(answer(NOISE[:20_000])) as server:
        results = limited(server, mode, 12 * 20_000, 400_000, paths=12, workers=4)
    assert all(result.ok for result in results)


@every_mode
def test_small_bodies_come_at_the_rate_however_many_workers_there_are(mode: str) -> None:
    with ScriptServer(answer(NOISE[:1024])) as server:
        results = limited(server, mode, 160 * 1024, 200_000, paths=160, workers=64)
    assert all(result.ok for result in results)
    if mode != "sync":
        assert sum(result.timing.held for result in results) > 2, "they wait for each other"


def test_the_limit_is_one_of_bytes_on_the_wire(mode: str) -> None:
    coded = gzip.compress(NOISE[:100_000] + bytes(1_000_000))
    with ScriptServer(answer(coded, b"Content-Encoding: gzip")) as server:
        (result,) = limited(server, mode, len(coded), 250_000)
    assert (result.size, result.wire_size) == (1_100_000, len(coded))


def test_a_limit_holds_over_tls(mode: str, tmp_path: Any) -> None:
    authority = Authority(tmp_path)
    with ScriptServer(answer(NOISE[:100_000]), tls=authority.server()) as server:
        (result,) = limited(server, mode, 100_000, 250_000, cacert=authority.cacert)
    assert result.ok, result.error


def test_bodies_of_redirects_count(mode: str) -> None:
    moved = answer(NOISE[:50_000], b"Location: /end", status=b"302 Found")
    with ScriptServer(by_path({"/0": moved}, answer(b"end"))) as server:
        (result,) = limited(server, mode, 50_000, 100_000)
    assert (result.body, result.redirects) == (b"end", 1)


def test_bodies_that_nobody_wants_in_the_end_count(mode: str) -> None:
    def too_much(conn: Connection, _: Asked) -> None:
        conn.send(head(CHUNKED))
        conn.send_chunks([NOISE[:12_000]])

    with ScriptServer(too_much) as server:
        results = limited(server, mode, 10 * 10_000, 250_000, paths=10, max_filesize=1000)
    assert {result.cause for result in results} == {Cause.TOO_LARGE}


def test_what_we_wait_for_is_held_against_no_server(mode: str) -> None:
    """Two seconds, in a few pieces that each take longer than what a server may, at less than the least speed."""
    strict = {"timeout": 1, "read_timeout": 0.5, "min_speed": 30_000, "min_speed_time": 0.1}
    with ScriptServer(answer(NOISE[:40_000])) as server:
        (result,) = limited(server, mode, 40_000, 20_000, **strict)
    assert result.ok, result.error
    assert (result.attempts, result.size) == (1, 40_000)
    assert result.timing.held >= 1.5


def test_a_server_that_falls_silent_times_out_all_the_same(mode: str) -> None:
    def stops(conn: Connection, _: Asked) -> None:
        conn.send(head(length(100_000)) + NOISE[:20_000])
        conn.hang()

    with ScriptServer(stops) as server:
        (result,) = limited(server, mode, 20_000, 100_000, read_timeout=0.3)
    assert (result.cause, result.error) == (Cause.TIMEOUT, "no byte in 0.3 s (read timeout)")


@every_mode
def test_the_deadline_ends_a_wait_at_once(mode: str) -> None:
    def fetch() -> list[Result]:
        return fetch_all_sync([server.url] * 2, mode=mode, workers=2, limit_rate=1000, deadline=0.5)

    with nothing_left(), ScriptServer(answer(NOISE)) as server:
        results = in_time(fetch)
    assert [result.cause for result in results] == [Cause.CANCELLED] * 2
    assert results[0].timing.held > 0


async def test_a_wait_that_is_cancelled_ends_at_once() -> None:
    async with calm_loop():
        with nothing_left(), ScriptServer(answer(NOISE)) as server:
            task = asyncio.create_task(fetch_all([server.url] * 2, limit_rate=1000))
            await server.got(2)
            await asyncio.sleep(A_MOMENT)
            task.cancel()
            assert await ended(task)
            assert task.cancelled()


@every_mode
def test_the_server_sees_the_rate(mode: str) -> None:
    """All that it gets rid of beyond it is what fits into the buffers of a connection."""

    def flood(conn: Connection, _: Asked) -> None:
        conn._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
        conn.send(head(length(10_000_000)))
        for _ in range(10_000):
            conn.send(NOISE[:1000])

    with ScriptServer(flood) as server:
        fetch_all_sync([server.url] * 2, mode=mode, workers=2, limit_rate=100_000, deadline=1)
        assert 50_000 <= sum(server.sent.values()) <= 1_000_000

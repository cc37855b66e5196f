"""When something arrived is told apart from when it was noticed, by the kernel and by the turns of the event loop."""

from __future__ import annotations

import asyncio
import importlib.util
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import truth
from hypothesis import given
from hypothesis import strategies as st
from support.factories import Clock, examples
from truth import Case, truth_server

from fetchq import Request, Result, fetch_all, fetch_all_sync
from fetchq.engines import arrival
from fetchq.engines.aiohttp import turns
from fetchq.engines.aiohttp.turns import PRECISION, TurnClock
from fetchq.engines.arrival import connected, received_at, sent_at

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells when bytes arrived")
TICK = 0.01
"""The longest tick of a kernel, in seconds."""
LONG = 0.05


@contextmanager
def tcp() -> Iterator[tuple[socket.socket, socket.socket, float]]:
    """The two ends of a connection, and when the first one dialled."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client:
        dialled = time.perf_counter()
        client.connect(listener.getsockname())
        with listener.accept()[0] as server:
            yield client, server, dialled


# --- the kernel ---


@linux
def test_the_kernel_tells_when_bytes_arrived_and_were_sent() -> None:
    with tcp() as (client, server, _):
        before = time.perf_counter()
        server.send(b"x")
        client.send(b"y")
        after = time.perf_counter()
        time.sleep(LONG)
        for asked in (received_at(client, time.perf_counter(), 0.0), sent_at(client, time.perf_counter(), 0.0)):
            assert before - TICK <= asked <= after + TICK


@linux
def test_the_kernel_tells_when_a_connection_was_established() -> None:
    with tcp() as (client, _, dialled):
        after = time.perf_counter()
        time.sleep(LONG)
        times = connected(client, dialled)
    assert dialled <= times.began <= times.ended <= after + TICK


def test_where_the_kernel_gives_no_answer_it_arrived_when_it_was_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    with tcp() as (client, _, dialled):
        monkeypatch.setattr(arrival, "_OPTION", 0)
        assert received_at(client, 7.0, 1.0) == sent_at(client, 7.0, 1.0) == 7.0
        assert connected(client, dialled).began == dialled
    monkeypatch.undo()
    assert received_at(None, 7.0, 1.0) == 7.0
    assert received_at(client, 7.0, 1.0) == 7.0, "closed"


@examples(300)
@given(
    tick=st.sampled_from([0.001, 0.004, 0.01]),
    ago=st.integers(0, 2000),
    now=st.floats(1000, 1001),
    before=st.floats(0, 3),
    known=st.booleans(),
)
def test_an_arrival_is_never_in_the_future_nor_before_the_earliest_time_and_within_a_tick_of_the_answer(
    tick: float, ago: int, now: float, before: float, known: bool
) -> None:
    since = now - before
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrival, "_TICK", tick)
        patch.setattr(arrival, "_KNOWN_TICKS", known)
        found = arrival._instant(ago, now, since)
    assert since <= found <= now
    assert abs(found - max(now - ago / 1000, since)) <= tick + 1e-9


# --- the turns of the event loop ---


class Loop:
    """Keeps what is to be called in the next turn."""

    def __init__(self) -> None:
        self.ready: list[Callable[[], None]] = []

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.ready.append(callback)

    def turn(self) -> int:
        """Call what became ready in the turn before. Returns how much that was."""
        ready, self.ready = self.ready, []
        for callback in ready:
            callback()
        return len(ready)


class AsyncioLoop(Loop, asyncio.BaseEventLoop):
    """It polls first, and then calls what is ready."""

    def __del__(self) -> None:
        pass


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    own = Clock()
    monkeypatch.setattr(turns, "perf_counter", own)
    return own


def turn_clock(loop: Any) -> TurnClock:
    return TurnClock(loop)


@pytest.mark.parametrize("loop", [Loop(), AsyncioLoop()], ids=["libuv", "asyncio"])
def test_what_a_waiting_loop_reads_has_just_arrived_and_the_clock_stops_when_nothing_comes(
    loop: Loop, clock: Clock
) -> None:
    turning = turn_clock(loop)
    for _ in range(2):
        clock.now += PRECISION / 2
        turning.handling_event()
        assert (turning.before, turning.polled, turning.vague) == (clock.now, clock.now, False)
        for _ in range(4):
            loop.turn()
        assert not loop.ready, "an idle loop is left alone"


def test_asyncio_reads_what_arrived_between_its_last_two_polls(clock: Clock) -> None:
    loop = AsyncioLoop()
    turning = turn_clock(loop)
    turning.handling_event()
    first = clock.now
    clock.now += 0.003
    loop.turn()  # has polled
    polled = clock.now
    clock.now += 0.002  # other callbacks
    turning.handling_event()
    assert (turning.before, turning.polled, turning.vague) == (first, polled, False)


def test_libuv_reads_what_arrived_until_the_first_event_of_the_turn(clock: Clock) -> None:
    loop = Loop()
    turning = turn_clock(loop)
    turning.handling_event()
    first = clock.now
    loop.turn()
    clock.now += 0.003  # other callbacks; then it polls
    turning.handling_event()
    assert (turning.before, turning.polled) == (first, clock.now)
    clock.now += 0.002
    turning.handling_event()
    assert turning.polled == clock.now - 0.002, "of the same poll"


@pytest.mark.parametrize("loop", [Loop(), AsyncioLoop()], ids=["libuv", "asyncio"])
def test_after_a_long_turn_or_a_long_wait_the_kernel_is_asked(loop: Loop, clock: Clock) -> None:
    turning = turn_clock(loop)
    clock.now += 10 * PRECISION
    turning.handling_event()
    assert turning.vague
    clock.now += 2 * PRECISION
    loop.turn()
    turning.handling_event()
    assert turning.vague
    assert turning.arrival(None, clock.now, 0.0) == clock.now


@linux
@pytest.mark.parametrize(("ticks", "believed"), [(1, False), (2, False), (4, True)])
def test_a_loop_that_waited_for_data_believes_only_that_it_came_long_ago(
    ticks: int, believed: bool, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrival, "_ask", lambda _: (0, round(ticks * arrival._TICK * 1000), 0, 0, 0))
    loop = Loop()
    turning = turn_clock(loop)
    clock.now += 100 * PRECISION
    turning.handling_event()
    woken = clock.now
    clock.now += arrival._TICK / 8  # other events of the same turn
    assert (turning.arrival(None, clock.now, 0.0) == woken) is not believed
    clock.now += 2 * PRECISION
    loop.turn()
    clock.now += 2 * PRECISION
    turning.handling_event()
    assert turning.arrival(None, clock.now, 0.0) < turning.polled, "it was busy before"


# --- both, against a server that knows the truth ---


@linux
def test_each_phase_is_as_long_as_the_server_has_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(truth, "FIRST", 0.06)
    monkeypatch.setattr(truth, "BODY", 0.04)
    cases = [
        Case("asyncio", "https", warm=True, workers=2, named=True),
        Case("uvloop", "https_accept", warm=True, workers=2),
        Case("threads", "https", warm=True, workers=2),
        Case("sync", "http_accept", warm=False, workers=1),
    ]
    if importlib.util.find_spec("uvloop") is None:
        del cases[1]
    for case in cases:
        for _ in range(3):  # another program may take the CPU between two of its steps
            if not (wrong := _disagreements(case, tmp_path)):
                break
        assert wrong == [], case.name


def _disagreements(case: Case, folder: Path) -> list[tuple[str, truth.Row]]:
    """The phases, and the rows that have them, that are not as long as the server has measured."""
    with truth_server(folder, accept=0.06, handshake=0.08, dns=0.04) as server:
        results = truth.run(case, server)
        server.end()
    wrong = []
    for result in results:
        row = truth.Row(result, truth.truth_of(result, server))
        assert result.ok
        # This machine may have other work, which is no reason for a phase to be long.
        long = [
            name
            for name in ("connect", "tls", "wait", "receive")
            if not row.agrees(name) and abs(row.error(name)) >= 2 * TICK
        ]
        if row.truth["dns"][1] and row.error("dns") <= -TICK:  # its end is only known to the thread of c-ares
            long.append("dns")
        wrong += [(name, row) for name in long]
    return wrong


@linux
async def test_time_in_which_the_loop_is_blocked_is_lag_and_not_wait(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    blocked = 0.4
    for _ in range(3):  # another program may take the CPU between two of its steps
        late = await _row_behind_a_blocked_loop(tmp_path_factory.mktemp("truth"), blocked)
        if abs(late.error("wait")) < 2 * TICK:
            break
    assert abs(late.error("wait")) < 2 * TICK
    assert late.recorded("lag") > blocked / 4


async def _row_behind_a_blocked_loop(folder: Path, blocked: float) -> truth.Row:
    """A row whose answer takes 150 ms, and arrives while the loop is blocked for so many seconds."""
    sent = asyncio.Event()

    async def block() -> None:
        await sent.wait()
        await asyncio.sleep(0.02)
        time.sleep(blocked)  # noqa: ASYNC251  # that is the point

    with truth_server(folder) as server:
        blocking = asyncio.create_task(block())
        url = f"http://127.0.0.1:{server.ports['http']}"
        requests = [Request(f"{url}/0/0.01/0/0"), Request(f"{url}/1/0.15/0/0")]
        results: list[Result] = await fetch_all(
            requests, workers=1, on_start=lambda request, _: sent.set() if request.index else None
        )
        await blocking
        server.end()
    return truth.Row(results[1], truth.truth_of(results[1], server))


@linux
def test_time_in_which_a_thread_waits_for_the_gil_is_lag_and_not_wait(tmp_path: Path) -> None:
    sent = threading.Event()

    def hold_the_gil() -> None:
        sent.wait()
        time.sleep(0.02)
        sum(range(20_000_000))  # one call of a function that is written in C

    holder = threading.Thread(target=hold_the_gil)
    holder.start()
    with truth_server(tmp_path) as server:
        url = f"http://127.0.0.1:{server.ports['http']}"
        requests = [Request(f"{url}/0/0.01/0/0"), Request(f"{url}/1/0.06/0/0")]
        results = fetch_all_sync(
            requests, workers=1, mode="threads", on_start=lambda request, _: sent.set() if request.index else None
        )
        server.end()
    holder.join()
    late = truth.Row(results[1], truth.truth_of(results[1], server))
    assert abs(late.error("wait")) < 2 * TICK
    assert late.recorded("lag") > 0.05

"""Lanes move to processes that run short of rows, and no host is ever in two processes at a time."""

from __future__ import annotations

import os
import pickle
import signal
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from math import inf
from typing import Any
from urllib.parse import urlsplit

import pytest
from faults.wire import Asked, Connection
from hypothesis import given
from hypothesis import strategies as st
from support.factories import examples
from support.hosts import Hosts, places
from support.modes import every_mode
from support.servers import ScriptServer, ok
from support.started import peer
from support.waiting import PATIENCE

from fetchq import Request, Settings, fetch_all_sync
from fetchq.processes import distributor, lane_balancer, process_handle, process_rows
from fetchq.processes.distributor import RowDistributor
from fetchq.processes.lane_balancer import LaneBalancer
from fetchq.processes.messages import Kind, Released
from fetchq.processes.process_handle import ProcessHandle
from fetchq.processes.router import Router
from fetchq.processes.task import Share


@pytest.fixture(autouse=True)
def small_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a few rows were many."""
    monkeypatch.setattr(lane_balancer, "_LEAST", 2)
    monkeypatch.setattr(process_rows, "READ_AHEAD", 3)
    monkeypatch.setattr(process_handle, "_MOST_AT_ONCE", 5)


class Handle(ProcessHandle):
    """A process that does what the test says."""

    def __init__(self, number: int) -> None:
        super().__init__(number, Share(1, None, None), None, lambda: None, lambda problem: None)
        self.sent: list[Request] = []
        """All the rows that it was sent, in order."""

    def take(self) -> list[Request]:
        """Be sent rows, if any wait."""
        rows = self.rows.take(5)
        self.sent += rows
        return rows

    def die(self) -> None:
        """Let another process follow, as `start` does."""
        self.rows.take_back()
        self._controls.clear()

    @property
    def asked(self) -> list[tuple[int, int]]:
        """The number of each move, and the lane, that it was asked to release."""
        return [one for kind, content in self._controls if kind is Kind.RELEASE for one in pickle.loads(content)]


class Rows:
    """A run of so many processes, whose rows come as the test says."""

    def __init__(self, processes: int, hosts: int) -> None:
        self.router = Router(Settings(), processes)
        self.router.sample([Request(f"http://host{number}.test/") for number in range(hosts)])
        self.handles = [Handle(number) for number in range(1, processes + 1)]
        self.lanes = LaneBalancer(self.handles, self.router)
        self.given = 0

    def give(self, *hosts: int) -> None:
        rows = [Request(f"http://host{host}.test/", self.given + place) for place, host in enumerate(hosts)]
        self.given += len(rows)
        for handle, part in zip(self.handles, self.router.divide(rows), strict=True):
            handle.rows.give(self.lanes.held_back(handle, part))

    def finish(self, handle: Handle, count: int | None = None) -> None:
        rows = handle.rows.finished(list(handle.rows.unfinished)[:count])
        self.lanes.finished(rows)

    def process_of(self, host: int) -> int:
        (part,) = (number for number, part in enumerate(self.router.divide([Request(url(host))])) if part)
        return part


def url(host: int) -> str:
    return f"http://host{host}.test/"


def two(*counts: int) -> tuple[Rows, Handle, Handle, list[int]]:
    """Two processes, the one with all the rows first, and the hosts: of each so many rows."""
    rows = Rows(2, 8)
    hosts = [host for host in range(8) if rows.process_of(host) == 0][: len(counts)]
    assert len(hosts) == len(counts)
    for host, count in zip(hosts, counts, strict=True):
        rows.give(*[host] * count)
    return rows, *rows.handles, hosts  # type: ignore[return-value]


def urls(rows: Sequence[Request]) -> list[str]:
    return [row.url for row in rows]


def test_a_lane_moves_when_its_rows_are_finished_and_its_process_releases_it() -> None:
    rows, full, idle, (first, second) = two(8, 14)
    assert urls(full.take()) == [url(first)] * 5
    assert rows.lanes.begin(idle, 0.0)
    assert rows.lanes
    assert full.rows.waiting == 14  # the only lane that is no more than half of what waits has moved
    assert full.asked == []
    rows.finish(full, 4)
    assert full.asked == []
    rows.finish(full)
    ((number, lane),) = full.asked
    assert lane == rows.router.lane_of(url(first))
    assert idle.rows.waiting == 0
    rows.lanes.answered([(number, lane, Released.YES)])
    assert urls(idle.take()) == [url(first)] * 3
    assert not rows.lanes
    assert [rows.process_of(first), rows.process_of(second)] == [1, 0]
    assert sum(rows.router.rows) == 22 + 8 + 2  # with those that process_of has asked for


def test_a_lane_that_its_process_keeps_does_not_move_again() -> None:
    rows, full, idle, (first, second) = two(6, 12)
    assert rows.lanes.begin(idle, 0.0)
    ((number, lane),) = full.asked
    rows.lanes.answered([(number, lane, Released.NEVER)])
    assert full.rows.waiting == 18
    assert rows.process_of(first) == 0
    assert not rows.lanes.begin(idle, 0.0)
    rows.give(*[second] * 100)
    assert not rows.lanes.begin(idle, 100.0)


def test_a_process_that_runs_short_itself_keeps_its_lanes() -> None:
    rows, full, idle, (first, second) = two(8, 14)
    full.take()
    assert rows.lanes.begin(idle, 0.0)
    rows.lanes.undo_late()
    assert rows.lanes
    while full.rows.waiting > 2:
        full.take()
        rows.lanes.undo_late()
    assert not rows.lanes
    assert rows.process_of(first) == 0
    rows.finish(full)
    assert full.asked == []
    rows.give(*[first] * 10, *[second] * 20)
    assert rows.lanes.begin(idle, 0.0)  # it was no fault of the lane


def test_rows_of_a_lane_that_come_while_it_moves_go_with_it() -> None:
    rows, full, idle, (first, second) = two(6, 12)
    assert rows.lanes.begin(idle, 0.0)
    rows.give(first, second, first)
    assert full.rows.waiting == 13
    ((number, lane),) = full.asked
    rows.lanes.answered([(number, lane, Released.YES)])
    assert [row.index for row in [*idle.take(), *idle.take()]] == [0, 1, 2, 3, 4, 5, 18, 20]


def test_a_process_that_dies_keeps_its_lanes_and_its_late_answer_counts_for_nothing() -> None:
    rows, full, idle, _ = two(6, 12)
    assert rows.lanes.begin(idle, 0.0)
    ((number, lane),) = full.asked
    rows.lanes.undo_from(full)
    full.die()
    rows.lanes.answered([(number, lane, Released.YES)])
    assert (full.rows.waiting, idle.rows.waiting) == (18, 0)


def test_a_single_lane_does_not_move_and_is_not_looked_at_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, _, idle, _ = two(0, 50)
    assert not rows.lanes.begin(idle, 10.0)
    looks: list[object] = []
    monkeypatch.setattr(LaneBalancer, "_move", lambda *given: looks.append(given))
    assert not rows.lanes.begin(idle, 14.9)
    assert looks == []
    assert not rows.lanes.begin(idle, 15.1)
    assert not rows.lanes.begin(idle, inf)
    assert len(looks) == 2


def test_a_process_that_has_ended_and_died_gives_nothing_away() -> None:
    rows, full, idle, _ = two(6, 12)
    full.end()
    assert not rows.lanes.begin(idle, 0.0)


def test_a_lane_that_is_not_free_yet_is_asked_for_again_when_rows_are_finished() -> None:
    rows, full, idle, _ = two(6, 12)
    assert rows.lanes.begin(idle, 0.0)
    ((number, lane),) = full.asked
    rows.lanes.answered([(number, lane, Released.LATER)])
    assert rows.lanes
    full.take()
    rows.finish(full, 1)
    rows.finish(full, 1)
    assert full.asked == [(number, lane)] * 2  # not once more before it has answered
    rows.lanes.answered([(number, lane, Released.YES)])
    assert idle.rows.waiting == 6


def test_another_process_gives_where_the_fullest_has_only_one_host() -> None:
    rows = Rows(3, 30)
    full, some, idle = rows.handles
    hosts = [[host for host in range(30) if rows.process_of(host) == process] for process in range(3)]
    rows.give(*hosts[0][:1] * 100, *hosts[1] * 6)
    assert rows.lanes.begin(idle, 0.0)
    assert full.asked == []
    assert some.asked


def test_a_process_with_more_workers_gets_more_of_what_is_left() -> None:
    moved = []
    for workers in (1, 3):
        rows = Rows(2, 40)
        full, idle = rows.handles
        idle.share = Share(workers, None, None)
        rows.give(*[host for host in range(40) if rows.process_of(host) == 0] * 10)
        assert rows.lanes.begin(idle, 0.0)
        moved.append(200 - full.rows.waiting)
    assert moved == [100, 150]


def test_lanes_of_few_rows_do_not_move() -> None:
    rows, full, idle, _ = two(50, 1)
    assert not rows.lanes.begin(idle, 0.0)
    assert full.rows.waiting == 51


def test_a_slow_lane_does_not_keep_others_from_moving() -> None:
    rows = Rows(2, 40)
    full, idle = rows.handles
    slow, *others = [host for host in range(40) if rows.process_of(host) == 0]
    rows.give(*[slow] * 20, *others * 5)
    full.take()
    assert rows.lanes.begin(idle, 0.0)
    for number, lane in full.asked:
        rows.lanes.answered([(number, lane, Released.YES)])
    assert rows.lanes  # some rows of the slow host are not finished
    while idle.take():
        rows.finish(idle)
    assert rows.lanes.begin(idle, 0.0)
    assert rows.process_of(slow) == 0


def test_few_rows_do_not_move() -> None:
    rows, _, idle, _ = two(2, 2)
    assert not rows.lanes.begin(idle, 0.0)


@given(st.data())
@examples(300)
def test_each_row_is_done_once_and_each_host_in_one_process_at_a_time(data: st.DataObject) -> None:
    processes = data.draw(st.integers(2, 3))
    rows = Rows(processes, 6)
    asked: set[int] = set()
    dies = False

    def take(handle: Handle) -> None:
        for row in handle.take():
            others = [one for other in rows.handles if other is not handle for one in other.rows.unfinished.values()]
            assert row.url not in urls(others)

    for _ in range(data.draw(st.integers(0, 40))):
        handle = rows.handles[data.draw(st.integers(0, processes - 1))]
        act = data.draw(st.sampled_from(["give", "take", "finish", "begin", "answer", "late", "die"]))
        if act == "give":
            rows.give(*data.draw(st.lists(st.integers(0, 7), max_size=30)))
        elif act == "take":
            take(handle)
        elif act == "finish":
            rows.finish(handle, data.draw(st.integers(0, 5)))
        elif act == "begin" and not handle.rows.waiting:
            rows.lanes.begin(handle, 1e9 * rows.given)
        elif act == "answer":
            for number, lane in handle.asked:
                if number not in asked:
                    asked.add(number)
                    if lane in rows.lanes._moves and rows.lanes._moves[lane].number == number:
                        assert lane not in map(rows.router.lane_of, urls(list(handle.rows.unfinished.values())))
                    rows.lanes.answered([(number, lane, data.draw(st.sampled_from(Released)))])
        elif act == "late":
            rows.lanes.undo_late()
        elif act == "die":
            dies = True
            rows.lanes.undo_from(handle)
            handle.die()
    rows.lanes.undo_all()
    while any(handle.rows.waiting or handle.rows.unfinished for handle in rows.handles):
        for handle in rows.handles:
            take(handle)
            rows.finish(handle)
    sent = [row.index for handle in rows.handles for row in handle.sent]
    assert set(sent) == set(range(rows.given))
    if not dies:
        assert len(sent) == rows.given
        for handle in rows.handles:
            for host in range(8):
                numbers = [row.index for row in handle.sent if row.url == url(host)]
                assert numbers == sorted(numbers)


class Source:
    """A list that ends when the test says so."""

    def __init__(self, rows: list[Request]) -> None:
        self._rows = rows
        self.ends = threading.Event()

    def __iter__(self) -> Iterator[list[Request]]:
        yield self._rows
        assert self.ends.wait(PATIENCE)


def test_lanes_move_while_the_source_blocks_and_nobody_is_ended_before_they_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(distributor, "_MOST_SAMPLED", 100)
    monkeypatch.setattr(distributor, "_STALLED", inf)
    monkeypatch.setattr(distributor, "WORKER_START_DELAY", PATIENCE)
    known = Rows(2, 40)
    full, idle = known.handles
    hosts = [host for host in range(40) if known.process_of(host) == 0]
    source = Source([Request(url(host), index) for index, host in enumerate(hosts * 5)])
    given = RowDistributor(source, Settings(), lambda: None)
    try:
        assert len(given.sample()) == 100
        given.distribute_to(known.handles, known.router)
        full.take()
        given.wake()
        assert full.rows.waiting == 95  # more rows may come soon
        monkeypatch.setattr(distributor, "_STALLED", 0.0)
        given.wake()
        assert full.rows.waiting < 60
        source.ends.set()
        given._thread.join(PATIENCE)
        assert not idle.ended
        given.done(full.rows.finished(list(full.rows.unfinished)))
        given.answered([(number, lane, Released.YES) for number, lane in full.asked])
        assert full.rows.waiting + idle.rows.waiting == 95
        while not (full.ended and idle.ended):
            for handle in known.handles:
                handle.take()
                given.done(handle.rows.finished(list(handle.rows.unfinished)))
                given.answered([(number, lane, Released.YES) for number, lane in full.asked])
    finally:
        source.ends.set()
        given.stop()
        given.join()
    assert idle.sent
    assert sorted(row.index for handle in known.handles for row in handle.sent) == list(range(100))


# --- in real processes ---


class _Uneven:
    """Answers the rows of some hosts when all others have been answered, and then not at once.

    Counts how many requests each host has at a time. If it `kills`, it ends the first process that asks for them then.
    """

    def __init__(self, *, kills: bool = False) -> None:
        self._kills = kills
        self.slow: set[str] = set()
        self.quick = 0
        """How many rows of the other hosts are still to be answered; some more after a process has died."""
        self._changed = threading.Condition()
        self._now: Counter[str] = Counter()
        self.most: Counter[str] = Counter()

    def __call__(self, conn: Connection, asked: Asked) -> None:
        host = dict(asked.headers)["Host"].partition(":")[0]
        with self._changed:
            self._now[host] += 1
            self.most[host] = max(self.most[host], self._now[host])
            if host in self.slow:
                self._changed.wait_for(lambda: self.quick <= 0, PATIENCE)
                if self._kills:
                    self._kills = False
                    os.kill(peer(conn), signal.SIGKILL)
            else:
                self.quick -= 1
                self._changed.notify_all()
        if host in self.slow:
            conn.pause(0.002)
        with self._changed:
            self._now[host] -= 1
        ok(conn, asked)


def uneven(mode: str, monkeypatch: pytest.MonkeyPatch, script: _Uneven) -> dict[str, set[bool]]:
    """Fetch a list of hosts of which the second of two processes has the slow ones.

    Returns by which its rows were fetched, for each of these hosts: True for the first process.
    """
    monkeypatch.setattr(distributor, "WORKER_START_DELAY", PATIENCE)  # so that the hosts are assigned by all rows
    count, workers = (1200, 2) if mode == "sync" else (6000, 20)
    with ScriptServer(script) as server:
        hosts = Hosts(server, 16)
        rows = hosts.rows(count)
        router = Router(Settings(), 2)
        router.sample(requests := [Request(row, index) for index, row in enumerate(rows)])
        quick, slow = router.divide(requests)
        script.quick, script.slow = len(quick), {urlsplit(row.url).hostname or "" for row in slow}
        options: Any = {"mode": mode, "workers": workers, "per_host": 3, "lookahead": 1000}
        results = fetch_all_sync(rows, processes=2, resolve=hosts.resolve, **options)
    assert [result.index for result in results if result.ok] == list(range(count))
    found = {name.partition(":")[0]: halves for name, halves in places(results, workers).items()}
    return {name: found[name] for name in script.slow}


@every_mode
def test_hosts_move_to_the_process_that_has_no_rows_left(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    script = _Uneven()
    assert {True, False} in uneven(mode, monkeypatch, script).values()
    assert max(script.most.values()) <= 3


@every_mode
def test_no_row_is_lost_when_the_process_dies_whose_hosts_move(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert True in set().union(*uneven(mode, monkeypatch, _Uneven(kills=True)).values())

"""`--per-host-by ip`: names at one address share what one host may, and looking them up holds nobody up."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import Counter, deque
from contextlib import aclosing
from typing import Any

import pytest
from dnsserver import DnsServer
from hypothesis import given
from hypothesis import strategies as st
from support.factories import Outcome, examples
from support.leaks import calm_loop, nothing_left
from support.modes import concurrent
from support.names import FOUR, resolve_names
from support.servers import Counted, ScriptServer, answer, by_path
from support.waiting import A_MOMENT, HUNG

from fetchq import Cause, Request, Settings, SettingsError, fetch_all, fetch_all_sync, fetch_iter
from fetchq.http.addresses import first_address
from fetchq.http.robots_txt import RobotsCache, Rules
from fetchq.scheduling import address_gate as module
from fetchq.scheduling.job import Job, JobKind
from fetchq.scheduling.schedule import Schedule

# --- the schedule ---


class Bench:
    """A schedule with its clock."""

    def __init__(self, **options: Any) -> None:
        self.schedule = Schedule(Settings(**{"per_host_by": "ip", **options}))
        self.now = 1000.0
        self.made = 0

    def add(self, *names: str, priority: int = 0) -> None:
        for name in names:
            request = Request(f"http://{name}/", self.made, priority=priority)
            self.schedule.add(Job(request, self.now), self.now)
            self.made += 1

    def take(self) -> Job:
        self.schedule.release(self.now)
        return self.schedule.take(self.now)

    def learn(self, job: Job, address: str | None) -> None:
        assert job.kind is JobKind.ADDRESS
        self.schedule.done(job, None, self.now, 0.0)
        self.schedule.learn_address(job, address, self.now)

    def done(self, job: Job) -> None:
        self.schedule.done(job, Outcome(), self.now, 0.0)  # type: ignore[arg-type]  # it is like one


@pytest.mark.parametrize(("by", "kind"), [("host", JobKind.ROW), ("domain", JobKind.ROW), ("ip", JobKind.ADDRESS)])
def test_only_a_run_that_needs_addresses_asks_for_them(by: str, kind: JobKind) -> None:
    bench = Bench(per_host_by=by)
    bench.add("a.test")
    assert bench.take().kind is kind


def test_a_name_is_looked_up_once_and_its_rows_wait_for_that_and_nobody_else() -> None:
    bench = Bench(workers=100)
    bench.add("a.test", "a.test", "192.0.2.9", "a.test")
    asked = bench.take()
    assert (asked.request.url, asked.kind) == ("http://a.test", JobKind.ADDRESS)
    assert bench.take().request.index == 2
    assert not bench.schedule
    bench.now += 2.0
    bench.learn(asked, "192.0.2.1")
    rows = [bench.take() for _ in range(3)]
    assert [row.request.index for row in rows] == [0, 1, 3]
    assert all((row.held, row.queued) == (2.0, 0.0) for row in rows)
    bench.add("a.test")
    assert bench.take().request.index == 4


def test_names_ports_and_schemes_at_one_address_share_its_limit() -> None:
    bench = Bench(per_host=1)
    bench.add("a.test", "b.test", "a.test:81", "192.0.2.1")
    first = bench.take()
    for address in ("192.0.2.1",) * 3:
        bench.learn(first, address)
        first = bench.take()
    assert not bench.schedule
    came = [first.request.index]
    while len(bench.schedule):
        bench.done(first)
        first = bench.take()
        came.append(first.request.index)
    assert sorted(came) == [0, 1, 2, 3]


def test_a_name_without_an_address_is_a_host_of_its_own() -> None:
    bench = Bench(per_host=1)
    bench.add("a.test", "b.test", "a.test")
    for asked in (bench.take(), bench.take()):
        bench.learn(asked, None)
    assert sorted(bench.take().request.index for _ in range(2)) == [0, 1]
    assert not bench.schedule


def test_what_is_no_url_is_not_looked_up() -> None:
    bench = Bench()
    bench.add("", "a b")
    assert [bench.take().request.index for _ in range(2)] == [0, 1]


def test_neither_the_rate_nor_the_interval_counts_a_lookup() -> None:
    bench = Bench(rate=1.0, host_interval=5.0)
    bench.add("a.test", "b.test")
    for asked in (bench.take(), bench.take()):
        bench.learn(asked, asked.request.url[-6:])
    assert bench.take().request.index == 0
    assert not bench.schedule


def test_priorities_hold_beyond_the_lookup() -> None:
    bench = Bench()
    bench.add("a.test")
    bench.add("a.test", priority=5)
    bench.learn(bench.take(), "192.0.2.1")
    assert [bench.take().request.index for _ in range(2)] == [1, 0]


def test_at_the_end_nothing_waits_for_an_address_any_more() -> None:
    bench = Bench()
    bench.add("a.test", "a.test")
    asked = bench.take()
    bench.schedule.end(bench.now)
    assert [bench.take().request.index for _ in range(2)] == [0, 1]
    bench.learn(asked, "192.0.2.1")
    assert len(bench.schedule) == 0


def test_only_so_many_addresses_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST", 3)
    bench = Bench()
    for name in ("a", "b", "a", "c", "d", "a", "b"):
        bench.add(f"{name}.test")
        job = bench.take()
        if job.kind is JobKind.ADDRESS:
            bench.learn(job, f"192.0.2.{ord(name)}")
            job = bench.take()
        bench.done(job)
        assert bench.schedule._addresses is not None
        assert len(bench.schedule._addresses._keys) <= 3


def test_the_rules_of_a_host_are_asked_for_once_its_address_is_known() -> None:
    bench = Bench()
    bench.schedule = Schedule(Settings(per_host_by="ip", robots=True), RobotsCache(Settings(robots=True)))
    bench.add("a.test", "b.test")
    for asked in (bench.take(), bench.take()):
        bench.learn(asked, "192.0.2.1")
    seen = []
    while bench.schedule:
        job = bench.take()
        seen.append(job.request.url)
        bench.done(job)
        if job.kind is JobKind.ROBOTS_TXT:
            bench.schedule.learn_robots(job, Rules("User-agent: *\nDisallow:"), bench.now)
    assert sorted(seen) == sorted(f"http://{name}.test/{page}" for name in "ab" for page in ("", "robots.txt"))


STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "add", "take", "take", "end an attempt", "learn"]), st.integers(0, 9))
)


@given(STEPS, st.lists(st.sampled_from([None, "192.0.2.1", "192.0.2.2"]), min_size=10, max_size=10))
@examples(200)
def test_however_lookups_and_rows_mix_each_row_goes_once_and_no_address_gets_too_many(
    steps: list[tuple[str, int]], places: list[str | None]
) -> None:
    bench = Bench(per_host=2, adapt=False)
    lookups: deque[Job] = deque()
    in_flight: list[Job] = []
    came: Counter[int] = Counter()

    def key(job: Job) -> str:
        name = job.request.url.removeprefix("http://").rstrip("/")
        return places[int(name[0])] or name

    def take() -> None:
        job = bench.take()
        if job.kind is JobKind.ADDRESS:
            assert all(job.request.url != other.request.url for other in lookups)
            lookups.append(job)
            return
        in_flight.append(job)
        came[job.request.index] += 1
        assert max(Counter(map(key, in_flight)).values()) <= 2

    def learn() -> None:
        asked = lookups.popleft()
        bench.learn(asked, places[int(asked.request.url[7])])

    for step, number in steps:
        bench.now += 0.1
        if step == "add":
            bench.add(f"{number}.test")
        elif step == "take" and bench.schedule:
            take()
        elif step == "end an attempt" and in_flight:
            bench.done(in_flight.pop(number % len(in_flight)))
        elif step == "learn" and lookups:
            learn()
    while bench.schedule or lookups or in_flight:
        if bench.schedule:
            take()
        elif lookups:
            learn()
        else:
            bench.done(in_flight.pop())
    assert came == Counter(range(bench.made))
    assert len(bench.schedule) == 0


def test_a_host_is_known_by_the_first_of_its_addresses_ipv4_before_ipv6() -> None:
    assert first_address(["2001:db8::1", "192.0.2.2", "192.0.2.1"]) == "192.0.2.1"
    assert first_address(["2001:db8::2", "2001:db8::1"]) == "2001:db8::1"
    assert first_address([]) is None


def test_a_proxy_which_looks_names_up_itself_is_refused() -> None:
    with pytest.raises(SettingsError, match="does not go with a proxy"):
        Settings(per_host_by="ip", proxy="http://127.0.0.1:1")


# --- in a run ---


NAMES = [f"n{n}.test" for n in range(4)]


@pytest.mark.parametrize(("by", "most"), [("host", 4), ("ip", 1)])
def test_names_at_one_address_share_its_limit(mode: str, by: str, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_names(monkeypatch, {name: [FOUR] for name in NAMES})
    counted = Counted()
    with nothing_left(), ScriptServer(counted) as server:
        urls = [server.at(name) for name in NAMES] * 2
        results = fetch_all_sync(urls, mode=mode, workers=8, per_host=1, per_host_by=by)
    assert [result.ok for result in results] == [True] * 8
    assert counted.most <= most
    assert by == "ip" or mode == "sync" or counted.most > 1


def test_rows_of_a_name_that_is_not_there_fail_as_anywhere(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_names(monkeypatch, {"gone.test": [], "here.test": [FOUR]})
    with ScriptServer() as server:
        urls = [server.at("gone.test"), server.at("here.test"), server.url, "nonsense", server.at("gone.test")]
        results = fetch_all_sync(urls, mode=mode, workers=2, per_host_by="ip", retries=0)
    assert [result.cause for result in results] == [Cause.DNS, None, None, Cause.INVALID_URL, Cause.DNS]


def test_robots_txt_is_obeyed_there_too(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_names(monkeypatch, {name: [FOUR] for name in NAMES})
    with ScriptServer(by_path({"/robots.txt": answer(b"User-agent: *\nDisallow: /no")})) as server:
        urls = [f"{server.at(name)}/{page}" for name in NAMES for page in ("no", "yes")]
        results = fetch_all_sync(urls, mode=mode, workers=3, per_host_by="ip", robots=True)
        assert Counter(server.seen) == {"/robots.txt": 4, "/yes": 4}
    assert [result.cause for result in results] == [Cause.BLOCKED, None] * 4


async def test_a_name_that_is_never_answered_holds_up_its_own_rows_only() -> None:
    async with calm_loop():
        with DnsServer(silent="silent.test") as dns, ScriptServer() as server:
            urls = [server.at("silent.test")] * 3 + [server.at(f"n{n}.test") for n in range(30)]
            options: dict[str, Any] = {"workers": 4, "retries": 0, "connect_timeout": 1.0, "per_host_by": "ip"}
            async with aclosing(fetch_iter(urls, dns_servers=dns.address, **options)) as results:
                ended = [result async for result in results]
    assert all(result.ok for result in ended[:30])
    assert [result.cause for result in ended[30:]] == [Cause.TIMEOUT] * 3


@concurrent
async def test_the_deadline_interrupts_lookups(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def never(*_: object) -> Any:
        assert released.wait(HUNG)
        raise socket.gaierror(socket.EAI_AGAIN, "no answer")

    monkeypatch.setattr("fetchq.engines.requests.dial.look_up", never)
    async with calm_loop():
        with DnsServer(silent="silent.test") as dns:
            servers = (dns.address,) if mode == "async" else ()
            timer = threading.Timer(3 * A_MOMENT, released.set)
            timer.start()
            options: dict[str, Any] = {"workers": 2, "dns_servers": servers, "deadline": A_MOMENT, "per_host_by": "ip"}
            async with asyncio.timeout(HUNG):
                results = await fetch_all([f"http://silent.test/{n}" for n in range(5)], mode=mode, **options)
            timer.join()
    assert [result.cause for result in results] == [Cause.CANCELLED] * 5

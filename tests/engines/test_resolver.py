"""The resolver asks for each name once at a time, keeps the answers a while, and lets go of what nobody waits for."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.factories import Clock
from support.leaks import calm_loop, nothing_left
from support.modes import concurrent
from support.servers import ScriptServer
from support.waiting import A_MOMENT, HUNG

from fetchq import fetch_all_sync
from fetchq.core.model import Cause
from fetchq.core.settings import Settings
from fetchq.engines.aiohttp import resolver as module
from fetchq.engines.aiohttp.resolver import Address, Resolver
from fetchq.engines.requests.dial import Address as Dialled
from fetchq.http.failure import AttemptFailed

HERE = Address(socket.AF_INET, "127.0.0.1")


class FakeLookup:
    """Answers when it is told to; every question is kept."""

    def __init__(self, answer: Callable[[str], list[Address]] = lambda _: [HERE]) -> None:
        self._answer = answer
        self.asked: list[str] = []
        self.cancelled: list[str] = []
        self.closed = 0
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self._more = asyncio.Event()

    async def was_asked(self, times: int = 1) -> None:
        """Wait until it was asked so often."""
        async with asyncio.timeout(HUNG):
            while len(self.asked) < times:
                self._more.clear()
                await self._more.wait()

    async def __call__(self, host: str) -> list[Address]:
        self.asked.append(host)
        self._more.set()
        try:
            await self.may_answer.wait()
        except asyncio.CancelledError:
            self.cancelled.append(host)
            raise
        return self._answer(host)

    async def close(self) -> None:
        self.closed += 1


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "monotonic", clock)
    return clock


@pytest.fixture
async def lookup(monkeypatch: pytest.MonkeyPatch) -> FakeLookup:
    fake = FakeLookup()
    monkeypatch.setattr(module, "_lookups", lambda: (fake, fake.close))
    return fake


async def no_close() -> None:
    pass


def no_such_name(_: str) -> list[Address]:
    raise AttemptFailed(Cause.DNS, "there is no such name", permanent=True)


# --- one question for many -------------------------------------------------------------------------------------------


async def test_many_who_ask_for_one_name_at_once_share_one_lookup(lookup: FakeLookup) -> None:
    resolver = Resolver(Settings())
    lookup.may_answer.clear()
    async with calm_loop():
        waiters = [asyncio.create_task(resolver.resolve("example.org", port)) for port in range(100)]
        await lookup.was_asked()
        lookup.may_answer.set()
        assert await asyncio.gather(*waiters) == [[HERE]] * 100
        await resolver.close()
    assert lookup.asked == ["example.org"]
    assert lookup.closed == 1


async def test_other_names_do_not_wait_for_a_slow_one(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = asyncio.Event()

    async def lookup(host: str) -> list[Address]:
        if host == "slow.test":
            await slow.wait()
        return [HERE]

    monkeypatch.setattr(module, "_lookups", lambda: (lookup, FakeLookup().close))
    resolver = Resolver(Settings())
    waiter = asyncio.create_task(resolver.resolve("slow.test", 80))
    async with asyncio.timeout(HUNG):
        assert await resolver.resolve("fast.test", 80) == [HERE]
        assert not waiter.done()
        slow.set()
        assert await waiter == [HERE]
    await resolver.close()


async def test_an_answer_is_kept_a_while_and_then_asked_for_again(lookup: FakeLookup, clock: Clock) -> None:
    resolver = Resolver(Settings())
    for _ in range(3):
        await resolver.resolve("example.org", 80)
    assert len(lookup.asked) == 1
    clock.now += module.CACHE_TIME - 0.001
    await resolver.resolve("example.org", 443)
    assert len(lookup.asked) == 1
    clock.now += 0.002
    await resolver.resolve("example.org", 80)
    assert len(lookup.asked) == 2
    await resolver.close()


async def test_a_lookup_for_which_there_were_no_descriptors_says_nothing_about_the_name(
    lookup: FakeLookup, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [AttemptFailed(Cause.CONNECT, "too many open files", local_limit=True)]
    monkeypatch.setattr(module, "out_of_descriptors", found.pop)
    resolver = Resolver(Settings())
    lookup._answer = no_such_name
    with pytest.raises(AttemptFailed, match="too many open files") as failed:
        await resolver.resolve("example.org", 80)
    assert failed.value.local_limit
    lookup._answer = lambda _: [HERE]
    assert await resolver.resolve("example.org", 80) == [HERE]
    await resolver.close()


async def test_a_failure_is_kept_only_briefly_and_told_to_everybody(lookup: FakeLookup, clock: Clock) -> None:
    assert module.FAILURE_CACHE_TIME < module.CACHE_TIME
    lookup._answer = no_such_name
    resolver = Resolver(Settings())
    async with calm_loop():
        asked = (resolver.resolve("no.test", 80) for _ in range(5))
        for problem in await asyncio.gather(*asked, return_exceptions=True):
            assert isinstance(problem, AttemptFailed)
            assert (problem.cause, problem.permanent) == (Cause.DNS, True)
        with pytest.raises(AttemptFailed, match="no such name") as kept:
            await resolver.resolve("no.test", 80)
        assert kept.value.permanent
        assert len(lookup.asked) == 1
        lookup._answer = lambda _: [HERE]
        clock.now += module.FAILURE_CACHE_TIME + 0.001
        assert await resolver.resolve("no.test", 80) == [HERE]
        await resolver.close()


@given(st.lists(st.integers(0, 8), max_size=60))
@settings(max_examples=30, deadline=None)
def test_however_names_are_asked_for_only_so_many_are_kept_and_every_answer_is_right(numbers: list[int]) -> None:
    async def run() -> None:
        lookup = FakeLookup(lambda host: [Address(socket.AF_INET, f"127.0.0.{host.partition('.')[0]}")])
        with pytest.MonkeyPatch.context() as monkeypatch:
            monkeypatch.setattr(module, "_lookups", lambda: (lookup, lookup.close))
            monkeypatch.setattr(module, "CACHE_SIZE", 3)
            resolver = Resolver(Settings())
            for number in numbers:
                assert await resolver.resolve(f"{number}.test", 80) == [Address(socket.AF_INET, f"127.0.0.{number}")]
                assert len(resolver._cache) <= 3
            await resolver.close()

    asyncio.run(run())


# --- cancellation ----------------------------------------------------------------------------------------------------


async def test_one_who_gives_up_does_not_take_the_answer_from_the_others(lookup: FakeLookup) -> None:
    resolver = Resolver(Settings())
    lookup.may_answer.clear()
    async with calm_loop():
        first, second, third = (asyncio.create_task(resolver.resolve("example.org", 80)) for _ in range(3))
        await lookup.was_asked()
        first.cancel()
        await asyncio.wait([first])
        assert first.cancelled()
        lookup.may_answer.set()
        assert await asyncio.gather(second, third) == [[HERE], [HERE]]
        await resolver.close()
    assert lookup.cancelled == []


async def test_an_answer_that_everybody_gave_up_on_is_kept_for_the_next_one(lookup: FakeLookup) -> None:
    resolver = Resolver(Settings())
    lookup.may_answer.clear()
    async with calm_loop():
        waiter = asyncio.create_task(resolver.resolve("example.org", 80))
        await lookup.was_asked()
        waiter.cancel()
        await asyncio.wait([waiter])
        lookup.may_answer.set()
        assert await resolver.resolve("example.org", 80) == [HERE]
        await resolver.close()
    assert lookup.asked == ["example.org"]


async def test_a_failure_that_nobody_waits_for_is_nobodys_business(lookup: FakeLookup) -> None:
    resolver = Resolver(Settings())
    lookup._answer = no_such_name
    lookup.may_answer.clear()
    async with calm_loop():  # which hears of exceptions that were never retrieved
        waiter = asyncio.create_task(resolver.resolve("no.test", 80))
        await lookup.was_asked()
        waiter.cancel()
        await asyncio.wait([waiter])
        lookup.may_answer.set()
        for _ in range(5):
            await asyncio.sleep(0)
        await resolver.close()


async def test_closing_cancels_the_lookups_that_are_under_way(lookup: FakeLookup) -> None:
    resolver = Resolver(Settings())
    lookup.may_answer.clear()
    async with calm_loop():
        waiters = [asyncio.create_task(resolver.resolve(f"{n}.test", 80)) for n in range(3)]
        await lookup.was_asked(3)
        await resolver.close()
        await asyncio.wait(waiters, timeout=HUNG)
        assert all(waiter.cancelled() for waiter in waiters)
    assert sorted(lookup.cancelled) == ["0.test", "1.test", "2.test"]
    assert lookup.closed == 1


async def test_a_resolver_that_was_never_asked_needs_no_lookups_and_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_lookups() -> tuple[Callable[[str], Awaitable[list[Address]]], Callable[[], Awaitable[None]]]:
        raise AssertionError("lookups were made")

    monkeypatch.setattr(module, "_lookups", no_lookups)
    resolver = Resolver(Settings(resolve=["example.org:80:192.0.2.1", "example.org:443:[2001:db8::1]"]))
    assert await resolver.resolve("example.org", 80) == [Address(socket.AF_INET, "192.0.2.1")]
    assert await resolver.resolve("example.org", 443) == [Address(socket.AF_INET6, "2001:db8::1")]
    await resolver.close()


async def test_a_fixed_address_holds_for_its_port_only(lookup: FakeLookup) -> None:
    resolver = Resolver(Settings(resolve=["example.org:80:192.0.2.1"]))
    assert await resolver.resolve("example.org", 8080) == [HERE]
    assert lookup.asked == ["example.org"]
    await resolver.close()


# --- names that are never asked for ---


@pytest.mark.parametrize("host", ["localhost", "localhost.", "app.localhost", "a.b.localhost."])
async def test_localhost_and_the_names_below_it_are_the_loopback(lookup: FakeLookup, host: str) -> None:
    resolver = Resolver(Settings())
    assert await resolver.resolve(host, 80) == [Address(socket.AF_INET6, "::1"), HERE]
    assert lookup.asked == []
    await resolver.close()


@pytest.mark.parametrize("host", ["a.invalid", "invalid.", "a.onion"])
async def test_a_name_that_dns_cannot_know_is_a_final_failure(lookup: FakeLookup, host: str) -> None:
    resolver = Resolver(Settings())
    with pytest.raises(AttemptFailed) as found:
        await resolver.resolve(host, 80)
    assert (found.value.cause, found.value.permanent, lookup.asked) == (Cause.DNS, True, [])
    await resolver.close()


@pytest.mark.parametrize("host", ["localhost.example", "mylocalhost", "onion.example", "a.test"])
async def test_a_name_that_only_looks_like_one_of_them_is_asked_for(lookup: FakeLookup, host: str) -> None:
    resolver = Resolver(Settings())
    assert await resolver.resolve(host, 80) == [HERE]
    assert lookup.asked == [host]
    await resolver.close()


async def test_a_fixed_address_counts_for_them_as_well(lookup: FakeLookup) -> None:
    resolver = Resolver(Settings(resolve=["app.localhost:80:192.0.2.1", "a.onion:80:192.0.2.2"]))
    assert await resolver.resolve("app.localhost", 80) == [Address(socket.AF_INET, "192.0.2.1")]
    assert await resolver.resolve("a.onion", 80) == [Address(socket.AF_INET, "192.0.2.2")]
    assert lookup.asked == []
    await resolver.close()


# --- the real thing --------------------------------------------------------------------------------------------------

LIBRARIES = ("aiodns", "threads")


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "threads":
        monkeypatch.setitem(sys.modules, "aiodns", None)  # as where it is not installed
    return str(request.param)


async def test_a_name_that_is_not_there_is_a_dns_failure(library: str) -> None:
    async with calm_loop():
        with nothing_left():
            resolver = Resolver(Settings())
            with pytest.raises(AttemptFailed) as found:
                await resolver.resolve("no-such-name.test", 80)
            assert found.value.cause is Cause.DNS
            await resolver.close()


async def test_closing_while_real_lookups_are_under_way_leaves_nothing(library: str) -> None:
    async with calm_loop():
        with nothing_left():
            resolver = Resolver(Settings())
            names = [f"{n}.no-such-name.test" for n in range(20)]
            waiters = [asyncio.create_task(resolver.resolve(name, 80)) for name in names]
            await asyncio.sleep(0)
            await resolver.close()
            await asyncio.wait(waiters, timeout=HUNG)
            assert all(one.cancelled() or isinstance(one.exception(), AttemptFailed) for one in waiters)


@concurrent
def test_a_slow_name_holds_up_no_other_url(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    others_are_done = threading.Event()

    def look_up(host: str, port: int, _: int) -> list[Dialled]:
        if host == "slow.test":
            assert others_are_done.wait(HUNG)
        return [(socket.AF_INET, ("127.0.0.1", port))]

    async def lookup(host: str) -> list[Address]:
        if host == "slow.test":
            assert await asyncio.to_thread(others_are_done.wait, HUNG)
        return [HERE]

    monkeypatch.setattr("fetchq.engines.requests.dial.look_up", look_up)
    monkeypatch.setattr(module, "_lookups", lambda: (lookup, no_close))
    done: list[int] = []
    with ScriptServer() as server:

        def on_result(result: object) -> None:
            done.append(result.index)  # type: ignore[attr-defined]
            if len(done) == 5:
                others_are_done.set()

        urls = [server.at("slow.test"), *(server.at(f"{n}.test") for n in range(5))]
        results = fetch_all_sync(urls, mode=mode, workers=2, on_result=on_result)
    assert [result.ok for result in results] == [True] * 6
    assert done[-1] == 0
    assert results[0].timing.dns > 0


def test_the_wait_for_a_name_is_counted_for_everybody_who_waited(monkeypatch: pytest.MonkeyPatch) -> None:
    async def lookup(_: str) -> list[Address]:
        await asyncio.sleep(A_MOMENT)
        return [HERE]

    monkeypatch.setattr(module, "_lookups", lambda: (lookup, no_close))
    with ScriptServer() as server:
        results = fetch_all_sync([server.at("slow.test")] * 3, workers=3)
    assert all(result.timing.dns >= A_MOMENT * 0.9 for result in results)

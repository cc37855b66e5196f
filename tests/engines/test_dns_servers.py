"""Names that are asked of a name server: thousands of them, also where some are never answered."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import aclosing

import pytest
from dnsserver import AAAA, A, DnsServer
from support.cli import Cli
from support.leaks import calm_loop, nothing_left
from support.servers import ScriptServer
from support.waiting import HUNG

from fetchq import Cause, Result, Settings, SettingsError, fetch_all, fetch_iter
from fetchq.cli.practice.server import PracticeServer
from fetchq.engines.aiohttp import resolver as module
from fetchq.engines.aiohttp.resolver import Address, Resolver
from fetchq.http.failure import AttemptFailed


def urls_of(server: PracticeServer, count: int) -> list[str]:
    port = server.url.rpartition(":")[2]
    return [f"http://n{n}.names.test:{port}/bytes/1" for n in range(count)]


# --- many names ---


async def test_two_thousand_names_are_all_found_and_asked_for_about_once(practice: PracticeServer) -> None:
    with DnsServer() as dns:
        results = await fetch_all(urls_of(practice, 2000), workers=100, retries=0, dns_servers=dns.address)
    assert Counter(result.cause for result in results) == {None: 2000}
    assert {kind for _, kind in dns.asked} == {A, AAAA}
    assert len({name for name, _ in dns.asked}) == 2000
    assert sum(dns.asked.values()) <= 4000 * 1.02  # this machine may be busy, and lose some


async def test_rows_of_one_name_ask_for_it_once(practice: PracticeServer) -> None:
    with DnsServer() as dns:
        results = await fetch_all(urls_of(practice, 1) * 200, workers=50, dns_servers=[dns.address])
    assert all(result.ok for result in results)
    assert dns.asked == {("n0.names.test", A): 1, ("n0.names.test", AAAA): 1}


async def test_a_name_that_is_never_answered_holds_up_its_own_rows_only(practice: PracticeServer) -> None:
    urls = urls_of(practice, 51)
    async with calm_loop():
        with DnsServer(silent="n0.names.test") as dns:
            ended: list[Result] = []
            run = fetch_iter([urls[0], *urls], workers=10, connect_timeout=10 * HUNG, dns_servers=dns.address)
            async with aclosing(run) as results:
                async for result in results:
                    ended.append(result)
                    if len(ended) == 50:
                        break  # the two others still wait for their address
    assert all(result.ok for result in ended)
    assert {result.url for result in ended} == set(urls[1:])


async def test_a_name_that_is_never_answered_is_a_timeout_of_the_connection(practice: PracticeServer) -> None:
    with DnsServer(silent="n0.names.test") as dns:
        (result,) = await fetch_all(urls_of(practice, 1), connect_timeout=0.3, retries=0, dns_servers=dns.address)
    assert result.cause is Cause.TIMEOUT
    assert result.timing.dns > 0.29


async def test_a_name_that_is_not_there_is_a_dns_failure(practice: PracticeServer) -> None:
    with DnsServer(lambda name: None if name.startswith("n0") else ["127.0.0.1"]) as dns:
        gone, found = await fetch_all(urls_of(practice, 2), dns_servers=dns.address)
    assert (gone.cause, gone.attempts, found.ok) == (Cause.DNS, 1, True)


async def test_a_second_server_is_asked_where_the_first_is_not_there(practice: PracticeServer) -> None:
    with DnsServer() as gone:
        pass  # nobody listens there any more
    with DnsServer() as dns:
        results = await fetch_all(urls_of(practice, 20), retries=0, dns_servers=[gone.address, dns.address])
    assert all(result.ok for result in results)


# --- the resolver ---


async def test_only_so_many_names_are_kept_and_closing_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CACHE_SIZE", 20)
    async with calm_loop():
        with nothing_left(), DnsServer() as dns:
            resolver = Resolver(Settings(dns_servers=dns.address))
            for start in range(0, 200, 50):
                asked = (resolver.resolve(f"n{n}.names.test", 80) for n in range(start, start + 50))
                assert await asyncio.gather(*asked) == [[Address(2, "127.0.0.1")]] * 50
                assert len(resolver._cache) == 20
            assert not resolver._lookups
            await resolver.close()


async def test_closing_does_not_wait_for_a_server_that_says_nothing() -> None:
    async with calm_loop():
        with nothing_left(), DnsServer(silent="a.test") as dns:
            resolver = Resolver(Settings(dns_servers=dns.address))
            waiter = asyncio.create_task(resolver.resolve("a.test", 80))
            assert await resolver.resolve("b.test", 80)
            async with asyncio.timeout(HUNG):
                await resolver.close()
            await asyncio.wait([waiter])
            assert waiter.cancelled() or isinstance(waiter.exception(), AttemptFailed)


class Lookups:
    """Counts what is asked at a time; the names in `silent` are never answered."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, silent: Callable[[str], bool] = lambda _: False) -> None:
        self._silent = silent
        self.under_way = self.most = 0
        monkeypatch.setattr(module, "_lookups", lambda: (self._look_up, self._close))

    async def _look_up(self, host: str) -> list[Address]:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            if self._silent(host):
                await asyncio.Event().wait()
            await asyncio.sleep(0)
        finally:
            self.under_way -= 1
        return [Address(2, "127.0.0.1")]

    async def _close(self) -> None:
        pass


async def test_only_so_many_questions_are_asked_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    lookups = Lookups(monkeypatch)
    monkeypatch.setattr(module, "SLOT_TIME", HUNG)
    resolver = Resolver(Settings())
    async with calm_loop():
        assert len(await asyncio.gather(*(resolver.resolve(f"n{n}.test", 80) for n in range(1000)))) == 1000
        await resolver.close()
    assert lookups.most == module.MAX_LOOKUPS


async def test_questions_that_are_not_answered_hold_up_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    lookups = Lookups(monkeypatch, lambda host: host.startswith("silent"))
    resolver = Resolver(Settings())
    async with calm_loop():
        silent = [asyncio.create_task(resolver.resolve(f"silent{n}.test", 80)) for n in range(250)]
        await asyncio.sleep(0)
        async with asyncio.timeout(HUNG):
            await resolver.resolve("answered.test", 80)
        assert lookups.under_way == 250
        assert resolver._slots._value <= module.MAX_LOOKUPS
        await resolver.close()
        await asyncio.wait(silent)
        await asyncio.sleep(module.SLOT_TIME)
        assert resolver._slots._value == module.MAX_LOOKUPS  # each was given back once


# --- the option ---


@pytest.mark.parametrize("mode", ["threads", "sync"])
def test_a_mode_that_could_not_ask_them_is_refused(cli: Cli, mode: str) -> None:
    said = f"--dns-servers: in mode {mode} the system looks names up, and asks its own servers"
    assert cli("http://a.test/", "--dns-servers", "192.0.2.1", "--mode", mode).problem.endswith(said)
    compared = cli("compare", "http://a.test/", "--dns-servers", "192.0.2.1", "--mode", "async", "--mode", mode)
    assert compared.problem.endswith(said)
    with pytest.raises(SettingsError, match="asks its own servers"):
        Settings(dns_servers="192.0.2.1", mode=mode)


def test_the_package_is_missed_before_anything_is_fetched(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "aiodns" else name)
    with ScriptServer() as server:
        done = cli(server.url, "--dns-servers", "192.0.2.1")
        assert done.problem.endswith("it needs the package aiodns; install it with: pip install aiodns")
        assert server.seen == []
        assert cli(server.url).status == 0


def test_without_the_package_they_are_never_quietly_passed_by(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiodns", None)
    with pytest.raises(ImportError):
        module._lookups("192.0.2.1:53")

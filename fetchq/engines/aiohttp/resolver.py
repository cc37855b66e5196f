"""Names to addresses for the async engine: each name is asked for once at a time, and the answers are kept a while."""

from __future__ import annotations

import asyncio
import socket
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from fetchq.core.model import Cause
from fetchq.engines.errors import network_failure, no_such_name, out_of_descriptors
from fetchq.http.failure import AttemptFailed
from fetchq.http.proxies import fixed_addresses

if TYPE_CHECKING:
    from fetchq.core.settings import Settings

__all__ = ["Address", "Resolver"]

KEPT = 10_000
"""Names kept."""
KEPT_FOR = 60.0
"""Seconds."""
FAILURE_KEPT_FOR = 5.0
AT_ONCE = 100
"""Questions at a time: more of them would overflow a buffer on the way, and a lost one costs two seconds."""
FRESH = 0.05
"""Seconds after which a question does not count any more: one that is not answered must not hold up the others."""


class Address(NamedTuple):
    """An IP address, and its family as the socket module has it."""

    family: int
    host: str


Lookup = Callable[[str], Awaitable[list[Address]]]


class Resolver:
    """Lookups by c-ares where aiodns is installed, else in the loop's threads. Belongs to one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._fixed = fixed_addresses(settings)
        self._servers = settings.dns_servers
        self._kept: OrderedDict[str, tuple[float, list[Address] | AttemptFailed]] = OrderedDict()
        self._asking: dict[str, asyncio.Task[list[Address]]] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._lookup: Lookup | None = None
        self._close_lookup: Callable[[], Awaitable[None]] = _nothing

    async def resolve(self, host: str, port: int) -> list[Address]:
        """The addresses of `host`, at least one. Raises `AttemptFailed` (`dns`)."""
        if (fixed := self._fixed.get((host.rstrip("."), port))) is not None:
            return [Address(socket.AF_INET6 if ":" in fixed else socket.AF_INET, fixed)]
        kept = self._kept.get(host)
        if kept is not None and kept[0] > monotonic():
            if isinstance(kept[1], AttemptFailed):
                raise AttemptFailed(kept[1].cause, kept[1].message, permanent=kept[1].permanent)
            return kept[1]
        task = self._asking.get(host)
        if task is None:
            task = self._asking[host] = asyncio.create_task(self._ask(host), name=f"fetchq-dns-{host}")
            task.add_done_callback(_retrieve)
        # Shielded: another request may be waiting for the same answer.
        return await asyncio.shield(task)

    async def _ask(self, host: str) -> list[Address]:
        answer: list[Address] | AttemptFailed
        try:
            if self._lookup is None:  # a list of addresses needs no c-ares, and the thread that it keeps
                self._lookup, self._close_lookup = _lookups(*self._servers)
            await self._slots.acquire()
            slot = _Slot(self._slots)
            try:
                answer = await self._lookup(host)
            finally:
                slot.give_back()
        except AttemptFailed as problem:
            if (starved := out_of_descriptors()) is not None:
                raise starved from problem  # and not kept: the name may be there
            answer = problem
        finally:
            del self._asking[host]
        lifetime = FAILURE_KEPT_FOR if isinstance(answer, AttemptFailed) else KEPT_FOR
        self._kept[host] = (monotonic() + lifetime, answer)
        self._kept.move_to_end(host)
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        if isinstance(answer, AttemptFailed):
            raise answer
        return answer

    async def close(self) -> None:
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._close_lookup()


class _Slot:
    """One of the questions at a time, until it is answered or no longer fresh."""

    def __init__(self, slots: asyncio.Semaphore) -> None:
        self._slots = slots
        self._timer = asyncio.get_running_loop().call_later(FRESH, self.give_back)
        self._held = True

    def give_back(self) -> None:
        if self._held:
            self._held = False
            self._timer.cancel()
            self._slots.release()


def _retrieve(task: asyncio.Task[list[Address]]) -> None:
    """Nobody may be left to wait for the answer; then its failure is nobody's business."""
    if not task.cancelled():
        task.exception()


def _lookups(*servers: str) -> tuple[Lookup, Callable[[], Awaitable[None]]]:
    try:
        import aiodns
    except ImportError:
        if servers:
            raise
        return _lookup_in_threads, _nothing
    resolver = aiodns.DNSResolver(servers)

    async def lookup(host: str) -> list[Address]:
        try:
            found = await resolver.getaddrinfo(host, family=socket.AF_UNSPEC, type=socket.SOCK_STREAM)
        except aiodns.error.DNSError as problem:
            code, message = (*problem.args, 0, "")[:2]
            if code in (aiodns.error.ARES_ENOTFOUND, aiodns.error.ARES_ENODATA, aiodns.error.ARES_EBADNAME):
                raise no_such_name() from None
            raise AttemptFailed(Cause.DNS, f"no answer: {message}") from None
        return _some([Address(node.family, _text(node.addr[0])) for node in found.nodes])

    return lookup, resolver.close


async def _lookup_in_threads(host: str) -> list[Address]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as problem:
        raise network_failure(problem, answering=False) or AttemptFailed(Cause.DNS, str(problem)) from None
    return _some([Address(family, str(address[0])) for family, _, _, _, address in found])


async def _nothing() -> None:
    pass


def _some(addresses: list[Address]) -> list[Address]:
    if not addresses:
        raise no_such_name()
    return addresses


def _text(address: bytes | str) -> str:
    return address.decode("ascii") if isinstance(address, bytes) else address

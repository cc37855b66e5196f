"""Resolves host names for the async engine, with a cache, and with one lookup per name at a time."""

from __future__ import annotations

import asyncio
import socket
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from math import inf
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

from fetchq.core.model import Cause
from fetchq.engines.errors import network_failure, no_such_name, out_of_descriptors
from fetchq.http.addresses import fixed_addresses, local_addresses
from fetchq.http.failure import AttemptFailed

if TYPE_CHECKING:
    from fetchq.core.settings import Settings

__all__ = ["Address", "Resolver"]

CACHE_SIZE = 10_000
"""The most names in the cache."""
CACHE_TIME = 60.0
"""Seconds for which addresses are cached."""
FAILURE_CACHE_TIME = 5.0
"""Seconds for which a failure is cached."""
MAX_LOOKUPS = 100
"""The most lookups at a time: more could overflow a buffer in the network, and a lost query costs two seconds."""
SLOT_TIME = 0.05
"""Seconds after which a lookup gives up its slot, so that one without an answer does not delay the others."""


class Address(NamedTuple):
    """An IP address, with its address family as in the socket module."""

    family: int
    host: str


class _Cached(NamedTuple):
    """An answer in the cache."""

    until: float
    """When it is forgotten (`time.monotonic`)."""
    answer: list[Address] | AttemptFailed
    asked_at: float
    """When the name was asked for (`time.perf_counter`), or began to wait for one of the lookups to end."""
    answered_at: float
    """When the answer arrived."""


Lookup = Callable[[str], Awaitable[list[Address]]]
_NOT_CACHED = _Cached(-inf, [], 0.0, inf)

_answered_at: ContextVar[float] = ContextVar("fetchq-answered-at")
"""When the answer to the lookup of the running task arrived (`time.perf_counter`), where a lookup knows that."""


class Resolver:
    """Resolves names with c-ares if aiodns is installed, otherwise in threads. It belongs to one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._fixed = fixed_addresses(settings)
        self._servers = settings.dns_servers
        self._cache: OrderedDict[str, _Cached] = OrderedDict()
        self._lookups: dict[str, asyncio.Task[list[Address]]] = {}
        self._slots = asyncio.Semaphore(MAX_LOOKUPS)
        self._lookup: Lookup | None = None
        self._close_lookup: Callable[[], Awaitable[None]] = _do_nothing

    async def resolve(self, host: str, port: int) -> list[Address]:
        """The addresses of `host`, at least one. Raises `AttemptFailed` (`dns`)."""
        if (fixed := self._fixed.get((host.rstrip("."), port))) is not None:
            return [_address(fixed)]
        if local := local_addresses(host):
            return [_address(one) for one in local]
        until, answer, _, _ = self._cache.get(host, _NOT_CACHED)
        if until > monotonic():
            if isinstance(answer, AttemptFailed):
                raise AttemptFailed(answer.cause, answer.message, permanent=answer.permanent)
            return answer
        task = self._lookups.get(host)
        if task is None:
            task = self._lookups[host] = asyncio.create_task(self._resolve(host), name=f"fetchq-dns-{host}")
            task.add_done_callback(_retrieve)
        # Shielded: another request may be waiting for the same answer.
        return await asyncio.shield(task)

    def times(self, host: str) -> tuple[float, float]:
        """When a name was asked for last, and answered (`time.perf_counter`); 0 and infinite if it is not cached."""
        return self._cache.get(host, _NOT_CACHED)[2:]

    async def _resolve(self, host: str) -> list[Address]:
        asked_at = perf_counter()
        answer: list[Address] | AttemptFailed
        try:
            if self._lookup is None:  # only now, since a run that needs no lookup needs no c-ares and its thread
                self._lookup, self._close_lookup = _lookups(*self._servers)
                asked_at = perf_counter()
            await self._slots.acquire()
            slot = _Slot(self._slots)
            try:
                answer = await self._lookup(host)
            finally:
                slot.release()
        except AttemptFailed as problem:
            if (failure := out_of_descriptors()) is not None:
                raise failure from problem  # not cached: the name may exist
            answer = problem
        finally:
            del self._lookups[host]
        lifetime = FAILURE_CACHE_TIME if isinstance(answer, AttemptFailed) else CACHE_TIME
        self._cache[host] = _Cached(monotonic() + lifetime, answer, asked_at, _answered_at.get(perf_counter()))
        self._cache.move_to_end(host)
        if len(self._cache) > CACHE_SIZE:
            self._cache.popitem(last=False)
        if isinstance(answer, AttemptFailed):
            raise answer
        return answer

    async def close(self) -> None:
        """Cancel the lookups under way."""
        tasks = list(self._lookups.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._close_lookup()


class _Slot:
    """One of the `MAX_LOOKUPS` slots, held until the lookup ends, or for `SLOT_TIME`."""

    def __init__(self, slots: asyncio.Semaphore) -> None:
        self._slots = slots
        self._timer = asyncio.get_running_loop().call_later(SLOT_TIME, self.release)
        self._held = True

    def release(self) -> None:
        if self._held:
            self._held = False
            self._timer.cancel()
            self._slots.release()


def _retrieve(task: asyncio.Task[list[Address]]) -> None:
    """Retrieve the exception of a lookup that no request waits for any more, since asyncio would log it."""
    if not task.cancelled():
        task.exception()


def _lookups(*servers: str) -> tuple[Lookup, Callable[[], Awaitable[None]]]:
    try:
        import aiodns
    except ImportError:
        if servers:
            raise
        return _lookup_in_threads, _do_nothing
    clock: Any = _AnswerClock(asyncio.get_running_loop())
    resolver = aiodns.DNSResolver(servers, loop=clock)

    async def lookup(host: str) -> list[Address]:
        asked = resolver.getaddrinfo(host, family=socket.AF_UNSPEC, type=socket.SOCK_STREAM)
        try:
            found = await asked
        except aiodns.error.DNSError as problem:
            code, message = (*problem.args, 0, "")[:2]
            if code in (aiodns.error.ARES_ENOTFOUND, aiodns.error.ARES_ENODATA, aiodns.error.ARES_EBADNAME):
                raise no_such_name() from None
            raise AttemptFailed(Cause.DNS, f"no answer: {message}") from None
        finally:
            _answered_at.set(clock.answered.pop(asked, perf_counter()))
        return _not_empty([Address(node.family, _text(node.addr[0])) for node in found.nodes])

    return lookup, resolver.close


class _AnswerClock:
    """Stands for the event loop in aiodns, and notes when its thread, that of c-ares, has an answer."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.answered: dict[object, float] = {}
        """By the future of a lookup: when it was answered (`time.perf_counter`)."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    def call_soon_threadsafe(self, callback: Callable[..., object], *given: Any) -> asyncio.Handle:
        if given and isinstance(given[0], asyncio.Future):
            self.answered[given[0]] = perf_counter()
        return self._loop.call_soon_threadsafe(callback, *given)


async def _lookup_in_threads(host: str) -> list[Address]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as problem:
        raise network_failure(problem, answering=False) or AttemptFailed(Cause.DNS, str(problem)) from None
    return _not_empty([Address(family, str(address[0])) for family, _, _, _, address in found])


async def _do_nothing() -> None:
    pass


def _not_empty(addresses: list[Address]) -> list[Address]:
    if not addresses:
        raise no_such_name()
    return addresses


def _address(text: str) -> Address:
    return Address(socket.AF_INET6 if ":" in text else socket.AF_INET, text)


def _text(address: bytes | str) -> str:
    return address.decode("ascii") if isinstance(address, bytes) else address

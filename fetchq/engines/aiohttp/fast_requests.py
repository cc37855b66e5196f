"""Sends the requests of a run that may take the fast path (`fast_path` says which), and finishes their attempts."""

from __future__ import annotations

import asyncio
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from fetchq.core.model import Cause
from fetchq.engines.aiohttp.failures import failure_of
from fetchq.http.hops import header_lines, host_field

if TYPE_CHECKING:
    from collections.abc import Hashable

    from fetchq.engines.aiohttp.connection import Connection
    from fetchq.engines.aiohttp.idle_pool import IdlePool
    from fetchq.engines.aiohttp.timeouts import Watchdog
    from fetchq.http.attempt import Attempt
    from fetchq.http.hops import HopPlan
    from fetchq.http.proxies import ProxyConfig
    from fetchq.http.target import Origin

__all__ = ["FastRequests"]


class FastRequests:
    """The fast path of a run."""

    def __init__(self, plan: HopPlan, proxies: ProxyConfig, pool: IdlePool[Connection], watchdog: Watchdog) -> None:
        settings = plan.settings
        other_rules = settings.trust_env or plan.cookies is not None or settings.limit_rate is not None
        self._plan = None if other_rules or proxies.proxied else plan
        """The plan of the rows that may take the fast path; None if no row of the run may."""
        self._shared_headers = plan.shared_headers
        self._pool, self._watchdog = pool, watchdog
        self._loop = asyncio.get_running_loop()
        self._route_to = lru_cache(4096)(partial(_route, plan.shared_headers))

    def allows(self, attempt: Attempt) -> bool:
        """Whether the attempt's hop may take the fast path."""
        hop = attempt.hop
        return (
            attempt.plan is self._plan
            and hop.headers is self._shared_headers
            and hop.method == "GET"
            and hop.body is None
            and attempt.partial is None
            and attempt.request._part is None
        )

    def send(self, attempt: Attempt) -> Connection | None:
        """Send the request of an attempt, if it may take the fast path, on an idle connection. Returns that, or None.

        With None, the engine finds or opens a connection.
        """
        if not self.allows(attempt):
            return None
        target = attempt.hop.target
        key, host, lines = self._route_to(target.origin)
        connection = self._pool.take(key)
        if connection is None:
            return None
        if not self._pool.trusts(connection, host):
            connection.close()
            return None  # the engine finds another one
        watchdog = self._watchdog
        watchdog.connections.add(connection)
        if not watchdog.armed:
            watchdog.arm()
        connection.fast_path.send(attempt, b"GET " + target.origin_form.encode() + lines, self._loop)
        return connection

    def end(self, attempt: Attempt, connection: Connection) -> None:
        """Finish an attempt whose response is complete."""
        if connection.end_exchange(whole=True):
            self._pool.add(connection, attempt.response)
        attempt.finish(None)

    def fail(self, attempt: Attempt, connection: Connection, problem: Exception) -> None:
        """Finish an attempt that has failed. A bug in fetchq is raised again."""
        whole = False
        try:
            failed = failure_of(problem, answering=attempt.answering)
            whole = connection.fast_path.ended and failed.cause is not Cause.PROTOCOL
        finally:
            if connection.end_exchange(whole=whole):
                self._pool.add(connection, attempt.response)
        attempt.finish(failed)


def _route(shared_headers: dict[str, str], origin: Origin) -> tuple[Hashable, str, bytes]:
    """What all plain requests to a server have in common.

    The key of its connections, its `host_field`, and the head of a request behind the request target.
    """
    host = host_field(*origin)
    lines = f" HTTP/1.1\r\n{header_lines(shared_headers, host)}\r\n"
    return (origin.scheme, host, None), host, lines.encode("utf-8", "surrogateescape")

"""The engines: each makes one attempt at a request, and is the only code that knows its HTTP library."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fetchq.core.settings import Settings
    from fetchq.engines.base import AsyncEngine, BlockingEngine
    from fetchq.http.robots_txt import RobotsCache

__all__ = ["async_engine", "blocking_engines"]


def async_engine(settings: Settings, book: RobotsCache | None = None) -> AsyncEngine:
    """The engine of the running event loop. `book`: the rules of hosts, where robots.txt is obeyed."""
    from fetchq.engines.aiohttp.engine import AiohttpEngine

    return AiohttpEngine(settings, book)


def blocking_engines(settings: Settings, book: RobotsCache | None = None) -> list[BlockingEngine]:
    """An engine for each worker. They share the TLS context, since reading the issuers takes a while, and the limit."""
    from fetchq.engines.bandwidth import ByteRate
    from fetchq.engines.requests.engine import RequestsEngine
    from fetchq.engines.tls import tls_context

    context = tls_context(settings)
    rate = None if settings.limit_rate is None else ByteRate(settings.limit_rate)
    return [RequestsEngine(settings, context, book, rate) for _ in range(settings.workers)]

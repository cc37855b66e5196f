"""Makes attempts: each engine does so over one HTTP library, and is the only code that knows that library.

    base            the protocols: AsyncEngine for the event loop, BlockingEngine for one worker's thread
    aiohttp/        mode `async`
    requests/       the modes `threads` and `sync`
    errors          maps the exceptions of the network to causes, the same for all engines
    socks           connects through SOCKS proxies
    tls             the TLS context of a run
    bandwidth       limits the bytes of bodies received per second, in the whole run
    early_response  sends the rest of a request after its response, or not
    hang_up         asks the kernel whether a server has closed a connection
    arrival         asks the kernel when bytes arrived; handshake measures TLS handshakes
    fd_limit        how many connections the file descriptors of this process allow

A new engine is a package beside these two, whose `engine.py` fulfils a protocol of `base`; the functions below say
which engine a mode gets. It drives the rules of `fetchq.http.attempt`, and maps its library's exceptions with `errors`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fetchq.core.settings import Settings
    from fetchq.engines.base import AsyncEngine, BlockingEngine
    from fetchq.http.cookies import CookieJar
    from fetchq.http.proxies import ProxyConfig
    from fetchq.http.robots_txt import RobotsCache

__all__ = ["async_engine", "blocking_engines"]


# The libraries are imported here, when they are needed: each takes longer to load than fetchq itself.


def async_engine(
    settings: Settings,
    robots: RobotsCache | None = None,
    proxies: ProxyConfig | None = None,
    cookies: CookieJar | None = None,
) -> AsyncEngine:
    """The engine of mode `async`, for the running event loop.

    `robots`: the rules of hosts, if obeyed. `proxies`: what the environment says, if that was read before.
    `cookies`: the cookies that all rows share.
    """
    from fetchq.engines.aiohttp.engine import AiohttpEngine

    return AiohttpEngine(settings, robots, proxies, cookies)


def blocking_engines(
    settings: Settings,
    robots: RobotsCache | None = None,
    proxies: ProxyConfig | None = None,
    cookies: CookieJar | None = None,
) -> list[BlockingEngine]:
    """The engines of the modes `threads` and `sync`, one for each worker, with the parameters of `async_engine`."""
    from fetchq.engines.requests.engine import RequestsEngine

    return [*RequestsEngine.for_workers(settings, robots, proxies, cookies)]

"""Keeps the connections of one worker in a transport adapter of requests, and sends its requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from requests.adapters import HTTPAdapter
from yarl import URL

from fetchq.engines.handshake import TimedSSLSocket
from fetchq.engines.requests.connection import POOLS
from fetchq.engines.socks import is_socks
from fetchq.http.hops import absolute_form
from fetchq.http.proxies import proxy_parts

if TYPE_CHECKING:
    import ssl

    from fetchq.engines.requests.exchange import Response
    from fetchq.engines.tls import TlsContexts
    from fetchq.http.hop import Hop

__all__ = ["Adapter"]


class Adapter(HTTPAdapter):
    """The transport adapter of requests, with fetchq's connection classes and TLS contexts.

    A `requests.Session` above it would follow redirects, keep cookies and read the environment, which `http/` does.
    """

    def __init__(self, contexts: TlsContexts, hosts: int) -> None:
        """`hosts`: to how many an idle connection is kept at most; at least one."""
        self._contexts = contexts
        self._last: tuple[tuple[str, str, str | None, bool], Any] | None = None
        """The pool that was used last, and what it is for."""
        super().__init__(pool_connections=hosts, pool_maxsize=1)

    def open(self, hop: Hop, proxy: str | None, *, anonymous: bool) -> Response:
        """Send the hop, and read the head of its response. Raises `AttemptFailed`, and exceptions of urllib3."""
        absolute = proxy is not None and hop.target.origin.scheme == "http" and not is_socks(URL(proxy))
        response: Response = self._pool_for(hop, proxy, anonymous=anonymous).urlopen(
            hop.method,
            absolute_form(hop) if absolute else "/",  # the connection sends the exact one
            headers={},
            retries=self.max_retries,
            redirect=False,
            assert_same_host=False,
            preload_content=False,
            decode_content=False,
        )
        return response

    def close(self) -> None:
        self._last = None
        super().close()

    def _pool_for(self, hop: Hop, proxy: str | None, *, anonymous: bool) -> Any:
        """The pool with the connection to the hop's server, or to its proxy."""
        url = hop.url
        key = *hop.target.origin, proxy, anonymous
        if self._last is not None and self._last[0] == key:
            return self._last[1]  # the manager would only drop pools that were used before this one
        # A connection through a SOCKS proxy is one to the server, as far as requests knows.
        manager: Any = self.poolmanager
        if proxy is not None and not is_socks(URL(proxy)):
            manager = self.proxy_manager_for(proxy)
        tls = {"ssl_context": self._context(anonymous=anonymous)} if url.scheme == "https" else {}
        pool = manager.connection_from_host(url.raw_host, url.port, url.scheme, pool_kwargs=tls)
        self._last = key, pool
        return pool

    def _context(self, *, anonymous: bool) -> ssl.SSLContext:
        """The TLS context, without the client certificate if `anonymous` (`AttemptState.anonymous`)."""
        while (context := self._contexts.get(anonymous=anonymous)) is None:
            self._contexts.load()
        context.sslsocket_class = TimedSSLSocket
        return context

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = POOLS

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        if proxy.startswith("https:"):
            options["proxy_ssl_context"] = self._context(anonymous=False)
        manager = super().proxy_manager_for(proxy, **options)
        manager.pool_classes_by_scheme = POOLS
        return manager

    def proxy_headers(self, proxy: str) -> dict[str, str]:
        return proxy_parts(proxy)[1]

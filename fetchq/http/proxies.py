"""Finds the proxy and the netrc password of each request, in the settings and in the environment.

All engines use this module, and keep their libraries from reading the environment, so that they agree.
"""

from __future__ import annotations

import netrc
import os
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.request import getproxies, proxy_bypass

from yarl import URL

from fetchq.core.parsers import read_proxy
from fetchq.http.url import basic_auth

if TYPE_CHECKING:
    from fetchq.core.settings import Settings

__all__ = ["ProxyConfig", "proxy_parts"]


class ProxyConfig:
    """The proxies and netrc passwords of a run. Reads the environment once, and only with `trust_env`."""

    def __init__(self, settings: Settings) -> None:
        self._proxy = settings.proxy
        self._environment = getproxies() if settings.trust_env and settings.proxy is None else {}
        self._netrc = _read_netrc() if settings.trust_env else None
        self._by_host: dict[tuple[str, str], str | None] = {}
        self.proxied = self._proxy is not None or bool(self._environment)
        """Whether requests may go through a proxy."""

    def proxy_for(self, url: URL) -> str | None:
        """The URL of the proxy for a request to `url`; None for a direct connection."""
        if not self._environment:
            return self._proxy
        key = (url.scheme, f"{url.host}:{url.port}")
        if key not in self._by_host:
            if len(self._by_host) > 10_000:
                self._by_host.clear()
            self._by_host[key] = self._from_environment(*key)
        return self._by_host[key]

    def _from_environment(self, scheme: str, host: str) -> str | None:
        found = self._environment.get(scheme) or self._environment.get("all")
        if not found or proxy_bypass(host):
            return None
        try:
            return read_proxy(found if "://" in found else f"http://{found}")
        except ValueError:
            return None  # a SOCKS proxy, for example, which fetchq does not support

    def authorization_for(self, url: URL) -> str | None:
        """The Authorization header for the URL's host from ~/.netrc; None if it has no entry, or cannot be read."""
        if self._netrc is None or url.host is None or (entry := self._netrc.authenticators(url.host)) is None:
            return None
        login, _, password = entry
        return basic_auth(login or "", password or "")


@lru_cache(1024)
def proxy_parts(text: str | None) -> tuple[URL | None, dict[str, str]]:
    """The URL of a proxy without its userinfo, and the Proxy-Authorization header made from the userinfo."""
    if text is None:
        return None, {}
    url = URL(text)
    if url.user is None and url.password is None:
        return url, {}
    return url.with_user(None), {"Proxy-Authorization": basic_auth(url.user or "", url.password or "")}


def _read_netrc() -> netrc.netrc | None:
    try:
        return netrc.netrc(os.environ.get("NETRC"))
    except (OSError, ValueError, netrc.NetrcParseError):
        return None

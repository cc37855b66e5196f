"""How a request leaves this machine: directly or through a proxy, and with which credentials of the environment.

Both engines ask here and have their library's own reading of the environment switched off, so that they agree.
"""

from __future__ import annotations

import netrc
import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.request import getproxies, proxy_bypass

from yarl import URL

from fetchq.core.parsers import read_proxy
from fetchq.core.settings import SettingsError
from fetchq.http.url import Refused, basic_auth, dns_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fetchq.core.settings import Settings

__all__ = ["Routes", "address_text", "first_address", "fixed_addresses", "proxy_parts"]


class Routes:
    """The proxies and passwords of a run. Reads the environment once, and only when the settings say so."""

    def __init__(self, settings: Settings) -> None:
        self._proxy = settings.proxy
        self._environment = getproxies() if settings.trust_env and settings.proxy is None else {}
        self._netrc = _read_netrc() if settings.trust_env else None
        self._known: dict[tuple[str, str], str | None] = {}

    @property
    def proxied(self) -> bool:
        """Some requests go through a proxy."""
        return self._proxy is not None or bool(self._environment)

    def proxy_for(self, url: URL) -> str | None:
        """The URL of the proxy, None for a direct connection."""
        if not self._environment:
            return self._proxy
        key = (url.scheme, f"{url.host}:{url.port}")
        if key not in self._known:
            if len(self._known) > 10_000:
                self._known.clear()
            self._known[key] = self._from_environment(*key)
        return self._known[key]

    def _from_environment(self, scheme: str, host: str) -> str | None:
        found = self._environment.get(scheme) or self._environment.get("all")
        if not found or proxy_bypass(host):
            return None
        try:
            return read_proxy(found if "://" in found else f"http://{found}")
        except ValueError:
            return None  # a SOCKS proxy, say, which fetchq cannot speak to

    def authorization_for(self, url: URL) -> str | None:
        """The Authorization header that ~/.netrc has for the host, if it may be read."""
        if self._netrc is None or url.host is None or (entry := self._netrc.authenticators(url.host)) is None:
            return None
        login, _, password = entry
        return basic_auth(login or "", password or "")


@lru_cache(1024)
def proxy_parts(text: str | None) -> tuple[URL | None, dict[str, str]]:
    """The URL of a proxy without its userinfo, and the header that this asks for."""
    if text is None:
        return None, {}
    url = URL(text)
    if url.user is None and url.password is None:
        return url, {}
    return url.with_user(None), {"Proxy-Authorization": basic_auth(url.user or "", url.password or "")}


def fixed_addresses(settings: Settings) -> dict[tuple[str, int], str]:
    """The addresses that --resolve gives, by name (as `dns_name` has it) and port. An address stands for itself."""
    fixed = {}
    for host, port, address in settings.resolve:
        try:
            name = dns_name(host)
        except Refused as problem:
            raise SettingsError("resolve", f"{host!r}: {problem.message}") from None
        if not name.replace(".", "").isdigit() and ":" not in name:
            fixed[name, port] = address
    return fixed


def address_text(peer: tuple[Any, ...]) -> str:
    """A socket's address as it stands in a URL: 192.0.2.1:443, [2001:db8::1]:443."""
    host, port = peer[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def first_address(found: Iterable[str]) -> str | None:
    """The one by which a host is known that has several. IPv4 first: nearly every host has one."""
    return min(found, key=lambda address: (":" in address, address), default=None)


def _read_netrc() -> netrc.netrc | None:
    try:
        return netrc.netrc(os.environ.get("NETRC"))
    except (OSError, ValueError, netrc.NetrcParseError):
        return None

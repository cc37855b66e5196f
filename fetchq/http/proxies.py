"""Finds the proxy and the netrc password of each request, in the settings and in the environment.

All engines use this module, and keep their libraries from reading the environment, so that they agree. A
variable that cannot be obeyed is an error: fetchq never connects directly instead.
"""

from __future__ import annotations

import os
import stat
from functools import lru_cache
from typing import TYPE_CHECKING

from yarl import URL

from fetchq.core.parsers import read_proxy
from fetchq.core.settings import NO_PROXY_WITH, SettingsError
from fetchq.http.netrc_file import Netrc, NetrcError
from fetchq.http.no_proxy import NoProxy
from fetchq.http.url import basic_auth

if TYPE_CHECKING:
    from fetchq.core.settings import Settings

__all__ = ["ProxyConfig", "proxy_parts"]

_VARIABLES = {
    "http": ("http_proxy", "all_proxy", "ALL_PROXY"),
    "https": ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"),
}
"""The variables that may name the proxy for URLs of a scheme; the first that is set and not empty counts, as in curl.

HTTP_PROXY is not among them: a web server sets it for its CGI programs, from a header of whoever asks (httpoxy).
"""

_LARGEST_NETRC = 1_000_000
"""Bytes."""


class ProxyConfig:
    """The proxies and netrc passwords of a run. Reads the environment once, and only with `trust_env`.

    Raises `SettingsError`, which names the variable or the file that cannot be obeyed.
    """

    def __init__(self, settings: Settings) -> None:
        self._proxy = settings.proxy
        self._environment: dict[str, str] = {}
        """The proxy for URLs of each scheme."""
        self._no_proxy = NoProxy()
        if settings.trust_env and settings.proxy is None:
            self._read_variables()
            if self._environment and settings.checks_addresses:
                raise SettingsError("trust_env", f"a variable names a proxy, {NO_PROXY_WITH}")
        self._netrc = _read_netrc() if settings.trust_env else None
        self._by_host: dict[tuple[str, str | None, int | None], str | None] = {}
        self.proxied = self._proxy is not None or bool(self._environment)
        """Whether requests may go through a proxy."""

    def proxy_for(self, url: URL) -> str | None:
        """The URL of the proxy for a request to `url`; None for a direct connection."""
        if not self._environment:
            return self._proxy
        key = (url.scheme, url.raw_host, url.port)
        try:
            return self._by_host[key]
        except KeyError:
            if len(self._by_host) > 10_000:
                self._by_host.clear()
            scheme, host, port = key
            direct = host is None or self._no_proxy.covers(host, port)
            found = self._by_host[key] = None if direct else self._environment.get(scheme)
            return found

    def authorization_for(self, url: URL, login: str | None = None, *, redirected: bool = False) -> str | None:
        """The Authorization header for the URL's host from the netrc file; None if it has no entry for it.

        `login`: the login that the URL asks for. `redirected`: whether a server has chosen the URL. It then only gets
        the password of a machine that the file names, over TLS, and at the port where the machine's owner listens.
        """
        if self._netrc is None or (redirected and (url.scheme, url.port) != ("https", 443)):
            return None
        if (found := self._netrc.find(url.host or "", login, default=not redirected)) is None:
            return None
        return basic_auth(*found)

    def _read_variables(self) -> None:
        for scheme, names in _VARIABLES.items():
            name, text = _first_set(names)
            if text:
                try:
                    self._environment[scheme] = read_proxy(text if "://" in text else f"http://{text}")
                except ValueError as problem:
                    raise SettingsError("trust_env", f"{name}: {problem}") from None
        if self._environment:
            name, text = _first_set(("no_proxy", "NO_PROXY"))
            try:
                self._no_proxy = NoProxy(text)
            except ValueError as problem:
                raise SettingsError("trust_env", f"{name}: {problem}") from None
            if self._no_proxy.covers_all:
                self._environment.clear()


def _first_set(names: tuple[str, ...]) -> tuple[str, str]:
    """The first of these variables that is not empty, and its value; empty texts if there is none."""
    return next(((name, text) for name in names if (text := os.environ.get(name, "").strip())), ("", ""))


@lru_cache(1024)
def proxy_parts(text: str | None) -> tuple[URL | None, dict[str, str]]:
    """The URL of a proxy, and the Proxy-Authorization header.

    The header is made from the userinfo of an HTTP proxy, which its URL is then without; that of a SOCKS proxy stays.
    """
    if text is None:
        return None, {}
    url = URL(text)
    if url.scheme.startswith("socks") or (url.user is None and url.password is None):
        return url, {}
    return url.with_user(None), {"Proxy-Authorization": basic_auth(url.user or "", url.password or "")}


def _read_netrc() -> Netrc | None:
    """The file that NETRC names, else ~/.netrc, which need not exist. Raises `SettingsError`."""
    named = os.environ.get("NETRC", "")
    path = named or os.path.expanduser("~/.netrc")
    shown = f"NETRC: {path!r}" if named else path
    try:
        if not stat.S_ISREG(os.stat(path).st_mode) and path != os.devnull:  # a pipe could only be read once
            raise SettingsError("trust_env", f"{shown} is not a file")
        with open(path, "rb") as file:
            content = file.read(_LARGEST_NETRC + 1)
        if len(content) > _LARGEST_NETRC or b"\0" in content:
            raise SettingsError("trust_env", f"{shown} is not a netrc file")
        return Netrc(content.decode("utf-8-sig", "surrogateescape"))
    except (FileNotFoundError, NotADirectoryError):
        if not named:
            return None
        raise SettingsError("trust_env", f"{shown}: there is no such file") from None
    except OSError as problem:
        raise SettingsError("trust_env", f"{shown} cannot be read: {problem.strerror}") from None
    except NetrcError as problem:
        raise SettingsError("trust_env", f"{shown}, {problem}") from None

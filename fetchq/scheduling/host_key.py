"""Computes the key of a URL's host: a scheme and host with its port, or a registrable domain (`--per-host-by`).

This is the only module that imports publicsuffixlist, which contains the list (https://publicsuffix.org) and needs no
network.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING

from fetchq.http.addresses import is_address
from fetchq.http.url import Refused, host_of, parse_url

if TYPE_CHECKING:
    from collections.abc import Callable

    from publicsuffixlist import PublicSuffixList

    from fetchq.core.settings import Settings

__all__ = ["key_for", "name_of"]


def key_for(settings: Settings) -> Callable[[str], str]:
    """The function that computes the key which all URLs of a host share, from a URL or an invalid URL."""
    if settings.per_host_by != "domain":
        return host_of
    _suffixes()  # loading the list takes about 50 ms, which should not block the event loop later
    return _domain_of


def name_of(host: str) -> str | None:
    """The name or the address in `host` (see `host_of`); None if it cannot be parsed."""
    try:
        name = parse_url(host).url.raw_host
    except Refused:
        return None
    return None if name is None else name.rstrip(".")


def _domain_of(url: str) -> str:
    return _domain(host_of(url))


@lru_cache(20_000)
def _domain(host: str) -> str:
    """The registrable domain of a host; an address, or a name like localhost, counts as its own domain."""
    name = name_of(host)
    if name is None:
        return host
    return name if is_address(name) else _suffixes().privatesuffix(name) or name


@cache
def _suffixes() -> PublicSuffixList:
    from publicsuffixlist import PublicSuffixList

    return PublicSuffixList()

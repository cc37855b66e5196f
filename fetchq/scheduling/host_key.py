"""The key of a URL's host, which says what counts as one host: a host with its port, or a registrable domain.

The only module that imports publicsuffixlist, which brings the list (https://publicsuffix.org) and asks no network.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING

from fetchq.http.url import Refused, host_of, parse_url

if TYPE_CHECKING:
    from collections.abc import Callable

    from publicsuffixlist import PublicSuffixList

    from fetchq.core.settings import Settings

__all__ = ["is_address", "key_for", "name_of"]


def key_for(settings: Settings) -> Callable[[str], str]:
    """The function from a URL, or from text that is none, to its host's key, which all URLs of that host share."""
    if settings.per_host_by != "domain":
        return host_of
    _suffixes()  # loading the list takes some 50 ms, for which no event loop should have to wait later
    return _domain_of


def name_of(host: str) -> str | None:
    """The name or the address in `host`, which `host_of` gives; None where it cannot be parsed."""
    try:
        name = parse_url(host).url.raw_host
    except Refused:
        return None
    return None if name is None else name.rstrip(".")


def is_address(name: str) -> bool:
    """Whether `name`, which `name_of` gives, is an IP address."""
    return ":" in name or name.replace(".", "").isdigit()


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

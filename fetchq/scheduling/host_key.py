"""What counts as one host where fetchq is polite: a host with its port, or a registrable domain.

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
    """From a URL, also one that is none, to the text that all URLs of the same host have in common."""
    if settings.per_host_by != "domain":
        return host_of
    _suffixes()  # now: it takes some 50 ms, which no event loop should have to wait
    return _domain_of


def name_of(host: str) -> str | None:
    """The name, or the address, in what `host_of` gives; None where it is none."""
    try:
        name = parse_url(host).url.raw_host
    except Refused:
        return None
    return None if name is None else name.rstrip(".")


def is_address(name: str) -> bool:
    """Whether what `name_of` gives is an IP address."""
    return ":" in name or name.replace(".", "").isdigit()


def _domain_of(url: str) -> str:
    return _domain(host_of(url))


@lru_cache(20_000)
def _domain(host: str) -> str:
    """An address is a domain of its own, and so is a name under which nothing can be registered: localhost."""
    name = name_of(host)
    if name is None:
        return host
    return name if is_address(name) else _suffixes().privatesuffix(name) or name


@cache
def _suffixes() -> PublicSuffixList:
    from publicsuffixlist import PublicSuffixList

    return PublicSuffixList()

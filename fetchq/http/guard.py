"""Decides to which hosts and addresses a run may connect (`--allow-host`, `--deny-host`, `--block-private`).

A host is checked before anything is done for its row or redirect, and each of its addresses right before a socket
connects to it, so that the address that is dialled is the one that was checked, whatever DNS says next time.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_network
from typing import TYPE_CHECKING, TypeVar

from fetchq.core.host_patterns import EVERY_HOST, is_network
from fetchq.core.model import Cause
from fetchq.core.settings import SettingsError
from fetchq.http.addresses import is_address
from fetchq.http.failure import AttemptFailed
from fetchq.http.special_addresses import address_of, embedded_ipv4, is_within_special, special_kind
from fetchq.http.url import Refused, parse_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fetchq.core.settings import Settings
    from fetchq.http.special_addresses import Address, Network
    from fetchq.http.target import Target

__all__ = ["Guard", "guard_for"]

T = TypeVar("T")

_SHOWN = 3
"""How many of a host's addresses an error names."""


def guard_for(settings: Settings) -> Guard | None:
    """The guard of a run; None if it may connect to all hosts. Raises `SettingsError` for a name that cannot be."""
    given = settings.allow_host, settings.deny_host, settings.block_private
    return _guard(*given) if any(given) else None


class Guard:
    """The hosts and addresses that a run may connect to. Any thread may use it.

    Denied ones are refused first. If any are allowed, all others are refused: a host is allowed by its name, or an
    address by a network.
    """

    def __init__(self, allow: Iterable[str], deny: Iterable[str], *, block_private: bool) -> None:
        """`allow` and `deny`: patterns as `read_host_patterns` returns them."""
        self._block_private = block_private
        self._allowed_networks: list[Network] = []
        self._denied_networks: list[Network] = []
        self._allowed_names = _Names("allow_host")
        self._denied_names = _Names("deny_host")
        for patterns, names, networks in (
            (allow, self._allowed_names, self._allowed_networks),
            (deny, self._denied_names, self._denied_networks),
        ):
            for pattern in patterns:
                network = ip_network(pattern) if is_network(pattern) else names.add(pattern)
                if network is not None:
                    networks.append(network)
        self._allows_all = not self._allowed_names and not self._allowed_networks
        self._exempt = [network for network in self._allowed_networks if is_within_special(network)]
        """The allowed networks that `block_private` does not block: those that have no public address."""
        self._problem_of = lru_cache(4096)(self._host_problem)

    def refusal(self, target: Target) -> Refused | None:
        """Why no request to this URL may be made; None if one may, or if that depends on the addresses of its host."""
        problem = self._problem_of(target.origin.authority)
        return None if problem is None else Refused(Cause.BLOCKED, problem)

    def usable(self, host: str, found: list[T], text: Callable[[T], str]) -> list[T]:
        """Those of the addresses `found` for a host that may be connected to, at least one, if there were any.

        `host`: in ASCII, without brackets. `text`: gives the text of an address. Raises `AttemptFailed` (`blocked`).
        """
        problems = [self._address_problem(host, text(one)) for one in found]
        usable = [one for one, problem in zip(found, problems, strict=True) if problem is None]
        if found and not usable:
            shown = list(dict.fromkeys(problem for problem in problems if problem is not None))
            more = f", and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
            which = "" if is_address(host) else f"{host}: "
            raise AttemptFailed(Cause.BLOCKED, which + "; ".join(shown[:_SHOWN]) + more, permanent=True)
        return usable

    def _host_problem(self, authority: str) -> str | None:
        host = _host_of(authority)
        if is_address(host):
            return self._address_problem(host, host)
        if (pattern := self._denied_names.match(host)) is not None:
            return f"the host {host} is denied by deny-host {pattern}"
        if self._allows_all or self._allowed_networks or self._allowed_names.match(host) is not None:
            return None
        return f"the host {host} is not one that allow-host allows"

    def _address_problem(self, host: str, text: str) -> str | None:
        """Why an address of a host may not be connected to; None if it may."""
        address = address_of(text)
        if (pattern := self._denied_names.match(host)) is not None:
            return f"{host} is denied by deny-host {pattern}"
        inner = embedded_ipv4(address)
        for network in self._denied_networks:
            if address in network or (inner is not None and inner in network):
                return f"{text} is denied by deny-host {network}"
        named = self._allows_all or self._allowed_names.match(host) is not None
        if not named and not _in(address, self._allowed_networks):
            return f"{text} is not one that allow-host allows"
        if self._block_private and not _in(address, self._exempt) and (kind := special_kind(address)) is not None:
            return f"{text} is {kind}, and block-private is set"
        return None


class _Names:
    """The names that a list of patterns has."""

    def __init__(self, setting: str) -> None:
        self._setting = setting
        self._exact: dict[str, str] = {}
        """The pattern of each name."""
        self._below: dict[str, str] = {}
        """The pattern of each domain, of which all names below it match."""
        self._everything = False

    def __bool__(self) -> bool:
        return self._everything or bool(self._exact) or bool(self._below)

    def add(self, pattern: str) -> Network | None:
        """Add a name. Returns the network if it is another spelling of an address, such as 127.1."""
        if pattern == EVERY_HOST:
            self._everything = True
            return None
        name = pattern.removeprefix("*.")
        try:
            host = parse_url(f"http://{name}/").url.raw_host or ""
        except Refused as problem:
            raise SettingsError(self._setting, f"{pattern!r}: {problem.message}") from None
        if is_address(host):
            if name != pattern:
                raise SettingsError(self._setting, f"{pattern!r}: there are no names below an address")
            return ip_network(host)
        (self._exact if name == pattern else self._below)[host.rstrip(".")] = pattern
        return None

    def match(self, host: str) -> str | None:
        """The pattern that a host matches; None if it matches none."""
        name = host.rstrip(".").lower()
        if name in self._exact:
            return self._exact[name]
        labels = name.split(".") if self._below else []
        for at in range(1, len(labels)):
            if (pattern := self._below.get(".".join(labels[at:]))) is not None:
                return pattern
        return EVERY_HOST if self._everything else None


def _in(address: Address, networks: list[Network]) -> bool:
    return any(address in network for network in networks)


def _host_of(authority: str) -> str:
    """The host of the authority of a parsed URL, without brackets and port."""
    return authority[1 : authority.index("]")] if authority.startswith("[") else authority.partition(":")[0]


@lru_cache(8)
def _guard(allow: tuple[str, ...], deny: tuple[str, ...], block_private: bool) -> Guard:
    return Guard(allow, deny, block_private=block_private)

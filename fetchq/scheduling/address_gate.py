"""The address of each host, for a run in which all names at one address count as one host.

The rows of a name whose address is not known wait in a queue of their own, which is blocked while one worker looks the
name up; then they move to the queue of the address. A name that has none keeps its queue, and its rows fail as they
would anywhere.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from fetchq.core.model import Request
from fetchq.http.url import host_of
from fetchq.scheduling.host_key import is_address, name_of
from fetchq.scheduling.job import Job, JobKind

if TYPE_CHECKING:
    from fetchq.scheduling.host_queue import HostQueue

__all__ = ["AddressGate"]

_MOST = 20_000
"""Hosts whose address is remembered; any other is looked up again."""


class AddressGate:
    """Which hosts are at which address, as far as they have been looked up."""

    def __init__(self) -> None:
        self._keys: OrderedDict[str, str] = OrderedDict()
        """The address of each host that `host_of` gives, or the host itself where it has none; the last used last."""
        self._unresolved: set[str] = set()
        """Hosts that have to be looked up."""

    def key_of(self, url: str) -> str:
        """What all URLs at the same address have in common; of a host that has to be looked up, the host."""
        host = host_of(url)
        key = self._keys.get(host)
        if key is not None:
            self._keys.move_to_end(host)
            return key
        if host in self._unresolved:
            return host
        name = name_of(host)
        if name is None:
            return host
        if is_address(name):
            self._remember(host, name)
            return name
        self._unresolved.add(host)
        return host

    def job_before(self, queue: HostQueue, now: float) -> Job | None:
        """The job that looks the queue's host up, where that is still to be done."""
        if queue.host not in self._unresolved:
            return None
        self._unresolved.discard(queue.host)
        return Job(Request(queue.host, -1), now, JobKind.ADDRESS)

    def learn(self, host: str, address: str | None) -> None:
        """A host was looked up; None: it has no address."""
        self._unresolved.discard(host)
        self._remember(host, host if address is None else address)

    def _remember(self, host: str, key: str) -> None:
        self._keys[host] = key
        if len(self._keys) > _MOST:
            self._keys.popitem(last=False)

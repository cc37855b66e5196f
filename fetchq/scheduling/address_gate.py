"""Has the address of each host looked up, in a run that counts all hosts at one address as one (`--per-host-by ip`).

The rows of a host whose address is unknown wait in a queue of their own, which is blocked while a worker looks the host
up; then they move to the queue of the address. A host without an address keeps its queue, and its rows fail as usual.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from fetchq.core.model import Request
from fetchq.http.addresses import is_address
from fetchq.http.url import host_of
from fetchq.scheduling.host_key import name_of
from fetchq.scheduling.job import Job, JobKind

if TYPE_CHECKING:
    from fetchq.scheduling.host_queue import HostQueue

__all__ = ["AddressGate"]

_MOST = 20_000
"""The most hosts whose addresses are stored; any other host is looked up again."""


class AddressGate:
    """Stores the addresses of hosts, and makes the jobs that look them up."""

    def __init__(self) -> None:
        self._keys: OrderedDict[str, str] = OrderedDict()
        """The address of each host (see `host_of`), or the host itself if it has none; the last used one last."""
        self._unresolved: set[str] = set()
        """Hosts that must still be looked up."""

    def key_of(self, url: str) -> str:
        """The key that all URLs at one address share; the host itself, as long as its address is unknown."""
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
        """The job that looks up the queue's host, if it must still be looked up."""
        if queue.host not in self._unresolved:
            return None
        self._unresolved.discard(queue.host)
        return Job(Request(queue.host, -1), now, JobKind.ADDRESS)

    def learn(self, host: str, address: str | None) -> None:
        """Store the address that a lookup has found; None if the host has none."""
        self._unresolved.discard(host)
        self._remember(host, host if address is None else address)

    def _remember(self, host: str, key: str) -> None:
        self._keys[host] = key
        if len(self._keys) > _MOST:
            self._keys.popitem(last=False)

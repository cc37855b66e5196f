"""What the entries with ports of their own share: a certificate authority, and a name server."""

from __future__ import annotations

import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self
from unittest import mock

from dnsserver import DnsServer
from support.tls import Authority

from faults.base import Place
from fetchq.engines.requests import dial

SILENT = "silent.names.test"
"""The name that is never answered."""
Answer = list[str] | int | Callable[[], list[str]]
"""Addresses, the code of a failure (RFC 1035, 4.1.1), or what finds the addresses."""
NO_NAME = 3


class Site:
    """A context manager: the authority that issues the good certificates, and the names that its name server knows."""

    def __init__(self) -> None:
        self.names: dict[str, Answer] = {}
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fetchq-faults-")))
            self.authority = Authority(self.folder)
            self.dns = stack.enter_context(DnsServer(self._found, silent=SILENT))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._stack.close()

    def settings(self, entry: Place, mode: str) -> dict[str, Any]:
        """The fields of `fetchq.Settings` to fetch the entry with."""
        servers = {"dns_servers": self.dns.address} if mode == "async" else {}
        return {"cacert": self.authority.cacert, **servers, **entry.settings}

    @contextmanager
    def asked_by_the_system(self) -> Iterator[None]:
        """Names are looked up here, too, where the system does that: in the modes `threads` and `sync`."""
        with mock.patch.object(dial, "look_up", self._look_up):
            yield

    def _found(self, name: str) -> list[str] | int:
        answer = self.names.get(name, NO_NAME)
        return answer() if callable(answer) else answer

    def _look_up(self, host: str, port: int, family: int) -> list[dial.Address]:
        """As getaddrinfo(3) would find it. Raises OSError."""
        if not host.endswith(".test"):
            return really_look_up(host, port, family)
        if host == SILENT:
            self._ended.wait(10)
            raise socket.gaierror(socket.EAI_AGAIN, "temporary failure in name resolution")
        found = self._found(host)
        if isinstance(found, int) and found != NO_NAME:
            raise socket.gaierror(socket.EAI_AGAIN, "temporary failure in name resolution")
        if isinstance(found, int) or not found:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return [(socket.AF_INET, (address, port)) for address in found]


really_look_up = dial.look_up

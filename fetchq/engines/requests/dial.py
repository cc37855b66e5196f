"""Connects a blocking socket to whichever of a host's addresses answers first (happy eyeballs, RFC 8305)."""

from __future__ import annotations

import errno
import os
import selectors
import socket
from collections.abc import Callable
from itertools import chain, zip_longest
from time import perf_counter
from typing import TYPE_CHECKING, Any

from fetchq.core.disk import close_on_error
from fetchq.core.model import Cause
from fetchq.engines.arrival import connected
from fetchq.engines.bandwidth import buffer_for
from fetchq.engines.errors import no_such_name, out_of_descriptors
from fetchq.http.addresses import first_address, fixed_addresses, is_address, local_addresses
from fetchq.http.failure import AttemptFailed
from fetchq.http.guard import guard_for
from fetchq.http.phases import CONNECT, DNS, LAG

if TYPE_CHECKING:
    from fetchq.core.settings import Settings
    from fetchq.engines.requests.abort_switch import AbortSwitch
    from fetchq.http.attempt import Attempt

__all__ = ["POLL_INTERVAL", "Address", "Dialer", "dial", "look_up"]

STAGGER = 0.25
"""Seconds after which the next address is tried, too, if one has not answered (RFC 8305, 5)."""
POLL_INTERVAL = 0.1
"""Seconds between two checks whether the run was aborted."""

Address = tuple[socket.AddressFamily, tuple[str | int, ...]]


class Dialer:
    """Connects the sockets of one worker, as the settings say."""

    def __init__(self, settings: Settings, abort_switch: AbortSwitch) -> None:
        self._abort_switch = abort_switch
        self.family = socket.AF_INET if settings.ipv4 else socket.AF_INET6 if settings.ipv6 else socket.AF_UNSPEC
        self._guard = guard_for(settings)
        self._fixed = fixed_addresses(settings)
        self._buffer = buffer_for(settings.limit_rate)

    def connect(self, host: str, port: int, attempt: Attempt) -> socket.socket:
        """Connect a socket within the time that the attempt has left. Raises `AttemptFailed`, and OSError."""
        attempt.lap(LAG)
        try:
            addresses = self.addresses(host, port)
        finally:
            attempt.lap(LAG if is_address(host) else DNS)  # an address is not looked up, but the thread may wait
        if self._guard is not None and attempt.proxy is None:
            addresses = self._guard.usable(host, addresses, _address_text)
        now = perf_counter()
        try:
            sock = self._dial(addresses, attempt)
        except BaseException:  # raised again, whatever it is
            attempt.lap(CONNECT)
            raise
        began, ended = connected(sock, now)
        attempt.laps((LAG, began if len(addresses) == 1 else 0.0), (CONNECT, ended))
        with close_on_error(sock):
            sock.settimeout(max(0.001, attempt.time_left(perf_counter())[0]))  # for the TLS handshake
            secure = "https" in (attempt.hop.target.origin.scheme, attempt.proxy and attempt.proxy.scheme)
            self._abort_switch.watch(sock, handshake=secure)
            self._abort_switch.check()
        return sock

    def _dial(self, addresses: list[Address], attempt: Attempt) -> socket.socket:
        while True:
            now = perf_counter()
            left, what = attempt.time_left(now)
            try:
                return dial(addresses, now + left, self._abort_switch.check, self._buffer)
            except TimeoutError:
                if attempt.time_left(perf_counter())[0] <= 0:  # else time was lost meanwhile
                    raise AttemptFailed(Cause.TIMEOUT, what) from None

    def first_address(self, host: str, port: int) -> str | None:
        """The address that stands for a host; None if it has none."""
        try:
            return first_address(str(address[0]) for _, address in self.addresses(host, port))
        except (AttemptFailed, OSError):
            return None

    def addresses(self, host: str, port: int) -> list[Address]:
        """The addresses of `host`. Raises `AttemptFailed` (`dns`), and `socket.gaierror`."""
        fixed = self._fixed.get((host.rstrip("."), port))
        if fixed is None and (local := local_addresses(host)):
            found = [_address(one, port) for one in local]
            return [one for one in found if self.family in (socket.AF_UNSPEC, one[0])]
        try:
            return look_up(fixed or host, port, self.family)
        except socket.gaierror as problem:
            if (failure := out_of_descriptors()) is not None:
                raise failure from problem
            if problem.errno == getattr(socket, "EAI_ADDRFAMILY", None):
                raise no_such_name() from None
            raise
        except UnicodeError:
            raise no_such_name() from None


def _address_text(address: Address) -> str:
    return str(address[1][0])


def _address(text: str, port: int) -> Address:
    return (socket.AF_INET6, (text, port, 0, 0)) if ":" in text else (socket.AF_INET, (text, port))


def look_up(host: str, port: int, family: int) -> list[Address]:
    """The addresses of `host`, IPv6 and IPv4 alternating, IPv6 first. Raises `socket.gaierror`."""
    found: Any = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
    addresses: list[Address] = list(dict.fromkeys((one[0], one[4]) for one in found))
    six = [one for one in addresses if one[0] == socket.AF_INET6]
    four = [one for one in addresses if one[0] != socket.AF_INET6]
    return [one for one in chain.from_iterable(zip_longest(six, four)) if one is not None]


def dial(addresses: list[Address], until: float, check: Callable[[], None], buffer: int | None = None) -> socket.socket:
    """Connect a blocking socket. Raises the OSError of the last address; TimeoutError at `until` (`perf_counter`).

    `check` is called at least every `POLL_INTERVAL`; an exception that it raises ends the dialling. `buffer`: the
    receive buffer, in bytes.
    """
    waiting = list(addresses)
    problem: OSError = OSError(errno.EADDRNOTAVAIL, "no address to connect to")
    next_at = 0.0
    with selectors.DefaultSelector() as pending:
        try:
            while waiting or pending.get_map():
                check()
                now = perf_counter()
                if now >= until:
                    raise TimeoutError
                if waiting and (now >= next_at or not pending.get_map()):
                    try:
                        _start(waiting.pop(0), pending, buffer)
                    except OSError as failed:
                        problem = failed
                    next_at = now + STAGGER
                    continue
                pause = min(until, next_at if waiting else until) - now
                for key, _ in pending.select(min(pause, POLL_INTERVAL)):
                    connecting = _socket_of(key)
                    pending.unregister(connecting)
                    if (code := connecting.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)) == 0:
                        connecting.setblocking(True)
                        return connecting
                    connecting.close()
                    problem = OSError(code, os.strerror(code))
                    next_at = 0.0
            raise problem
        finally:
            for key in list(pending.get_map().values()):
                _socket_of(key).close()


def _start(address: Address, pending: selectors.BaseSelector, buffer: int | None) -> None:
    connecting = socket.socket(address[0], socket.SOCK_STREAM)
    with close_on_error(connecting):
        connecting.setblocking(False)
        connecting.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if buffer is not None:
            connecting.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        code = connecting.connect_ex(address[1])
        if code not in (0, errno.EINPROGRESS, errno.EWOULDBLOCK):
            raise OSError(code, os.strerror(code))
        pending.register(connecting, selectors.EVENT_WRITE)


def _socket_of(key: selectors.SelectorKey) -> socket.socket:
    assert isinstance(key.fileobj, socket.socket)
    return key.fileobj

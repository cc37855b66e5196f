"""Connections that cannot be made, or end before a request is answered (RFC 9293; RFC 9112, 9)."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from support.servers import ScriptServer, closed_port, silent_port

from faults.base import Theme
from faults.site import Site
from faults.wire import Connection

theme = Theme("network")
place = theme.place

_SOON = {"connect_timeout": 0.5, "read_timeout": 0.3}


class Greeter(ScriptServer):
    """A server that does something with each connection before it has read a byte, and then lets it go."""

    def __init__(self, greet: Callable[[Connection], None]) -> None:
        self._greet = greet
        super().__init__()

    def _serve(self, conn: Connection) -> None:
        with suppress(OSError):
            self._greet(conn)
        conn.close()


@contextmanager
def greeting(data: bytes) -> Iterator[str]:
    """A server that sends this as soon as it is connected to, and then is silent; yields its URL."""

    def greet(conn: Connection) -> None:
        conn.send(data)
        conn.hang()

    with Greeter(greet) as server:
        yield server.url


@place("connect")
@contextmanager
def refused(_: Site) -> Iterator[str]:
    """RFC 9293, 3.10.7.1: a port where nobody listens."""
    with closed_port() as url:
        yield url


@place("connect")
@contextmanager
def unreachable(_: Site) -> Iterator[str]:
    """RFC 1122, 4.2.3.10: an address to which no connection can be made; the system says so without a packet."""
    yield "http://255.255.255.255/"


@place("timeout", settings=_SOON)
@contextmanager
def syn_not_answered(_: Site) -> Iterator[str]:
    """RFC 9293, 3.8.1: a SYN that is never answered, as by a host that is off; here, one whose queue is full."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(8):
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0.1)
            with suppress(TimeoutError):
                waiting.connect(listener.getsockname())
                continue
            break
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"


@place("connect")
@contextmanager
def accepted_and_closed(_: Site) -> Iterator[str]:
    """9.6: closes each connection as it is accepted."""
    with Greeter(Connection.close) as server:
        yield server.url


@place("connect")
@contextmanager
def accepted_and_reset(_: Site) -> Iterator[str]:
    """RFC 9293, 3.5.2: RST to each connection as it is accepted."""
    with Greeter(Connection.reset) as server:
        yield server.url


@place("timeout", settings=_SOON)
@contextmanager
def accepted_and_not_read(_: Site) -> Iterator[str]:
    """9.5: accepts, and never reads a request."""
    with silent_port() as address:
        yield f"http://{address}/"


@place(("ok", "protocol"), body=None, settings=_SOON)
@contextmanager
def answered_unasked(_: Site) -> Iterator[str]:
    """9.2: an answer before the request has come, which is nobody's."""
    with greeting(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\npoison") as url:
        yield url


@place("protocol")
@contextmanager
def another_protocol(_: Site) -> Iterator[str]:
    """3: the greeting of another protocol, as of a mail server."""
    with greeting(b"220 mail.example ESMTP\r\n") as url:
        yield url

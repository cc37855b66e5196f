"""A server that does each thing late, and notes when it really did it; `scripts/truth.py` compares that with records.

It runs in a process of its own, in which the client's work delays nothing. When bytes arrived, the kernel says
(SO_TIMESTAMPNS), since this process may be late as well. When it sent something it knows from before and after, between
which the system may have stopped it: such a time is a pair, from the earliest to the latest instant. It serves
`/NUMBER/FIRST/BODY/CLOSE`: the first byte after FIRST seconds, the second half of the body BODY seconds after that, and
the connection is closed if CLOSE is 1. Linux only.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import json
import select
import socket
import ssl
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from time import perf_counter, time_ns
from typing import Any

SO_TIMESTAMPNS = 35
_TIMESPEC = struct.Struct("@qq")
BODY = b"x" * 512
Span = tuple[float, float]
"""An instant, or a number of seconds: at least, and at most."""


def receive(sock: socket.socket) -> tuple[bytes, float, Any]:
    """The next bytes, when they arrived at this machine, and from where."""
    data, notes, _, sender = sock.recvmsg(65536, 64)
    while True:
        now, wall = perf_counter(), time_ns()
        if perf_counter() - now < 0.0002:  # otherwise this process was stopped in between
            break
    for _, kind, value in notes:
        if kind == SO_TIMESTAMPNS and len(value) == _TIMESPEC.size:
            seconds, nanoseconds = _TIMESPEC.unpack(value)
            return data, now - (wall - seconds * 1_000_000_000 - nanoseconds) / 1e9, sender
    return data, now, sender


@dataclass(eq=False)
class Client:
    """A connection: what has arrived on it, and what it was answered when."""

    sock: socket.socket
    secure: bool
    tls: ssl.SSLObject | None = None
    incoming: ssl.MemoryBIO = field(default_factory=ssl.MemoryBIO)
    outgoing: ssl.MemoryBIO = field(default_factory=ssl.MemoryBIO)
    shaken: bool = False
    hello: float | None = None
    """When the ClientHello arrived."""
    handshake: Span | None = None
    """Seconds from the ClientHello to the server's flight; None once a request has told it."""
    received: bytes = b""
    arrived: float = 0.0

    def send(self, data: bytes) -> Span:
        """Send, and say when that was."""
        if self.tls is not None:
            self.tls.write(data)
            data = self.outgoing.read()
        before = perf_counter()
        self.sock.sendall(data)
        return before, perf_counter()


class Server:
    """One listener. It accepts, and ends TLS handshakes, as late as it is told."""

    def __init__(self, context: ssl.SSLContext | None, accept: float, handshake: float) -> None:
        self.context, self.accept, self.handshake = context, accept, handshake
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.listener.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.listener.setblocking(False)
        self.port: int = self.listener.getsockname()[1]


class Loop:
    """Serves all listeners, and a name server, in one thread."""

    def __init__(self, dns_delay: float) -> None:
        self.epoll = select.epoll()
        self.due: list[tuple[float, int, Callable[[], None]]] = []
        self.order = itertools.count()
        self.handlers: dict[int, Callable[[], None]] = {}
        self.log: dict[str, dict[str, Span]] = {}
        self.names: dict[str, Span] = {}
        """By name: seconds from its first question to the last answer."""
        self.dns_delay = dns_delay
        self.dns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.dns.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.dns.bind(("127.0.0.1", 0))
        self.on_readable(self.dns, self.resolve)
        self.asked: dict[str, float] = {}

    def on_readable(self, sock: socket.socket, handler: Callable[[], None]) -> None:
        self.handlers[sock.fileno()] = handler
        self.epoll.register(sock, select.EPOLLIN)

    def forget(self, sock: socket.socket) -> None:
        self.epoll.unregister(sock)
        del self.handlers[sock.fileno()]

    def later(self, at: float, action: Callable[[], None]) -> None:
        heapq.heappush(self.due, (at, next(self.order), action))

    def run(self) -> None:
        ends = sys.stdin.fileno()
        self.epoll.register(ends, select.EPOLLIN)
        while True:
            wait = -1.0 if not self.due else max(0.0, self.due[0][0] - perf_counter())
            for descriptor, _ in self.epoll.poll(wait):
                if descriptor == ends:
                    return
                if descriptor in self.handlers:
                    self.handlers[descriptor]()
            while self.due and self.due[0][0] <= perf_counter():
                heapq.heappop(self.due)[2]()

    def listen(self, server: Server) -> None:
        def ready() -> None:
            if not server.accept:
                accept()
                return
            self.forget(server.listener)
            self.later(perf_counter() + server.accept, accept_again)

        def accept_again() -> None:
            accept()
            self.on_readable(server.listener, ready)

        def accept() -> None:
            with suppress(BlockingIOError):
                while True:
                    sock, _ = server.listener.accept()
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    client = Client(sock, server.context is not None)
                    if server.context is not None:
                        client.tls = server.context.wrap_bio(client.incoming, client.outgoing, server_side=True)
                    self.on_readable(sock, lambda client=client: self.read(client, server))

        self.on_readable(server.listener, ready)

    def read(self, client: Client, server: Server) -> None:
        try:
            data, arrived, _ = receive(client.sock)
        except OSError:
            data = b""
        if not data:
            self.close(client)
            return
        if client.tls is not None:
            client.incoming.write(data)
            if not client.shaken:
                if client.hello is None:
                    client.hello = arrived
                    self.later(arrived + server.handshake, lambda: self.shake(client))
                elif client.handshake is not None:
                    self.shake(client)
                if not client.shaken:
                    return
            try:
                data = client.tls.read(65536)
            except ssl.SSLWantReadError:
                return
        if not client.received:
            client.arrived = arrived
        client.received += data
        if client.received.endswith(b"\r\n\r\n"):
            self.answer(client)

    def shake(self, client: Client) -> None:
        assert client.tls is not None
        try:
            client.tls.do_handshake()
            client.shaken = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            self.close(client)
            return
        flight, before = client.outgoing.read(), perf_counter()
        if flight:
            with suppress(OSError):
                client.sock.sendall(flight)
        if client.handshake is None and client.hello is not None:
            client.handshake = before - client.hello, perf_counter() - client.hello

    def answer(self, client: Client) -> None:
        number, first, body, close = client.received.split(b" ", 2)[1].decode().strip("/").split("/")[:4]
        truth = {"arrived": (client.arrived, client.arrived), "tls": client.handshake or (0.0, 0.0)}
        client.received, client.handshake = b"", (0.0, 0.0)
        end = "close" if close == "1" else "keep-alive"
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {2 * len(BODY)}\r\nConnection: {end}\r\n\r\n".encode()

        def send_first() -> None:
            if not float(body):
                truth["first"] = truth["last"] = client.send(head + BODY + BODY)
                self.log[number] = truth
                return
            truth["first"] = client.send(head + BODY)
            self.later(truth["first"][1] + float(body), send_last)

        def send_last() -> None:
            truth["last"] = client.send(BODY)
            self.log[number] = truth

        self.later(client.arrived + float(first), lambda: _unless_gone(send_first))

    def close(self, client: Client) -> None:
        self.forget(client.sock)
        client.sock.close()

    def resolve(self) -> None:
        query, arrived, sender = receive(self.dns)
        end, labels = 12, []
        while size := query[end]:
            labels.append(query[end + 1 : end + 1 + size].decode().lower())
            end += 1 + size
        name, (kind,) = ".".join(labels), struct.unpack_from(">H", query, end + 1)
        begun = self.asked.setdefault(name, arrived)
        answer = kind == 1
        header = query[:2] + struct.pack(">5H", 0x8180, 1, int(answer), 0, 0)
        record = struct.pack(">HHHIH", 0xC00C, 1, 1, 60, 4) + socket.inet_aton("127.0.0.1") if answer else b""

        def reply() -> None:
            before = perf_counter()
            self.dns.sendto(header + query[12 : end + 5] + record, sender)
            self.names[name] = before - begun, perf_counter() - begun

        self.later(arrived + self.dns_delay, reply)


def _unless_gone(send: Callable[[], None]) -> None:
    with suppress(OSError):
        send()


def main() -> None:
    """Print the ports, serve until stdin ends, then print the log; both as one line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cert", required=True, help="PEM of the certificate and its key")
    parser.add_argument("--accept", type=float, default=0.0)
    parser.add_argument("--handshake", type=float, default=0.0)
    parser.add_argument("--dns", type=float, default=0.0)
    given = parser.parse_args()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(given.cert)
    loop = Loop(given.dns)
    listeners = {
        "http": Server(None, 0.0, 0.0),
        "http_accept": Server(None, given.accept, 0.0),
        "https": Server(context, 0.0, given.handshake),
        "https_accept": Server(context, given.accept, 0.0),
    }
    for one in listeners.values():
        loop.listen(one)
    ports = {name: one.port for name, one in listeners.items()}
    print(json.dumps(ports | {"dns": loop.dns.getsockname()[1]}), flush=True)
    loop.run()
    print(json.dumps({"requests": loop.log, "names": loop.names}), flush=True)


if __name__ == "__main__":
    main()

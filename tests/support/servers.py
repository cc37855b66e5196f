"""Servers that follow a script. Each is a context manager, so that a test can say what ends first."""

from __future__ import annotations

import asyncio
import os
import selectors
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

import pytest
from faults.server import FaultServer
from faults.wire import Asked, Connection, head, length

from support.waiting import A_MOMENT, PATIENCE

Script = Callable[[Connection, Asked], None]


def answer(body: bytes = b"ok", *lines: bytes, status: bytes = b"200 OK") -> Script:
    """A script that gives this answer to every request."""

    def play(conn: Connection, asked: Asked) -> None:
        sent = b"" if asked.method == "HEAD" else body
        conn.send(head(length(len(body)), *lines, status=b"HTTP/1.1 " + status) + sent)

    return play


ok = answer()


class Counted:
    """A script that counts how many requests are under way at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = self.most = 0

    def __call__(self, conn: Connection, asked: Asked) -> None:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        conn.pause(A_MOMENT / 4)
        with self._lock:
            self._now -= 1
        ok(conn, asked)


def hang(conn: Connection, _: Asked) -> None:
    """Never answers; ends when the client hangs up."""
    conn.hang()


def late(seconds: float) -> Script:
    """`ok`, but not before so many seconds."""

    def play(conn: Connection, asked: Asked) -> None:
        conn.pause(seconds)
        ok(conn, asked)

    return play


def by_path(scripts: dict[str, Script], otherwise: Script = ok) -> Script:
    """A script for each path."""

    def play(conn: Connection, asked: Asked) -> None:
        scripts.get(asked.path, otherwise)(conn, asked)

    return play


class ScriptServer(FaultServer):
    """A server of raw sockets whose every answer is `script(connection, asked)`; with `tls`, over TLS.

    A client whose handshake fails is let go without a reset, which would swallow the alert that tells it why.
    """

    def __init__(
        self, script: Script = ok, host: str = "127.0.0.1", *, tls: ssl.SSLContext | None = None, handshake: float = 0.0
    ) -> None:
        self.script = script
        self._tls = tls
        self._handshake = handshake
        super().__init__(host)
        if tls is not None:
            self.url = f"https://{self.netloc}"
        self.port: int = self.address[1]

    def at(self, host: str) -> str:
        """The URL, with that host."""
        return f"{self.url.partition('://')[0]}://{host}:{self.port}"

    @property
    def seen(self) -> list[str]:
        """The targets that were asked for, in order."""
        return [asked.target for asked in self.log]

    @property
    def connections(self) -> list[int]:
        """The number of the connection that each request came on."""
        return [asked.connection for asked in self.log]

    async def got(self, n: int) -> None:
        """Wait until so many requests have come."""
        assert await asyncio.to_thread(self.wait_for_requests, n, PATIENCE), f"{len(self.log)} requests of {n}"

    def close(self) -> None:
        for event in list(self._events.values()):
            event.set()
        super().close()

    def _serve(self, conn: Connection) -> None:
        try:
            if self._tls is not None:
                conn.pause(self._handshake)
                conn._sock = _secured(conn._sock, self._tls)
            while conn.open and (asked := conn.read_request()) is not None:
                with self._logged:
                    self.log.append(asked)
                    self._logged.notify_all()
                self.script(conn, asked)
        except (OSError, ValueError):
            pass  # the client hung up, or this server closes, which ssl calls a ValueError
        finally:
            conn.close()


def _secured(sock: socket.socket, context: ssl.SSLContext) -> ssl.SSLSocket:
    sock.settimeout(PATIENCE)
    secured = context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
    try:
        secured.do_handshake()
    except OSError:
        with secured, suppress(OSError):
            socket.socket.shutdown(secured, socket.SHUT_WR)
            while socket.socket.recv(secured, 65536):
                pass
        raise
    secured.settimeout(None)
    return secured


def reply(body: bytes = b"ok", *lines: bytes, status: bytes = b"HTTP/1.1 200 OK") -> bytes:
    """A whole response, after which the connection closes."""
    return head(*lines, b"Connection: close", length(len(body)), status=status) + body


class Scripted(ScriptServer):
    """A server that sends whatever bytes `answer` makes of a request, and hangs up."""

    def __init__(
        self, answer: Callable[[Asked], bytes] = lambda _: reply(), *, tls: ssl.SSLContext | None = None
    ) -> None:
        self.answer = answer
        self.released = threading.Event()
        """For an `answer` that waits; set when the server closes."""
        super().__init__(self._play, tls=tls)

    def hold(self, asked: Asked) -> bytes:
        """An answer that comes once `released` is set."""
        self.released.wait(PATIENCE)
        return reply()

    def close(self) -> None:
        self.released.set()
        super().close()

    def _play(self, conn: Connection, asked: Asked) -> None:
        conn.send(self.answer(asked))
        conn.close()


@contextmanager
def closed_port() -> Iterator[str]:
    """The URL of a port where nobody listens, and nobody will."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@contextmanager
def silent_port() -> Iterator[str]:
    """The address of a port that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def need(condition: object, reason: str) -> None:
    """Skip the test unless `condition`; fail it where everything is required to be there."""
    if not condition:
        if os.environ.get("FETCHQ_REQUIRE_ALL") == "1":
            pytest.fail(reason)
        pytest.skip(reason)


def ipv6_server(script: Script = ok, *, tls: ssl.SSLContext | None = None) -> ScriptServer:
    """A server on ::1, where this machine has it."""
    try:
        return ScriptServer(script, "::1", tls=tls)
    except OSError as problem:
        need(False, f"there is no IPv6 on the loopback ({problem})")
        raise


def tunnel(conn: Connection, asked: Asked) -> None:
    """The script of a proxy that does what CONNECT asks for."""
    host, _, port = asked.target.rpartition(":")
    relay(conn, (host.strip("[]"), int(port)), [head(status=b"HTTP/1.1 200 Connection established")])


def relay(conn: Connection, address: tuple[str, int], packets: Iterable[bytes]) -> None:
    """Send these packets, a moment apart, as the answer that a tunnel is open, and pass on what goes through it."""
    with socket.create_connection(address) as far, selectors.DefaultSelector() as ready:
        for number, packet in enumerate(packets):
            if number:
                conn.pause(A_MOMENT / 50)
            conn.send(packet)
        near = conn._sock
        ready.register(near, selectors.EVENT_READ, far)
        ready.register(far, selectors.EVENT_READ, near)
        while True:
            for key, _ in ready.select():
                source = key.fileobj
                assert isinstance(source, socket.socket)
                if not (data := source.recv(65536)):
                    conn.close()
                    return
                key.data.sendall(data)

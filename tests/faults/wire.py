"""The bytes of HTTP, the request that came, and the connection to misbehave on."""

from __future__ import annotations

import os
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qsl, urlsplit

if TYPE_CHECKING:
    from faults.server import FaultServer

CRLF = b"\r\n"
HELLO = b"hello"
LAST_CHUNK = b"0\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked"
POISON = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
"""A whole answer that nobody asked for: its body must never become a result."""
FLOOD_LIMIT = 50_000_000
"""Bytes after which an endless response gives up on a client that never hangs up."""
_BLOCK = 65536


def head(*lines: bytes, status: bytes = b"HTTP/1.1 200 OK") -> bytes:
    """A status line, header lines and the empty line."""
    return CRLF.join((status, *lines, b"", b""))


def length(n: int) -> bytes:
    """A Content-Length line."""
    return b"Content-Length: %d" % n


def chunk(data: bytes) -> bytes:
    """One chunk (RFC 9112, 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class Asked(NamedTuple):
    """A request as it came; what `FaultServer.log` holds."""

    connection: int
    """From 1, in the order of accept."""
    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def path(self) -> str:
        return self._url[0]

    @property
    def params(self) -> dict[str, str]:
        return dict(parse_qsl(self._url[1], keep_blank_values=True))

    @property
    def _url(self) -> tuple[str, str]:
        if self.target.startswith("/"):
            path, _, query = self.target.partition("?")
            return path, query
        whole = urlsplit(self.target)  # absolute-form, as sent to a proxy
        return whole.path, whole.query

    def header(self, name: str) -> str | None:
        """The first header of that name, any case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


class Connection:
    """One accepted connection. A client that leaves, and a server that closes, show as OSError."""

    def __init__(self, sock: socket.socket, number: int, server: FaultServer) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.number = number
        self.server = server
        self.open = True
        self.sent = 0
        self.on_next: Callable[[], None] | None = None
        """What the next request on this connection gets instead of an answer."""
        self._sock = sock
        self._came = b""
        self._closing = threading.Lock()

    # --- the ways to misbehave ---

    def send(self, data: bytes) -> None:
        view = memoryview(data)
        for start in range(0, len(view), _BLOCK):
            block = view[start : start + _BLOCK]
            self._sock.sendall(block)
            self.sent += len(block)
            self.server.sent[self.number] = self.sent

    def send_chunks(self, pieces: Iterable[bytes]) -> None:
        """A chunked body, to its end."""
        for piece in pieces:
            if piece:
                self.send(chunk(piece))
        self.send(LAST_CHUNK)

    def flood(self, data: bytes) -> None:
        """Send `data` again and again until the client hangs up; stop at FLOOD_LIMIT."""
        block = data * (_BLOCK // len(data) or 1)
        while self.sent < FLOOD_LIMIT:
            self.send(block)
        self.close()

    def drip(self, data: bytes, interval: float) -> None:
        """Send one byte per `interval` seconds."""
        for byte in data:
            self.send(bytes((byte,)))
            self.pause(interval)

    def pause(self, seconds: float) -> None:
        if self.server.stopping.wait(seconds):
            raise ConnectionAbortedError("the server closes")

    def hang(self) -> None:
        """Say no more until the client hangs up."""
        while self._sock.recv(_BLOCK):
            pass
        self.close()

    def quiet_for(self, seconds: float) -> bool:
        """Wait; False when the client's next bytes (or its end) came first."""
        if self._came:
            return False
        self._sock.settimeout(seconds)
        try:
            self._sock.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            return True
        finally:
            self._sock.settimeout(None)
        return False

    def mark(self, name: str) -> None:
        """Tell the test that it has happened: `server.event(name)`."""
        self.server.event(name).set()

    def close(self) -> None:
        """A clean end: FIN, and before it the good-bye of TLS where that is spoken."""
        with self._closing, suppress(OSError, ValueError):
            if self.open and isinstance(self._sock, ssl.SSLSocket):
                self._sock.setblocking(False)  # it is not waited for the client's
                self._sock.unwrap()
        self.cut()

    def cut(self) -> None:
        """An end that TLS knows nothing of (FIN)."""
        with self._closing:
            self.open = False
            self._sock.close()

    def reset(self) -> None:
        """An RST, after a moment in which the client can read what was sent."""
        self.pause(0.02)
        linger = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.cut()

    def abort(self) -> None:
        """Called by another thread: ends whatever this connection's own is blocked in."""
        with self._closing, suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    # --- requests ---

    def read_request(self) -> Asked | None:
        """The next request, whole; None when the client has left."""
        try:
            start, *lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
            pairs = (line.partition(":") for line in lines)
            headers = [(name, value.strip()) for name, _, value in pairs]
            method, _, rest = start.partition(" ")
            asked = Asked(self.number, method, rest.rpartition(" ")[0], headers, b"")
            return asked._replace(body=self._read_body(asked))
        except EOFError:
            return None

    def _read_body(self, asked: Asked) -> bytes:
        if (asked.header("Transfer-Encoding") or "").lower() != "chunked":
            return self._take(int(asked.header("Content-Length") or 0))
        body = b""
        while size := int(self._until(CRLF).partition(b";")[0], 16):
            body += self._take(size)
            self._until(CRLF)
        while self._until(CRLF):
            pass
        return body

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._came:
            self._receive()
        found, _, self._came = self._came.partition(mark)
        return found

    def _take(self, n: int) -> bytes:
        while len(self._came) < n:
            self._receive()
        taken, self._came = self._came[:n], self._came[n:]
        return taken

    def _receive(self) -> None:
        data = self._sock.recv(_BLOCK)
        if not data:
            raise EOFError
        self._came += data

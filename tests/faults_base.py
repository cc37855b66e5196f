"""What faults are made of: the request that came, the connection to misbehave on, and a fault's entry in the table."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict, Unpack
from urllib.parse import parse_qsl, urlsplit

if TYPE_CHECKING:
    from faultserver import FaultServer

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
        """A clean end (FIN)."""
        with self._closing:
            self.open = False
            self._sock.close()

    def reset(self) -> None:
        """An RST, after a moment in which the client can read what was sent."""
        self.pause(0.02)
        linger = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.close()

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
        while size := int(self._until(CRLF), 16):
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


# --- the table ----------------------------------------------------------------------------------------------------


class Then(StrEnum):
    """What becomes of the connection once a fault's bytes are sent."""

    STAYS = "stays"
    """It answers further requests, so that a test can see whether the client dared to send one."""
    CLOSES = "closes"
    RESETS = "resets"
    HANGS = "hangs"


Play = Callable[[Connection, Asked], None]
Expect = str | tuple[str, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fault:
    """One way to misbehave, and what a client must make of it."""

    name: str
    theme: str
    rule: str
    """What it does, and the RFC section it breaks or leans on."""
    expect: Expect
    """The cause; None is ok. A tuple where several are right ("ok" among them), but all engines must give the same."""
    play: Play = field(repr=False)
    wire: bytes | Callable[[], bytes] | None = field(default=None, repr=False)
    """Every byte it sends, where that is fixed."""
    then: Then | None = None
    """What follows `wire`; None where `play` decides."""
    status: int = 200
    """The final status, where the result is ok."""
    body: bytes | None = HELLO
    """The decoded body, where the result is ok; None: do not compare."""
    complete: str | None = None
    """`Result.complete`, where the fault is about it."""
    reusable: bool = False
    """A client that took the answer as ok may send its next request on the same connection."""
    method: str = "GET"
    query: str = ""
    """Parameters to ask with; others override them."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `fetchq.Settings` that make it show, and soon."""

    @property
    def allowed(self) -> frozenset[str | None]:
        """The causes that are right; None is ok."""
        several = self.expect if isinstance(self.expect, tuple) else (self.expect,)
        return frozenset(None if one == "ok" else one for one in several)

    @property
    def target(self) -> str:
        return f"/fault/{self.name}" + (f"?{self.query}" if self.query else "")

    def sends(self) -> bytes | None:
        """`wire`, computed where it needs a library."""
        return self.wire() if callable(self.wire) else self.wire


class Facts(TypedDict, total=False):
    """The fields of a Fault that have defaults."""

    status: int
    body: bytes | None
    complete: str | None
    reusable: bool
    method: str
    query: str
    settings: Mapping[str, Any]


class Theme:
    """Collects the faults of one module."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.faults: list[Fault] = []

    def sends(
        self,
        name: str,
        rule: str,
        expect: Expect,
        wire: bytes | Callable[[], bytes],
        then: Then = Then.STAYS,
        **facts: Unpack[Facts],
    ) -> None:
        """A fault that sends fixed bytes. Unless told otherwise it is `reusable` when ok is right and it stays."""

        def play(conn: Connection, _asked: Asked) -> None:
            conn.send(wire() if callable(wire) else wire)
            _THEN[then](conn)

        one = Fault(name=name, theme=self.name, rule=rule, expect=expect, play=play, wire=wire, then=then, **facts)
        if "reusable" not in facts:
            fine = then is Then.STAYS and bool(one.allowed & {None, "status"})
            object.__setattr__(one, "reusable", fine)
        self.faults.append(one)

    def plays(self, expect: Expect, **facts: Unpack[Facts]) -> Callable[[Play], Play]:
        """Decorates a fault that is a function; its name and its docstring are the fault's name and rule."""

        def add(play: Play) -> Play:
            name = play.__name__.replace("_", "-")
            rule = (play.__doc__ or "").strip()
            self.faults.append(Fault(name=name, theme=self.name, rule=rule, expect=expect, play=play, **facts))
            return play

        return add


_THEN: dict[Then, Callable[[Connection], None]] = {
    Then.STAYS: lambda _: None,
    Then.CLOSES: Connection.close,
    Then.RESETS: Connection.reset,
    Then.HANGS: Connection.hang,
}

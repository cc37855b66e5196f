"""A server of raw sockets for the golden runs, with fixed answers, good and broken ones. It knows nothing of fetchq."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO, NamedTuple, Self
from urllib.parse import urlsplit

__all__ = ["RawServer"]

PATIENCE = 120.0
"""Seconds after which an answer that is held back is given up; no run waits for them to pass."""

# What the coders of these made, once: another version of them could make other bytes of the same text.
_GZIP = bytes.fromhex(
    "1f8b08000000000002030bc94855282ccd4cce56482aca2fcf5348cbaf50c82acd2d2856c82f4b2d5228014ae72456552aa4e4a7eb71850c"
    "0ec5008e707f58b4000000"
)
_BROKEN_GZIP = _GZIP[:-8] + bytes(8)
"""With another checksum and length than its text has."""


class Asked(NamedTuple):
    """A request, as it came."""

    method: str
    target: str
    head: bytes
    """All lines but the empty one."""
    body: bytes

    @property
    def path(self) -> str:
        """The target without the server's name, which a proxy is told, and without the query."""
        return urlsplit(self.target).path

    def header(self, name: str) -> str | None:
        """The value of the first header of that name."""
        for line in self.head.decode("latin-1").split("\r\n")[1:]:
            found, _, value = line.partition(":")
            if found.lower() == name.lower():
                return value.strip()
        return None


def _answer(body: bytes = b"", *lines: str, status: str = "200 OK") -> bytes:
    """A whole answer, after which the connection can be used again."""
    head = "\r\n".join([f"HTTP/1.1 {status}", *lines, f"Content-Length: {len(body)}", "\r\n"])
    return head.encode("latin-1") + body


def _text(text: str, *lines: str, status: str = "200 OK") -> bytes:
    return _answer(text.encode(), "Content-Type: text/plain; charset=utf-8", *lines, status=status)


def _to(location: str, status: str = "302 Found") -> bytes:
    return _answer(b"", f"Location: {location}", status=status)


_MODIFIED = "Last-Modified: Mon, 01 Jan 2001 00:00:00 GMT"
_JSON = b'{"name": "golden", "numbers": [1, 2.5, -3], "nothing": null}\n'

FIXED = {
    "/": _text("the root\n"),
    "/ok": _text("ok\n"),
    "/page.html": _answer("<p>Crème brûlée</p>\n".encode("latin-1"), "Content-Type: text/html; charset=ISO-8859-1"),
    "/data.json": _answer(_JSON, "Content-Type: application/json", 'ETag: "first"', "X-Twice: 1", "X-Twice: caf\xe9"),
    "/bytes": _answer(bytes(range(256)) * 8, "Content-Type: application/octet-stream"),
    "/empty": b"HTTP/1.1 204 No Content\r\n\r\n",
    "/gzip": _answer(_GZIP, "Content-Type: text/plain", "Content-Encoding: gzip"),
    "/chunked": b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\n7\r\n world\n\r\n0\r\n\r\n",
    "/colours": _text("\x1b[31mred\x1b[0m \u202eleft\n"),
    "/formula": _text("=1+1\n"),
    "/private/1": _text("private\n"),
    "/robots.txt": _text("User-agent: *\nDisallow: /private\n"),
    "/missing": _text("no such page\n", status="404 Not Found"),
    "/error": _text("an error\n", status="500 Internal Server Error"),
    "/teapot": _text("short and stout\n", status="418 I'm a teapot"),
    "/see-other": _to("/seen", "303 See Other"),
    "/temporary": _to("/seen", "307 Temporary Redirect"),
    "/hop/3": _to("/hop/2"),
    "/hop/2": _to("../hop/1", "301 Moved Permanently"),
    "/hop/1": _to("/ok#part"),
    "/loop": _to("/loop"),
    "/nowhere": _answer(b"", status="302 Found"),
    "/bad-location": _to("http://["),
    "/to-ftp": _to("ftp://127.0.0.1/file"),
}
"""Answers after which the connection can be used again, by path."""

BROKEN = {
    "/short": b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\nhello",
    "/bad-chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
    "/cut-chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
    "/no-length": b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nhow long is this?\n",
    "/two-lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
    "/bad-length": b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok",
    "/no-http": b"hello\r\n\r\n",
    "/bad-status": b"HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok",
    "/nothing": b"",
    "/half-head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "/rot13": b"HTTP/1.1 200 OK\r\nContent-Encoding: rot13\r\nContent-Length: 2\r\n\r\nbx",
    "/bad-gzip": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 67\r\n\r\n" + _BROKEN_GZIP,
}
"""Answers after which the server hangs up, by path."""


class RawServer:
    """Listens on a free port of 127.0.0.1, with a thread for each connection. Leaving the `with` ends them all."""

    def __init__(self) -> None:
        self.held = threading.Event()
        """Set when somebody has asked for /hold."""
        self.released = threading.Event()
        """Set it to have /hold answered."""
        self._ending = False
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._connections: list[tuple[threading.Thread, socket.socket]] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._accepting = threading.Thread(target=self._accept, name="golden-accept", daemon=True)

    def __enter__(self) -> Self:
        self._accepting.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending = True
        self.released.set()
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), PATIENCE):
            pass  # an accept that is under way returns
        self._accepting.join()
        self._listener.close()
        for thread, connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                continue  # the client has left already
            if self._ending:
                connection.close()
                return
            thread = threading.Thread(target=self._serve, args=(connection,), name="golden-serve", daemon=True)
            self._connections.append((thread, connection))
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream, suppress(OSError):
            while (asked := _read(stream)) is not None:
                answer, last = self._answer(asked)
                connection.sendall(answer)
                if last:
                    return

    def _answer(self, asked: Asked) -> tuple[bytes, bool]:
        """The bytes to send, and whether the server hangs up after them."""
        path = asked.path
        if path in BROKEN:
            return BROKEN[path], True
        if path in MADE:
            answer = MADE[path](self, asked)
        else:
            answer = FIXED.get(path, _text("unknown\n", status="404 Not Found"))
        if asked.method == "HEAD":
            answer = answer[: answer.index(b"\r\n\r\n") + 4]
        return answer, False

    def nth(self, path: str) -> int:
        """How often this was asked, this time included."""
        with self._lock:
            self._counts[path] += 1
            return self._counts[path]

    def seen(self, asked: Asked) -> bytes:
        """The request itself, without the port."""
        text = asked.head.decode("latin-1").replace(f"127.0.0.1:{self.port}", "127.0.0.1:PORT").replace("\r\n", "\n")
        return _text(f"{text}\n\n{asked.body.decode('latin-1')}")

    def hold(self, _: Asked) -> bytes:
        """An answer that comes when `released` is set, or when the server ends."""
        self.held.set()
        self.released.wait(PATIENCE)
        return _text("released\n")


def _read(stream: BinaryIO) -> Asked | None:
    """The next request; None when there is none, or not a whole one."""
    lines = []
    while (line := stream.readline()) not in (b"\r\n", b""):
        lines.append(line.rstrip(b"\r\n"))
    if len(lines) == 0 or line == b"":
        return None
    method, target, _ = lines[0].decode("latin-1").split(" ", 2)
    asked = Asked(method, target, b"\r\n".join(lines), b"")
    return asked._replace(body=stream.read(int(asked.header("Content-Length") or 0)))


def _fails_first(times: int, *lines: str, status: str) -> Callable[[RawServer, Asked], bytes]:
    def answer(server: RawServer, asked: Asked) -> bytes:
        count = server.nth(asked.target)
        if count <= times:
            return _text(f"failure {count} of {times}\n", *lines, status=status)
        return _text(f"no failure, after {times}\n")

    return answer


def _changing(*answers: bytes) -> Callable[[RawServer, Asked], bytes]:
    """One answer after the other; the last one for ever."""
    return lambda server, asked: answers[min(server.nth(asked.target), len(answers)) - 1]


def _known(server: RawServer, asked: Asked) -> bytes:
    """Unchanged, for whoever has it."""
    if asked.header("If-None-Match") == '"kept"' or asked.header("If-Modified-Since") == _MODIFIED.partition(" ")[2]:
        return b'HTTP/1.1 304 Not Modified\r\nETag: "kept"\r\n\r\n'
    lines = {"/kept": ('ETag: "kept"', _MODIFIED), "/dated": (_MODIFIED,)}[asked.path]
    return _text("this stays as it is\n", *lines)


MADE: dict[str, Callable[[RawServer, Asked], bytes]] = {
    "/seen": RawServer.seen,
    "/hold": RawServer.hold,
    "/flaky/1": _fails_first(1, status="500 Internal Server Error"),
    "/flaky/2": _fails_first(2, status="502 Bad Gateway"),
    "/flaky/9": _fails_first(9, status="504 Gateway Timeout"),
    "/too-many": _fails_first(1, "Retry-After: 0", status="429 Too Many Requests"),
    "/kept": _known,
    "/dated": _known,
    "/changes": _changing(_text("first\n", 'ETag: "1"'), _text("second\n", 'ETag: "2"')),
    "/disappears": _changing(_text("still here\n"), _text("gone\n", status="410 Gone")),
}
"""Answers that depend on the request, or on how often it came, by path."""

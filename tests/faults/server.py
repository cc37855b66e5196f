"""A server of raw sockets that misbehaves on demand: `/fault/<name>?k=v`. Which faults there are: FAULTS.

    with FaultServer() as server:
        url = server.url_of("short-body")

Each fault says what a client must make of it. `/ok` is well-behaved, so that good requests can follow bad ones.
"""

from __future__ import annotations

import selectors
import socket
import threading
from collections import Counter
from typing import Self
from urllib.parse import quote, urlencode

from support.waiting import PATIENCE

from faults import bombs, content, framing, good, redirect
from faults import head as heads
from faults import length as lengths
from faults import time as times
from faults.base import Fault, Then
from faults.wire import Asked, Connection, head, length

__all__ = ["FAULTS", "Asked", "Fault", "FaultServer", "Then", "fault_named"]

FAULTS: list[Fault] = [
    *framing.theme.faults,
    *lengths.theme.faults,
    *heads.theme.faults,
    *times.theme.faults,
    *redirect.theme.faults,
    *content.theme.faults,
    *bombs.theme.faults,
]
_BY_NAME = {fault.name: fault for fault in [*FAULTS, *good.theme.faults]}


def fault_named(name: str) -> Fault:
    """Raises KeyError."""
    return _BY_NAME[name]


class FaultServer:
    """Listens on `host`, on a free port unless one is given; one thread per connection.

    A context manager: leaving it ends every thread.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self.log: list[Asked] = []
        """Every request that came whole, in order; written before the answer is."""
        self.sent: dict[int, int] = {}
        """Bytes sent, by connection number."""
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._logged = threading.Condition()
        self._events: dict[str, threading.Event] = {}
        self._counts: Counter[str] = Counter()
        self._handlers: list[tuple[threading.Thread, Connection]] = []
        self._listener = socket.create_server((host, port), family=_family(host), backlog=512)
        self._listener.setblocking(False)
        self._wake, self._woken = socket.socketpair()
        port = int(self._listener.getsockname()[1])
        self.address = (host, port)
        self.netloc = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.url = f"http://{self.netloc}"
        self._acceptor = threading.Thread(target=self._accept, name="faultserver-accept", daemon=True)
        self._acceptor.start()

    def url_of(self, name: str, **params: object) -> str:
        """The URL of a fault; without `params`, with the ones it has of its own."""
        fault = fault_named(name)
        if not params:
            return self.url + fault.target
        return f"{self.url}/fault/{name}?{urlencode(params)}"

    def event(self, name: str) -> threading.Event:
        """Set once the fault of that name has done its worst, where it does so after its answer."""
        with self._lock:
            return self._events.setdefault(name, threading.Event())

    def wait_for_requests(self, n: int, seconds: float = PATIENCE) -> bool:
        """Wait until the log holds `n` requests; False when they did not come in time."""
        with self._logged:
            return self._logged.wait_for(lambda: len(self.log) >= n, seconds)

    def count(self, key: str) -> int:
        """How often this was called with `key`, this time included."""
        with self._lock:
            self._counts[key] += 1
            return self._counts[key]

    def close(self) -> None:
        """Ends every connection, also those that hang, and waits for their threads."""
        if self.stopping.is_set():
            return
        self.stopping.set()
        self._wake.close()
        self._acceptor.join()
        for _, conn in self._handlers:
            conn.abort()
        for thread, _ in self._handlers:
            thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- threads ---

    def _accept(self) -> None:
        with self._listener, self._woken, selectors.DefaultSelector() as ready:
            ready.register(self._listener, selectors.EVENT_READ)
            ready.register(self._woken, selectors.EVENT_READ)
            number = 0
            while not self.stopping.is_set():
                ready.select()
                try:
                    sock, _ = self._listener.accept()
                except OSError:
                    self.stopping.wait(0.01)  # the client left already, or descriptors ran out
                    continue
                number += 1
                sock.setblocking(True)
                self._start(Connection(sock, number, self))

    def _start(self, conn: Connection) -> None:
        thread = threading.Thread(target=self._serve, args=(conn,), name=f"faultserver-{conn.number}", daemon=True)
        self._handlers = [one for one in self._handlers if one[0].is_alive()]
        thread.start()
        self._handlers.append((thread, conn))

    def _serve(self, conn: Connection) -> None:
        try:
            while conn.open and (asked := conn.read_request()) is not None:
                with self._logged:
                    self.log.append(asked)
                    self._logged.notify_all()
                if conn.on_next is not None:
                    conn.on_next()
                else:
                    answer_to(conn, asked)
        except OSError:
            pass  # the client hung up, or this server closes
        finally:
            conn.close()


def answer_to(conn: Connection, asked: Asked) -> None:
    """Answer as the entry that the path names does."""
    if asked.path == "/ok":
        _ok(conn, asked)
    elif (fault := _BY_NAME.get(asked.path.removeprefix("/fault/"))) is not None:
        fault.play(conn, asked)
    else:
        conn.send(head(length(0), status=b"HTTP/1.1 404 Not Found"))


def _ok(conn: Connection, asked: Asked) -> None:
    """200 and b"ok"; `?n=K` comes back as the header X-N, to tell answers apart."""
    body = b"" if asked.method == "HEAD" else b"ok"
    n = quote(asked.params.get("n", "")).encode()
    conn.send(head(b"Content-Type: text/plain", length(2), b"X-N: " + n) + body)
    if (asked.header("Connection") or "").lower() == "close":
        conn.close()


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET

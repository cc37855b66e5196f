"""A server that counts: what it is asked on each of its addresses, when, and how much at a time.

It listens on all of 127.0.0.0/8. The path says how it answers: /ok/5 after 5 ms, /hang never, /most/20 with 429 and
`Retry-After: 1` beyond 20 a second. When its standard input ends, it prints what it has counted, as JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import socket
import struct
import sys
from collections import defaultdict, deque
from time import time

_TIMESTAMPS = 35
"""SO_TIMESTAMPNS of Linux, and the kind of the note that it has the kernel add."""
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
REFUSED = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"


class Count:
    """Of one address."""

    def __init__(self) -> None:
        self.active = self.peak = self.refused = 0
        self.starts: list[float] = []
        self.accepted: deque[float] = deque()

    def accept(self, now: float, most: int) -> bool:
        while self.accepted and self.accepted[0] <= now - 1.0:
            self.accepted.popleft()
        if len(self.accepted) >= most:
            self.refused += 1
            return False
        self.accepted.append(now)
        return True


counts: dict[str, Count] = defaultdict(Count)


class Connection:
    """One client. When its requests came is asked of the kernel: this process may be late, the network is not."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.count = counts[sock.getsockname()[0]]
        self.waiting = 0
        self.text = b""
        self.loop = asyncio.get_running_loop()
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, _TIMESTAMPS, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.loop.add_reader(sock, self.read)

    def read(self) -> None:
        try:
            data, notes, *_ = self.sock.recvmsg(65536, 64)
        except BlockingIOError:
            return
        except OSError:
            data, notes = b"", []
        if not data:
            self.end()
            return
        stamps = [struct.unpack("@ll", note) for level, kind, note in notes if kind == _TIMESTAMPS]
        came = stamps[0][0] + stamps[0][1] / 1e9 if stamps else time()
        self.text += data
        while b"\r\n\r\n" in self.text:
            head, self.text = self.text.split(b"\r\n\r\n", 1)
            self.answer(head.split(b" ", 2)[1].decode(), came)

    def answer(self, path: str, came: float) -> None:
        count = self.count
        count.starts.append(came)
        count.active += 1
        count.peak = max(count.peak, count.active)
        self.waiting += 1
        _, kind, *rest = path.partition("?")[0].split("/")
        if kind == "hang":
            return
        number = int(rest[0]) if rest else 0
        if kind == "most":
            self.respond(OK if count.accept(came, number) else REFUSED)
        elif number:
            self.loop.call_later(number / 1000, self.respond, OK)
        else:
            self.respond(OK)

    def respond(self, answer: bytes) -> None:
        if self.waiting:
            self.waiting -= 1
            self.count.active -= 1
            with contextlib.suppress(OSError):  # it has gone
                self.sock.send(answer)

    def end(self) -> None:
        self.count.active -= self.waiting
        self.waiting = 0
        self.loop.remove_reader(self.sock)
        self.sock.close()


def accept(listening: socket.socket) -> None:
    with contextlib.suppress(BlockingIOError):
        while True:
            Connection(listening.accept()[0])


async def main() -> None:
    gc.disable()  # a pause of the server looks like a hurry of the client
    with contextlib.suppress(PermissionError):
        os.nice(-10)
    loop = asyncio.get_running_loop()
    with socket.create_server(("0.0.0.0", 0), backlog=4096) as listening:
        listening.setblocking(False)
        loop.add_reader(listening, accept, listening)
        print(listening.getsockname()[1], flush=True)
        await loop.run_in_executor(None, sys.stdin.read)
        loop.remove_reader(listening)
    found = {host: {"peak": one.peak, "refused": one.refused, "starts": one.starts} for host, one in counts.items()}
    print(json.dumps(found))


if __name__ == "__main__":
    try:
        import uvloop
    except ImportError:
        asyncio.run(main())
    else:
        uvloop.run(main())

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
import sys
from collections import defaultdict, deque
from time import perf_counter

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


class Connection(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.count = counts[transport.get_extra_info("sockname")[0]]
        self.waiting = 0
        self.text = b""

    def data_received(self, data: bytes) -> None:
        self.text += data
        while b"\r\n\r\n" in self.text:
            head, self.text = self.text.split(b"\r\n\r\n", 1)
            self.answer(head.split(b" ", 2)[1].decode())

    def answer(self, path: str) -> None:
        count, now = self.count, perf_counter()
        count.starts.append(now)
        count.active += 1
        count.peak = max(count.peak, count.active)
        self.waiting += 1
        _, kind, *rest = path.partition("?")[0].split("/")
        if kind == "hang":
            return
        number = int(rest[0]) if rest else 0
        if kind == "most":
            self.respond(OK if count.accept(now, number) else REFUSED)
        elif number:
            asyncio.get_running_loop().call_later(number / 1000, self.respond, OK)
        else:
            self.respond(OK)

    def respond(self, answer: bytes) -> None:
        if self.waiting:
            self.waiting -= 1
            self.count.active -= 1
            self.transport.write(answer)

    def connection_lost(self, _: Exception | None) -> None:
        self.count.active -= self.waiting
        self.waiting = 0


async def main() -> None:
    gc.disable()  # a pause of the server looks like a hurry of the client
    with contextlib.suppress(PermissionError):
        os.nice(-10)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "0.0.0.0", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    found = {host: {"peak": one.peak, "refused": one.refused, "starts": one.starts} for host, one in counts.items()}
    print(json.dumps(found))


if __name__ == "__main__":
    try:
        import uvloop
    except ImportError:
        asyncio.run(main())
    else:
        uvloop.run(main())

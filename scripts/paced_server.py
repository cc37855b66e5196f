"""A server whose every delay is known, in a process of its own.

It listens on all of 127.0.0.0/8, and prints its port. The path says how it answers: /50/1000/200 after 50 ms, with a
body of 1000 bytes that is sent over 200 ms (the last two may be left out); /gzip/50 after 50 ms, with a small gzip body
of 8 MB. With ?close it then closes the connection. Arguments: a PEM file for TLS, and the milliseconds by which it
delays handshakes. It ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import random
import socket
import ssl
import sys

CONNECTIONS: set[asyncio.Task[None]] = set()
_PARTS = 10
"""A body that is sent over some time comes in so many parts."""


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, asyncio.IncompleteReadError), contextlib.closing(writer):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            path, _, query = head.split(b" ", 2)[1].decode().partition("?")
            await respond(writer, path.strip("/").split("/"), closes=query == "close")
            if query == "close":
                return


async def respond(writer: asyncio.StreamWriter, path: list[str], *, closes: bool) -> None:
    coding, pace = b"", 0.0
    if path[0] == "gzip":
        body, coding = GZIPPED, b"Content-Encoding: gzip\r\n"
        await asyncio.sleep(int(path[1]) / 1000)
    else:
        wait, size, over = (*map(int, path), 2, 0)[:3] if len(path) > 1 else (int(path[0]), 2, 0)
        body, pace = b"x" * size, over / 1000
        await asyncio.sleep(wait / 1000)
    ending = b"Connection: close\r\n" if closes else b""
    writer.write(b"HTTP/1.1 200 OK\r\n%b%bContent-Length: %d\r\n\r\n" % (ending, coding, len(body)))
    if not pace:
        writer.write(body)
    else:
        step = len(body) // _PARTS
        for at in range(0, len(body), step):
            await asyncio.sleep(pace / _PARTS)
            writer.write(body[at : at + step])
    await writer.drain()


async def accept(listening: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    while True:
        sock, _ = await loop.sock_accept(listening)
        connection = loop.create_task(connect(sock))
        CONNECTIONS.add(connection)
        connection.add_done_callback(CONNECTIONS.discard)


async def connect(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if HANDSHAKE:
        await asyncio.sleep(HANDSHAKE)

    def protocol() -> asyncio.StreamReaderProtocol:
        return asyncio.StreamReaderProtocol(asyncio.StreamReader(), serve)

    with contextlib.suppress(OSError):
        await asyncio.get_running_loop().connect_accepted_socket(protocol, sock, ssl=TLS)


async def main() -> None:
    loop = asyncio.get_running_loop()
    with socket.create_server(("0.0.0.0", 0), backlog=4096) as listening:
        listening.setblocking(False)
        accepting = loop.create_task(accept(listening))
        print(listening.getsockname()[1], flush=True)
        await loop.run_in_executor(None, sys.stdin.read)
        accepting.cancel()


if __name__ == "__main__":
    HANDSHAKE = int(sys.argv[2]) / 1000 if len(sys.argv) > 2 else 0.0
    TLS = None
    if len(sys.argv) > 1:
        TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        TLS.load_cert_chain(sys.argv[1])
    GZIPPED = gzip.compress(random.Random(1).randbytes(20_000) * 400, 6)
    asyncio.run(main())

"""The servers of `scripts/torture innocents`: quick ones, and a hostile one whose answers are made beforehand.

    python innocents_server.py quick         prints the port, and answers on every loopback address
    python innocents_server.py hostile KIND  the same; each request gets the hostile answer

Sending takes next to no CPU, so that what is late is late because of fetchq.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import sys
import zlib
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1000\r\n\r\n" + b"x" * 1000
MB = 1_000_000
DECODED = 95 * MB
"""Bytes of a bomb, just below the default of --max-filesize; at a ratio just below that of --max-ratio."""
Answer = list[tuple[bytes, int]]
"""Pieces of an answer, each sent so many times."""


def head(*lines: bytes, status: bytes = b"200 OK") -> bytes:
    return b"\r\n".join((b"HTTP/1.1 " + status, *lines, b"", b""))


def sized(body: bytes, *lines: bytes, times: int = 1) -> Answer:
    return [(head(b"Content-Length: %d" % (len(body) * times), *lines), 1), (body, times)]


# --- bombs -----------------------------------------------------------------------------------------------------------


def bomb(coding: bytes, compress: Callable[[bytes], bytes], flush: Callable[[], bytes]) -> Answer:
    """A body near both limits: bytes that do not compress make the ratio what it is."""
    parts = [compress(os.urandom(DECODED // 900))]
    parts += [compress(bytes(MB)) for _ in range(DECODED // MB)]
    return sized(b"".join([*parts, flush()]), b"Content-Encoding: " + coding)


def gzip_bomb() -> Answer:
    squeezer = zlib.compressobj(9, wbits=31)
    return bomb(b"gzip", squeezer.compress, squeezer.flush)


def deflate_bomb() -> Answer:
    squeezer = zlib.compressobj(9)
    return bomb(b"deflate", squeezer.compress, squeezer.flush)


def br_bomb() -> Answer:
    squeezer = import_module("brotli").Compressor(quality=5)
    return bomb(b"br", squeezer.process, squeezer.finish)


def zstd() -> object:
    return import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")


def zstd_bomb() -> Answer:
    squeezer = zstd().ZstdCompressor()  # type: ignore[attr-defined]
    return bomb(b"zstd", squeezer.compress, squeezer.flush)


def nested_bomb() -> Answer:
    inner, outer = zlib.compressobj(9, wbits=31), zlib.compressobj(9, wbits=31)
    return bomb(
        b"gzip, gzip",
        lambda data: outer.compress(inner.compress(data)),
        lambda: outer.compress(inner.flush()) + outer.flush(),
    )


def members(coding: bytes, member: bytes, size: int = 20 * MB) -> Answer:
    """A body of many frames of a coding that add nothing."""
    block = member * (100_000 // len(member))
    return sized(block, b"Content-Encoding: " + coding, times=size // len(block))


def empty_members() -> Answer:
    return members(b"gzip", zlib.compress(b"", wbits=31))


def empty_frames() -> Answer:
    return members(b"zstd", zstd().compress(b""))  # type: ignore[attr-defined]


def skippable_frames() -> Answer:
    return members(b"zstd", struct.pack("<II", 0x184D2A50, 0))


def empty_blocks() -> Answer:
    """Raw deflate whose blocks each have a code of their own, and no data (RFC 1951, 3.2.7)."""
    bits: list[int] = []

    def put(value: int, count: int) -> None:
        bits.extend((value >> at) & 1 for at in range(count))

    order = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1]
    for _ in range(8):  # so that they end with a whole byte
        for value, count in ((0, 1), (2, 2), (0, 5), (0, 5), (14, 4)):
            put(value, count)
        for symbol in order:  # 1 and 18 have codes of one bit
            put(1 if symbol in (1, 18) else 0, 3)
        for value, count in ((1, 1), (127, 7), (1, 1), (107, 7), (0, 1), (0, 1), (0, 1)):
            put(value, count)
    block = bytes(sum(bit << at for at, bit in enumerate(bits[start : start + 8])) for start in range(0, len(bits), 8))
    return members(b"deflate", block)


# --- bodies, framing and heads ---------------------------------------------------------------------------------------


def chunked(*trailers: bytes) -> Answer:
    end = b"0\r\n" + b"".join(line + b"\r\n" for line in trailers) + b"\r\n"
    return [(head(b"Transfer-Encoding: chunked"), 1), (b"1\r\nx\r\n" * 20_000, 100 if not trailers else 1), (end, 1)]


def fields(name: bytes, value: bytes, count: int = 250) -> list[bytes]:
    return [b"%s%d: %s" % (name, number, value) for number in range(count)]


def redirect(location: bytes, *lines: bytes) -> Answer:
    return [(head(b"Content-Length: 0", b"Location: " + location, *lines, status=b"302 Found"), 1)]


def cookies(value: bytes, count: int) -> Answer:
    return redirect(b"/more", *[b"Set-Cookie: c%d=%s" % (number, value) for number in range(count)])


def robots() -> Answer:
    rules = b"User-agent: *\n" + b"".join(b"Disallow: /%d*a*b*c$\n" % number for number in range(20_000))
    return sized(rules, b"Content-Type: text/plain")


HOSTILE: dict[str, Callable[[], Answer]] = {
    "gzip-bomb": gzip_bomb,
    "deflate-bomb": deflate_bomb,
    "br-bomb": br_bomb,
    "zstd-bomb": zstd_bomb,
    "nested-bomb": nested_bomb,
    "empty-gzip-members": empty_members,
    "empty-zstd-frames": empty_frames,
    "skippable-zstd-frames": skippable_frames,
    "empty-deflate-blocks": empty_blocks,
    "identity-99MB": lambda: sized(bytes(MB), times=99),
    "chunks-of-one-byte": chunked,
    "many-fields": lambda: sized(b"x", *fields(b"X-", b"v" * 950)),
    "repaired-fields": lambda: sized(b"x", *fields(b"X-", b"v\r\n " * 200)),
    "many-cookies": lambda: cookies(b"v; Path=/; Expires=Wed, 21 Oct 2099 07:28:00 GMT; " + b"a=b; " * 150, 250),
    "cookie-attributes": lambda: cookies(b"v" + b";" * 60_000, 4),
    "location-host": lambda: redirect(b"http://" + "ü".encode() * 30_000 + b"/"),
    "location-host-ascii": lambda: redirect(b"http://" + b"a" * 60_000 + b"/"),
    "location-path": lambda: redirect(b"/" + b'"a' * 30_000),
    "location-slashes": lambda: redirect(b"/" + b"\\" * 60_000),
    "robots": robots,
    "reason": lambda: [(head(b"Content-Length: 0", status=b"404 " + b"r" * 60_000), 1)],
    "trailers": lambda: chunked(*fields(b"T-", b"v" * 950)),
    "html-text": lambda: sized(b"<p>" + "ü".encode() * 5 * MB, b"Content-Type: text/html"),
    "interim": lambda: [
        (head(*fields(b"X-", b"v" * 950), status=b"103 Early Hints"), 16),
        (head(b"Content-Length: 0"), 1),
    ],
    "drip": lambda: [(head(b"Content-Length: 1000000"), 1), (b"x", 1_000_000)],
}
OPTIONS = {"robots": ["--robots"], "html-text": ["--include", "text"]}
"""What a run needs so that an answer hurts it."""


# --- serving ---------------------------------------------------------------------------------------------------------


class Quick(asyncio.Protocol):
    """Answers each request at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        assert isinstance(self.transport, asyncio.Transport)
        self.transport.write(OK * data.count(b"\r\n\r\n"))


async def serve_hostile(sock: socket.socket, answer: Answer, pause: float) -> None:
    loop = asyncio.get_running_loop()
    with sock, suppress(OSError):
        while data := await loop.sock_recv(sock, 65536):
            for _ in range(data.count(b"\r\n\r\n")):
                for piece, times in answer:
                    for _ in range(times):
                        await loop.sock_sendall(sock, piece)
                        if pause and len(piece) == 1:
                            await asyncio.sleep(pause)


async def main(kind: str, listener: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    if kind == "quick":
        server = await loop.create_server(Quick, sock=listener, backlog=1000)
        print(listener.getsockname()[1], flush=True)
        await server.serve_forever()
    answer = HOSTILE[kind]()
    listener.setblocking(False)
    print(listener.getsockname()[1], flush=True)
    tasks: set[asyncio.Task[None]] = set()
    while True:
        sock, _ = await loop.sock_accept(listener)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        tasks.add(task := loop.create_task(serve_hostile(sock, answer, 0.01 if kind == "drip" else 0.0)))
        task.add_done_callback(tasks.discard)


if __name__ == "__main__":
    if sys.argv[1] == "hostile":
        os.nice(5)  # where there are few cores, its sending is not what makes others wait
    with suppress(KeyboardInterrupt), socket.create_server(("0.0.0.0", 0), backlog=1000) as listening:
        asyncio.run(main(sys.argv[2] if sys.argv[1] == "hostile" else "quick", listening))

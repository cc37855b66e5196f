"""Serves the hostile servers of `hostile_servers`, in a process of its own, each under a path with its name."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from hostile_servers import SERVERS, plain

__all__ = ["serve"]


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    number = 0
    with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ", 2)[1].decode("latin-1").lstrip("/")
            name, _, rest = path.partition("/")
            digits = rest[:12].rstrip("rx")
            number = int(digits) if digits.isdigit() else number + 1
            for piece in SERVERS.get(name, plain)(number):
                writer.write(piece)
                await writer.drain()
    writer.close()


async def serve() -> None:
    """Serve for ever, and print the base URL."""
    server = await asyncio.start_server(_answer, "127.0.0.1", 0, limit=1 << 20, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve())

#!/usr/bin/env bash
# aiohttp 3.14.5: bytes of a body that have arrived are lost to a reader that is slower than the end of the connection.
#
# One would guess that a download that breaks off can be read up to where it broke, and then raises: so do http.client,
# urllib3 and asyncio's own StreamReader. aiohttp's stream raises its error before it gives out what it has buffered. A
# reader that waits a moment between two reads (it writes to a disk, say) gets less of the same body, or nothing, so that
# a resume begins too early, and how much is lost depends on the packets.
#
# Seen (of a body of 5000 bytes, of which 3000 came before the server closed):
#   asyncio.StreamReader  read after the end   3000 bytes, then the end
#   aiohttp               read at once         3000 bytes, then ClientPayloadError
#   aiohttp               read after the end   0 bytes, then ClientPayloadError
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check aiohttp==3.14.5 2>/dev/null
"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import sys

import aiohttp

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"
release = asyncio.Event()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends 3000 bytes of 5000, and closes when it is told to."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(HEAD + b"x" * 3000)
    await writer.drain()
    await release.wait()
    writer.close()


async def by_aiohttp(url: str, late: bool) -> str:
    release.clear()
    got, how = 0, "the end"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        protocol = response.connection.protocol
        closed = protocol.closed
        if late:
            release.set()
            await asyncio.wait([closed])
        try:
            while data := await response.content.readany():
                got += len(data)
                release.set()
        except aiohttp.ClientError as problem:
            how = type(problem).__name__
    return f"{got} bytes, then {how}"


async def by_asyncio(port: int) -> str:
    release.clear()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    release.set()
    while not reader._eof:
        await asyncio.sleep(0)
    got = len(await reader.read(-1))
    writer.close()
    return f"{got} bytes, then the end"


async def main() -> list[str]:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    url = f"http://127.0.0.1:{port}/"
    seen = {
        "asyncio.StreamReader  read after the end": await by_asyncio(port),
        "aiohttp               read at once": await by_aiohttp(url, late=False),
        "aiohttp               read after the end": await by_aiohttp(url, late=True),
    }
    for what, result in seen.items():
        print(f"{what:<42} {result}")
    return list(seen.values())


wanted = ["3000 bytes, then the end", "3000 bytes, then ClientPayloadError", "0 bytes, then ClientPayloadError"]
sys.exit(0 if asyncio.run(main()) == wanted else "it is no longer so")
PYTHON

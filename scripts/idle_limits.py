"""POST rows that come just as real servers close their idle connections; `scripts/torture idle` says how.

For each server and engine, 105 rows follow another row on the same connection after the server's idle limit, from 10 ms
less to 10 ms more. A client that only looks whether the connection is still open shows that some would be lost.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from fetchq import Request, fetch_all
from fetchq.engines.hang_up import hung_up

MODES = ("async", "threads", "sync")
OFFSETS = [number / 1000 for number in range(-10, 11)]
"""Seconds, added to the idle limit."""
HOSTS = 5
"""Loopback addresses that are asked at each offset."""
PINNED = ("uvicorn==0.54.0", "hypercorn==0.18.0", "gunicorn==27.0.1")
NODE = "node@20.9.0"
APPS = """
async def asgi(scope, receive, send):
    while scope["type"] == "lifespan":
        event = (await receive())["type"]
        await send({"type": event + ".complete"})
        if event == "lifespan.shutdown":
            return
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def wsgi(environ, start_response):
    environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""
NODE_APP = """
require("http").createServer((request, response) => {
  request.resume().on("end", () => response.end("ok"));
}).listen(Number(process.argv[2]), "0.0.0.0");
"""


@dataclass(frozen=True, slots=True)
class Server:
    name: str
    limits: tuple[float, ...]
    """Seconds: after which it closes an idle connection, and what it announces."""
    command: tuple[str, ...]
    """`PORT` stands for the port."""


def install(folder: Path) -> list[Server]:
    """Install the servers in a folder. Uses the Node of this machine if it is version 20."""
    (folder / "apps.py").write_text(APPS)
    (folder / "app.js").write_text(NODE_APP)
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    binaries = folder / "venv" / "bin"
    pip = [binaries / "python", "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", *PINNED], check=True)
    gthread = (str(binaries / "gunicorn"), "-k", "gthread", "--threads", "64", "-b", "0.0.0.0:PORT", "apps:wsgi")
    return [
        Server("Node 20", (5.0, 6.0), (_node(folder), "app.js", "PORT")),
        Server("uvicorn", (5.0,), (str(binaries / "uvicorn"), "--host", "0.0.0.0", "--port", "PORT", "apps:asgi")),
        Server("hypercorn", (5.0,), (str(binaries / "hypercorn"), "--bind", "0.0.0.0:PORT", "apps:asgi")),
        Server("gunicorn gthread", (2.0,), gthread),
    ]


def _node(folder: Path) -> str:
    found = shutil.which("node")
    if found is not None:
        version = subprocess.run([found, "--version"], check=True, capture_output=True, text=True).stdout
        if version.startswith("v20."):
            return found
    subprocess.run(["npm", "install", "--silent", "--prefix", folder, NODE], check=True)
    return str(folder / "node_modules" / ".bin" / "node")


@contextmanager
def running(server: Server, folder: Path) -> Iterator[int]:
    """The server on a free port, which it yields."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    command = [part.replace("PORT", str(port)) for part in server.command]
    with (folder / "log").open("ab") as log, subprocess.Popen(command, cwd=folder, stdout=log, stderr=log) as process:
        try:
            for _ in range(200):
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except ConnectionRefusedError:
                    time.sleep(0.05)
            yield port
        finally:
            process.terminate()


async def fetch(mode: str, port: int, idle: float) -> list[str | None]:
    """The errors of the second rows of `HOSTS` hosts, each `idle` seconds after the first; None for success."""
    urls = [f"http://127.0.0.{host}:{port}/" for host in range(2, 2 + HOSTS)]
    rows = [Request(url, method="POST", body=b"x") for url in urls * 2]
    results = await fetch_all(rows, mode=mode, workers=1 if mode == "sync" else HOSTS, retries=0, host_interval=idle)
    assert all(result.ok for result in results[:HOSTS]), results[0].error
    return [result.error for result in results[HOSTS:]]


async def careless(port: int, idle: float) -> str | None:
    """How such a row ends for a client that only looks whether the connection is open; None for success."""
    request = f"POST / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 1\r\n\r\nx".encode()
    loop = asyncio.get_running_loop()
    with closing(socket.socket()) as sock:
        sock.setblocking(False)
        await loop.sock_connect(sock, ("127.0.0.1", port))
        began = loop.time()
        await loop.sock_sendall(sock, request)
        while not (await loop.sock_recv(sock, 65536)).endswith(b"ok"):
            pass
        await asyncio.sleep(began + idle - loop.time())
        if hung_up(sock.fileno()):
            return None  # it would connect again
        try:
            await loop.sock_sendall(sock, request)
            return None if await loop.sock_recv(sock, 65536) else "closed"
        except ConnectionError:
            return "reset"


async def try_server(server: Server, port: int) -> bool:
    """Print a line for each limit and mode. Returns whether all rows were ok."""
    good = True
    for limit in server.limits:
        gaps = [limit + offset for offset in OFFSETS]
        lost = [end for end in await asyncio.gather(*(careless(port, gap) for gap in gaps * HOSTS)) if end]
        print(
            f"      {server.name}, {limit:g} s: {len(lost)} of {len(gaps) * HOSTS} lost by a careless client",
            flush=True,
        )
        for mode in MODES:
            ends = [end for each in await asyncio.gather(*(fetch(mode, port, gap) for gap in gaps)) for end in each]
            errors = Counter(end for end in ends if end is not None)
            good &= not errors
            report = f"{server.name}, {limit:g} s, {mode}: {ends.count(None)} of {len(ends)} POST rows ok"
            print("MISS " if errors else "ok   ", report, *errors, flush=True)
    return good


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="fetchq-idle-", ignore_cleanup_errors=True) as name:
        good = True
        for server in install(folder := Path(name)):
            with running(server, folder) as port:
                good &= asyncio.run(try_server(server, port))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

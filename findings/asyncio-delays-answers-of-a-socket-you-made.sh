#!/usr/bin/env bash
# uvicorn 0.54.0, on the event loop of asyncio (Python 3.11 to 3.14): each answer on a kept-alive connection takes 44 ms if
# the program makes the listening socket itself, with `socket.create_server` for example, to have a port of its own.
#
# One would guess that `Server.run(sockets=[...])` serves as quickly as `host` and `port`, since asyncio has set TCP_NODELAY
# on every connection since Python 3.6. But it does so only where the socket's protocol is IPPROTO_TCP, and a socket that
# was made without one has 0, as have the connections that it accepts. Head and body leave in two writes: Nagle's algorithm
# keeps the second one until the client has acknowledged the first one, and the client delays that. uvloop sets it always.
#
# Seen (median of 12 requests over one connection of http.client):
#   asyncio  socket.create_server      44.0 ms
#   asyncio  socket with IPPROTO_TCP    0.2 ms
#   uvloop   socket.create_server       0.3 ms
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check uvicorn==0.54.0 uvloop==0.23.0 2>/dev/null
"$folder/venv/bin/python" - <<'PYTHON'
import http.client
import socket
import statistics
import sys
import threading
import time
from collections.abc import Callable

import uvicorn


async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
    await send({"type": "http.response.body", "body": b"abcd"})


def milliseconds(listening: socket.socket, loop: str) -> float:
    """The median of 12 requests over one connection to a server that has this socket."""
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", loop=loop, lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    connection = http.client.HTTPConnection(*listening.getsockname())
    took = []
    for _ in range(12):
        began = time.perf_counter()
        connection.request("GET", "/")
        connection.getresponse().read()
        took.append(time.perf_counter() - began)
    connection.close()
    server.should_exit = True
    thread.join()
    return statistics.median(took) * 1000


def without_protocol() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


def with_protocol() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    made.bind(("127.0.0.1", 0))
    return made


def shown(loop: str, kind: str, make: Callable[[], socket.socket]) -> bool:
    median = milliseconds(make(), loop)
    print(f"{loop:<8} {kind:<26} {median:5.1f} ms")
    return median > 20


slow = [
    shown("asyncio", "socket.create_server", without_protocol),
    shown("asyncio", "socket with IPPROTO_TCP", with_protocol),
    shown("uvloop", "socket.create_server", without_protocol),
]
sys.exit(0 if slow == [True, False, False] else "it is no longer so")
PYTHON

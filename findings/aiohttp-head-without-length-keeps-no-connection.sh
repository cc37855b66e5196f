#!/usr/bin/env bash
# aiohttp 3.14.5: a HEAD answer without Content-Length ends its connection, although the server keeps it open.
#
# One would guess that a keep-alive connection serves HEAD after HEAD: an answer to HEAD ends with its head, whatever
# its fields say (RFC 9112, 6.3), and a server may leave Content-Length out (RFC 9110, 9.3.2); nginx does so where it
# would compress the page. aiohttp's parser decides about the connection before it knows that there is no body, takes
# the answer for one that ends with the connection, and connects anew for each request. requests keeps the connection.
#
# Seen (connections for 5 requests):
#   aiohttp   HEAD with Content-Length     1
#   aiohttp   HEAD without                 5
#   aiohttp   GET with Content-Length      1
#   requests  HEAD without                 1
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check aiohttp==3.14.5 requests==2.34.2 2>/dev/null
"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import socket
import sys
import threading

import aiohttp
import requests


class Server:
    """Gives the same answer to each request, keeps connections open, and counts them."""

    def __init__(self, answer: bytes) -> None:
        self.answer, self.connections = answer, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        while True:
            connection, _ = self.listener.accept()
            self.connections += 1
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection: socket.socket) -> None:
        came = b""
        while data := connection.recv(4096):
            came += data
            while b"\r\n\r\n" in came:
                came = came.partition(b"\r\n\r\n")[2]
                connection.sendall(self.answer)


async def by_aiohttp(method: str, answer: bytes) -> int:
    server = Server(answer)
    async with aiohttp.ClientSession() as session:
        for _ in range(5):
            async with session.request(method, server.url) as response:
                await response.read()
    return server.connections


def by_requests(method: str, answer: bytes) -> int:
    server = Server(answer)
    with requests.Session() as session:
        session.trust_env = False
        for _ in range(5):
            session.request(method, server.url)
    return server.connections


LONG = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n"
SHORT = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"
seen = {
    "aiohttp   HEAD with Content-Length": asyncio.run(by_aiohttp("HEAD", LONG % 5)),
    "aiohttp   HEAD without": asyncio.run(by_aiohttp("HEAD", SHORT)),
    "aiohttp   GET with Content-Length": asyncio.run(by_aiohttp("GET", LONG % 5 + b"hello")),
    "requests  HEAD without": by_requests("HEAD", SHORT),
}
for what, connections in seen.items():
    print(f"{what:<38} {connections}")
sys.exit(0 if list(seen.values()) == [1, 5, 1, 1] else "it is no longer so")
PYTHON

"""Connections that end early, or while nobody uses them: what fails, what is sent again, and what goes on a new one."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from typing import Any

import pytest
from faults.wire import Connection
from support.servers import ScriptServer

from fetchq import Cause, fetch_all_sync

WAYS = {
    "http": ("http", False),
    "https": ("https", False),
    "by proxy": ("http", True),
    "by a tunnel": ("https", True),
}


class Resets(ScriptServer):
    """A server that resets each connection after `size` bytes of it."""

    def __init__(self, size: int) -> None:
        self._size = size
        super().__init__()

    def _serve(self, conn: Connection) -> None:
        with suppress(OSError):
            if self._size:
                conn._sock.recv(self._size)
            conn._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        conn.cut()


# ssl leaves the socket of a handshake that was reset at once to the garbage collector (Python 3.11 to 3.14).
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("size", [0, 10, 65536], ids=["at once", "within the request", "behind it"])
@pytest.mark.parametrize("way", WAYS)
def test_a_connection_that_is_reset_before_an_answer_is_tried_again_whenever_that_happens(
    mode: str, way: str, size: int
) -> None:
    scheme, proxied = WAYS[way]
    with Resets(size) as server:
        options: dict[str, Any] = {"proxy": server.url} if proxied else {}
        rows = [f"{scheme}://{server.netloc}/"] * 20
        results = fetch_all_sync(rows, mode=mode, workers=2, retries=1, retry_wait=0, adapt=False, **options)
    told = {(result.cause, result.attempts, str(result.error).rpartition(": ")[2]) for result in results}
    assert told <= {
        (Cause.CONNECT, 2, "the connection was reset before an answer"),
        (Cause.CONNECT, 2, "the connection was closed before an answer"),  # a reset that the kernel told once already
    }

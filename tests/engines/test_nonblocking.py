"""send_now and receive_now: what is possible at once, without releasing the GIL."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from time import sleep

import pytest
from support.servers import ScriptServer, answer

from fetchq import fetch_all_sync
from fetchq.engines.requests import nonblocking
from fetchq.engines.requests.nonblocking import PIECE, receive_now, send_now

Pair = tuple[socket.socket, socket.socket]

has_gil = pytest.mark.skipif(not getattr(sys, "_is_gil_enabled", lambda: True)(), reason="this Python has no GIL")


@pytest.fixture(params=["with ctypes", "without"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python may have been built without ctypes, or for a system without MSG_DONTWAIT."""
    if request.param == "without":
        monkeypatch.setattr(nonblocking, "_DIRECT", False)


@pytest.fixture
def pair(library: None) -> Iterator[Pair]:
    """Two ends of a TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        far = listener.accept()[0]
    with near, far:
        near.setblocking(False)
        yield near, far


def test_bytes_arrive_as_they_were_sent(pair: Pair) -> None:
    near, far = pair
    assert receive_now(near) is None
    far.sendall(b"\0 with a zero")
    assert receive_now(near) == b"\0 with a zero"
    assert receive_now(near) is None
    data = b"\0also" * 100
    rest = data[send_now(near, data) :]
    if rest:
        near.sendall(rest)
    assert far.recv(PIECE) == data


def test_no_more_than_a_piece_is_received_at_once(pair: Pair) -> None:
    near, far = pair
    data = bytes(range(256)) * 1000
    sender = threading.Thread(target=far.sendall, args=(data,))
    sender.start()
    received = b""
    while len(received) < len(data):
        piece = receive_now(near) or b""
        assert len(piece) <= PIECE
        received += piece
    sender.join()
    assert received == data


def test_the_end_of_a_connection_is_no_bytes(pair: Pair) -> None:
    near, far = pair
    far.close()
    assert receive_now(near) == b""


def test_a_reset_is_an_error(pair: Pair) -> None:
    near, far = pair
    near.send(b"never received")
    far.close()
    with pytest.raises(ConnectionResetError):
        receive_now(near)


def test_what_the_network_does_not_take_is_left(pair: Pair) -> None:
    near, _ = pair
    data = b"x" * 1_000_000
    if not nonblocking._DIRECT:
        assert send_now(near, data) == 0
        return
    while send_now(near, data):
        pass
    assert send_now(near, data) == 0
    with pytest.raises(BlockingIOError):
        near.send(data)


def test_a_closed_socket_is_an_error(pair: Pair) -> None:
    near, _ = pair
    near.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        receive_now(near)


def test_a_fetch_succeeds_without_ctypes(library: None) -> None:
    with ScriptServer(answer(b"x" * 200_000)) as server:
        for mode in ("sync", "threads"):
            results = fetch_all_sync([server.url] * 3, mode=mode, workers=2)
            assert [(result.ok, result.size) for result in results] == [(True, 200_000)] * 3


@has_gil
def test_no_other_thread_runs_while_a_worker_sends_and_receives() -> None:
    """If one did, the worker would have to wait for the GIL again."""
    near, far = socket.socketpair()
    turns, ended = 0, False

    def other() -> None:
        nonlocal turns
        while not ended:
            turns += 1
            sleep(0)  # gives the GIL away

    before = sys.getswitchinterval()
    sys.setswitchinterval(1000)  # so that no thread must give it away
    thread = threading.Thread(target=other)
    try:
        with near, far:
            near.setblocking(False)
            far.setblocking(False)
            thread.start()
            while not turns:
                sleep(0)
            seen = turns
            for _ in range(1000):
                assert receive_now(near) is None
                assert send_now(near, b"ping") == 4
                assert receive_now(far) == b"ping"
            assert turns == seen
    finally:
        ended = True
        sys.setswitchinterval(before)
        thread.join()


WITHOUT = """
import socket, sys
{}
import fetchq.core.memory_files as files, fetchq.core.disk as disk, fetchq.engines.requests.nonblocking as nonblocking
print(nonblocking._DIRECT, files.memory_files("/dev/shm"), disk._syncfs())
"""


@pytest.mark.parametrize(
    ("lacking", "seen"),
    [
        ("sys.modules['ctypes'] = None", "False None None"),
        ("del socket.MSG_DONTWAIT, socket.MSG_NOSIGNAL", "False"),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="other systems lack more of it")
def test_neither_a_python_without_ctypes_nor_a_system_without_the_flags_fails(lacking: str, seen: str) -> None:
    found = subprocess.run([sys.executable, "-c", WITHOUT.format(lacking)], capture_output=True, text=True, check=True)
    assert found.stdout.startswith(seen)

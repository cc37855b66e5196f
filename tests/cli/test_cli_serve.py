"""`fetchq serve`: the practice server as a command."""

from __future__ import annotations

import json
import os
import signal
import socket
from urllib.request import ProxyHandler, build_opener

import pytest
from support.cli import Cli, clean

from fetchq.cli.practice.routes import ROUTES
from fetchq.cli.practice.server import PracticeServer

read = build_opener(ProxyHandler({})).open  # no proxy of the environment


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_serve_says_its_address_on_the_first_line_answers_and_ends_quietly_on_a_signal(
    cli: Cli, number: signal.Signals
) -> None:
    process = cli.start("serve")
    assert process.stdout is not None
    address = process.stdout.readline().decode()
    assert address.startswith("http://127.0.0.1:")
    url = address.rstrip("\n")
    with read(f"{url}/json") as answer:
        assert json.load(answer)["name"] == "fetchq"
    with read(f"{url}/") as answer:
        listed = answer.read().decode()
    assert all(route.path in listed for route in ROUTES)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    clean(err)
    assert (out, err) == (b"", b"")
    assert process.returncode in (128 + number, -number)  # a shell shows both alike


def test_serve_ends_on_a_signal_while_an_answer_is_under_way(cli: Cli) -> None:
    process = cli.start("serve")
    assert process.stdout is not None
    port = int(process.stdout.readline().rpartition(b":")[2])
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"GET /stream/100000?interval=0.01 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.recv(10) == b"HTTP/1.1 2"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, b"")


def test_serve_listens_where_it_is_told_to(cli: Cli) -> None:
    port = 10_000 + os.getpid() % 5000  # below those that the system gives away
    process = cli.start("serve", "--host", "localhost", "--port", str(port))
    assert process.stdout is not None
    assert process.stdout.readline() == f"http://localhost:{port}\n".encode()
    with read(f"http://localhost:{port}/bytes/3") as answer:
        assert len(answer.read()) == 3


def test_a_port_in_use_is_one_line_and_2(cli: Cli, practice: PracticeServer) -> None:
    port = practice.url.rpartition(":")[2]
    for done in (cli("serve", "--port", port), cli.run("serve", "--port", port)):
        assert f"cannot listen on 127.0.0.1:{port}: " in done.problem
        assert "in use" in done.problem


@pytest.mark.parametrize(
    "args", [["--port", "70000"], ["--port", "x"], ["--host", "192.0.2.1"], ["--host", "no such host"], ["extra"]]
)
def test_an_address_that_cannot_be_served_is_one_line_and_2(cli: Cli, args: list[str]) -> None:
    assert cli("serve", *args).problem

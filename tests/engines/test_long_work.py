"""Long work on the answers of one host is done in steps, between which the event loop does all else that is ready."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any

import pytest
from faults.wire import CHUNKED, LAST_CHUNK, Asked, Connection, chunk, head, length
from support.servers import ScriptServer, by_path

from fetchq import fetch_all
from fetchq.core.settings import Settings
from fetchq.engines.aiohttp import body_receiver
from fetchq.engines.aiohttp.body_receiver import BodyReceiver
from fetchq.engines.aiohttp.connection import Connection as Protocol
from fetchq.engines.aiohttp.disk import DiskThreads
from fetchq.engines.aiohttp.turns import TurnClock
from fetchq.http.body import ReceivedBody
from fetchq.http.framing import MOST_CHUNKS

TINY = 20_000
"""Chunks of a byte."""
ZEROS = gzip.compress(bytes(30_000_000), 1) * 3


def tiny_chunks(conn: Connection, _: Asked) -> None:
    conn.send(head(CHUNKED) + chunk(b"x") * TINY + LAST_CHUNK)


def tiny_chunks_then_silence(conn: Connection, _: Asked) -> None:
    """All but the end arrives at once; the end a moment later."""
    conn.send(head(CHUNKED) + chunk(b"x") * TINY + b"0\r")
    conn.pause(0.05)
    conn.send(b"\n\r\n")


def zeros(conn: Connection, _: Asked) -> None:
    conn.send(head(length(len(ZEROS)), b"Content-Encoding: gzip") + ZEROS)


class Steps:
    """What the long work of a run consists of."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rests = self.decoded = 0
        read_rest, go_on = Protocol.read_rest, ReceivedBody.go_on

        def reading(connection: Protocol) -> None:
            self.rests += bool(connection.framing.rest)
            read_rest(connection)

        def decoding(body: ReceivedBody, *until: float) -> None:
            self.decoded += 1
            go_on(body, *until)

        monkeypatch.setattr(Protocol, "read_rest", reading)
        monkeypatch.setattr(ReceivedBody, "go_on", decoding)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    return Steps(monkeypatch)


@pytest.mark.parametrize("script", [tiny_chunks, tiny_chunks_then_silence])
async def test_tiny_chunks_are_read_in_steps_on_a_new_connection_and_on_the_fast_path(
    script: Any, steps: Steps
) -> None:
    with ScriptServer(by_path({"/tiny": script})) as server:
        rows = [f"{server.url}/{path}" for path in ("tiny", "ok", "tiny", "tiny", "ok")]
        results = await fetch_all(rows, workers=1, retries=0)
        assert [(one.error, one.size) for one in results] == [(None, 2 if "ok" in row else TINY) for row in rows]
        assert server.connections == [1] * 5
    assert steps.rests >= 3 * (TINY // MOST_CHUNKS - 20)


@pytest.mark.parametrize("keep_body", [True, False])
async def test_a_body_that_decodes_to_much_is_decoded_in_steps(
    keep_body: bool, steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FIRST_STEP", "STEP"):
        monkeypatch.setattr(body_receiver, name, 0.0)  # one piece in each
    with ScriptServer(by_path({"/zeros": zeros})) as server:
        rows = [f"{server.url}/{path}" for path in ("zeros", "ok", "zeros")]
        results = await fetch_all(rows, workers=1, retries=0, keep_body=keep_body)
        assert [(one.error, one.size) for one in results] == [(None, 90_000_000), (None, 2), (None, 90_000_000)]
        assert len(results[0].body) == (90_000_000 if keep_body else 0)
    assert steps.decoded > 90_000_000 // 65_536


async def test_a_row_with_a_long_head_waits_for_its_turn_and_others_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    turn, turns = BodyReceiver._turn, []

    async def counted(bodies: BodyReceiver) -> None:
        turns.append(None)
        await turn(bodies)

    def long_head(conn: Connection, _: Asked) -> None:
        conn.send(head(length(2), *[b"X-%d: " % number + b"x" * 900 for number in range(20)]) + b"ok")

    monkeypatch.setattr(BodyReceiver, "_turn", counted)
    with ScriptServer(by_path({"/long": long_head})) as server:
        results = await fetch_all([f"{server.url}/{path}" for path in ("ok", "long", "ok", "long")], workers=1)
        assert [one.error for one in results] == [None] * 4
        assert server.connections == [1] * 4
    assert len(turns) == 2


async def test_between_two_turns_whosever_they_are_the_loop_does_all_else_that_is_ready() -> None:
    bodies = BodyReceiver(Settings(), DiskThreads(), TurnClock(asyncio.get_running_loop()))
    loop, done = asyncio.get_running_loop(), []

    async def work(name: str) -> None:
        for _ in range(5):
            await bodies._turn()
            done.append(name)

    def other() -> None:
        done.append("other")
        loop.call_soon(other)

    tasks = [loop.create_task(work(name)) for name in "abc"]
    loop.call_soon(other)
    await asyncio.wait(tasks)
    turns = [one for one in "".join(name[0] for name in done).split("o") if one]
    assert sorted("".join(turns)) == sorted("abc" * 5)
    assert all(len(one) == 1 for one in turns), turns


async def test_who_gives_up_while_it_waits_for_its_turn_keeps_nobody_waiting() -> None:
    bodies = BodyReceiver(Settings(), DiskThreads(), TurnClock(asyncio.get_running_loop()))
    first = asyncio.create_task(bodies._turn())
    second = asyncio.create_task(bodies._turn())
    third = asyncio.create_task(bodies._turn())
    await asyncio.sleep(0)
    for task in (first, second):
        task.cancel()
    await asyncio.wait_for(third, 5)

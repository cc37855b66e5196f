"""A FastAPI app that fetches for 50 users at a time: its own route answers as it does without that."""

from __future__ import annotations

import asyncio
import re
import socket
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter

import uvicorn
from fastapi import FastAPI
from support.waiting import PATIENCE

from fetchq import Client

USERS = 50
ASKED = 600
ROUNDS = 3
DELAY = 0.25


def app_for(upstream: str) -> FastAPI:
    """An app with a route of its own, and one that fetches with a Client."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with Client(workers=USERS, adapt=False) as client:
            app.state.client = client
            yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/own")
    async def own() -> dict[str, int]:
        return {"answer": sum(i * i for i in range(2000))}

    @app.get("/fetched")
    async def fetched() -> list[int | None]:
        results = await app.state.client.fetch_all([upstream, upstream])
        return [one.status for one in results]

    @app.get("/waited")
    async def waited() -> list[int | None]:
        await asyncio.sleep(DELAY)
        return [200, 200]

    return app


@asynccontextmanager
async def served(app: FastAPI) -> AsyncIterator[str]:
    """The app, in this event loop, on a port of its own."""
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False, lifespan="on"))
    # With the default protocol, 0, asyncio would not set TCP_NODELAY, and each answer would be 40 ms late.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as sock:
        sock.bind(("127.0.0.1", 0))
        task = asyncio.create_task(server._serve([sock]))  # `serve` would take over the signals
        while not server.started and not task.done():  # noqa: ASYNC110  # it is nothing that uvicorn tells of
            await asyncio.sleep(0.001)
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"
        server.should_exit = True
        await task


async def p99(users: Client, url: str) -> float:
    """The 99th percentile of the seconds that the app's own route takes, asked one by one."""
    taken = []
    for _ in range(ASKED):
        began = perf_counter()
        assert (await users.fetch(url)).status == 200
        taken.append(perf_counter() - began)
    return sorted(taken)[int(ASKED * 0.99)]


async def use(users: Client, url: str, first: float) -> None:
    """What one user does, again and again, for the first time in `first` seconds."""
    await asyncio.sleep(first)
    while True:
        assert (await users.fetch(url)).json() == [200, 200]


async def p99_beside(users: Client, url: str, route: str) -> float:
    """`p99` while all other users ask for another route."""
    others = [asyncio.create_task(use(users, url + route, n * DELAY / USERS)) for n in range(USERS)]
    found = await p99(users, url + "/own")
    assert not any(one.done() for one in others)
    for one in others:
        one.cancel()
    await asyncio.wait(others)
    return found


async def test_the_own_route_of_a_service_is_as_quick_beside_50_users_for_whom_it_fetches() -> None:
    upstream = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "fetchq", "serve", "--port", "0", stdout=PIPE, stderr=STDOUT
    )
    assert upstream.stdout is not None
    try:
        line = (await upstream.stdout.readline()).decode()
        found = re.search(r"http://[\w.:]+", line)
        assert found is not None, line
        async with (
            asyncio.timeout(PATIENCE),
            served(app_for(f"{found[0]}/delay/{DELAY}")) as url,
            Client(workers=USERS + 1, adapt=False) as users,
        ):
            await p99_beside(users, url, "/fetched")  # warm
            rounds = [
                (await p99_beside(users, url, "/fetched"), await p99_beside(users, url, "/waited"))
                for _ in range(ROUNDS)
            ]
    finally:
        upstream.terminate()
        await upstream.wait()
    assert min(fetching / waiting for fetching, waiting in rounds) <= 1.5, rounds

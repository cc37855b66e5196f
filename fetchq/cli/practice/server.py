"""Runs the practice server, for `fetchq serve`, the demo, the tests and the benchmarks.

`fetchq.cli.practice.routes` defines its responses.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from typing import Self

from aiohttp import web

from fetchq.cli.practice.routes import make_app

__all__ = ["PracticeServer", "serve"]


@asynccontextmanager
async def _listening(app: web.Application, host: str, port: int) -> AsyncIterator[str]:
    """Serve during the `async with`, whose value is the URL. Connections that are open at its end are aborted."""
    runner = web.AppRunner(
        app,
        access_log=None,
        auto_decompress=False,
        handler_cancellation=True,
        keepalive_timeout=3600,
        shutdown_timeout=1,
    )
    await runner.setup()
    handler, loop = runner.server, asyncio.get_running_loop()
    assert handler is not None
    try:
        server = await loop.create_server(handler, host, port, backlog=4096)
        try:
            port = server.sockets[0].getsockname()[1]
            yield f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        finally:
            # When a server is closed, asyncio leaks a connection that was accepted but has no transport yet. So stop
            # accepting first, and then give the loop the turns that it needs to create a transport.
            for sock in server.sockets:
                with suppress(NotImplementedError):  # not every event loop can watch a socket
                    loop.remove_reader(sock.fileno())
            for _ in range(5):
                await asyncio.sleep(0)
            server.close()
            # aiohttp would wait for slow responses, and leave the sockets of clients that have stopped reading open.
            for connection in handler.connections:
                if connection.transport is not None:
                    connection.transport.abort()
    finally:
        await runner.cleanup()


async def serve(host: str, port: int, *, ready: Callable[[str], None]) -> None:
    """Serve until cancelled. `ready` is called with the URL once the server listens. Raises OSError if it cannot."""
    async with _listening(make_app(), host, port) as url:
        ready(url)
        await asyncio.Event().wait()


class PracticeServer:
    """A practice server in a thread of its own, for synchronous code. A context manager.

    It listens once it is constructed, by default on a free port. Raises OSError if it cannot. `url` has no slash at its
    end, as in `http://127.0.0.1:54321`.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        app: web.Application | None = None,
        loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
    ) -> None:
        self._app = make_app() if app is None else app
        self._loop_factory = loop_factory
        ready: Future[str] = Future()
        self._thread = threading.Thread(target=self._run, args=(host, port, ready), name="fetchq-server", daemon=True)
        self._thread.start()
        try:
            self.url = ready.result()
        except Exception:  # raised again, whatever it is: the server did not start
            self._thread.join()
            raise

    def stop(self) -> None:
        """Abort the open connections and end the thread. A second call does nothing."""
        with suppress(RuntimeError):  # the loop is closed already
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self, host: str, port: int, ready: Future[str]) -> None:
        try:
            with asyncio.Runner(loop_factory=self._loop_factory) as runner:
                runner.run(self._main(host, port, ready))
        except BaseException as problem:  # raised in the thread that waits for the start, or here
            if ready.done():
                raise
            ready.set_exception(problem)

    async def _main(self, host: str, port: int, ready: Future[str]) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        async with _listening(self._app, host, port) as url:
            ready.set_result(url)
            await self._stopping.wait()

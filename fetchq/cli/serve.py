"""Runs `fetchq serve`, the practice server."""

from __future__ import annotations

import errno
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import asyncio

__all__ = ["command"]


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=0, show_default=True, type=click.IntRange(0, 65535), help="0: any free port.")
def command(host: str, port: int) -> int:
    """Run the practice server until interrupted. Its address is the first line on stdout; its / lists the routes."""
    import asyncio

    from fetchq.cli.interrupts import SIGNALS
    from fetchq.cli.practice.server import serve
    from fetchq.workers.process import loop_factory

    def ready(url: str) -> None:
        click.echo(url)

    async def until_a_signal() -> int:
        loop = asyncio.get_running_loop()
        signalled: asyncio.Future[int] = loop.create_future()
        serving = asyncio.ensure_future(serve(host, port, ready=ready))
        with suppress(NotImplementedError):  # on Windows, where the signal handlers of the process raise exceptions
            for number in SIGNALS:
                # In the event loop, since code that is interrupted could swallow an exception from a signal handler.
                loop.add_signal_handler(number, _set_once, signalled, 128 + number)
        either: list[asyncio.Future[Any]] = [serving, signalled]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not signalled.done():
            await serving
        serving.cancel()
        await asyncio.wait([serving])
        return signalled.result()

    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            return runner.run(until_a_signal())
    except KeyboardInterrupt:
        return 130
    except OSError as problem:
        if problem.errno in (errno.ENOSPC, errno.EPIPE, errno.EIO):
            raise  # the server listens, but its address cannot be printed
        raise click.UsageError(f"cannot listen on {host}:{port}: {problem.strerror or problem}") from None


def _set_once(signalled: asyncio.Future[int], status: int) -> None:
    if not signalled.done():
        signalled.set_result(status)

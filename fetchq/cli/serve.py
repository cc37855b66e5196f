"""`fetchq serve`: the practice server."""

from __future__ import annotations

import errno

import click

__all__ = ["command"]


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=0, show_default=True, type=click.IntRange(0, 65535), help="0: any free port.")
def command(host: str, port: int) -> int:
    """Run the practice server until interrupted. Its address is the first line on stdout; its / lists the routes."""
    import asyncio

    from fetchq.cli.loop import loop_factory
    from fetchq.server import serve

    def ready(url: str) -> None:
        click.echo(url)

    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(serve(host, port, ready=ready))
    except KeyboardInterrupt:
        return 130
    except OSError as problem:
        if problem.errno in (errno.ENOSPC, errno.EPIPE, errno.EIO):
            raise  # it listens, and cannot say where
        raise click.UsageError(f"cannot listen on {host}:{port}: {problem.strerror or problem}") from None
    return 0

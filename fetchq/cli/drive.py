"""Runs a pipeline for the command line: event loop, signals, and the exit status that an error leads to."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
from contextlib import aclosing
from typing import TYPE_CHECKING

import click

from fetchq.cli import forget_stdout
from fetchq.cli.interrupts import Interrupts
from fetchq.cli.loop import loop_factory
from fetchq.cli.status import COULD_NOT_GO_ON
from fetchq.core.disk import StorageError
from fetchq.pipeline import AsyncPipeline, BlockingPipeline
from fetchq.store.output import Output
from fetchq.workers.run import Feed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fetchq.cli.screen import Screen
    from fetchq.core.model import Result
    from fetchq.core.settings import Settings
    from fetchq.inputs.source import Source
    from fetchq.reports.summary import Summary
    from fetchq.store.session import Session

__all__ = ["drive"]

LINGER = 0.01
"""Seconds in which an event loop lets results gather: handing each of them to the writer's thread would cost more."""


def drive(
    settings: Settings,
    source: Source,
    screen: Screen,
    summary: Summary,
    *,
    session: Session | None = None,
    on_done: Callable[[Sequence[Result]], None],
    verbose: bool,
) -> int:
    """Fetch all of `source`, show the Results on `screen`, and count them in `summary`. Returns the exit status.

    `session` is that of a durable run, and stays open; `on_done` is called with the Results that are done.
    """
    collect_less_often()
    interrupts = click.get_current_context().find_object(Interrupts) or Interrupts()
    feed = Feed(source, threaded=True, finite=source.rereadable)
    output = Output(screen, session, keep_body=settings.keep_body)
    in_loop = settings.mode == "async"
    pipeline = (AsyncPipeline if in_loop else BlockingPipeline)(
        settings,
        feed,
        output,
        summary=summary,
        on_start=screen.started if verbose else None,
        on_done=on_done,
        interrupted=lambda: interrupts.number is not None,
        linger=LINGER if in_loop else 0.0,
    )
    status = _status_of_error(pipeline, interrupts, screen)
    if status is not None:
        return status
    if interrupts.number is not None:
        return 128 + interrupts.number
    return 1 if summary.failed else 0


def _status_of_error(pipeline: AsyncPipeline | BlockingPipeline, interrupts: Interrupts, screen: Screen) -> int | None:
    """Run the pipeline to its end. Returns the exit status for an error that it ended with, after saying so."""
    try:
        _run(pipeline, interrupts, screen.say_at_once)
    except BrokenPipeError:  # whoever read the records has seen enough
        forget_stdout()
        return 1
    except OSError as problem:
        forget_stdout()
        screen.say(f"fetchq: the records cannot be written: {os.strerror(problem.errno or errno.EIO)}")
        return COULD_NOT_GO_ON
    except StorageError as problem:
        screen.say(f"fetchq: {problem}")
        return COULD_NOT_GO_ON
    finally:
        screen.finish()
    return None


def _run(pipeline: AsyncPipeline | BlockingPipeline, interrupts: Interrupts, say: Callable[[str], None]) -> None:
    if isinstance(pipeline, AsyncPipeline):
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(_in_loop(pipeline, interrupts, say))
        return
    with interrupts.of_run(pipeline.stop, pipeline.abort, say):
        for _ in pipeline.batches():
            pass


async def _in_loop(pipeline: AsyncPipeline, interrupts: Interrupts, say: Callable[[str], None]) -> None:
    loop = asyncio.get_running_loop()

    def stop() -> None:
        loop.call_soon_threadsafe(pipeline.stop)

    def abort() -> None:
        loop.call_soon_threadsafe(pipeline.abort)

    with interrupts.of_run(stop, abort, say):
        async with aclosing(pipeline.batches()) as batches:
            async for _ in batches:
                pass


def collect_less_often() -> None:
    """Raise the thresholds of the garbage collector: it finds next to nothing here, and takes a sixth of a busy run."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)

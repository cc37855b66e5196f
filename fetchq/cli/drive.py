"""Runs a pipeline for the command line: in an event loop, with signals, and with exit statuses for errors."""

from __future__ import annotations

import asyncio
import errno
import os
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from fetchq.cli import discard_stdout
from fetchq.cli.interrupts import Interrupts
from fetchq.cli.status import EXIT_FATAL, EXIT_UNFINISHED
from fetchq.core.disk import StorageError
from fetchq.core.process_error import ProcessDiedError
from fetchq.pipeline import AsyncPipeline, BlockingPipeline
from fetchq.store.output import Output
from fetchq.workers.process import loop_factory, tune_memory
from fetchq.workers.run import Feed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fetchq.cli.screen import Screen
    from fetchq.core.model import Result
    from fetchq.core.prepared_results import Preparation
    from fetchq.core.settings import Settings
    from fetchq.inputs.source import Source
    from fetchq.reports.summary import Summary
    from fetchq.store.session import Session

__all__ = ["drive"]

LINGER = 0.01
"""Seconds for which Results are collected, since waking up a thread for each one would cost more."""


def drive(
    settings: Settings,
    source: Source,
    screen: Screen,
    summary: Summary,
    *,
    session: Session | None = None,
    on_done: Callable[[Sequence[Result]], None],
    watched: bool,
    logged: bool,
) -> int:
    """Fetch all of `source`, show the Results on `screen`, and count them in `summary`. Returns the exit status.

    `session`: the session of a durable run, which stays open. `on_done` is called with the Results that are done.
    `watched`: whether the screen is told of starts. `logged`: whether it is told of retries.
    """
    tune_memory()
    interrupts = click.get_current_context().find_object(Interrupts) or Interrupts()
    feed = Feed(source, threaded=True, finite=source.rereadable)
    output = Output(screen, session, keep_body=settings.keep_body, record_bodies=settings.record_bodies)
    in_loop = settings.mode == "async" and settings.processes == 1
    pipeline = (AsyncPipeline if in_loop else BlockingPipeline)(
        settings,
        feed,
        output,
        summary=summary,
        on_start=screen.started if watched else None,
        on_retry=screen.retried if logged else None,
        on_done=on_done,
        interrupted=lambda: interrupts.number is not None,
        linger=LINGER,
        preparation=None if watched or logged else _preparation(settings, screen, session),
    )
    status = _status_of_error(pipeline, interrupts, screen)
    if status is not None:
        return status
    if interrupts.number is not None:
        return 128 + interrupts.number
    if summary.unfinished or not source.ended:
        return EXIT_UNFINISHED
    return 1 if summary.failed else 0


def _preparation(settings: Settings, screen: Screen, session: Session | None) -> Preparation | None:
    """What the processes of a run with several do with their Results; None where these are needed here."""
    if settings.processes == 1 or settings.report or settings.har or settings.trace:
        return None
    if session is None:
        return screen.preparation()
    preparation = screen.preparation() if session.preparable else None
    return None if preparation is None else replace(preparation, generation=session.ledger.generation)


def _status_of_error(pipeline: AsyncPipeline | BlockingPipeline, interrupts: Interrupts, screen: Screen) -> int | None:
    """Run the pipeline to its end. If it ends with an error, print a message, and return the exit status."""
    try:
        _run(pipeline, interrupts, screen.say_at_once)
    except BrokenPipeError:  # the program that reads the records has exited
        discard_stdout()
        return 1
    except OSError as problem:
        discard_stdout()
        screen.say(f"fetchq: the records cannot be written: {os.strerror(problem.errno or errno.EIO)}")
        return EXIT_FATAL
    except (StorageError, ProcessDiedError) as problem:
        screen.say(f"fetchq: {problem}")
        return EXIT_FATAL
    finally:
        screen.finish()
    return None


def _run(pipeline: AsyncPipeline | BlockingPipeline, interrupts: Interrupts, say: Callable[[str], None]) -> None:
    if isinstance(pipeline, AsyncPipeline):
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(_in_loop(pipeline, interrupts, say))
        return
    with interrupts.during_run(pipeline.stop, pipeline.abort, say):
        for _ in pipeline.batches():
            pass


async def _in_loop(pipeline: AsyncPipeline, interrupts: Interrupts, say: Callable[[str], None]) -> None:
    loop = asyncio.get_running_loop()

    def stop() -> None:
        loop.call_soon_threadsafe(pipeline.stop)

    def abort() -> None:
        loop.call_soon_threadsafe(pipeline.abort)

    with interrupts.during_run(stop, abort, say):
        async with aclosing(pipeline.batches()) as batches:
            async for _ in batches:
                pass

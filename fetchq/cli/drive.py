"""Drives a run for the command line: signals, the loop, the one writer, and what becomes of errors."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
from contextlib import aclosing, closing, contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

import click

from fetchq.cli import forget_stdout
from fetchq.cli.interrupts import Interrupts
from fetchq.cli.loop import loop_factory
from fetchq.cli.status import COULD_NOT_GO_ON
from fetchq.core.disk import StorageError
from fetchq.workers.run import DURABLE_LINGER, AsyncRun, BlockingRun, Feed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fetchq.cli.screen import Screen
    from fetchq.core.model import OnStart, Result
    from fetchq.core.settings import Settings
    from fetchq.inputs.source import Source
    from fetchq.reports.summary import Summary
    from fetchq.store.writer import Writer

__all__ = ["drive"]

LINGER = 0.01
"""Seconds in which results gather before they are written: a hand-over to a thread for each would cost more."""


def drive(
    settings: Settings, source: Source, screen: Screen, summary: Summary, writer: Writer, *, verbose: bool
) -> int:
    """Fetch all of `source`. Returns the exit status."""
    collect_less_often()
    interrupts = click.get_current_context().find_object(Interrupts) or Interrupts()
    on_start = screen.started if verbose else None
    work = _Work(settings, source, on_start, summary, writer, interrupts, screen.say_at_once)
    run_it = work.in_loop if settings.mode == "async" else work.blocking
    status: int | None = None
    try:
        run_it()
    except BrokenPipeError:  # whoever read the records has seen enough
        status = 1
        forget_stdout()
    except OSError as problem:
        status = COULD_NOT_GO_ON
        forget_stdout()
        screen.say(f"fetchq: the records cannot be written: {os.strerror(problem.errno or errno.EIO)}")
    except StorageError as problem:
        status = COULD_NOT_GO_ON
        screen.say(f"fetchq: {problem}")
    finally:
        screen.finish()
    if status is not None:
        return status
    if interrupts.number is not None:
        return 128 + interrupts.number
    return 1 if summary.failed else 0


@dataclass(frozen=True, slots=True)
class _Work:
    """One run, from the source to the writer."""

    settings: Settings
    source: Source
    on_start: OnStart | None
    summary: Summary
    writer: Writer
    interrupts: Interrupts
    say: Callable[[str], None]
    """Tells the person of an interrupt."""

    def in_loop(self) -> None:
        """Fetch in an event loop, which never waits for the writer."""
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(self._in_loop())

    async def _in_loop(self) -> None:
        loop = asyncio.get_running_loop()
        run = AsyncRun(self.settings, self._feed, self.on_start, linger=self._linger)
        batches = run.batches()

        def stop() -> None:
            loop.call_soon_threadsafe(run.stop)

        def abort() -> None:
            loop.call_soon_threadsafe(run.abort)

        with self.interrupts.of_run(stop, abort, self.say), _counted(self.summary, run):
            try:
                async with aclosing(batches):
                    async for batch in batches:
                        await asyncio.to_thread(self._write, batch)
                await asyncio.to_thread(self._write_rest)
            finally:
                await asyncio.to_thread(self.writer.finish)

    def blocking(self) -> None:
        """Fetch without an event loop."""
        run = BlockingRun(self.settings, self._feed, self.on_start, linger=self._linger)
        with self.interrupts.of_run(run.stop, run.abort, self.say), _counted(self.summary, run):
            try:
                with closing(run.batches()) as batches:
                    for batch in batches:
                        self._write(batch)
                self._write_rest()
            finally:
                self.writer.finish()

    def _write(self, batch: Sequence[Result]) -> None:
        self.writer.commit(batch)
        while self.interrupts.number is None and self.writer.copies() is not None:
            pass  # what is not copied before an interrupt remains to do

    def _write_rest(self) -> None:
        while self.interrupts.number is None and self.writer.rest() is not None:
            pass

    @property
    def _feed(self) -> Feed:
        return Feed(self.source, threaded=True, finite=self.source.rereadable)

    @property
    def _linger(self) -> float:
        if self.settings.output is not None:
            return DURABLE_LINGER
        return LINGER if self.settings.mode == "async" else 0.0


@contextmanager
def _counted(summary: Summary, run: AsyncRun | BlockingRun) -> Iterator[None]:
    """The duration and the workers of the run, however it ends."""
    try:
        yield
    finally:
        summary.finish(perf_counter() - (run.began or perf_counter()), run.clocks, run.notes())


def collect_less_often() -> None:
    """Hardly anything here is garbage in cycles, and looking for it takes a sixth of the time of a busy run."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)

"""Drives a run for the command line: signals, the loop, the one writer, and what becomes of errors."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import aclosing, contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Any

from fetchq.cli.loop import loop_factory
from fetchq.run import AsyncRun, BlockingRun, Feed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fetchq.cli.screen import Screen
    from fetchq.settings import Settings
    from fetchq.sources import Source
    from fetchq.summary import Summary

__all__ = ["COULD_NOT_GO_ON", "drive"]

COULD_NOT_GO_ON = 3
LINGER = 0.01
"""Seconds in which results gather before they are written: a hand-over to a thread for each would cost more."""
GRACE = 5.0
"""Seconds that what is under way gets to finish after the first signal."""


class _Interrupts:
    """Counts signals: the first stops the run, after a while or at the second one it is aborted."""

    def __init__(self) -> None:
        self.number: int | None = None
        self.stop: Callable[[], None] = lambda: None
        self.abort: Callable[[], None] = lambda: None
        self._timer: threading.Timer | None = None

    def __call__(self, number: int) -> None:
        if self.number is not None:
            self.abort()
            return
        self.number = number
        self.stop()
        self._timer = threading.Timer(GRACE, self.abort)
        self._timer.daemon = True
        self._timer.start()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


def drive(settings: Settings, source: Source, screen: Screen, summary: Summary, *, verbose: bool = False) -> int:
    """Fetch all of `source`. Returns the exit status."""
    raise_file_limit()
    collect_less_often()
    interrupts = _Interrupts()
    run_it = _drive_async if settings.mode == "async" else _drive_blocking
    problem: OSError | None = None
    try:
        run_it(settings, source, screen, summary, interrupts, verbose)
    except BrokenPipeError as broken:
        problem = broken
        _forget_stdout()
    except OSError as failed:
        problem = failed
    finally:
        interrupts.close()
        screen.finish()
    if isinstance(problem, BrokenPipeError):
        return 1  # whoever read the records has seen enough
    if problem is not None:
        screen.say(f"fetchq: the records cannot be written: {os.strerror(problem.errno or errno.EIO)}")
        _forget_stdout()
        return COULD_NOT_GO_ON
    if interrupts.number is not None:
        return 128 + interrupts.number
    return 1 if summary.failed else 0


def _drive_async(
    settings: Settings, source: Source, screen: Screen, summary: Summary, interrupts: _Interrupts, verbose: bool
) -> None:
    async def fetch() -> None:
        loop = asyncio.get_running_loop()
        feed = Feed(source, threaded=True, finite=source.finite)
        run = AsyncRun(settings, feed, screen.started if verbose else None)
        interrupts.stop = run.stop
        interrupts.abort = lambda: loop.call_soon_threadsafe(run.abort)  # type: ignore[assignment]
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, interrupts, number)
        batches = run.batches()
        with _counted(summary, run):
            async with aclosing(batches):
                async for batch in batches:
                    await asyncio.to_thread(screen.commit, batch)
                    await asyncio.sleep(LINGER)

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(fetch())


def _drive_blocking(
    settings: Settings, source: Source, screen: Screen, summary: Summary, interrupts: _Interrupts, verbose: bool
) -> None:
    feed = Feed(source, threaded=True, finite=source.finite)
    run = BlockingRun(settings, feed, screen.started if verbose else None)
    # A signal handler may interrupt this thread while it holds the pool's lock: the work is left to another one.
    interrupts.stop = lambda: threading.Thread(target=run.stop, daemon=True).start()
    interrupts.abort = lambda: threading.Thread(target=run.abort, daemon=True).start()
    with _handled(lambda number, frame: interrupts(number)), _counted(summary, run):
        for batch in run.batches():
            screen.commit(batch)


@contextmanager
def _counted(summary: Summary, run: AsyncRun | BlockingRun) -> Iterator[None]:
    """The duration and the workers of the run, however it ends."""
    try:
        yield
    finally:
        summary.finish(perf_counter() - (run.began or perf_counter()), run.clocks)


@contextmanager
def _handled(handler: Callable[[int, Any], None]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def raise_file_limit() -> None:
    """Let this process open as many files as it may: each connection is one."""
    try:
        import resource
    except ImportError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError):
            return  # macOS names a hard limit that it does not grant


def collect_less_often() -> None:
    """Hardly anything here is garbage in cycles, and looking for it takes a sixth of the time of a busy run."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def _forget_stdout() -> None:
    """What is left in the buffer cannot be written: keep the interpreter from trying at its end."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
    os.close(devnull)

"""Runs a list in mode `threads` or `sync`, iterated in a plain thread."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterable, Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING

from fetchq.engines import blocking_engines
from fetchq.scheduling.backlog import READ_AHEAD, long_size
from fetchq.workers.pipe_reader import interruptible
from fetchq.workers.run import ListRun
from fetchq.workers.serial_pool import SerialPool
from fetchq.workers.thread_pool import ThreadPool

if TYPE_CHECKING:
    from fetchq.core.model import OnStart, Request, Result
    from fetchq.workers.run import Feed, Run

__all__ = ["BlockingRun", "deadline_of", "run_blocking"]


class BlockingRun(ListRun):
    """A run in mode `threads` or `sync`. Any thread may call `stop` and `abort`. `batches` is iterated once."""

    def batches(self) -> Generator[Sequence[Result]]:
        """The Results in batches, as they finish. Closing the iterator ends the run."""
        return run_blocking(self, self._feed, self._on_start)


def run_blocking(
    run: Run, feed: Feed, on_start: OnStart | None, on_abort: Callable[[], None] | None = None
) -> Generator[Sequence[Result]]:
    """Fetch `feed` in mode `threads` or `sync`, and yield the Results as they finish.

    `on_abort` is called when the attempts under way are interrupted, since a worker may be waiting in `on_start` then.
    """
    settings = run.settings
    make_pool = ThreadPool if settings.mode == "threads" else SerialPool
    engines = blocking_engines(settings, run.robots, run.proxies, run.cookies)
    try:
        pool = make_pool(run, engines, on_start, on_abort)
        run.begin()
        with deadline_of(run, feed):
            yield from pool.batches(_source_of(run, feed))
    finally:
        for engine in engines:
            engine.close()
        run.save_cookies()


def _source_of(run: Run, feed: Feed) -> Iterable[list[Request]]:
    assert not isinstance(feed.requests, AsyncIterable)
    if feed.threaded and not feed.finite:
        return interruptible(feed.requests, run.control)
    if feed.finite and run.settings.mode == "sync":
        return _in_large_batches(feed.requests)
    return feed.requests


@contextmanager
def deadline_of(run: Run, feed: Feed) -> Iterator[None]:
    """Abort the run if its deadline passes before the end of the block."""
    if run.settings.deadline is None:
        yield
        return
    timer = threading.Timer(run.settings.deadline, run.control.abort, kwargs={"end_source": not feed.finite})
    timer.daemon = True
    timer.start()
    run.control.deadline = perf_counter() + run.settings.deadline
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


_LARGE = 1_000_000
"""Bytes of long rows that are enough for a batch."""


def _in_large_batches(source: Iterable[list[Request]]) -> Iterator[list[Request]]:
    """The rows of a source that never has to wait for input, in large batches.

    Mode `sync` reads a batch when no job may go. With one row in a batch, the schedule would never have two hosts to
    choose from.
    """
    rows: list[Request] = []
    size = 0
    try:
        for batch in source:
            rows += batch
            size += sum(map(long_size, batch))
            if len(rows) >= READ_AHEAD or size >= _LARGE:
                yield rows
                rows, size = [], 0
    except Exception:  # raised again, after the rows before it
        yield rows
        raise
    if rows:
        yield rows

"""One run, put together: a source, a pool with its engine, and the results as they come."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Generator, Iterable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from inspect import isawaitable
from time import perf_counter
from typing import TYPE_CHECKING, Any

from fetchq.engines import async_engine, blocking_engines
from fetchq.scheduling.schedule import READ_AHEAD

if TYPE_CHECKING:
    from fetchq.core.model import OnStart, Request, Result
    from fetchq.core.settings import Settings
    from fetchq.engines.base import AsyncEngine
    from fetchq.http.robots_txt import RobotsCache
    from fetchq.scheduling.congestion import HostNote
    from fetchq.workers.settle import WorkerClock

__all__ = ["DURABLE_LINGER", "AsyncRun", "BlockingRun", "Feed"]

DURABLE_LINGER = 0.25
"""Seconds in which results gather where writing them means to wait for the disk."""


@dataclass(frozen=True, slots=True)
class Feed:
    """Where the requests come from, and how to read them."""

    requests: Iterable[list[Request]] | AsyncIterable[Request]
    """Batches of them; or, in an async run, an async iterable."""
    threaded: bool
    """Reading may block, on a file or a pipe: an event loop has it read in a thread of its own, and a blocking run
    does so where it has no end and may block for ever."""
    finite: bool
    """At the deadline the rest is read, so that every row gets its (cancelled) Result."""


def _book(settings: Settings) -> RobotsCache | None:
    """Where the run keeps what robots.txt says; None where it does not matter."""
    if not settings.robots:
        return None
    from fetchq.http.robots_txt import RobotsCache

    return RobotsCache(settings)


class BlockingRun:
    """A run in mode `threads` or `sync`. `batches` may be iterated once; `stop` and `abort` come from any thread."""

    def __init__(
        self,
        settings: Settings,
        feed: Feed,
        on_start: OnStart | None = None,
        on_abort: Callable[[], None] | None = None,
        linger: float = 0.0,
    ) -> None:
        """`linger`: seconds in which results may gather before they are handed on."""
        from fetchq.workers.serial_pool import SerialPool
        from fetchq.workers.thread_pool import ThreadPool

        assert not isinstance(feed.requests, AsyncIterable)
        self._settings = settings
        self._finite = feed.finite
        self._requests = feed.requests
        if feed.threaded and not feed.finite:
            self._requests = _interruptible(feed.requests, lambda: self.stopping)
        elif feed.finite and settings.mode == "sync":
            self._requests = _ahead(feed.requests)
        book = _book(settings)
        self._engines = blocking_engines(settings, book)
        make_pool = ThreadPool if settings.mode == "threads" else SerialPool
        self._pool = make_pool(settings, self._engines, on_start, on_abort, linger, book)
        self.began = 0.0
        """When the first request could go (`time.perf_counter`); 0 before that."""

    @property
    def clocks(self) -> list[WorkerClock]:
        return self._pool.desk.clocks

    def notes(self) -> list[HostNote]:
        """What was done about which hosts: those that refused, failed or grew slow."""
        return self._pool.notes()

    @property
    def stopping(self) -> bool:
        """No more attempts are begun."""
        return self._pool.desk.stopping

    def batches(self) -> Generator[list[Result]]:
        """The results, as they come; the run ends when the iterator is closed."""
        self.began = perf_counter()
        try:
            with self._deadline():
                yield from self._pool.batches(self._requests)
        finally:
            for engine in self._engines:
                engine.close()

    @contextmanager
    def _deadline(self) -> Iterator[None]:
        if self._settings.deadline is None:
            yield
            return
        end_source = not self._finite
        timer = threading.Timer(self._settings.deadline, self._pool.abort, kwargs={"end_source": end_source})
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()

    def stop(self) -> None:
        """Begin no more attempts; those under way may finish."""
        self._pool.stop()

    def abort(self) -> None:
        """End now; what is under way is cancelled."""
        self._pool.abort()


def _interruptible(source: Iterable[list[Request]], stopping: Callable[[], bool]) -> Iterator[list[Request]]:
    """The batches of a pipe, read in a thread: a read that waits would keep a signal or the deadline waiting, too."""
    batches: queue.Queue[list[Request] | BaseException | None] = queue.Queue(4)

    def read() -> None:
        try:
            for batch in source:
                batches.put(batch)
            batches.put(None)
        except BaseException as problem:  # noqa: BLE001  # it is raised where the run can see it
            batches.put(problem)

    threading.Thread(target=read, name="fetchq-pipe", daemon=True).start()
    while not stopping():
        with suppress(queue.Empty):
            batch = batches.get(timeout=0.1)
            if batch is None:
                return
            if isinstance(batch, BaseException):
                raise batch
            yield batch


def _ahead(source: Iterable[list[Request]]) -> Iterator[list[Request]]:
    """Rows that are at hand anyway, many at a time: one by one there would never be two to choose from."""
    rows: list[Request] = []
    try:
        for batch in source:
            rows += batch
            if len(rows) >= READ_AHEAD:
                yield rows
                rows = []
    except Exception:  # whatever it is, raised again: what came before it stays
        yield rows
        raise
    if rows:
        yield rows


class AsyncRun:
    """A run in any mode, for an event loop. `batches` may be iterated once; `stop` and `abort` belong to the loop."""

    def __init__(self, settings: Settings, feed: Feed, on_start: OnStart | None = None, *, linger: float = 0.0) -> None:
        """`linger`: seconds in which results may gather before they are handed on."""
        self._linger = linger
        self._settings = settings
        self._feed = feed
        self._on_start = on_start
        self._stopped = False
        """Stopped before there was anything to stop."""
        self._stops: Callable[[], None] = self._remember
        self._aborts: Callable[[], None] = self._remember
        self.clocks: list[WorkerClock] = []
        self.notes: Callable[[], list[HostNote]] = list
        """What was done about which hosts."""
        self.began = 0.0

    def batches(self) -> AsyncGenerator[list[Result]]:
        """The results, as they come; the run ends when the iterator is closed."""
        return self._in_loop() if self._settings.mode == "async" else self._in_threads()

    def _remember(self) -> None:
        self._stopped = True

    def stop(self) -> None:
        """Begin no more attempts; those under way may finish."""
        self._stops()

    def abort(self) -> None:
        """End now; what is under way is cancelled."""
        self._aborts()

    async def _in_loop(self) -> AsyncGenerator[list[Result]]:
        from fetchq.workers.async_pool import AsyncPool

        loop = asyncio.get_running_loop()
        book = _book(self._settings)
        engine = async_engine(self._settings, book)
        pool = AsyncPool(self._settings, engine, self._on_start, book)
        self.clocks, self._stops, self._aborts = pool.desk.clocks, pool.stop, pool.abort
        self.notes = pool.notes
        if self._stopped:
            pool.stop()
        deadline: asyncio.TimerHandle | None = None
        if self._settings.deadline is not None:
            deadline = loop.call_later(self._settings.deadline, self._abort_at_deadline, pool)
        self.began = perf_counter()
        task = loop.create_task(pool.run(self._feed.requests, threaded=self._feed.threaded), name="fetchq-run")
        try:
            while batch := await pool.outbox.take(self._linger):
                yield batch
            await task
        finally:
            if deadline is not None:
                deadline.cancel()
            await _closed(task, engine)

    def _abort_at_deadline(self, pool: Any) -> None:
        pool.abort(end_source=not self._feed.finite)

    async def _in_threads(self) -> AsyncGenerator[list[Result]]:
        """A blocking run, each batch of which is waited for in a thread."""
        loop = asyncio.get_running_loop()
        callback = None if self._on_start is None else _LoopCallback(self._on_start, loop)
        end = None if callback is None else callback.end
        run = BlockingRun(self._settings, self._feed, callback, end, self._linger)
        self.clocks, self._stops, self._aborts = run.clocks, run.stop, run.abort
        self.notes = run.notes
        if self._stopped:
            run.stop()
        self.began = perf_counter()
        batches = run.batches()
        waiting: asyncio.Future[list[Result] | None] | None = None
        thread = ThreadPoolExecutor(1, "fetchq-run")  # the loop's own may be busy, with what waits for this run
        try:
            while True:
                waiting = loop.run_in_executor(thread, next, batches, None)
                batch = await asyncio.shield(waiting)
                if batch is None:
                    return
                yield batch
        finally:
            run.abort()
            try:
                if waiting is not None:
                    await asyncio.wait([waiting])
                    if not waiting.cancelled():
                        waiting.exception()
                await loop.run_in_executor(thread, batches.close)
            finally:
                thread.shutdown(wait=waiting is None or waiting.done())


async def _closed(task: asyncio.Task[None], engine: AsyncEngine) -> None:
    """End the task, and then the engine."""
    gone = False
    try:
        await _ended(task)
    except GeneratorExit:  # thrown in while this waits: the loop is at its end, and nothing can be waited for any more
        gone = True
        raise
    finally:
        if not gone:
            await engine.close()


async def _ended(task: asyncio.Task[None]) -> None:
    """Cancel `task` and wait for its end; how it ended has been seen, or is nobody's business any more."""
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()


class _LoopCallback:
    """`on_start` for worker threads: a coroutine function runs in the loop, and the worker waits for it."""

    def __init__(self, on_start: OnStart, loop: asyncio.AbstractEventLoop) -> None:
        self._on_start = on_start
        self._loop = loop
        self._waiting: set[Future[None]] = set()
        self._ended = False

    def __call__(self, request: Request, worker: int) -> None:
        waiting = asyncio.run_coroutine_threadsafe(self._in_loop(request, worker), self._loop)
        self._waiting.add(waiting)
        try:
            if self._ended:
                waiting.cancel()
            waiting.result()
        except CancelledError:
            if not self._ended:
                raise RuntimeError("a callback was cancelled") from None
        finally:
            self._waiting.discard(waiting)

    async def _in_loop(self, request: Request, worker: int) -> None:
        if isawaitable(waiting := self._on_start(request, worker)):
            await waiting

    def end(self) -> None:
        """The run ends: nobody waits any longer."""
        self._ended = True
        for waiting in list(self._waiting):
            waiting.cancel()

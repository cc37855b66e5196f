"""The async pool: tasks that pull from the queue, attempt, and hand results to the outbox."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine, Iterable
from contextlib import suppress
from functools import partial
from inspect import isawaitable
from time import perf_counter, time
from typing import TYPE_CHECKING, Any

from fetchq.engines.fd_limit import room_for
from fetchq.http.robots_txt import Rules
from fetchq.http.url import Refused
from fetchq.inputs.lines import SourceError
from fetchq.scheduling.job import Job, JobKind
from fetchq.workers.async_queue import RequestQueue, ResultQueue
from fetchq.workers.settle import HEAD_START, Desk, Timer

if TYPE_CHECKING:
    from fetchq.core.model import OnStart, Request, Result
    from fetchq.core.settings import Settings
    from fetchq.engines.base import AsyncEngine
    from fetchq.http.robots_txt import RobotsCache
    from fetchq.scheduling.congestion import HostNote

__all__ = ["AsyncPool"]

_ROW = JobKind.ROW  # read once: for each row, a look-up in an Enum is slow in Python 3.11
_SLICE = 0.001
"""Seconds for which the source may hold the event loop."""
_PARSED_HERE = 32_768
"""Bytes of a robots.txt up to which the event loop reads its rules itself, in a few milliseconds."""
_GRACE = 1.0
"""Seconds granted to the thread that reads the source, which may be waiting for a pipe."""


class AsyncPool:
    """The workers of one run. `run` does it all; `outbox` is where its results come out."""

    def __init__(
        self,
        settings: Settings,
        engine: AsyncEngine,
        on_start: OnStart | None = None,
        book: RobotsCache | None = None,
    ) -> None:
        """`book`: the rules of hosts, where robots.txt is obeyed; the engine has the same one."""
        self._settings = settings
        self._engine = engine
        self._on_start = on_start
        self._queue = RequestQueue(settings, book, room_for(settings).attempts)
        self._open = 0
        """Jobs that were taken in and have no Result yet."""
        self._source_ended = False
        self._source_unwanted = False
        self._source_problem: SourceError | None = None
        self._finished = asyncio.Event()
        self._aborted = asyncio.Event()
        self._feeder: asyncio.Task[None] | None = None
        self.desk = Desk(settings)
        self.outbox = ResultQueue()

    async def run(self, source: Iterable[list[Request]] | AsyncIterable[Request], *, threaded: bool) -> None:
        """Fetch all of `source`. `threaded`: it is read in a thread of its own, batch by batch.

        A bug of ours, or an exception of the source or of `on_start`, ends the run and is raised.
        """
        try:
            async with asyncio.TaskGroup() as group:
                feed = self._feed_from_thread if threaded else self._feed
                self._feeder = group.create_task(_loud(feed, source), name="fetchq-source")
                self._feeder.add_done_callback(self._feeder_ended)
                if self._source_unwanted:
                    self._feeder.cancel()
                await asyncio.wait([self._feeder], timeout=HEAD_START)
                numbers = range(1, self._settings.workers + 1)
                workers = [group.create_task(_loud(self._work, n), name=f"fetchq-worker-{n}") for n in numbers]
                await self._finished.wait()
                for worker in workers:
                    worker.cancel()
            if self._source_problem is not None:
                raise self._source_problem
        except BaseExceptionGroup as problems:
            raise _first(problems) from None
        finally:
            self._queue.close()
            self.outbox.close()

    def notes(self) -> list[HostNote]:
        """What was done about which hosts."""
        return self._queue.notes()

    def stop(self, *, end_source: bool = True) -> None:
        """Begin no more attempts: what waits is cancelled, what is under way may finish."""
        self.desk.stopping = True
        if end_source:
            self._source_unwanted = True
            if self._feeder is not None:
                self._feeder.cancel()
        self._queue.end()  # the workers answer what waits

    def abort(self, *, end_source: bool = True) -> None:
        """`stop`, and interrupt what is under way."""
        self.stop(end_source=end_source)
        self._aborted.set()
        self._engine.abort()

    # --- the source ---

    async def _feed(self, source: Iterable[list[Request]] | AsyncIterable[Request]) -> None:
        try:
            if isinstance(source, AsyncIterable):
                await self._feed_one_by_one(source)
            else:
                until = perf_counter() + _SLICE
                for batch in source:
                    for request in batch:
                        if self._queue.sated():
                            await self._queue.room()
                        self._accept(request)
                    if perf_counter() > until:
                        await asyncio.sleep(0)
                        until = perf_counter() + _SLICE
        except asyncio.CancelledError:
            if not self.desk.stopping:
                raise
        self._end_source()

    async def _feed_one_by_one(self, source: AsyncIterable[Request]) -> None:
        until = perf_counter() + _SLICE
        async for request in source:
            if self._queue.sated():
                await self._queue.room()
            self._accept(request)
            if perf_counter() > until:  # it may never have to wait for anything
                await asyncio.sleep(0)
                until = perf_counter() + _SLICE

    async def _feed_from_thread(self, source: Iterable[list[Request]] | AsyncIterable[Request]) -> None:
        assert isinstance(source, Iterable)
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()
        given_up = threading.Event()

        def tell(problem: BaseException | None) -> None:
            if not ended.done():
                if problem is None:
                    ended.set_result(None)
                else:
                    ended.set_exception(problem)

        def read() -> None:
            problem: BaseException | None = None
            try:
                for batch in source:
                    if given_up.is_set():
                        break
                    asyncio.run_coroutine_threadsafe(self._accept_all(batch, given_up), loop).result()
            except BaseException as found:  # noqa: BLE001  # it is raised where the run can see it
                problem = found
            with suppress(RuntimeError):  # the loop is gone when a pipe has kept this thread too long
                loop.call_soon_threadsafe(tell, problem)

        thread = threading.Thread(target=read, name="fetchq-source", daemon=True)
        thread.start()
        try:
            await asyncio.shield(ended)
        except asyncio.CancelledError:
            given_up.set()
            self._queue.close()
            await asyncio.wait([ended], timeout=_GRACE)
            if not self.desk.stopping:
                raise
        except SourceError as problem:
            self._source_problem = problem  # raised when what was read before is done
        finally:
            if ended.done():
                thread.join()
                with suppress(BaseException):
                    ended.exception()
        self._end_source()

    def _accept(self, request: Request) -> None:
        self._open += 1
        self._queue.put_nowait(Job(request, perf_counter()))

    async def _accept_all(self, batch: list[Request], given_up: threading.Event) -> None:
        for request in batch:
            if self._queue.sated():
                await self._queue.room()
            if given_up.is_set():
                return
            self._accept(request)

    def _feeder_ended(self, feeder: asyncio.Task[None]) -> None:
        """A task that is cancelled before its first step has not even begun to handle that."""
        if feeder.cancelled() and self._source_unwanted:
            self._end_source()

    def _end_source(self) -> None:
        self._source_ended = True
        self._close_when_done()

    def _close_when_done(self) -> None:
        if self._source_ended and self._open == 0 and not self._queue.asking:
            self._finished.set()

    # --- the workers ---

    async def _work(self, number: int) -> None:
        timer = self.desk.timer()
        clock = self.desk.clocks[number - 1]
        queue = self._queue
        counts = queue.counts_starts
        while True:
            try:
                job = queue.get_nowait()
            except asyncio.QueueEmpty:
                job = await queue.get()
            if job.kind is not _ROW:
                await self._do_internal(job, number, timer)
                continue
            if self.desk.stopping:
                await self._deliver(self.desk.cancel(job))
                continue
            if job.first_taken is None:
                job.first_taken = time()
            try:
                target = self.desk.target_of(job)
            except Refused as refused:
                queue.done(job, None)
                await self._deliver(self.desk.refuse(job, refused, number))
                continue
            if self._on_start is not None:
                if isawaitable(waiting := self._on_start(job.request, number)):
                    await self._unless_aborted(waiting)
                if self.desk.stopping:
                    await self._deliver(self.desk.cancel(job))
                    continue
            job.attempts += 1
            timer.start()
            try:
                on_sent = partial(queue.went_out, job) if counts else None
                attempt = await self._engine.attempt(job.request, target, job.partial, on_sent)
            finally:
                clock.busy += timer.stop()
            queue.done(job, attempt)
            settled = self.desk.settle(job, attempt, number)
            if isinstance(settled, float):
                queue.hold(job, settled)
            elif self.outbox.offer(settled):
                self._is_done()
            else:
                await self._deliver(settled)

    async def _do_internal(self, job: Job, number: int, timer: Timer) -> None:
        """Fetch the robots.txt, or look the address up, that the schedule asks for, and tell it."""
        if job.kind is JobKind.ADDRESS:
            address = None if self.desk.stopping else await self._address_of(job.request.url)
            self._queue.learn_address(job, address)
        elif isinstance(rules := await self._fetch_robots(job, number, timer), float):
            self._queue.hold(job, rules)
        else:
            self._queue.learn_robots(job, rules)
        if self._source_ended:
            self._close_when_done()

    async def _address_of(self, host: str) -> str | None:
        address: str | None = None

        async def look_up() -> None:
            nonlocal address
            address = await self._engine.address_of(host)

        await self._unless_aborted(look_up())
        return address

    async def _fetch_robots(self, job: Job, number: int, timer: Timer) -> Rules | float:
        """The rules, or the seconds after which another attempt is due."""
        if self.desk.stopping:
            return self.desk.cancel_robots()
        try:
            target = self.desk.target_of(job)
        except Refused as refused:
            self._queue.done(job, None)
            return Rules(why_not=refused.message)
        job.attempts += 1
        timer.start()
        try:
            on_sent = partial(self._queue.went_out, job)
            attempt = await self._engine.attempt(job.request, target, job.partial, on_sent)
        finally:
            self.desk.clocks[number - 1].busy += timer.stop()
        self._queue.done(job, attempt)
        if attempt.size > _PARSED_HERE:
            return await asyncio.to_thread(self.desk.settle_robots, job, attempt, number)
        return self.desk.settle_robots(job, attempt, number)

    async def _unless_aborted(self, waiting: Awaitable[object]) -> None:
        """Wait for a callback or a lookup, but not beyond the end of the run."""
        callback = asyncio.ensure_future(waiting)
        aborted = asyncio.ensure_future(self._aborted.wait())
        try:
            await asyncio.wait([callback, aborted], return_when=asyncio.FIRST_COMPLETED)
            if callback.done():
                callback.result()
        finally:
            callback.cancel()
            aborted.cancel()
            await asyncio.wait([callback, aborted])

    async def _deliver(self, result: Result) -> None:
        await self.outbox.put(result)
        self._is_done()

    def _is_done(self) -> None:
        """A row has its Result."""
        self._open -= 1
        if self._source_ended:
            self._close_when_done()


async def _loud(work: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> None:
    """A CancelledError that the user's code raises by itself would end a task without a word, its row undone."""
    try:
        await work(*args)
    except asyncio.CancelledError as problem:
        task = asyncio.current_task()
        if task is not None and not task.cancelling():
            raise RuntimeError("a callback, or the source, was cancelled") from problem
        raise


def _first(problems: BaseExceptionGroup[BaseException]) -> BaseException:
    """The exception that began it: a group would hide what the user's own code raised."""
    found: BaseException = problems
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found

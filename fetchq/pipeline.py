"""Drives a run from its requests to the Results that are done, for the command line and for Python callers.

    feed -> workers -> Results -> writer: store, sink, ledger -> Summary -> views -> caller

`AsyncPipeline` runs in an event loop, which never waits for a disk; `BlockingPipeline` needs no event loop.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, closing, contextmanager
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from fetchq.core.cores import usable_cores
from fetchq.core.disk import close_on_error
from fetchq.core.prepared_results import Preparation, PreparedResults
from fetchq.reports.attribution import attribution_of
from fetchq.reports.diagnosis import verdict_of
from fetchq.reports.session_record import session_record
from fetchq.reports.summary import Summary
from fetchq.reports.view import Views
from fetchq.store.output import Output
from fetchq.workers.failure_limit import FailureLimit
from fetchq.workers.result_buffer import DURABLE_LINGER
from fetchq.workers.run import Feed, Run

if TYPE_CHECKING:
    from fetchq.core.model import OnStart, Result
    from fetchq.core.settings import Settings
    from fetchq.http.cookies import CookieJar
    from fetchq.reports.attribution import Attribution
    from fetchq.store.writer import Writer
    from fetchq.workers.async_run import AsyncRun
    from fetchq.workers.blocking_run import BlockingRun
    from fetchq.workers.retry_event import OnRetry

__all__ = ["AsyncPipeline", "BlockingPipeline"]

T = TypeVar("T")
RunT = TypeVar("RunT", "AsyncRun", "BlockingRun")


class _Pipeline(ABC, Generic[RunT]):
    """What both pipelines have in common: the parts of a run, and its summary."""

    def __init__(
        self,
        settings: Settings,
        feed: Feed,
        output: Output | None = None,
        *,
        summary: Summary | None = None,
        on_start: OnStart | None = None,
        on_retry: OnRetry | None = None,
        on_done: Callable[[Sequence[Result]], None] | None = None,
        interrupted: Callable[[], bool] = lambda: False,
        linger: float = 0.0,
        preparation: Preparation | None = None,
    ) -> None:
        """`output`: where Results are written before they count as done; without it they count as done at once.

        `summary` counts the Results that are done, and then `on_done` is called with them. Once `interrupted` returns
        True, rows that wait for a copy of another row's Result are left to a later session. `linger`: seconds for which
        Results are collected before they are written, in a run that is not durable. `preparation`: what the processes
        of a run that has several do with Results, of which it needs nothing else; then it gets `PreparedResults`.

        Raises `SettingsError` if the environment cannot be obeyed, or the file of a view cannot be written.
        """
        self._settings = settings
        self._views = Views(settings)
        self._output = Output() if output is None and self._views else output  # its thread also writes the views
        self._summary = Summary() if summary is None else summary
        self._on_done = on_done
        self._interrupted = interrupted
        linger = linger if settings.output is None else DURABLE_LINGER
        self._run: RunT | None = self._new_run(settings, feed, on_start, linger)
        """The run; None when it has ended."""
        self._run.settler.on_retry = on_retry
        self._run.preparation = preparation
        if settings.most_failures is not None:
            stop = partial(self._run.control.stop, end_source=not feed.finite)
            self._run.settler.failure_limit = FailureLimit(settings.most_failures, stop)
        self.beside = 0.0, 0
        """CPU seconds and most bytes in memory of the other processes of a run that has several, which has ended."""
        self._whole = False
        """Whether the run has reached its end, and was not stopped before."""

    @abstractmethod
    def _new_run(self, settings: Settings, feed: Feed, on_start: OnStart | None, linger: float) -> RunT:
        """The run that this pipeline drives."""

    @property
    def summary(self) -> Summary:
        """The numbers so far, which are final when the run has ended. Always the same object, but for `restart`."""
        if (run := self._run) is not None:
            self._summary.update(perf_counter() - run.began if run.began else 0.0, run.clocks)
        return self._summary

    def stop(self) -> None:
        """Begin no more attempts; those under way may finish. In an AsyncPipeline, call it in the event loop."""
        if (run := self._run) is not None:  # read once: the run may end in another thread
            run.stop()

    def abort(self) -> None:
        """Begin no more attempts, and cancel those under way. In an AsyncPipeline, call it in the event loop."""
        if (run := self._run) is not None:
            run.abort()

    def use_cookies(self, cookies: CookieJar) -> None:
        """Share these cookies among all rows. Unlike those of `Settings.cookie_jar`, they are not saved."""
        assert self._run is not None, "the run has ended"
        self._run.cookies = cookies

    def restart(self) -> None:
        """Measure from now on, with a new `summary`. To be called by `on_done`, when the rows of a warm-up are done."""
        assert self._run is not None, "the run has ended"
        self._run.restart()
        self._summary = Summary()

    @contextmanager
    def _begun(self) -> Iterator[RunT]:
        """Enter the run, and complete its summary afterwards, however it ended."""
        assert self._run is not None, "a run is iterated once"
        run = self._run
        try:
            yield run
        finally:
            self._complete()

    def _complete(self) -> None:
        """Complete the summary of the run, which has ended, unless that was done already."""
        if (run := self._run) is None:
            return
        ended = perf_counter()
        self._summary.update(ended - run.began if run.began else 0.0, run.clocks, run.backoffs(), run.loads())
        if run.began:
            self._summary.attribution = _attribution(run, ended)
            self.beside = run.beside()
        cores, remark = usable_cores(), run.remark()
        self._summary.verdict = verdict_of(self._summary, run.settings, cores=cores, whole=self._whole, remark=remark)
        self._run = None

    def _session_record(self) -> dict[str, Any] | None:
        """What the ledger keeps of the session, whose last Results were written just now."""
        self._complete()
        return session_record(self._summary, self._settings)

    def _open(self, output: Output) -> Writer:
        """Open the output and the views. Raises as `Output.open`."""
        writer = output.open(self._count_and_show if self._views else self._count)
        with close_on_error(output):
            self._views.open()
        return writer

    def _count_and_show(self, done: Sequence[Result]) -> None:
        self._count(done)
        self._views.add(done)

    def _count(self, done: Sequence[Result]) -> None:
        if isinstance(done, PreparedResults):
            self._summary.merge(done.summary)
        else:
            self._summary.add(done)
        if self._on_done is not None:
            self._on_done(done)


class AsyncPipeline(_Pipeline["AsyncRun"]):
    """A run in an event loop, in any mode."""

    def batches(self) -> AsyncGenerator[Sequence[Result]]:
        """The Results in batches, as they are done; to be iterated once. Closing the iterator ends the run.

        Raises `SettingsError`, `FolderError`, `StorageError`, OSError, and whatever the feed or a callback raises.
        """
        return self._unwritten() if self._output is None else self._written(self._output)

    def _new_run(self, settings: Settings, feed: Feed, on_start: OnStart | None, linger: float) -> AsyncRun:
        if settings.processes > 1:
            from fetchq.processes.run import AsyncProcessRun

            return AsyncProcessRun(settings, feed, on_start, linger=linger)
        from fetchq.workers.async_run import AsyncRun  # here, since a run needs the workers of one mode alone

        return AsyncRun(settings, feed, on_start, linger=linger)

    async def _unwritten(self) -> AsyncGenerator[Sequence[Result]]:
        with self._begun() as run:
            async with aclosing(run.batches()) as batches:
                async for batch in batches:
                    self._count(batch)
                    yield batch
            self._whole = not run.control.stopped

    async def _written(self, output: Output) -> AsyncGenerator[Sequence[Result]]:
        loop = asyncio.get_running_loop()
        # One thread does its tasks in order, so that the output is closed after the last write.
        with ThreadPoolExecutor(1, "fetchq-writer") as thread:

            def in_thread(work: Callable[..., T], *given: object) -> asyncio.Future[T]:
                return loop.run_in_executor(thread, work, *given)

            try:
                with self._begun() as run:
                    writer = await self._opened(output, in_thread)
                    try:
                        pages = output.done_before()
                        while page := await in_thread(_next, pages):
                            yield page
                        async with aclosing(run.batches()) as batches:
                            async for batch in batches:
                                steps = writer.write(batch)
                                while (done := await in_thread(_next, steps)) is not None:
                                    yield done
                                    if self._interrupted() or not writer.makes_copies:
                                        break
                        steps = writer.rest()
                        while not self._interrupted() and (done := await in_thread(_next, steps)) is not None:
                            yield done
                        await in_thread(output.end)
                        self._whole = not run.control.stopped
                    finally:
                        await in_thread(output.close, self._session_record)
            finally:
                if self._views:
                    await in_thread(self._views.close, self._summary)

    async def _opened(self, output: Output, in_thread: Callable[..., asyncio.Future[Writer]]) -> Writer:
        opening = in_thread(self._open, output)
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            await asyncio.wait([opening])
            if opening.exception() is None:
                await in_thread(output.close)
            raise


class BlockingPipeline(_Pipeline["BlockingRun"]):
    """A run in mode `threads` or `sync`, or in several processes, without an event loop."""

    def batches(self) -> Generator[Sequence[Result]]:
        """The Results in batches, as in `AsyncPipeline.batches`."""
        return self._unwritten() if self._output is None else self._written(self._output)

    def _new_run(self, settings: Settings, feed: Feed, on_start: OnStart | None, linger: float) -> BlockingRun:
        if settings.processes > 1:
            from fetchq.processes.run import BlockingProcessRun

            return BlockingProcessRun(settings, feed, on_start, linger=linger)
        from fetchq.workers.blocking_run import BlockingRun

        return BlockingRun(settings, feed, on_start, linger=linger)

    def _unwritten(self) -> Generator[Sequence[Result]]:
        with self._begun() as run, closing(run.batches()) as batches:
            for batch in batches:
                self._count(batch)
                yield batch
            self._whole = not run.control.stopped

    def _written(self, output: Output) -> Generator[Sequence[Result]]:
        try:
            with self._begun() as run:
                writer = self._open(output)
                try:
                    yield from output.done_before()
                    with closing(run.batches()) as batches:
                        for batch in batches:
                            for written in writer.write(batch):
                                yield written
                                if self._interrupted():
                                    break
                    rest = writer.rest()
                    while not self._interrupted() and (done := _next(rest)) is not None:
                        yield done
                    output.end()
                    self._whole = not run.control.stopped
                finally:
                    output.close(self._session_record)
        finally:
            self._views.close(self._summary)


def _attribution(run: Run, ended: float) -> Attribution:
    if run.settings.processes == 1:
        return attribution_of(run, ended)
    from fetchq.processes.run import ProcessRun

    assert isinstance(run, ProcessRun)
    return run.attribution(ended)


def _next(iterator: Iterator[T]) -> T | None:
    return next(iterator, None)

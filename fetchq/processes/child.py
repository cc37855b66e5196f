"""A process of a run: fetches the rows that come through a pipe as any run does, and sends back the Results."""

from __future__ import annotations

import asyncio
import os
import pickle
import queue
import shutil
import sys
import threading
from contextlib import aclosing, suppress
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, NoReturn, TypeVar

from fetchq.core.settings import Settings
from fetchq.processes.gathering import sending
from fetchq.processes.messages import Kind, Released, read_message
from fetchq.processes.preparing import Preparer
from fetchq.processes.router import LANES
from fetchq.processes.sender import MessageSender
from fetchq.processes.task import ProcessReport
from fetchq.processes.transfer import decode_rows, encode_results
from fetchq.reports.attribution import attribution_of
from fetchq.scheduling.lanes import lane_of_host
from fetchq.workers.async_run import AsyncRun
from fetchq.workers.blocking_run import BlockingRun
from fetchq.workers.failure_limit import FailureLimit
from fetchq.workers.process import loop_factory, peak_memory, tune_memory
from fetchq.workers.run import Feed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fetchq.core.model import Request, Result
    from fetchq.processes.task import Task
    from fetchq.workers.retry_event import RetryEvent

__all__ = ["main"]

RunT = TypeVar("RunT", AsyncRun, BlockingRun)

_READ_AHEAD = 3
"""How many messages with rows may be on their way, so that none has to be waited for."""


def main(task: Task) -> None:
    """Do the task. The run that has started this process tells more through stdin, and ends it by closing that."""
    tune_memory()
    child = _Child(task)
    try:
        child.sender.send(Kind.REPORT, pickle.dumps(child.fetch()))
    except BrokenPipeError:
        _end_with_the_run(task)
    except BaseException as problem:  # noqa: BLE001  # raised in the process of the run
        child.sender.send(Kind.RAISED, _pickled(problem))


def _end_with_the_run(task: Task) -> NoReturn:
    """End, since the run has ended, or was killed, so that nobody else deletes its temporary files."""
    shutil.rmtree(task.folder, ignore_errors=True)
    os._exit(1)


def _pickled(problem: BaseException) -> bytes:
    try:
        pickle.loads(content := pickle.dumps(problem))  # noqa: S301  # some exceptions can only be pickled
    except Exception:  # noqa: BLE001  # whatever a foreign class raises
        return pickle.dumps(RuntimeError(f"{type(problem).__name__}: {problem}"))
    return content


class _Child:
    """The run of this process, and its pipes."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self.sender = MessageSender(task.output)
        self._rows: queue.SimpleQueue[bytes | Kind] = queue.SimpleQueue()
        """What has come of the list, in order: batches of rows, RESTART, END."""
        self._preparer: Preparer | None = None
        self._run: AsyncRun | BlockingRun
        self._in_loop: Callable[[Callable[[], object]], object] = lambda act: act()
        """Calls a function where the methods of the run must be called: in its event loop, if it has one."""

    def fetch(self) -> ProcessReport:
        """Fetch all rows. Returns what was measured."""
        settings = Settings(**self._task.settings)
        if self._task.preparation is not None:
            self._preparer = Preparer(self._task.preparation, settings)
        if settings.mode == "async":
            with asyncio.Runner(loop_factory=loop_factory()) as runner:
                runner.run(self._fetch_in_loop(settings))
        else:
            self._fetch_in_threads(settings)
        run, ended = self._run, perf_counter()
        return ProcessReport(
            began=run.began,
            ended=ended,
            attribution=attribution_of(run, ended),
            clocks=tuple((clock.number, clock.fetched, clock.busy) for clock in run.clocks),
            backoffs=run.backoffs(),
            loads=run.loads(),
            peak_memory=peak_memory(),
        )

    async def _fetch_in_loop(self, settings: Settings) -> None:
        loop = asyncio.get_running_loop()
        self._in_loop = loop.call_soon_threadsafe
        run = self._begun(AsyncRun, settings)
        async with aclosing(run.batches()) as batches:
            async for batch in batches:
                if self._preparer is None or self._preparer.blocks:
                    await loop.run_in_executor(None, self._send_encoded, batch)
                else:  # a thread would have to wait for the GIL
                    await loop.run_in_executor(None, self.sender.send, *self._encoded(batch))

    def _fetch_in_threads(self, settings: Settings) -> None:
        run = self._begun(BlockingRun, settings)
        with sending(self._send_encoded, self._task.linger) as send:
            for batch in run.batches():
                send(batch)

    def _begun(self, kind: type[RunT], settings: Settings) -> RunT:
        """The run, and what listens for it."""
        task = self._task
        feed = Feed(self._batches(), threaded=True, finite=False)
        on_start = self._started if task.tells_starts else None
        self._run = run = kind(settings, feed, on_start, linger=task.linger, first_worker=task.first_worker)
        if task.deadline is not None:
            run.control.deadline = perf_counter() + task.deadline
        run.settler.failure_limit = FailureLimit(settings.most_failures, self._stop_for_failures)
        if task.tells_retries:
            run.settler.on_retry = self._retried
        threading.Thread(target=self._listen, name="fetchq-orders", daemon=True).start()
        return run

    def _stop_for_failures(self) -> None:
        """Stop at once, and let the run stop the other processes."""
        self._in_loop(partial(self._run.control.stop, end_source=False))
        self.sender.notice(Kind.LIMIT)  # afterwards, since it may have to start a thread

    def _send_encoded(self, results: Sequence[Result]) -> None:
        self.sender.send(*self._encoded(results))

    def _encoded(self, results: Sequence[Result]) -> tuple[Kind, bytes]:
        if self._preparer is None:
            return Kind.RESULTS, encode_results(results, self._task.folder)
        return Kind.PREPARED, self._preparer.prepare(results)

    def _batches(self) -> Iterator[list[Request]]:
        """The rows that come, in the thread that reads the list of the run."""
        for _ in range(_READ_AHEAD):
            self.sender.send(Kind.MORE)
        while (came := self._rows.get()) is not Kind.END:
            if isinstance(came, bytes):
                yield decode_rows(came)
                self.sender.send(Kind.MORE)
            else:
                self._restart()

    def _restart(self) -> None:
        """Let the run measure from now on, and wait until it does: no row is under way."""
        done = threading.Event()

        def restart() -> None:
            self._run.restart()
            done.set()

        self._in_loop(restart)
        done.wait()

    def _listen(self) -> None:
        """Take what the run says, and end this process when it says no more."""
        control = self._run.control
        with suppress(OSError):
            while (message := read_message(sys.stdin.buffer)) is not None:
                kind, content = message
                if kind is Kind.ROWS:
                    self._rows.put(content)
                elif kind in (Kind.END, Kind.RESTART):
                    self._rows.put(kind)
                elif kind is Kind.SHARE:
                    share = pickle.loads(content)  # noqa: S301  # from the run
                    on_hold = partial(self.sender.notice, Kind.SHARED)
                    self._in_loop(partial(self._run.schedule.rate.change, share.rate, on_hold))
                elif kind is Kind.RELEASE:
                    self._in_loop(partial(self._release, pickle.loads(content)))  # noqa: S301
                else:  # the rows that are still to come end as `cancelled`
                    act = control.stop if kind is Kind.STOP else control.abort
                    self._in_loop(partial(act, end_source=False))
        _end_with_the_run(self._task)

    def _release(self, asked: list[tuple[int, int]]) -> None:
        """Say which of these lanes another process may have. With each comes a number, which is sent back."""
        bound: dict[int, Released] = {}
        for host, forever in self._run.schedule.hosts.bound(perf_counter()):
            lane = lane_of_host(host, LANES)
            bound[lane] = Released.NEVER if forever else bound.get(lane, Released.LATER)
        answers = [(number, lane, bound.get(lane, Released.YES)) for number, lane in asked]
        self.sender.notice(Kind.RELEASED, pickle.dumps(answers))

    def _started(self, request: Request, worker: int) -> None:
        self.sender.notice(Kind.STARTED, pickle.dumps((request.index, worker)))

    def _retried(self, event: RetryEvent) -> None:
        self.sender.notice(Kind.RETRIED, pickle.dumps(event))

"""Starts the processes of a run, distributes the rows to them, and collects their Results."""

from __future__ import annotations

import pickle
import threading
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from fetchq.core.prepared_results import PreparedResults
from fetchq.core.process_error import ProcessDiedError
from fetchq.inputs.lines import SourceError
from fetchq.processes.deaths import DeathCount
from fetchq.processes.distributor import RowDistributor
from fetchq.processes.messages import Kind
from fetchq.processes.preparing import decode_prepared
from fetchq.processes.process_handle import ProcessHandle
from fetchq.processes.rate_balancer import RateBalancer
from fetchq.processes.router import Router
from fetchq.processes.shares import RATE_PERIOD, first_shares, most_processes
from fetchq.processes.starting import start_copies
from fetchq.processes.transfer import decode_results
from fetchq.workers.run_state import RunState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from fetchq.core.model import OnStart, Request, Result
    from fetchq.processes.task import ProcessReport, Task
    from fetchq.workers.run import Run

__all__ = ["ProcessPool"]

_MOST_COLLECTED = 32
"""The most batches that wait for the reader of the Results; then the processes wait."""


class ProcessPool:
    """The processes of a run. Iterating `batches` starts them, and closing the iterator ends them."""

    def __init__(
        self,
        run: Run,
        make_task: Callable[[ProcessHandle, int, int], Task],
        on_start: OnStart | None,
        on_end: Callable[[], None] | None = None,
    ) -> None:
        """`make_task`: makes the task of a process, from its handle, its first worker and the descriptor for its
        messages. `on_end` is called when the run is aborted, and when it ends."""
        self._run = run
        self.control = run.control
        self._make_task = make_task
        self._on_start = on_start
        self._on_end = on_end
        self._changed = threading.Condition()
        """Guards the batches, `_open` and `_problem`, and is notified of every change."""
        self._batches: deque[Sequence[Result]] = deque()
        self._open = 0
        """How many processes may still have something to say."""
        self._problem: BaseException | None = None
        """The exception that has ended the run."""
        self._handles: list[ProcessHandle] = []
        self._threads: list[threading.Thread] = []
        self._distributor: RowDistributor | None = None
        self._balancer: RateBalancer | None = None
        """Divides the rate anew; None in a run without one."""
        self.router: Router | None = None
        """Which process has which hosts; None before the first process has started."""
        self.reports: list[ProcessReport] = []
        """What the processes that have ended have measured."""

    def batches(self, source: Iterable[list[Request]]) -> Iterator[Sequence[Result]]:
        """The Results of all of `source`, in batches, as they finish.

        A bug in fetchq, or an exception of the source or of `on_start`, ends the run and is raised. Raises
        `ProcessDiedError`.
        """
        settings = self._run.settings
        copies = start_copies(settings, most_processes(settings))  # before there is a second thread
        self._distributor = distributor = RowDistributor(source, settings, self._source_failed)
        try:
            self.control.listen(self._on_change)
            sampled = distributor.sample()
            processes = most_processes(settings)
            known = distributor.ended
            if known:
                processes = min(processes, max(1, Router(settings, 1).lanes(sampled)))
            self.router = router = Router(settings, processes)
            shares = first_shares(settings, router.sample(sampled), known=known)
            for number, share in enumerate(shares, 1):
                copy = copies.pop() if copies else None
                self._handles.append(ProcessHandle(number, share, copy, distributor.wake, self._fail))
            if settings.rate is not None and processes > 1:
                self._balancer = RateBalancer(settings.rate, self._handles)
            self._start()
            distributor.distribute_to(self._handles, router)
            while (batch := self._take()) is not None:
                yield batch
            if distributor.problem is not None:
                raise distributor.problem
        finally:
            self.control.end()
            distributor.stop()
            if self._balancer is not None:
                self._balancer.end()
            for copy in copies:  # which the list is too short for
                copy.discard()
            for handle in self._handles:
                handle.close()
            for thread in self._threads:
                thread.join()
            distributor.join()

    def restart(self) -> None:
        """Let the processes measure from now on."""
        for handle in self._handles:
            handle.tell(Kind.RESTART)

    def _start(self) -> None:
        self._open = len(self._handles)
        first = self._run.clocks[0].number
        for handle in self._handles:
            make_task = partial(self._make_task, handle, first)
            name = f"fetchq-from-process-{handle.number}"
            thread = threading.Thread(target=self._attend, args=(handle, make_task), name=name, daemon=True)
            thread.start()
            self._threads.append(thread)
            first += handle.share.workers

    def _take(self) -> Sequence[Result] | None:
        """Wait for Results. Returns None when there will be no more. Raises what has ended the run."""
        with self._changed:
            self._changed.wait_for(lambda: self._batches or not self._open or self._problem is not None)
            if self._problem is not None:
                raise self._problem
            if not self._batches:
                return None
            self._changed.notify_all()
            batch = self._batches.popleft()
            if isinstance(batch, PreparedResults):
                return batch
            batches = [batch]
            while self._batches and not isinstance(self._batches[0], PreparedResults):
                batches.append(self._batches.popleft())
            return [result for batch in batches for result in batch]

    def _on_change(self) -> None:
        """React to a stop, an abort or the end of the run."""
        assert self._distributor is not None
        if not self.control.reads_source:
            self._distributor.stop()
        for handle in self._handles:
            self._tell_state(handle)
        if self.control.state in (RunState.ABORTING, RunState.ENDED) and self._on_end is not None:
            self._on_end()
        if self.control.state is RunState.ENDED:
            with self._changed:
                self._changed.notify_all()

    def _tell_state(self, handle: ProcessHandle) -> None:
        if self.control.state in (RunState.DRAINING, RunState.ABORTING):
            handle.tell(Kind.STOP if self.control.state is RunState.DRAINING else Kind.ABORT)

    def _source_failed(self) -> None:
        assert self._distributor is not None
        if not isinstance(self._distributor.problem, SourceError):  # which is raised when the rows before it are done
            self._fail(self._distributor.problem)

    def _fail(self, problem: BaseException | None) -> None:
        with self._changed:
            self._problem = self._problem or problem
            self._changed.notify_all()

    # --- the thread that listens to a process ---

    def _attend(self, handle: ProcessHandle, make_task: Callable[[int], Task]) -> None:
        """Run a process to its end, and another one in its place if it dies."""
        assert self._distributor is not None
        try:
            deaths = DeathCount()
            while True:
                messages = handle.start(make_task)
                self._distributor.started(handle)
                self._tell_state(handle)
                for kind, content in messages:
                    if kind is Kind.REPORT:
                        self.reports.append(pickle.loads(content))  # noqa: S301  # from a process of this run
                        return
                    self._handle(handle, kind, content)
                self._acknowledged(handle)  # the next one begins with the share that this one may not have heard of
                self._let_starts_pass()
                if self.control.state is RunState.ENDED:
                    return
                if deaths.add(frozenset(handle.rows.unfinished)):
                    raise ProcessDiedError(f"{handle.exit_text()}; {deaths}")
        except BaseException as problem:  # noqa: BLE001  # raised in the thread that iterates
            if self.control.state is not RunState.ENDED:
                self._fail(problem)
        finally:
            handle.is_over = True
            self._acknowledged(handle)
            with self._changed:
                self._open -= 1
                self._changed.notify_all()

    def _let_starts_pass(self) -> None:
        """After a death, wait until what the process has started no longer counts for the rate, or the run is over."""
        if self._run.settings.rate is not None:
            with self._changed:
                self._changed.wait_for(self._is_over, RATE_PERIOD)

    def _acknowledged(self, handle: ProcessHandle) -> None:
        if self._balancer is not None:
            self._balancer.acknowledged(handle)

    def _handle(self, handle: ProcessHandle, kind: Kind, content: bytes) -> None:
        if kind is Kind.RESULTS:
            results = decode_results(content)
            self._collect(handle, [result.index for result in results], results)
            for result in results:
                if result.cause is not None:
                    self._run.settler.failure_limit.count(result, result.cause)
        elif kind is Kind.PREPARED:
            indexes, prepared = decode_prepared(content)
            self._collect(handle, indexes, prepared)
            for _ in range(sum(prepared.failed)):
                self._run.settler.failure_limit.count_one()
        elif kind is Kind.STARTED and self._on_start is not None:
            index, worker = pickle.loads(content)  # noqa: S301
            self._on_start(handle.rows.unfinished[index], worker)
        elif kind is Kind.RETRIED and self._run.settler.on_retry is not None:
            self._run.settler.on_retry(pickle.loads(content))  # noqa: S301
        elif kind is Kind.LIMIT:
            self._run.settler.failure_limit.reach()
        elif kind is Kind.SHARED:
            self._acknowledged(handle)
        elif kind is Kind.RELEASED:
            assert self._distributor is not None
            self._distributor.answered(pickle.loads(content))  # noqa: S301
        elif kind is Kind.RAISED:
            raise pickle.loads(content)  # noqa: S301

    def _collect(self, handle: ProcessHandle, indexes: Sequence[int], results: Sequence[Result]) -> None:
        assert self._distributor is not None
        self._distributor.done(handle.rows.finished(indexes))
        with self._changed:
            self._changed.wait_for(lambda: len(self._batches) < _MOST_COLLECTED or self._is_over())
            self._batches.append(results)
            self._changed.notify_all()

    def _is_over(self) -> bool:
        return self.control.state is RunState.ENDED or self._problem is not None

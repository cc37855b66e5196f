"""What the pools without an event loop have in common: `thread_pool`, and `serial_pool` for one request at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from time import perf_counter, time
from typing import TYPE_CHECKING

from fetchq.engines.fd_limit import room_for
from fetchq.http.robots_txt import Rules
from fetchq.http.url import Refused
from fetchq.scheduling.job import Job, JobKind
from fetchq.scheduling.robots_gate import schedule_for
from fetchq.workers.result_buffer import ResultBuffer
from fetchq.workers.settle import Desk, Timer

if TYPE_CHECKING:
    from fetchq.core.model import OnStart, Request, Result
    from fetchq.core.settings import Settings
    from fetchq.engines.base import BlockingEngine
    from fetchq.http.attempt import Attempt
    from fetchq.http.robots_txt import RobotsCache
    from fetchq.http.url import Target
    from fetchq.scheduling.congestion import HostNote

__all__ = ["BlockingPool"]


class BlockingPool(ABC):
    """`batches` does it all, in the thread that iterates it."""

    def __init__(
        self,
        settings: Settings,
        engines: list[BlockingEngine],
        on_start: OnStart | None = None,
        on_abort: Callable[[], None] | None = None,
        linger: float = 0.0,
        book: RobotsCache | None = None,
    ) -> None:
        """`linger`: seconds in which results may gather before they are handed on.

        `book`: the rules of hosts, where robots.txt is obeyed; the engines have the same one.
        """
        self._linger = linger
        self._backlog = ResultBuffer()
        self._engines = engines
        self._on_start = on_start
        self._on_abort = on_abort
        self._schedule = schedule_for(settings, book, room_for(settings).attempts)
        self.desk = Desk(settings)

    @abstractmethod
    def batches(self, source: Iterable[list[Request]]) -> Iterator[list[Result]]:
        """The results of all of `source`, as they come. A bug of ours, or an exception of the source, is raised."""

    @abstractmethod
    def stop(self, *, end_source: bool = True) -> None:
        """From any thread: begin no more attempts; what waits is cancelled, what is under way may finish."""

    def notes(self) -> list[HostNote]:
        """What was done about which hosts."""
        return self._schedule.notes()

    def abort(self, *, end_source: bool = True) -> None:
        """From any thread: `stop`, and interrupt what is under way."""
        self.stop(end_source=end_source)
        if self._on_abort is not None:
            self._on_abort()
        for engine in self._engines:
            engine.abort()

    def _went_out(self, job: Job) -> None:
        """The attempt at a job is on its way to the server."""
        self._schedule.went_out(job, perf_counter())

    def _answer(self, job: Job, number: int, timer: Timer) -> tuple[Result | float, Attempt | None]:
        """Make an attempt, if one is to be made: what it comes to, or the seconds after which the job goes again."""
        if self.desk.stopping:
            return self.desk.cancel(job), None
        if job.first_taken is None:
            job.first_taken = time()
        try:
            target = self.desk.target_of(job)
        except Refused as refused:
            return self.desk.refuse(job, refused, number), None
        if self._on_start is not None:
            self._on_start(job.request, number)
            if self.desk.stopping:
                return self.desk.cancel(job), None
        attempt = self._attempt(job, target, number, timer)
        return self.desk.settle(job, attempt, number), attempt

    def _attempt(self, job: Job, target: Target, number: int, timer: Timer) -> Attempt:
        job.attempts += 1
        timer.start()
        try:
            on_sent = partial(self._went_out, job) if self._schedule.counts_starts else None
            return self._engines[number - 1].attempt(job.request, target, job.partial, on_sent)
        finally:
            self.desk.clocks[number - 1].busy += timer.stop()

    def _do_internal(self, job: Job, number: int, timer: Timer, lock: AbstractContextManager[object]) -> None:
        """Fetch the robots.txt, or look the address up, that the schedule asks for, and tell it, holding `lock`."""
        schedule = self._schedule
        if job.kind is JobKind.ADDRESS:
            address = None if self.desk.stopping else self._engines[number - 1].address_of(job.request.url)
            with lock:
                schedule.done(job, None, perf_counter(), time())
                schedule.learn_address(job, address, perf_counter())
            return
        rules, attempt = self._fetch_robots(job, number, timer)
        with lock:
            schedule.done(job, attempt, perf_counter(), time())
            if isinstance(rules, float):
                schedule.hold(job, perf_counter(), rules)
            else:
                schedule.learn_robots(job, rules, perf_counter())

    def _fetch_robots(self, job: Job, number: int, timer: Timer) -> tuple[Rules | float, Attempt | None]:
        """The rules, or the seconds after which another attempt is due."""
        if self.desk.stopping:
            return self.desk.cancel_robots(), None
        try:
            target = self.desk.target_of(job)
        except Refused as refused:
            return Rules(why_not=refused.message), None
        attempt = self._attempt(job, target, number, timer)
        return self.desk.settle_robots(job, attempt, number), attempt

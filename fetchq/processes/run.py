"""Runs a list in several processes, iterated in a plain thread or in an event loop."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterable, Callable
from dataclasses import fields
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

from fetchq.core.settings import Settings
from fetchq.core.text import one_line, redact_all
from fetchq.processes.async_rows import AsyncRows
from fetchq.processes.pool import ProcessPool
from fetchq.processes.task import Task
from fetchq.reports.attribution import attribution_of_parts
from fetchq.reports.text import percent_text
from fetchq.scheduling.host_load import greatest_loads
from fetchq.workers.async_run import AsyncRun
from fetchq.workers.blocking_run import BlockingRun, deadline_of
from fetchq.workers.run import ListRun

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Iterable, Sequence

    from fetchq.core.model import OnStart, Request, Result
    from fetchq.processes.process_handle import ProcessHandle
    from fetchq.processes.task import ProcessReport
    from fetchq.reports.attribution import Attribution
    from fetchq.scheduling.congestion import HostBackoff
    from fetchq.scheduling.host_load import HostLoad

__all__ = ["AsyncProcessRun", "BlockingProcessRun", "ProcessRun"]

_OF_THE_RUN: dict[str, Any] = {"processes": 1, "deadline": None}
"""The settings that the run heeds itself, as its processes have them."""


_LEAST_LINGER = 0.05
"""Seconds for which each process collects Results at least: a message costs as much as twenty Results."""


class ProcessRun(ListRun):
    """Base class of runs in several processes, which do what the pool does in other runs."""

    pool: ProcessPool | None = None
    """The processes; None before they are started."""

    def _fetch(
        self, source: Iterable[list[Request]], on_start: OnStart | None, on_end: Callable[[], None] | None
    ) -> Generator[Sequence[Result]]:
        """The Results of `source`. `on_end` is called when the run is aborted, and when it ends."""
        folder = tempfile.mkdtemp(prefix="fetchq-")
        self.pool = pool = ProcessPool(self, partial(self._task, folder, on_start is not None), on_start, on_end)
        try:
            self.begin()
            with deadline_of(self, self._feed):
                yield from pool.batches(source)
        finally:
            for number, fetched, busy in (clock for report in pool.reports for clock in report.clocks):
                self.clocks[number - 1].fetched, self.clocks[number - 1].busy = fetched, busy
            shutil.rmtree(folder, ignore_errors=True)

    def _task(self, folder: str, tells_starts: bool, handle: ProcessHandle, first_worker: int, output: int) -> Task:
        share = handle.share
        values = {one.name: getattr(self.settings, one.name) for one in fields(Settings)} | _OF_THE_RUN
        values |= {"workers": share.workers, "rate": share.rate, "limit_rate": share.limit_rate}
        return Task(
            settings=values,
            first_worker=first_worker,
            output=output,
            folder=folder,
            deadline=None if self.settings.deadline is None else self.control.deadline - perf_counter(),
            tells_starts=tells_starts,
            tells_retries=self.settler.on_retry is not None,
            preparation=self.preparation,
            linger=max(self.linger, _LEAST_LINGER),
        )

    @property
    def _reports(self) -> list[ProcessReport]:
        return [] if self.pool is None else self.pool.reports

    def restart(self) -> None:
        super().restart()
        assert self.pool is not None, "the run has not begun"
        self.pool.restart()

    def backoffs(self) -> list[HostBackoff]:
        return [one for report in self._reports for one in report.backoffs]

    def loads(self) -> list[HostLoad]:
        return greatest_loads(one for report in self._reports for one in report.loads)

    def beside(self) -> tuple[float, int]:
        return sum(one.attribution.cpu for one in self._reports), sum(one.peak_memory for one in self._reports)

    def remark(self) -> str | None:
        """That one host has more than its share of the rows, so that more processes would not help; None else."""
        router = None if self.pool is None else self.pool.router
        if router is None or router.largest is None:
            return None
        host = redact_all(router.largest)
        share = router.largest_rows / max(sum(router.rows), 1)
        if share * len(router.rows) <= 1:  # of the rows that came after the sample, it has fewer
            return None
        if share == 1:
            return one_line(f"All URLs are of {host}, and so in one process: the others had none.")
        alone = " to itself" if router.largest_is_alone else ""
        has = f"{host} has {percent_text(share)} of the URLs"
        return one_line(f"{has}, and one of the {len(router.rows)} processes{alone}: more would not help.")

    def attribution(self, ended: float) -> Attribution:
        """What the workers of all processes did until the run ended at the time `ended` (`time.perf_counter`)."""
        parts = [(report.began, report.ended, report.attribution) for report in self._reports]
        return attribution_of_parts(parts, workers=len(self.clocks), began=self.began, ended=ended)


class BlockingProcessRun(ProcessRun, BlockingRun):
    """A run in several processes, without an event loop. `batches` is iterated once."""

    def batches(self) -> Generator[Sequence[Result]]:
        """The Results in batches, as they finish. Closing the iterator ends the run."""
        assert not isinstance(self._feed.requests, AsyncIterable)
        return self._fetch(self._feed.requests, self._on_start, None)


class AsyncProcessRun(ProcessRun, AsyncRun):
    """A run in several processes, iterated in an event loop. `batches` is iterated once."""

    def batches(self) -> AsyncGenerator[Sequence[Result]]:
        """The Results in batches, as they finish. Closing the iterator ends the run."""
        return self._in_threads()

    def _blocking(self, on_start: OnStart | None, on_abort: Callable[[], None] | None) -> Generator[Sequence[Result]]:
        if not isinstance(self._feed.requests, AsyncIterable):
            return self._fetch(self._feed.requests, on_start, on_abort)
        rows = AsyncRows(self._feed.requests, asyncio.get_running_loop())

        def on_end() -> None:
            rows.end()
            if on_abort is not None:
                on_abort()

        return self._fetch(rows.batches(), on_start, on_end)

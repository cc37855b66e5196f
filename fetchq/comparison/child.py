"""The process of a measured run: fetches the list as the command line does, and reports what it took.

The list is fetched by an ordinary pipeline, which keeps no bodies. Unless the comparison is to be cold, the first rows
come twice: they open the connections, and when they are done, the clock starts.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from itertools import islice
from time import process_time
from typing import TYPE_CHECKING, BinaryIO

from fetchq.comparison.outcomes import OutcomeTable
from fetchq.comparison.process import MARK
from fetchq.comparison.row_file import read_rows
from fetchq.core.settings import Settings, SettingsError
from fetchq.http.cookies import CookieJar
from fetchq.http.hops import method_of
from fetchq.pipeline import AsyncPipeline, BlockingPipeline
from fetchq.reports.measurements import MAX_SPANS, MeasuredRun, spans_of
from fetchq.workers.process import loop_factory, peak_memory, tune_memory
from fetchq.workers.run import Feed

if TYPE_CHECKING:
    from fetchq.comparison.process import Task
    from fetchq.core.model import Request, Result

__all__ = ["main"]

SAFE_METHODS = ("GET", "HEAD", "OPTIONS", "TRACE")
"""Methods that change nothing at the server (RFC 9110, 9.2.1), so that their rows may be sent once more."""
_LOOKED_THROUGH = 10_000
"""How many rows are looked through for such methods."""
_POLL = 0.01
"""Seconds after which a reader of the list that waits for the warm-up lets the pool do something else."""


def main(task: Task) -> None:
    """Make the run, and write the pickled `MeasuredRun`, or the SettingsError that prevented it, to stdout."""
    threading.Thread(target=_end_with_parent, name="fetchq-parent", daemon=True).start()
    try:
        report: MeasuredRun | SettingsError = _Measurement(task).run()
    except SettingsError as problem:
        report = problem
    sys.stdout.flush()
    sys.stdout.buffer.write(MARK + pickle.dumps(report))
    sys.stdout.buffer.flush()


def _end_with_parent() -> None:
    """End this process when the one that has started it is gone, which then no longer has the pipe open."""
    while os.read(0, 1):
        pass
    os._exit(1)


class _Measurement:
    """A run, and what is measured of it."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._settings = Settings(**task.settings)
        self._file: BinaryIO = os.fdopen(task.row_file, "rb")
        self._outcomes = OutcomeTable(task.rows)
        self._results: list[Result] = []
        """The Results of a short list."""
        warm_up = self._warm_up_rows() if task.warm_up else []
        self._warm_up = [replace(request, index=task.rows + n) for n, request in enumerate(warm_up)]
        self._warm_up_left = len(self._warm_up)
        """How many rows of the warm-up are not done."""
        self._warm = threading.Event()
        """Set when the warm-up is done."""
        self._cpu = 0.0
        self._pipeline = self._make_pipeline()

    def run(self) -> MeasuredRun:
        """Fetch the list."""
        tune_memory()
        self._cpu = process_time()
        if isinstance(self._pipeline, AsyncPipeline):
            with asyncio.Runner(loop_factory=loop_factory()) as runner:
                runner.run(self._in_loop(self._pipeline))
        else:
            for _ in self._pipeline.batches():
                pass
        cpu_beside, memory_beside = self._pipeline.beside
        cpu = process_time() - self._cpu + cpu_beside
        with os.fdopen(self._task.outcome_file, "wb") as file:
            file.seek(0)
            file.truncate()
            file.write(self._outcomes.content)
        summary = self._pipeline.summary
        percentile = summary.elapsed.percentile
        return MeasuredRun(
            round=self._task.round,
            duration=summary.duration,
            cpu=cpu,
            peak_memory=peak_memory() + memory_beside,
            concurrency=summary.concurrency,
            ok=summary.ok,
            failed=summary.failed,
            unfinished=self._task.rows - summary.done,
            p50=percentile(50),
            p90=percentile(90),
            p99=percentile(99),
            longest=summary.elapsed.greatest,
            spans=spans_of(self._results),
            attribution=summary.attribution,
            verdict=summary.verdict,
        )

    async def _in_loop(self, pipeline: AsyncPipeline) -> None:
        async with aclosing(pipeline.batches()) as batches:
            async for _ in batches:
                pass

    def _make_pipeline(self) -> AsyncPipeline | BlockingPipeline:
        in_loop = self._settings.mode == "async"
        # In mode sync, a finite list is read in large batches, for which the first rows would wait.
        finite = not self._warm_up or self._settings.mode != "sync"
        feed = Feed(self._rows(), threaded=in_loop, finite=finite)
        pipeline = (AsyncPipeline if in_loop else BlockingPipeline)(self._settings, feed, on_done=self._on_done)
        if self._task.cookies is not None:
            jar = CookieJar()
            for cookie in self._task.cookies:
                jar.put(cookie)
            pipeline.use_cookies(jar)
        return pipeline

    def _warm_up_rows(self) -> list[Request]:
        """The first rows that may be sent twice, one for each worker."""
        rows = (request for batch in read_rows(self._file) for request in batch)
        safe = (
            request for request in islice(rows, _LOOKED_THROUGH) if method_of(request, self._settings) in SAFE_METHODS
        )
        return list(islice(safe, self._settings.workers))

    def _rows(self) -> Iterator[list[Request]]:
        """The rows of the warm-up and, when they are done, those of the list."""
        if self._warm_up:
            yield self._warm_up
            while not self._warm.wait(_POLL):
                yield []
        yield from read_rows(self._file)

    def _on_done(self, results: Sequence[Result]) -> None:
        if self._warm_up_left:
            self._warm_up_left -= len(results)
            if not self._warm_up_left:
                self._pipeline.restart()
                self._cpu = process_time()
                self._warm.set()
            return
        self._outcomes.add(results)
        if self._task.rows <= MAX_SPANS:
            self._results += results

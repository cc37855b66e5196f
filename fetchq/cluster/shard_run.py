"""Fetches the rows of a shard as a durable run in a local folder, by an ordinary pipeline."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import ExitStack, aclosing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from fetchq.cluster.rows import read_rows
from fetchq.core.row_set import RowSet
from fetchq.pipeline import AsyncPipeline, BlockingPipeline
from fetchq.store.folder import RunFolder
from fetchq.store.ledger import Ledger
from fetchq.store.manifest import new_manifest, timestamp
from fetchq.store.output import Output, SessionRecord
from fetchq.store.sinks import body_store_for
from fetchq.store.writer import Writer
from fetchq.workers.process import loop_factory
from fetchq.workers.run import Feed

if TYPE_CHECKING:
    from fetchq.cluster.tasks import ShardTask
    from fetchq.core.model import Result
    from fetchq.core.settings import Settings
    from fetchq.reports.summary import Summary
    from fetchq.store.sinks.base import BodyStore

__all__ = ["ShardRun"]


class _ShardOutput(Output):
    """The run of a shard, whose folder is new and whose session is the only one."""

    def __init__(self, ledger: Ledger, store: BodyStore | None) -> None:
        super().__init__()
        self._ledger = ledger
        self._store = store

    def open(self, on_commit: Callable[[Sequence[Result]], None]) -> Writer:
        """Make the writer, which calls `on_commit` with the Results that are done."""
        self._writer = Writer(ledger=self._ledger, store=self._store, on_commit=on_commit)
        return self._writer

    def close(self, session_record: SessionRecord = lambda: None) -> None:
        """Write what the body store still keeps back, and the record of the session."""
        super().close()
        if (record := session_record()) is not None:
            self._ledger.set_meta(sessions=[record])


class ShardRun:
    """The run of a shard. `stop` and `abort` may be called by another thread."""

    def __init__(self, settings: Settings, content: bytes, task: ShardTask) -> None:
        """`content`: the lines of its rows. Raises `SettingsError`, `StorageError`, OSError and ValueError."""
        self._settings = settings
        self._content = content
        self._task = task
        self._pipeline: AsyncPipeline | BlockingPipeline | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped = self._aborted = False
        self.rows = 0
        """How many rows have a record."""

    def stop(self) -> None:
        """Begin no more requests; those under way may finish."""
        self._stopped = True
        self._call(lambda pipeline: pipeline.stop())

    def abort(self) -> None:
        """Begin no more requests, and cancel those under way."""
        self._stopped = self._aborted = True
        self._call(lambda pipeline: pipeline.abort())

    def make(self) -> Summary:
        """Fetch the rows. The folder is then that of a run, with nothing in it that is only for the time being."""
        assert self._settings.output is not None
        folder = RunFolder(self._settings.output)
        folder.make()
        folder.sweep()
        with ExitStack() as closing:
            manifest = new_manifest(self._settings, list(self._task.sources), self._task.reading)
            ledger = Ledger.create(folder.ledger, manifest, with_headers=self._settings.save_headers)
            closing.callback(ledger.close)
            store = body_store_for(self._settings.save, Path(folder.path), ledger.generation)
            if store is not None:
                closing.callback(store.close)
                store.restore(None, RowSet())
            feed = Feed(read_rows(self._content), threaded=False, finite=True)
            in_loop = self._settings.mode == "async"
            pipeline = (AsyncPipeline if in_loop else BlockingPipeline)(
                self._settings, feed, _ShardOutput(ledger, store), interrupted=lambda: self._stopped
            )
            self._run(pipeline)
            self.rows = ledger.count()
            ledger.set_meta(rows=self._task.shard.rows, finished=timestamp())
            ledger.seal()
        return pipeline.summary

    def _run(self, pipeline: AsyncPipeline | BlockingPipeline) -> None:
        self._pipeline = pipeline
        if isinstance(pipeline, AsyncPipeline):
            with asyncio.Runner(loop_factory=loop_factory()) as runner:
                self._loop = runner.get_loop()
                runner.run(self._in_loop(pipeline))
            return
        self._stop_if_late(pipeline)
        for _ in pipeline.batches():
            pass

    async def _in_loop(self, pipeline: AsyncPipeline) -> None:
        self._stop_if_late(pipeline)
        async with aclosing(pipeline.batches()) as batches:
            async for _ in batches:
                pass

    def _stop_if_late(self, pipeline: AsyncPipeline | BlockingPipeline) -> None:
        """Stop the pipeline if that was asked for before it was there."""
        if self._aborted:
            pipeline.abort()
        elif self._stopped:
            pipeline.stop()

    def _call(self, act: Callable[[AsyncPipeline | BlockingPipeline], None]) -> None:
        if (pipeline := self._pipeline) is None:
            return
        if self._loop is None:
            act(pipeline)
            return
        with suppress(RuntimeError):  # the run has ended, and its event loop has closed
            self._loop.call_soon_threadsafe(act, pipeline)

"""Makes one attempt at a shard: fetches its rows with an ordinary pipeline, and stores what that has written.

    lease -> marker? -> input -> pipeline -> run in a local folder -> data -> marker

The data goes to a folder of the attempt's own, and counts once the marker names it. So an attempt that is killed, or
that another one was faster than, leaves nothing that anybody reads.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
import traceback
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from socket import gethostname
from time import perf_counter
from typing import TYPE_CHECKING
from uuid import uuid4

from fetchq._version import __version__
from fetchq.cluster.job import JOB_FILE
from fetchq.cluster.lease import Lease
from fetchq.cluster.marker import ATTEMPTS, Marker, Try, read_marker, tries_of
from fetchq.cluster.opened_storage import open_storage
from fetchq.cluster.rows import RowError
from fetchq.cluster.shard_files import stored_files
from fetchq.cluster.shard_run import ShardRun
from fetchq.cluster.tasks import ShardTask
from fetchq.core.disk import StorageError
from fetchq.core.settings import Settings, SettingsError
from fetchq.core.text import one_line, redact
from fetchq.store.manifest import timestamp

if TYPE_CHECKING:
    from fetchq.cluster.job import Shard
    from fetchq.cluster.storage import JobStorage
    from fetchq.reports.summary import Summary

__all__ = [
    "Attempt",
    "ShardFailedError",
    "StoppedError",
    "UnfitProcessError",
    "publish_records",
    "run_task",
    "stop_name",
]


class ShardFailedError(Exception):
    """An attempt at a shard has failed. The message is one line. `final`: whether another attempt would fail, too."""

    def __init__(self, message: str, final: bool = False) -> None:
        super().__init__(message, final)
        self.message = message
        self.final = final

    def __str__(self) -> str:
        return self.message


class UnfitProcessError(Exception):
    """The process cannot run shards of the job: it has another fetchq, or not the job. The message is one line."""


class StoppedError(Exception):
    """The attempt was stopped before its end, so its rows are not done."""


def stop_name(run: str) -> str:
    """The name of the file by which a driver stops its shards, wherever they run."""
    return f"stops/{run}"


def run_task(task: ShardTask) -> Marker:
    """Run a shard in this process, in any thread. See `Attempt.make`."""
    return Attempt(task).make()


class Attempt:
    """An attempt at a shard. `stop` and `abort` may be called by another thread."""

    def __init__(self, task: ShardTask, *, on_wait: Callable[[], None] = lambda: None) -> None:
        """`on_wait` is called once if another process runs a shard of the same lane.

        Raises `UnfitProcessError`, and `ShardFailedError` if the settings cannot be used here.
        """
        if task.fetchq != __version__:
            raise UnfitProcessError(
                f"this is fetchq {__version__}, and the driver has {task.fetchq}: install the same one"
            )
        self._task = task
        self._storage = open_storage(task.url)
        self._id = uuid4().hex[:16]
        self._on_wait = on_wait
        self._run: ShardRun | None = None
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Begin no more requests; those under way may finish."""
        self._stopped.set()
        if (run := self._run) is not None:
            run.stop()

    def abort(self) -> None:
        """Begin no more requests, and cancel those under way."""
        self._stopped.set()
        if (run := self._run) is not None:
            run.abort()

    def make(self) -> Marker:
        """Run the shard, unless it is done. Returns its marker.

        Raises `ShardFailedError`; `UnfitProcessError` if the job is not there; and `StoppedError` after `stop` or
        `abort`, or if the driver has stopped the run.
        """
        storage, shard = self._storage, self._task.shard
        try:
            if not storage.exists(JOB_FILE):
                raise UnfitProcessError(
                    f"there is no {storage.shown!r} on {gethostname()}: all machines need the same folder, or a URL"
                )
            if (marker := read_marker(storage, shard)) is not None:
                if not storage.exists(shard.records):  # the attempt was killed just then
                    publish_records(storage, shard, marker)
                return marker
            lease = Lease(
                storage,
                self._task.lane.lease,
                self._id,
                self._task.run,
                on_wait=self._on_wait,
                on_beat=self._look_whether_to_stop,
                on_lost=self.abort,
                stopped=self._stopped.is_set,
            )
            with lease:
                # Another attempt may have finished while this one was waiting.
                return read_marker(storage, shard) or self._tried()
        except InterruptedError:
            raise StoppedError from None
        except (ShardFailedError, StoppedError, UnfitProcessError):
            raise
        except Exception as problem:  # noqa: BLE001  # whatever it is, it ends this attempt, and not the other shards
            raise ShardFailedError(_text_of(problem)) from None

    def _look_whether_to_stop(self) -> None:
        try:
            if self._storage.exists(stop_name(self._task.run)):
                self.abort()
        except StorageError:
            pass  # the next beat looks again

    def _tried(self) -> Marker:
        """Run the shard, with a file that says so until it has succeeded, or was stopped."""
        storage, shard = self._storage, self._task.shard
        # The lease is this attempt's, so no other attempt of this call lives: those without an error were killed.
        killed = [one for one in tries_of(storage, shard) if one.run == self._task.run and one.error is None]
        if len(killed) >= ATTEMPTS:
            raise ShardFailedError(f"its process was killed {len(killed)} times", final=True)
        trying = Try(self._id, self._task.run, gethostname(), timestamp())
        name = f"{shard.tries}/{self._id}.json"
        storage.write(name, trying.to_json())
        try:
            marker = self._fetched()
        except StoppedError:
            storage.delete(name)
            raise
        except Exception as problem:  # raised again, when it is noted
            trace = None if isinstance(problem, ShardFailedError) else redact(traceback.format_exc())
            storage.write(name, replace(trying, error=_text_of(problem), traceback=trace).to_json())
            raise
        storage.delete(shard.tries)
        return marker

    def _fetched(self) -> Marker:
        content = self._input()
        began, started = perf_counter(), timestamp()
        settings = Settings(**self._task.settings)
        folder = tempfile.mkdtemp(prefix="fetchq-shard-", dir=self._task.scratch)
        try:
            root = Path(folder, "run")
            self._run = run = ShardRun(replace(settings, output=str(root)), content, self._task)
            if self._stopped.is_set():
                raise StoppedError
            summary = run.make()
            if run.rows < self._task.shard.rows:
                if self._stopped.is_set():
                    raise StoppedError
                raise ShardFailedError(f"{self._task.shard.rows - run.rows} of its rows have no record")
            ended = perf_counter()
            marker = self._stored(root, summary, started, began)
            self._hold_lane(_pause(settings) - (perf_counter() - ended))
            return marker
        finally:
            self._run = None
            shutil.rmtree(folder, ignore_errors=True)

    def _hold_lane(self, seconds: float) -> None:
        """Wait, so that the next shard of the lane does not start a request to a host of this one too early."""
        if seconds > 0 and self._task.shard.number != self._task.lane.shards[-1]:
            self._stopped.wait(seconds)

    def _input(self) -> bytes:
        lane, shard = self._task.lane, self._task.shard
        try:
            content = self._storage.read(lane.input, shard.offset, shard.size)
        except FileNotFoundError:
            raise ShardFailedError(f"its input {lane.input} is gone; prepare the job anew", final=True) from None
        if sha256(content).hexdigest() != shard.sha256:
            raise ShardFailedError(f"its input {lane.input} has changed; prepare the job anew", final=True)
        return content

    def _stored(self, root: Path, summary: Summary, started: str, began: float) -> Marker:
        storage, shard = self._storage, self._task.shard
        folder = f"{shard.attempts}/{self._id}"
        files = stored_files(storage, root, folder)
        marker = Marker(
            shard=shard.number,
            attempt=self._id,
            folder=folder,
            files=files,
            rows=shard.rows,
            ok=summary.ok,
            failed=summary.failed,
            causes=dict(summary.causes),
            fetchq=__version__,
            started=started,
            duration=round(perf_counter() - began, 3),
        )
        if not storage.create(shard.marker, marker.to_json()):
            storage.delete(folder)
            found = read_marker(storage, shard)
            assert found is not None, "a marker is never deleted"
            return found
        publish_records(storage, shard, marker)
        return marker


def _pause(settings: Settings) -> float:
    """Seconds after which the next shard of a lane may start a request, whatever this one has started."""
    return max(settings.host_interval, 0.0 if settings.rate is None else max(1.0, 1 / settings.rate))


def publish_records(storage: JobStorage, shard: Shard, marker: Marker) -> None:
    """Copy the records of a shard that is done to where those of all shards are. Raises `StorageError`."""
    storage.copy(f"{marker.folder}/records.parquet", shard.records)


def _text_of(problem: BaseException) -> str:
    """The error of an attempt as one line, without passwords."""
    if isinstance(problem, ShardFailedError | StorageError | SettingsError | RowError):
        return one_line(str(problem))
    return one_line(f"{type(problem).__name__}: {redact(str(problem))}")

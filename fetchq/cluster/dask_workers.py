"""Runs shards on the workers of a Dask cluster (`--on tcp://scheduler:8786`). The only module that imports distributed.

A task that was running when its worker died is run again elsewhere by the scheduler. It asks for the shard's marker
first, and counts how often it was killed, so that neither a finished shard nor a fatal one is run for ever.
"""

from __future__ import annotations

from concurrent.futures import CancelledError, Future
from time import monotonic
from typing import Any

from distributed import Client
from distributed.comm.core import CommClosedError
from distributed.scheduler import KilledWorker
from distributed.security import Security

from fetchq._version import __version__
from fetchq.cluster.attempt import run_task
from fetchq.cluster.executors import ClusterError, ShardProcessDiedError
from fetchq.cluster.marker import Marker
from fetchq.cluster.tasks import ShardTask
from fetchq.core.text import one_line

__all__ = ["DaskWorkers", "installed_version"]

CONNECT_TIMEOUT = 10.0
"""Seconds in which the scheduler must answer."""
WORKER_TIMEOUT = 60.0
"""Seconds in which the first worker must be there."""


def installed_version() -> str:
    """The version of fetchq in this process; called in those of the cluster."""
    return __version__


class DaskWorkers:
    """Runs shards on the workers of a Dask cluster: as many at a time as they have threads. A `ShardExecutor`."""

    remote = True

    def __init__(self, address: str, *, worker_timeout: float = WORKER_TIMEOUT) -> None:
        """Raises `ClusterError` if there is no scheduler or no worker, or if one has another version of fetchq."""
        self._address = address
        self._worker_timeout = worker_timeout
        self._workers_seen = monotonic()
        """When there was a worker the last time."""
        if address.startswith("tls:") and Security().get_connection_args("client").get("ssl_context") is None:
            raise ClusterError(
                f"{address} needs certificates: distributed.comm.tls in Dask's configuration", usage=True
            )
        try:
            self._client = Client(address, timeout=CONNECT_TIMEOUT, set_as_default=False)
        except Exception as problem:  # noqa: BLE001  # of the address, the network or TLS: it cannot be reached
            raise ClusterError(
                f"there is no Dask scheduler at {address}: {one_line(str(problem)) or 'no answer'}", usage=True
            ) from None
        try:
            self._check()
        except BaseException:  # raised again, whatever it is
            self.close()
            raise
        # Without pure=False, two equal tasks would be one, whose result is kept.
        self._executor = self._client.get_executor(pure=False)

    def slots(self) -> int:
        """How many threads the workers have. Raises `ClusterError` if the scheduler is gone, or all workers are."""
        try:
            threads: int = sum(self._client.nthreads().values())
        except (OSError, ValueError, TimeoutError, CommClosedError) as problem:
            raise self._lost() from problem
        now = monotonic()
        if threads:
            self._workers_seen = now
        elif now - self._workers_seen > self._worker_timeout:
            raise ClusterError(f"all workers of the Dask scheduler at {self._address} are gone")
        return threads

    def submit(self, task: ShardTask) -> Future[Marker]:
        """Run a shard on any worker."""
        try:
            running = self._executor.submit(_run, {"task": task})  # as one argument: submit takes some for itself
        except (OSError, ValueError, RuntimeError, CommClosedError) as problem:
            raise self._lost() from problem
        ended: Future[Marker] = Future()
        ended.set_running_or_notify_cancel()
        running.add_done_callback(lambda done: self._pass_on(done, ended))
        return ended

    def close(self) -> None:
        """Leave the cluster. Its scheduler forgets the shards that wait; those under way look whether to stop."""
        self._client.close(timeout=2)

    def _check(self) -> None:
        try:
            self._client.wait_for_workers(1, self._worker_timeout)
        except TimeoutError:
            raise ClusterError(
                f"the Dask scheduler at {self._address} has no workers after {self._worker_timeout:g} s: "
                f"dask worker {self._address} starts one",
                usage=True,
            ) from None
        try:
            found: dict[str, Any] = self._client.run(installed_version, on_error="return")
            found["the scheduler"] = self._client.run_on_scheduler(installed_version)
        except Exception as problem:  # noqa: BLE001  # whatever it sends back, it cannot run fetchq
            raise ClusterError(f"the Dask scheduler cannot run fetchq: {one_line(str(problem))}", usage=True) from None
        others = {place: version for place, version in found.items() if version != __version__}
        if others:
            place, version = min(others.items(), key=str)
            what = f"fetchq {version}" if isinstance(version, str) else f"no fetchq ({one_line(str(version))})"
            more = f", and {len(others) - 1} more" if len(others) > 1 else ""
            raise ClusterError(
                f"this is fetchq {__version__}, but {place} has {what}{more}: install the same version there",
                usage=True,
            )

    def _pass_on(self, done: Future[Marker], ended: Future[Marker]) -> None:
        problem: BaseException | None
        try:
            problem = done.exception()
        except CancelledError:
            problem = self._lost()  # nobody here cancels a shard
        if problem is None:
            ended.set_result(done.result())
        elif isinstance(problem, KilledWorker):
            ended.set_exception(ShardProcessDiedError("its worker has died again and again"))
        else:
            ended.set_exception(problem)

    def _lost(self) -> ClusterError:
        return ClusterError(f"the Dask scheduler at {self._address} is gone")


def _run(arguments: dict[str, Any]) -> Marker:
    return run_task(arguments["task"])

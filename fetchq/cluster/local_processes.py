"""Runs shards in processes of this machine (`--on local:8`).

Each process is a pool of its own, so that it is known which shard one has died with: a pool that has lost a process
fails all that it was running. The processes end with the driver, however that ends.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from multiprocessing.connection import wait
from tempfile import mkdtemp

from fetchq.cluster.attempt import run_task
from fetchq.cluster.executors import ClusterError, ShardProcessDiedError
from fetchq.cluster.marker import Marker
from fetchq.cluster.tasks import ShardTask
from fetchq.workers.process import tune_memory

__all__ = ["LocalProcesses"]

_SWEEPS = 10
"""How often a process that has lost its parent tries to delete the temporary files."""


class LocalProcesses:
    """Runs shards in at most so many processes at a time; a `ShardExecutor`."""

    remote = False

    def __init__(self, processes: int, *, spawning: Callable[[], AbstractContextManager[object]] = nullcontext) -> None:
        """`spawning`: entered while a process is started, which inherits the signal mask of this one."""
        self._processes = processes
        self._spawning = spawning
        self._context = multiprocessing.get_context("spawn")  # since a fork would copy the threads' locks
        self._scratch = mkdtemp(prefix="fetchq-")
        """The folder for the temporary files of all processes, which may be killed."""
        self._idle: list[ProcessPoolExecutor] = []
        self._busy: set[ProcessPoolExecutor] = set()
        self._lock = threading.Lock()

    def slots(self) -> int:
        """How many shards may run at a time."""
        return self._processes

    def submit(self, task: ShardTask) -> Future[Marker]:
        """Run a shard in an idle process, or in a new one."""
        pool, running = self._submitted(replace(task, scratch=self._scratch))
        ended: Future[Marker] = Future()
        ended.set_running_or_notify_cancel()
        running.add_done_callback(lambda done: self._pass_on(pool, done, ended))
        return ended

    def close(self) -> None:
        """Kill the processes, and delete their temporary files."""
        with self._lock:
            pools = [*self._idle, *self._busy]
            self._idle.clear()
        for pool in pools:
            for process in list((pool._processes or {}).values()):
                process.kill()
            pool.shutdown(wait=True, cancel_futures=True)
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _submitted(self, task: ShardTask) -> tuple[ProcessPoolExecutor, Future[Marker]]:
        while True:
            with self._lock:
                pool = self._idle.pop() if self._idle else self._new_pool()
                self._busy.add(pool)
            try:
                with self._spawning():
                    return pool, pool.submit(run_task, task)
            except BrokenProcessPool:  # its process has died while it had nothing to do
                self._drop(pool)
            except OSError as problem:
                self._drop(pool)
                raise ClusterError(f"a process cannot be started: {problem.strerror or problem}") from None

    def _drop(self, pool: ProcessPoolExecutor) -> None:
        with self._lock:
            self._busy.discard(pool)
        pool.shutdown(wait=False)

    def _new_pool(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(1, self._context, _begin, (self._scratch,))

    def _pass_on(self, pool: ProcessPoolExecutor, done: Future[Marker], ended: Future[Marker]) -> None:
        """Pass the outcome of a pool on, which gets another shard unless its process has died."""
        if done.cancelled():  # by `close`: nobody waits for it any more
            return
        problem = done.exception()
        with self._lock:
            self._busy.discard(pool)
            if not isinstance(problem, BrokenProcessPool):
                self._idle.append(pool)
        if problem is None:
            ended.set_result(done.result())
        elif isinstance(problem, BrokenProcessPool):
            pool.shutdown(wait=False)
            ended.set_exception(ShardProcessDiedError("its process has died, perhaps for lack of memory"))
        else:
            ended.set_exception(problem)


def _begin(scratch: str) -> None:
    """Prepare a process for its shards, and let it end when its parent does."""
    tune_memory()
    threading.Thread(target=_end_with_parent, args=(scratch,), name="fetchq-parent", daemon=True).start()


def _end_with_parent(scratch: str) -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        for _ in range(_SWEEPS):  # the other processes, which are still writing, do the same
            shutil.rmtree(scratch, ignore_errors=True)
            if not os.path.exists(scratch):
                break
        os._exit(1)

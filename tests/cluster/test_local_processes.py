"""The processes of this machine that run shards."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.jobs import prepared
from support.servers import ScriptServer, ok
from support.waiting import PATIENCE

from fetchq.cluster import local_processes as module
from fetchq.cluster.executors import ClusterError
from fetchq.cluster.local_processes import LocalProcesses
from fetchq.cluster.local_storage import LocalStorage
from fetchq.cluster.tasks import ShardTask, TaskMaker
from fetchq.core.model import Request
from fetchq.core.settings import Settings


@pytest.fixture
def tasks(tmp_path: Path) -> Iterator[list[ShardTask]]:
    """Two shards of one row each."""
    with ScriptServer(ok) as server:
        storage = LocalStorage(str(tmp_path / "job"))
        job = prepared(storage, [Request(f"{server.url}/{row}", row) for row in range(2)], 2)
        maker = TaskMaker(storage, job, Settings(save="none", output="job"), "run")
        yield [maker.task(shard) for shard in job.shards]


def test_an_idle_process_that_has_died_is_replaced(tasks: list[ShardTask]) -> None:
    processes = LocalProcesses(1)
    try:
        assert processes.submit(tasks[0]).result(PATIENCE).ok == 1
        (process,) = multiprocessing.active_children()
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        (pool,) = processes._idle
        manager = pool._executor_manager_thread  # which sees the death
        assert manager is not None
        manager.join(PATIENCE)
        assert processes.submit(tasks[1]).result(PATIENCE).ok == 1
    finally:
        processes.close()


def test_a_process_that_cannot_be_started_is_said(monkeypatch: pytest.MonkeyPatch, tasks: list[ShardTask]) -> None:
    class Refusing:
        def __init__(self, *_: Any) -> None:
            self._processes = None

        def submit(self, *_: Any) -> None:
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

        def shutdown(self, **_: Any) -> None:
            pass

    monkeypatch.setattr(module, "ProcessPoolExecutor", Refusing)
    processes = LocalProcesses(1)
    with pytest.raises(ClusterError, match=r"^a process cannot be started: Resource temporarily unavailable$"):
        processes.submit(tasks[0])
    assert not processes._busy
    processes.close()

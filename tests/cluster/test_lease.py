"""A lane is held by one attempt at a time."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support.waiting import PATIENCE, in_time

from fetchq.cluster import lease as lease_module
from fetchq.cluster.lease import Lease, is_held, process_identity
from fetchq.cluster.local_storage import LocalStorage
from fetchq.cluster.storage import JobStorage

NAME = "leases/lane-00.json"


@pytest.fixture
def storage(tmp_path: Path) -> JobStorage:
    return LocalStorage(str(tmp_path))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in {"HEARTBEAT": 0.02, "_POLL": 0.005, "_SETTLE": 0.01}.items():
        monkeypatch.setattr(lease_module, name, seconds)


def of_another(storage: JobStorage, pid: int = 1, namespace: str = "elsewhere", beat: int = 0) -> None:
    content = {"holder": "another", "run": "other", "host": "far", "beat": beat, "namespace": namespace, "pid": pid}
    storage.write(NAME, json.dumps(content).encode())


def test_a_lease_is_there_while_it_is_held(storage: JobStorage) -> None:
    with Lease(storage, NAME, "me", "run"):
        held = is_held(storage, NAME)
        assert held is not None
        assert (held["holder"], held["run"]) == ("me", "run")
    assert is_held(storage, NAME) is None


def test_a_lease_is_renewed(storage: JobStorage, quick: None) -> None:
    beaten = threading.Event()
    with Lease(storage, NAME, "me", "run", on_beat=beaten.set):
        assert beaten.wait(PATIENCE)
        held = is_held(storage, NAME)
        assert held is not None
        assert held["beat"] > 0


def test_another_one_waits_until_it_is_released_and_is_told_once(storage: JobStorage, quick: None) -> None:
    waits, order = threading.Event(), []

    def second() -> None:
        with Lease(storage, NAME, "second", "run", on_wait=lambda: (order.append("waits"), waits.set())):
            order.append("second")

    with Lease(storage, NAME, "first", "run"):
        thread = threading.Thread(target=second)
        thread.start()
        assert waits.wait(PATIENCE)
        order.append("first ends")
    thread.join(PATIENCE)
    assert order == ["waits", "first ends", "second"]


def test_a_lease_that_is_not_renewed_any_more_is_taken(storage: JobStorage, quick: None) -> None:
    of_another(storage)
    with Lease(storage, NAME, "me", "run"):
        held = is_held(storage, NAME)
        assert held is not None
        assert held["holder"] == "me"


def test_the_lease_of_a_process_that_has_ended_here_is_taken_at_once(storage: JobStorage) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait(PATIENCE)
    told: list[str] = []
    of_another(storage, ended.pid, process_identity().namespace)
    assert is_held(storage, NAME) is None
    in_time(lambda: Lease(storage, NAME, "me", "run", on_wait=lambda: told.append("waits")).__enter__().__exit__())
    assert told == []


def test_whoever_waits_can_be_stopped(storage: JobStorage) -> None:
    of_another(storage)
    stopped = threading.Event()
    with (
        pytest.raises(InterruptedError),
        Lease(storage, NAME, "me", "run", on_wait=stopped.set, stopped=stopped.is_set),
    ):
        pass
    held = is_held(storage, NAME)
    assert held is not None
    assert held["holder"] == "another"


def test_a_holder_whose_lease_was_taken_is_told_and_leaves_it(storage: JobStorage, quick: None) -> None:
    lost = threading.Event()
    with Lease(storage, NAME, "me", "run", on_lost=lost.set):
        of_another(storage)
        assert lost.wait(PATIENCE)
    held = is_held(storage, NAME)
    assert held is not None
    assert held["holder"] == "another"


@pytest.mark.parametrize("content", [b"nonsense", b"[]"])
def test_what_is_no_lease_is_taken_when_nobody_renews_it(storage: JobStorage, quick: None, content: bytes) -> None:
    storage.write(NAME, content)
    with Lease(storage, NAME, "me", "run"):
        held = is_held(storage, NAME)
        assert held is not None
        assert held["holder"] == "me"

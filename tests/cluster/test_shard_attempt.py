"""An attempt at a shard: what it stores, and what becomes of it when it fails, is late or is stopped."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from support.jobs import prepared
from support.servers import ScriptServer, answer, by_path, hang
from support.waiting import PATIENCE

from fetchq.cluster import attempt as attempt_module
from fetchq.cluster import lease as lease_module
from fetchq.cluster.attempt import Attempt, ShardFailedError, StoppedError, UnfitProcessError, run_task, stop_name
from fetchq.cluster.job import Job
from fetchq.cluster.local_storage import LocalStorage
from fetchq.cluster.marker import Marker, Try, read_marker, tries_of
from fetchq.cluster.state import finish_job, job_state
from fetchq.cluster.storage import JobStorage
from fetchq.cluster.stored_job import JobRecords
from fetchq.cluster.tasks import ShardTask, TaskMaker
from fetchq.core.model import Request
from fetchq.core.settings import Settings


@pytest.fixture
def server() -> Iterator[ScriptServer]:
    with ScriptServer(by_path({"/404": answer(status=b"404 Not Found"), "/hang": hang})) as one:
        yield one


@pytest.fixture
def storage(tmp_path: Path) -> JobStorage:
    return LocalStorage(str(tmp_path / "job"))


def task_of(storage: JobStorage, job: Job, shard: int = 0, **settings: Any) -> ShardTask:
    given = Settings(**{"save": "none", "retries": 0} | settings, output="job")
    return TaskMaker(storage, job, given, "run").task(job.shards[shard])


def job_of(storage: JobStorage, server: ScriptServer, *paths: str, **settings: Any) -> Job:
    return prepared(storage, [Request(server.url + path, row + 100) for row, path in enumerate(paths)], 1, **settings)


def test_a_shard_that_is_done_has_a_marker_with_all_of_its_files(storage: JobStorage, server: ScriptServer) -> None:
    job = job_of(storage, server, "/a", "/404", save="files")
    marker = run_task(task_of(storage, job, save="files"))
    assert read_marker(storage, job.shards[0]) == marker
    assert (marker.rows, marker.ok, marker.failed, marker.causes) == (2, 1, 1, {"status": 1})
    names = sorted(one.path.removeprefix(f"{marker.folder}/") for one in marker.files)
    assert names == ["bodies.jsonl", "records.parquet", "run.db"]
    for one in marker.files:
        assert len(storage.read(one.path)) == one.size
    assert storage.names("records") == ["00000.parquet"]
    assert storage.names("tries/00000") == []
    assert storage.names("leases") == []


@pytest.mark.parametrize(
    ("limits", "pause"),
    [({}, 0), ({"rate": 50}, 1), ({"rate": 0.25}, 4), ({"rate": 50, "host_interval": 3}, 3), ({"host_interval": 3}, 3)],
)
def test_the_next_shard_of_a_lane_begins_when_no_start_of_this_one_counts_any_more(
    limits: dict[str, float], pause: float
) -> None:
    assert attempt_module._pause(Settings(**limits)) == pause


def test_records_that_a_killed_attempt_has_not_published_are_published_by_the_next(
    storage: JobStorage, server: ScriptServer
) -> None:
    job = job_of(storage, server, "/a")
    marker = run_task(task_of(storage, job))
    storage.delete(job.shards[0].records)
    assert run_task(task_of(storage, job)) == marker
    assert storage.names("records") == ["00000.parquet"]
    assert len(server.log) == 1


@pytest.mark.parametrize("mode", ["async", "threads", "sync"])
def test_records_have_the_index_of_the_whole_list_and_paths_within_the_job(
    storage: JobStorage, server: ScriptServer, mode: str
) -> None:
    job = job_of(storage, server, "/a", "/404", save="files")
    run_task(task_of(storage, job, save="files", mode=mode))
    records = list(JobRecords(storage, job).records())
    assert [record["index"] for record in records] == [100, 101]
    assert storage.read(records[0]["path"]) == b"ok"
    assert [record["index"] for record in JobRecords(storage, job).records("NOT ok")] == [101]


@pytest.mark.parametrize("save", ["warc", "parquet", "none"])
def test_bodies_are_stored_as_asked_for(storage: JobStorage, server: ScriptServer, save: str) -> None:
    job = job_of(storage, server, "/a", save=save)
    marker = run_task(task_of(storage, job, save=save))
    (record,) = JobRecords(storage, job).records()
    if save == "none":
        assert record["path"] is None
    else:
        path = record["path"].partition("#")[0]
        assert marker.file(path.removeprefix(f"{marker.folder}/")) is not None
        assert storage.exists(path)


def test_a_shard_that_is_done_is_not_run_again(storage: JobStorage, server: ScriptServer) -> None:
    job = job_of(storage, server, "/a")
    assert run_task(task_of(storage, job)) == run_task(task_of(storage, job))
    assert len(server.log) == 1


def test_the_data_of_an_attempt_that_was_too_late_is_dropped(
    storage: JobStorage, server: ScriptServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(storage, server, "/a")
    monkeypatch.setattr(attempt_module, "read_marker", lambda *_: None)
    first = Attempt(task_of(storage, job)).make()
    monkeypatch.undo()
    asked: list[Marker | None] = [None, None]

    def late(*given: Any) -> Marker | None:
        return asked.pop() if asked else read_marker(*given)

    monkeypatch.setattr(attempt_module, "read_marker", late)
    assert run_task(task_of(storage, job)) == first
    assert len(server.log) == 2
    assert storage.names("attempts/00000") == [first.attempt]


def test_an_input_that_has_changed_or_is_gone_is_not_fetched(storage: JobStorage, server: ScriptServer) -> None:
    job = job_of(storage, server, "/a")
    content = storage.read("input/lane-00.jsonl")
    for change, said in ((lambda: storage.write("input/lane-00.jsonl", content[:-5] + b"/b\"]\n"), "has changed"),
                         (lambda: storage.delete("input"), "is gone")):  # fmt: skip
        change()
        with pytest.raises(ShardFailedError, match=said) as raised:
            run_task(task_of(storage, job))
        assert raised.value.final
    assert server.log == []


def test_a_failed_attempt_leaves_word_and_the_next_one_that_succeeds_clears_it(
    storage: JobStorage, server: ScriptServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(storage, server, "/a")
    monkeypatch.setattr(attempt_module, "ShardRun", lambda *_: 1 / 0)
    with pytest.raises(ShardFailedError, match="ZeroDivisionError: division by zero") as raised:
        run_task(task_of(storage, job))
    assert not raised.value.final
    (failed,) = tries_of(storage, job.shards[0])
    assert failed.error == "ZeroDivisionError: division by zero"
    assert "Traceback" in (failed.traceback or "")
    (one,) = job_state(storage, job).failed_shards
    assert (one.shard, one.attempts, one.error) == (0, 1, failed.error)
    monkeypatch.undo()
    run_task(task_of(storage, job))
    assert job_state(storage, job).failed_shards == ()


def test_a_shard_that_has_killed_three_processes_is_not_begun_again(storage: JobStorage, server: ScriptServer) -> None:
    job = job_of(storage, server, "/a")
    for attempt in range(3):
        storage.write(f"tries/00000/{attempt}.json", Try(str(attempt), "run", "far", "now").to_json())
    with pytest.raises(ShardFailedError, match="killed 3 times"):
        run_task(task_of(storage, job))
    assert server.log == []
    assert run_task(replace(task_of(storage, job), run="the next call")).ok == 1


def test_between_two_shards_of_a_lane_a_host_has_its_interval(storage: JobStorage, server: ScriptServer) -> None:
    job = prepared(storage, [Request(f"{server.url}/{row}", row) for row in range(2)], 2)
    for shard in (0, 1):
        run_task(task_of(storage, job, shard, host_interval=0.5))
    first, second = (datetime.fromisoformat(record["started"]) for record in JobRecords(storage, job).records())
    assert (second - first).total_seconds() >= 0.5


def test_another_version_is_refused(storage: JobStorage, server: ScriptServer) -> None:
    job = job_of(storage, server, "/a")
    with pytest.raises(UnfitProcessError, match=r"the driver has 0\.0\.1"):
        Attempt(replace(task_of(storage, job), fetchq="0.0.1"))


@pytest.mark.parametrize("how", ["stop", "abort"])
@pytest.mark.parametrize("mode", ["async", "threads"])
def test_an_attempt_that_is_stopped_stores_nothing_and_is_no_failure(
    storage: JobStorage, server: ScriptServer, mode: str, how: str
) -> None:
    job = job_of(storage, server, "/hang", "/a")
    attempt = Attempt(task_of(storage, job, mode=mode, workers=1))
    raised: list[BaseException] = []

    def make() -> None:
        try:
            attempt.make()
        except StoppedError as problem:
            raised.append(problem)

    thread = threading.Thread(target=make)
    thread.start()
    assert server.wait_for_requests(1)
    getattr(attempt, how)()
    attempt.abort()
    thread.join(PATIENCE)
    assert len(raised) == 1
    assert len(server.log) == 1
    assert storage.names("tries/00000") == storage.names("attempts") == storage.names("leases") == []


def test_a_driver_stops_its_shards_wherever_they_run(
    storage: JobStorage, server: ScriptServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_module, "HEARTBEAT", 0.02)
    job = job_of(storage, server, "/hang")
    storage.write(stop_name("run"), b"")
    with pytest.raises(StoppedError):
        run_task(task_of(storage, job))


def test_a_job_is_finished_when_all_shards_are_done(storage: JobStorage, server: ScriptServer) -> None:
    from fetchq.cluster.job import JobError

    rows = [Request(f"{server.url}/{row}", row) for row in range(4)]
    job = prepared(storage, rows, 2, save="files")
    first = run_task(task_of(storage, job, save="files"))
    with pytest.raises(JobError, match="1 of the 2 shards are not done"):
        finish_job(storage, job)
    second = run_task(task_of(storage, job, 1, save="files"))
    storage.write("attempts/00000/killed/run.db", b"of an attempt that was killed")
    storage.delete("records/00001.parquet")  # its attempt was killed just after it had written the marker
    finish_job(storage, job)
    manifest = json.loads(storage.read("manifest.json"))
    assert (manifest["rows"], manifest["ok"], manifest["shards"]) == (4, 4, 2)
    assert storage.names("attempts/00000") == [first.attempt]
    assert storage.names("records") == ["00000.parquet", "00001.parquet"]
    paths = {one["path"] for one in manifest["files"]}
    assert sum("/bodies/" in path for path in paths) == 4
    assert {one.path for one in (*first.files, *second.files)} < paths
    for one in manifest["files"]:
        assert len(storage.read(one["path"])) == one["size"]


@pytest.mark.parametrize("content", [b"nonsense", b"{}", b'{"files": []}'])
def test_a_marker_that_is_none_is_an_error(storage: JobStorage, server: ScriptServer, content: bytes) -> None:
    from fetchq.cluster.job import JobError

    job = job_of(storage, server, "/a")
    storage.write("done/00000.json", content)
    with pytest.raises(JobError, match="is damaged"):
        read_marker(storage, job.shards[0])

"""How a list is divided into lanes and shards."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from support.jobs import prepared

from fetchq.cluster.job import Job
from fetchq.cluster.opened_storage import open_storage
from fetchq.cluster.prepare import JobPlan, is_prepared
from fetchq.cluster.rows import RowError, read_rows, row_lines
from fetchq.cluster.split import parts_of
from fetchq.cluster.storage import JobStorage
from fetchq.cluster.tasks import TaskMaker
from fetchq.core.apportion import apportioned
from fetchq.core.model import Request
from fetchq.core.settings import Settings, SettingsError
from fetchq.http.url import host_of

patient = examples(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A busy machine may take long for an example."""
texts = st.text(max_size=10) | st.sampled_from(["\ud800", "caf\udce9", '"', "\\", "\n", "\r", "é"])
requests = st.builds(
    Request,
    url=texts,
    index=st.integers(0, 2**31),
    method=st.none() | st.just("POST"),
    headers=st.lists(st.tuples(texts, texts), max_size=2).map(tuple),
    body=st.none() | st.binary(max_size=20),
    label=st.none() | texts,
    problem=st.none() | texts,
    priority=st.integers(-10, 10),
    checksum=st.none() | texts,
    filename=st.none() | texts,
    passed=st.none() | texts,
)


@patient
@given(st.lists(requests, max_size=5))
def test_a_row_is_read_as_it_was_written(rows: list[Request]) -> None:
    content = "".join(row_lines(rows)).encode()
    assert [one for batch in read_rows(content) for one in batch] == rows
    assert content.count(b"\n") == len(rows)


@pytest.mark.parametrize("line", [b"nonsense\n", b'{"a":1}\n', b'[1,"u",{"x":1}]\n', b"[1]\n"])
def test_a_line_that_is_no_row_is_an_error(line: bytes) -> None:
    with pytest.raises(RowError):
        list(read_rows(line))


@patient
@given(st.lists(st.integers(1, 50), min_size=1, max_size=10), st.data())
def test_parts_are_at_least_one_at_most_what_they_may_and_exact_in_sum(weights: list[int], data: st.DataObject) -> None:
    total = data.draw(st.integers(len(weights), sum(weights)))
    found = apportioned(total, weights, most=weights)
    assert sum(found) == total
    assert all(1 <= part <= weight for part, weight in zip(found, weights, strict=True))


@patient
@given(st.lists(st.integers(1, 1000), min_size=1, max_size=10), st.integers(0, 10**6))
def test_parts_without_bounds_are_close_to_their_share(weights: list[int], more: int) -> None:
    total = len(weights) + more
    found = apportioned(total, weights)
    assert sum(found) == total
    for part, weight in zip(found, weights, strict=True):
        assert abs(part - 1 - Fraction(more * weight, sum(weights))) < 1


def test_what_cannot_be_divided_is_an_error() -> None:
    for total in (1, 4):
        with pytest.raises(ValueError, match="cannot be divided"):
            apportioned(total, [1, 2], most=[1, 2])


@patient
@given(st.integers(1, 100), st.data())
def test_parts_of_rows_differ_by_one_at_most(rows: int, data: st.DataObject) -> None:
    parts = parts_of(rows, data.draw(st.integers(1, rows)))
    assert sum(parts) == rows
    assert max(parts) - min(parts) <= 1


def in_memory() -> JobStorage:
    return open_storage(f"memory://{uuid4().hex}")


def rows_of(storage: JobStorage, job: Job) -> list[list[Request]]:
    """The rows of each shard."""
    found = []
    for shard in job.shards:
        content = storage.read(job.lane_of(shard).input, shard.offset, shard.size)
        found.append([one for batch in read_rows(content) for one in batch])
    return found


@patient
@given(st.lists(st.integers(0, 9), min_size=1, max_size=60), st.integers(1, 70))
def test_each_row_is_in_one_shard_and_a_host_in_one_lane(hosts: list[int], shards: int) -> None:
    storage = in_memory()
    rows = [Request(f"http://host{host}.test/{row}", row) for row, host in enumerate(hosts)]
    job = prepared(storage, rows, shards)
    found = rows_of(storage, job)
    assert sorted((one.index, one.url) for shard in found for one in shard) == [(one.index, one.url) for one in rows]
    assert [len(shard) for shard in found] == [shard.rows for shard in job.shards]
    assert len(job.shards) == min(shards, len(rows))
    assert all(found)
    lanes: dict[str, set[int]] = {}
    for shard, some in zip(job.shards, found, strict=True):
        for one in some:
            lanes.setdefault(host_of(one.url), set()).add(shard.lane)
    assert all(len(one) == 1 for one in lanes.values())
    for lane in job.lanes:  # the shards of a lane follow each other as in the list
        indexes = [one.index for number in lane.shards for one in found[number]]
        assert indexes == sorted(indexes)
        assert len(indexes) == lane.rows
    storage.delete("")


def test_the_lanes_are_numbered_without_gaps_whatever_hosts_there_are() -> None:
    job = prepared(in_memory(), [Request(f"http://host{row}.test/", row) for row in range(3)], 60)
    assert [lane.number for lane in job.lanes] == list(range(len(job.lanes)))


def test_rows_at_one_address_are_in_one_lane_if_the_address_is_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(name: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        if name == "gone.test":
            raise OSError(-2, "not known")
        return [(0, 0, 0, "", ("192.0.2.9", 80)), (0, 0, 0, "", ("192.0.2.1", 80))]

    monkeypatch.setattr("socket.getaddrinfo", found)
    urls = ["http://a.test/", "http://b.test/", "http://192.0.2.1/", "http://gone.test/", "nonsense", "http://c.test/"]
    storage = in_memory()
    resolve = ["c.test:80:192.0.2.1"]
    rows = [Request(url, row) for row, url in enumerate(urls)]
    job = prepared(storage, rows, 6, per_host_by="ip", resolve=resolve)
    lanes = {one.url: shard.lane for shard, some in zip(job.shards, rows_of(storage, job), strict=True) for one in some}
    assert len({lanes[url] for url in urls if url not in ("http://gone.test/", "nonsense")}) == 1


def plan_of(job: Job, change: Callable[[dict[str, object]], object]) -> JobPlan:
    values: dict[str, object] = {
        "settings": Settings(save="none", retries=0),
        "sources": list(job.sources),
        "reading": {},
        "shards": job.most_shards,
        "lanes": job.most_lanes,
    }
    change(values)
    return JobPlan(**values)  # type: ignore[arg-type]


def test_a_job_is_prepared_once_and_another_one_is_refused() -> None:
    from fetchq.cluster.job import JobError

    storage = in_memory()
    job = prepared(storage, [Request("http://a.test/", 0)], 1)
    assert is_prepared(storage, plan_of(job, lambda _: None)) == job
    changes: dict[str, Callable[[dict[str, object]], object]] = {
        "another list": lambda values: values.update(sources=[]),
        "--timeout": lambda values: values.update(settings=Settings(save="none", retries=0, timeout=5)),
        "--user": lambda values: values.update(settings=Settings(save="none", retries=0, user="a:b")),
        "--shards 1": lambda values: values.update(shards=2),
    }
    for said, change in changes.items():
        with pytest.raises(JobError, match=said):
            is_prepared(storage, plan_of(job, change))
    assert is_prepared(in_memory(), plan_of(job, lambda _: None)) is None


def test_the_rates_of_the_lanes_make_up_that_of_the_job() -> None:
    storage = in_memory()
    job = prepared(storage, [Request(f"http://host{row % 7}.test/", row) for row in range(100)], 20)
    tasks = TaskMaker(storage, job, Settings(rate=50.5, limit_rate=1000), "run")
    first = [job.shards[lane.shards[0]] for lane in job.lanes]
    settings = [tasks.task(shard).settings for shard in first]
    assert sum(one["rate"] for one in settings) == 50
    assert sum(one["limit_rate"] for one in settings) == 1000
    for lane, one in zip(job.lanes, settings, strict=True):
        assert one["rate"] == pytest.approx(50 * lane.rows / 100, abs=1)
        assert one["rate"] % 1 == 0, "else the lanes would start more than 50 in some second"
    for limits in ({"rate": 1.0}, {"limit_rate": 1}):
        with pytest.raises(SettingsError, match=r"it cannot be divided among \d lanes \(prepare has --lanes\)"):
            TaskMaker(storage, job, Settings(**limits), "run")


def test_one_lane_has_the_whole_rate() -> None:
    storage = in_memory()
    job = prepared(storage, [Request("http://a.test/", 0)], 1)
    assert TaskMaker(storage, job, Settings(rate=0.5), "run").task(job.shards[0]).settings["rate"] == 0.5


def test_what_a_killed_prepare_has_left_is_no_job_and_is_replaced(tmp_path: Path) -> None:
    storage = open_storage(str(tmp_path / "job"))
    (tmp_path / "job/.part-left").mkdir(parents=True)
    (tmp_path / "job/input").mkdir()
    (tmp_path / "job/input/lane-63.jsonl").write_text("left")
    prepared(storage, [Request("http://a.test/", 0)], 1)
    assert sorted(one.name for one in (tmp_path / "job").iterdir()) == ["input", "job.json"]
    assert [one.name for one in (tmp_path / "job/input").iterdir()] == ["lane-00.jsonl"]
    assert (tmp_path / "job/input/lane-00.jsonl").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "job/input").stat().st_mode & 0o777 == 0o700

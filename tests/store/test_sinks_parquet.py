"""Parquet parts are whole, say the same as the ledger does, and every reader takes them."""

from __future__ import annotations

import errno
import gc
import os
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.factories import Clock, any_text, examples, failed_result, header_map, make_result
from support.store import (
    SIZES,
    body_of,
    fetched,
    files_of_at_most,
    lose_spool,
    names,
    numbered,
    run_folder,
    temporary,
)

from fetchq.core.disk import StorageError
from fetchq.core.model import PHASES, RECORD_FIELDS, Cause, Result, Timing
from fetchq.core.redirect_hop import HopTiming, RedirectHop, hop_records
from fetchq.core.row_set import RowSet
from fetchq.store.folder import RunFolder
from fetchq.store.sinks import bodies_parquet, large_parquet, parquet_reader
from fetchq.store.sinks.bodies_parquet import ParquetStore
from fetchq.store.sinks.parquet_reader import PartReader
from fetchq.store.stored_run import StoredBodies
from fetchq.store.writer import Writer


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(bodies_parquet, "perf_counter", clock)
    return clock


def store_in(folder: RunFolder, state: Any = None, generation: int = 0) -> ParquetStore:
    store = ParquetStore(folder.path, generation)
    store.restore(state, RowSet())
    return store


def stored(folder: RunFolder, *results: Result) -> list[Result]:
    """What a new store gives back for these, in the end."""
    store = store_in(folder)
    return [*store.store(results), *store.finish()]


def parts(folder: RunFolder) -> list[str]:
    return names(folder.path / "parquet")


def rows(folder: RunFolder) -> list[dict[str, Any]]:
    return [row for name in parts(folder) for row in pq.read_table(folder.path / "parquet" / name).to_pylist()]


def groups(folder: RunFolder) -> list[int]:
    """The rows of each row group of the first part."""
    found = pq.read_metadata(folder.path / "parquet" / parts(folder)[0])
    return [found.row_group(number).num_rows for number in range(found.num_row_groups)]


# --- what is in it ---


def test_a_row_is_the_record_with_headers_and_body(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    timing = Timing(0.1, 0.2, 0.3, 0.4, None, 0.6, 0.7, 0.8, 0.9)
    result = fetched(folder, b"body", index=7, label="x", timing=timing, cause=Cause.STATUS, status=404)
    hops = (RedirectHop(302, "http://a/", 0.25, HopTiming(wait=0.25)),)
    result = replace(result, hops=hops, passed={"sku": 10**30})
    result = replace(result, headers=header_map([("Set-Cookie", "a"), ("ETag", '"e"'), ("Set-Cookie", "b")]))
    (given_back,) = stored(folder, result)
    (row,) = rows(folder)
    record = given_back._record()
    assert row == {
        **{name: value for name, value in record.items() if name != "timing"},
        **{f"timing_{phase}": record["timing"][phase] for phase in PHASES},
        "headers": [{"name": n, "value": v} for n, v in [("Set-Cookie", "a"), ("ETag", '"e"'), ("Set-Cookie", "b")]],
        "trailers": None,
        "hops": hop_records(hops),
        "passed": f'{{"sku":{10**30}}}',
        "body": b"body",
        "generation": 0,
    }
    assert row["started"] == datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
    assert list(row) == [
        *(name for name in RECORD_FIELDS if name != "timing"),
        *(f"timing_{phase}" for phase in PHASES),
        *("headers", "trailers", "hops", "passed", "body", "generation"),
    ]


def test_another_reader_finds_the_same_in_it(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    results = [fetched(folder, body_of(size), headers=()) for size in SIZES]
    results += [failed_result(Cause.TIMEOUT), failed_result(Cause.INVALID_URL, final_url=None, started=None)]
    kept = stored(folder, *numbered(results))
    table = duckdb.sql(
        "SELECT index, path, sha256, sha256(body), octet_length(body), cause, status, ok, body IS NULL, "
        f"len(headers), epoch(started), timing_wait FROM '{folder.path}/parquet/*.parquet' ORDER BY index"
    ).fetchall()
    assert len(table) == len(results)
    for row, result in zip(table, kept, strict=True):
        index, path, sha256, of_body, size, cause, status, ok, null, headers, started, wait = row
        assert (index, path, cause, status, ok) == (
            *(result.index, result.path, result.cause),
            *(result.status, result.ok),
        )
        assert null == (result.sha256 is None) == (path is None)
        assert sha256 == of_body == result.sha256
        assert null or size == result.size
        assert headers == 0
        assert started == (result.started and result.started.timestamp())
        assert wait == result.timing.wait


def test_a_path_names_the_row(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    kept = stored(folder, *numbered([fetched(folder), failed_result(Cause.DNS), *(fetched(folder) for _ in range(3))]))
    assert [result.path for result in kept] == [
        None if at == 1 else f"parquet/part-00000.parquet#{at}" for at in range(5)
    ]
    assert [row["path"] for row in rows(folder)] == [result.path for result in kept]
    assert temporary(folder) == []


def test_bodies_that_are_read_one_after_the_other_cost_one_look_at_their_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies_parquet, "GROUP_ROWS", 10)
    folder = run_folder(tmp_path)
    bodies = [os.urandom(100) for _ in range(40)]
    kept = stored(folder, *numbered(fetched(folder, body) for body in bodies))
    opened: list[Any] = []
    whole = pq.ParquetFile
    monkeypatch.setattr(pq, "ParquetFile", lambda path: opened.append(path) or whole(path))
    run = StoredBodies(folder.path)
    # As the workers of a refresh ask: in order, but for a few.
    order = [at + 2 - 2 * (at % 3) for at in range(39)]
    assert [run.read(kept[at].path) for at in order] == [bodies[at] for at in order]
    assert len(opened) == 4
    for row in (40, 4000):
        with pytest.raises(OSError, match="no such row"):
            run.read(f"parquet/part-00000.parquet#{row}")


def test_a_large_row_group_is_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies_parquet, "GROUP_SIZE", 1000)
    monkeypatch.setattr(parquet_reader, "_MOST_CACHED", 1000)
    folder = run_folder(tmp_path)
    large, small = stored(folder, *numbered([fetched(folder, body_of(5000)), fetched(folder, body_of(10))]))
    reader = parquet_reader.PartReader()
    path = folder.path / "parquet" / "part-00000.parquet"
    assert [bytes(reader._body(path, row)) for row in (0, 1, 0)] == [body_of(5000), body_of(10), body_of(5000)]
    assert [len(group.rows) for group in reader._groups] == [1]
    assert (large.path, small.path) == ("parquet/part-00000.parquet#0", "parquet/part-00000.parquet#1")


def test_a_row_that_is_fetched_again_has_a_greater_generation(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    first = store_in(folder)
    first.store([failed_result(Cause.TIMEOUT)])
    first.finish()
    again = store_in(folder, first.state(), generation=1)
    again.store([fetched(folder)])
    again.finish()
    assert [(row["generation"], row["ok"]) for row in rows(folder)] == [(0, False), (1, True)]
    assert len(parts(folder)) == 2


@given(any_text, st.binary(max_size=9).map(lambda raw: raw.decode("utf-8", "surrogateescape")))
@examples(60)
def test_any_text_can_be_kept(tmp_path_factory: pytest.TempPathFactory, text: str, value: str) -> None:
    folder = run_folder(tmp_path_factory.mktemp("parquet"))
    texts = dict.fromkeys(("url", "final_url", "label", "reason", "error", "content_type", "remote"), text)
    stored(
        folder,
        replace(
            fetched(folder, **texts),
            headers=header_map([(value, value), ("X", text.encode("utf-8", "replace").decode())]),
        ),
    )
    (row,) = rows(folder)
    assert row["url"] == row["remote"] == text.encode("utf-8", "backslashreplace").decode()
    assert row["headers"][1]["value"] == text.encode("utf-8", "replace").decode()


# --- row groups and parts ---


def test_a_part_is_there_when_it_is_whole(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    store = store_in(folder)
    assert store.store(numbered(fetched(folder, body_of(size)) for size in SIZES)) == []
    assert parts(folder) == []
    assert store.state() == {"parts": 0}
    assert [result.index for result in store.finish()] == list(range(len(SIZES)))
    assert parts(folder) == ["part-00000.parquet"]
    assert store.state() == {"parts": 1}
    assert store.finish() == []
    assert store.state() == {"parts": 1}


def test_a_part_is_full_by_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies_parquet, "PART_ROWS", 3)
    folder = run_folder(tmp_path)
    store = store_in(folder)
    kept = store.store(numbered(fetched(folder) for _ in range(7)))
    assert [result.index for result in kept] == list(range(6))
    assert [result.index for result in store.finish()] == [6]
    assert [row["index"] for row in rows(folder)] == list(range(7))
    assert len(parts(folder)) == 3


def test_a_part_is_full_by_the_size_of_its_bodies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies_parquet, "PART_SIZE", 1000)
    folder = run_folder(tmp_path)
    store = store_in(folder)
    too_large = make_result(cause=Cause.TOO_LARGE, size=10**9)
    assert store.store([fetched(folder, bytes(999)), too_large]) == []
    assert len(store.store([fetched(folder, b"1")])) == 3


def test_a_part_is_full_by_the_bodies_that_its_results_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies_parquet, "PART_HELD", 1000)
    folder = run_folder(tmp_path)
    store = store_in(folder)
    kept = store.store([replace(fetched(folder, bytes(500)), body=bytes(500)) for _ in range(3)])
    assert [len(result.body) for result in kept] == [500, 500]
    store.close()


def test_a_part_does_not_get_old(tmp_path: Path, clock: Clock) -> None:
    folder = run_folder(tmp_path)
    store = store_in(folder)
    assert store.store([fetched(folder)]) == []
    clock.now += 9.9
    assert store.store([fetched(folder)]) == []
    clock.now += 0.2
    assert len(store.store([fetched(folder)])) == 3
    assert store.store([fetched(folder)]) == []
    clock.now += 10
    assert len(store.store([])) == 1


def test_row_groups_are_bounded_by_rows(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    stored(folder, *(make_result() for _ in range(2500)))
    assert groups(folder) == [1000, 1000, 500]


def test_row_groups_are_bounded_by_bytes_and_a_large_body_is_alone_in_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies_parquet, "GROUP_SIZE", 1000)
    folder = run_folder(tmp_path)
    sizes = [400, 400, 400, 5000, 1, 1, 1000, 0]
    stored(folder, *(fetched(folder, body_of(size)) for size in sizes))
    assert groups(folder) == [2, 1, 1, 2, 1, 1]
    assert [row["body"] for row in rows(folder)] == [body_of(size) for size in sizes]


def test_row_groups_and_parts_are_bounded_by_the_headers_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies_parquet, "GROUP_SIZE", 1_000_000)
    monkeypatch.setattr(bodies_parquet, "PART_HELD", 3_000_000)
    folder = run_folder(tmp_path)
    store = store_in(folder)
    kept = store.store([make_result(headers=[("X-Long", "x" * 60_000)], index=number) for number in range(60)])
    assert len(kept) == 50
    store.close()
    assert max(groups(folder)) == 4  # a row takes four times 60 kB while they are written


WRITES = """
import sys
import pyarrow as pa
sys.path[:0] = sys.argv[1:3]
from pathlib import Path
from support.store import fetched, run_folder
from fetchq.core.row_set import RowSet
from fetchq.store.sinks.bodies_parquet import ParquetStore
folder = run_folder(Path(sys.argv[3]))
store = ParquetStore(folder.path, 0)
store.restore(None, RowSet())
results = [fetched(folder, bytes([number]) * 1_200_000, index=number) for number in range(12)]
before = pa.total_allocated_bytes()
store.store(results)
store.finish()
print(pa.default_memory_pool().max_memory() - before)
"""


def test_the_bodies_of_a_row_group_are_not_all_encoded_before_the_first_is_written(tmp_path: Path) -> None:
    """pyarrow looks at the size of a page after `_BATCH` values only; a page is in memory twice."""
    tests, root = Path(__file__).parent.parent, Path(__file__).parent.parent.parent
    command = [sys.executable, "-c", WRITES, str(tests), str(root), str(tmp_path)]
    held = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert held < 40_000_000  # 58 MB if all twelve are, 29 if four at a time


def test_what_is_kept_back_holds_no_bodies_once_they_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies_parquet, "GROUP_SIZE", 1_000_000)
    folder = run_folder(tmp_path)
    store = store_in(folder)
    store.store([fetched(folder)])
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(400):
            store.store([fetched(folder, os.urandom(50_000), index=number)])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 5_000_000
    assert len(store.finish()) == 401


def test_a_spooled_body_is_read_when_its_row_group_is_written(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    results = [fetched(folder, body_of(300_000)) for _ in range(20)]
    store = store_in(folder)
    tracemalloc.start()
    try:
        store.store(results)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
    assert len(temporary(folder)) == 21
    store.finish()
    assert temporary(folder) == []


# --- large bodies ---


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """From 1 MB on, bodies are large ones."""
    monkeypatch.setattr(bodies_parquet, "LARGE_BODY", 999_999)
    monkeypatch.setattr(large_parquet, "LARGE_BODY", 999_999)


@pytest.mark.usefixtures("large")
def test_a_large_body_gets_its_own_part_which_every_reader_takes(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    sizes = [10, 1_000_000, 20, 1_234_567, 30]
    kept = stored(folder, *numbered(fetched(folder, body_of(size)) for size in sizes))
    assert {result.index: result.path for result in kept} == {
        **{index: f"parquet/part-00000.parquet#{at}" for at, index in enumerate((0, 2, 4))},
        1: "parquet/part-00001.parquet#0",
        3: "parquet/part-00002.parquet#0",
    }
    assert {row["index"]: row["body"] for row in rows(folder)} == {at: body_of(size) for at, size in enumerate(sizes)}
    assert {row["index"]: row["path"] for row in rows(folder)} == {result.index: result.path for result in kept}
    files = f"'{folder.path}/parquet/*.parquet'"
    assert duckdb.sql(f"SELECT count(*) FROM {files} WHERE sha256(body) = sha256").fetchall() == [(5,)]
    run = StoredBodies(folder.path)
    assert [run.read(result.path or "") for result in kept] == [body_of(result.size) for result in kept]
    assert {(folder.path / "parquet" / name).stat().st_mode & 0o777 for name in parts(folder)} == {0o600}
    assert temporary(folder) == []


def test_a_large_body_is_in_memory_neither_when_it_is_written_nor_when_it_is_read(tmp_path: Path) -> None:
    size = large_parquet.LARGE_BODY + 1
    folder = run_folder(tmp_path)
    result = fetched(folder, bytes(size))
    pool = pa.default_memory_pool()
    before = pool.max_memory()
    tracemalloc.start()
    try:
        (kept,) = stored(folder, result)
        with PartReader().opened(folder.path / "parquet/part-00000.parquet", 0) as opened:
            assert sum(map(len, opened.pieces)) == kept.size == size
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()
    assert pool.max_memory() < max(before, 1) + 2_000_000


@pytest.mark.usefixtures("large")
def test_a_large_body_that_cannot_be_read_costs_its_own_row_only(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    results = [fetched(folder, body_of(1_000_000), index=0), fetched(folder, b"two", index=1)]
    lose_spool(folder, results[0])
    kept = {result.index: result for result in stored(folder, *results)}
    assert (kept[0].cause, kept[0].path) == (Cause.STORE, None)
    assert kept[0].error == "the body cannot be stored: No such file or directory"
    assert {row["index"]: (row["cause"], row["body"]) for row in rows(folder)} == {
        0: ("store", None),
        1: (None, b"two"),
    }
    assert temporary(folder) == []


@pytest.mark.usefixtures("large")
def test_a_disk_that_is_full_at_a_large_body_ends_the_run(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    result = fetched(folder, body_of(1_000_000))
    store = store_in(folder)
    with (
        files_of_at_most(500_000),
        pytest.raises(StorageError, match="File too large"),
    ):
        store.store([result])
    store.close()
    assert store.state() == {"parts": 0}
    assert temporary(folder) == []


@pytest.mark.usefixtures("large")
def test_a_damaged_part_of_a_large_body_is_no_body(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    (kept,) = stored(folder, fetched(folder, body_of(1_000_000)))
    path = folder.path / "parquet/part-00000.parquet"
    data = path.read_bytes()
    prefix = (1_000_000).to_bytes(4, "little")
    path.write_bytes(data.replace(prefix, bytes(4)))
    with pytest.raises(OSError, match="it is damaged"):
        StoredBodies(folder.path).read(kept.path or "")


# --- what is not kept ---


def test_a_cancelled_row_is_passed_on_at_once_and_is_in_no_part(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    store = store_in(folder)
    cancelled = failed_result(Cause.CANCELLED, index=1)
    assert store.store([cancelled]) == [cancelled]
    assert store.finish() == []
    assert store.store([fetched(folder), cancelled, failed_result(Cause.DNS, index=2)]) == [cancelled]
    assert [result.index for result in store.finish()] == [0, 2]
    assert [row["index"] for row in rows(folder)] == [0, 2]


def test_parts_that_no_commit_knows_of_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies_parquet, "PART_ROWS", 1)
    folder = run_folder(tmp_path)
    store = store_in(folder)
    store.store(numbered(fetched(folder) for _ in range(2)))
    state = store.state()
    store.store([fetched(folder, index=9) for _ in range(3)])
    (folder.path / "parquet" / "notes.txt").write_text("mine")
    store = store_in(folder, state)
    assert parts(folder) == ["notes.txt", "part-00000.parquet", "part-00001.parquet"]
    store.store([fetched(folder, index=2)])
    (folder.path / "parquet" / "notes.txt").unlink()
    assert [row["index"] for row in rows(folder)] == [0, 1, 2]
    assert store_in(folder).state() == {"parts": 0}
    assert parts(folder) == []


def test_a_store_that_is_closed_gives_up_what_it_kept_back(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    store = store_in(folder)
    store.store([fetched(folder, body_of(size)) for size in SIZES])
    assert temporary(folder) != []
    store.close()
    assert temporary(folder) == []
    assert parts(folder) == []
    store.close()
    gc.collect()


def test_a_body_that_cannot_be_read_costs_its_own_row_only(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    results = [fetched(folder, b"one"), fetched(folder, body_of(300_000)), fetched(folder, b"three")]
    lose_spool(folder, results[1])
    kept = stored(folder, *results)
    assert [result.cause for result in kept] == [None, Cause.STORE, None]
    assert kept[1].error == "the body cannot be stored: No such file or directory"
    assert [(row["ok"], row["cause"], row["body"]) for row in rows(folder)] == [
        (True, None, b"one"),
        (False, "store", None),
        (True, None, b"three"),
    ]
    assert kept[1].path is None


def test_a_body_beyond_what_parquet_can_hold_costs_its_own_row_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies_parquet, "LARGEST", 99_999)
    folder = run_folder(tmp_path)
    kept = stored(folder, fetched(folder, body_of(100_000)), fetched(folder, b"two"))
    assert [result.error for result in kept] == ["a body of 100000 bytes, which is more than Parquet can hold", None]
    assert [row["body"] for row in rows(folder)] == [None, b"two"]
    assert temporary(folder) == []


# --- disks ---


@pytest.mark.parametrize("rows_in_group", [1, 1000])
def test_a_full_disk_ends_the_run_and_keeps_what_was_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows_in_group: int
) -> None:
    monkeypatch.setattr(bodies_parquet, "GROUP_ROWS", rows_in_group)
    folder = run_folder(tmp_path)
    store = store_in(folder)
    writer = Writer(store=store)
    writer.commit([fetched(folder, b"first")])
    writer.finish()
    state = store.state()

    def write_all() -> None:
        writer.commit([fetched(folder, os.urandom(50_000)) for _ in range(10)])
        writer.finish()

    with files_of_at_most(60_000), pytest.raises(StorageError, match="File too large"):
        write_all()
    assert list(writer.finish()) == []
    store.close()
    gc.collect()
    assert store.state() == state
    assert temporary(folder) == []
    assert [row["body"] for row in rows(folder)] == [b"first"]


def test_what_does_not_reach_the_disk_is_not_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = run_folder(tmp_path)
    store = store_in(folder)
    writer = Writer(store=store)
    writer.commit([fetched(folder)])

    def fail(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageError, match="Input/output error"):
        writer.finish()
    store.close()
    assert parts(folder) == temporary(folder) == []
    assert store.state() == {"parts": 0}


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    outside = tmp_path / "outside"
    outside.mkdir()
    (folder.path / "parquet").symlink_to(outside)
    with pytest.raises(NotADirectoryError):
        store_in(folder)

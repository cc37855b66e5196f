"""Bodies as files: whole under their final names or not there, never outside the run's folder."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from support.factories import make_result

from fetchq.core import disk as storage
from fetchq.core.body_spool import MAX_IN_MEMORY, Spool
from fetchq.core.disk import StorageError
from fetchq.core.model import Cause, Result
from fetchq.core.row_set import RowSet
from fetchq.store.folder import RunFolder
from fetchq.store.sinks import bodies_files
from fetchq.store.sinks.bodies_files import FileStore


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "run")
    folder.make()
    folder.sweep()
    return folder


def store_in(folder: RunFolder, generation: int = 0, done: tuple[int, ...] = ()) -> FileStore:
    store = FileStore(folder.path, generation)
    rows = RowSet()
    for row in done:
        rows.add(row)
    store.restore(None, rows)
    return store


def with_body(folder: RunFolder, index: int, body: bytes, **changes: Any) -> Result:
    spool = Spool(str(folder.path))
    for at in range(0, len(body), MAX_IN_MEMORY):
        spool.add(body[at : at + MAX_IN_MEMORY])
        if spool.due:
            spool.write()
    return make_result(index=index, _spool=spool, content_type="text/plain", **changes)


def left(folder: RunFolder) -> list[Path]:
    return list(folder.temporary.iterdir())


@pytest.mark.parametrize("count", [1, 3, 20])
def test_each_body_is_a_file_and_its_result_says_where(folder: RunFolder, count: int) -> None:
    bodies = [bytes([number]) * size for number, size in enumerate([1, MAX_IN_MEMORY, MAX_IN_MEMORY + 1, 500_000] * 5)][
        :count
    ]
    results = [with_body(folder, index * 300, body) for index, body in enumerate(bodies)]
    stored = store_in(folder).store([*results, make_result(index=9_999)])
    assert [result.index for result in stored] == [*(index * 300 for index in range(count)), 9_999]
    for result, body in zip(stored, bodies, strict=False):
        assert result.path == f"bodies/{result.index // 1000:06d}/{result.index:08d}-example.org.txt"
        assert (folder.path / result.path).read_bytes() == body
        assert result._spool is None
        assert result.timing.store > 0
        assert result.elapsed == pytest.approx(0.5 + result.timing.store)
    assert stored[-1].path is None
    assert left(folder) == []


def test_what_an_uncommitted_batch_has_left_is_swept_and_the_rest_stays(folder: RunFolder) -> None:
    store_in(folder).store([with_body(folder, index, b"x") for index in range(4)])
    store_in(folder, done=(0, 2))
    assert sorted(one.name[:8] for one in (folder.path / "bodies" / "000000").iterdir()) == ["00000000", "00000002"]


def test_a_retry_leaves_the_earlier_body_and_sweeps_only_its_own(folder: RunFolder) -> None:
    store_in(folder).store([with_body(folder, 0, b"first")])
    (second,) = store_in(folder, 1, done=()).store([with_body(folder, 0, b"second")])
    assert second.path == "bodies/000000/00000000~1-example.org.txt"
    store_in(folder, 1, done=())
    assert [one.read_bytes() for one in (folder.path / "bodies" / "000000").iterdir()] == [b"first"]


def test_a_link_where_a_body_goes_is_replaced_and_not_followed(folder: RunFolder, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(b"mine")
    store = store_in(folder)
    subfolder = folder.path / "bodies" / "000000"
    subfolder.mkdir()
    (subfolder / "00000000-example.org.txt").symlink_to(precious)
    (result,) = store.store([with_body(folder, 0, b"x")])
    assert precious.read_bytes() == b"mine"
    assert (folder.path / str(result.path)).read_bytes() == b"x"


@pytest.mark.parametrize("where", ["bodies", "bodies/000000"])
def test_a_link_where_a_folder_of_bodies_goes_is_not_followed(folder: RunFolder, tmp_path: Path, where: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    if where == "bodies":
        (folder.path / "bodies").symlink_to(elsewhere)
        with pytest.raises(NotADirectoryError):
            store_in(folder)
    else:
        store = store_in(folder)
        (folder.path / where).symlink_to(elsewhere)
        (result,) = store.store([with_body(folder, 0, b"x")])
        assert result.cause is Cause.STORE
    assert list(elsewhere.iterdir()) == []


@pytest.fixture
def on_a_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has every call made through `os`, also where the folder is in memory."""
    monkeypatch.setattr(bodies_files, "memory_files", lambda _: None)


@pytest.mark.usefixtures("on_a_disk")
@pytest.mark.parametrize("step", ["open", "write", "fsync", "rename"])
@pytest.mark.parametrize("size", [10, 100_000])
def test_a_file_that_cannot_be_stored_costs_its_own_row_only(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, step: str, size: int
) -> None:
    results = [with_body(folder, index, bytes([index]) * size) for index in range(3)]
    broken = _broken(monkeypatch, step, errno.EIO, only=1)
    stored = store_in(folder).store(results)
    assert broken or (step in ("open", "write") and size > MAX_IN_MEMORY)  # a big one was written on its way here
    assert [result.cause for result in stored] == [None, Cause.STORE if broken else None, None]
    if broken:
        assert (stored[1].ok, stored[1].path) == (False, None)
        assert stored[1].error == "the body cannot be stored: Input/output error"
    for result in (stored[0], stored[2]):
        assert (folder.path / str(result.path)).stat().st_size == size
    monkeypatch.undo()
    assert left(folder) == []


@pytest.mark.usefixtures("on_a_disk")
@pytest.mark.parametrize("step", ["open", "write", "fsync", "rename"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS])
def test_a_full_disk_stops_the_run(folder: RunFolder, monkeypatch: pytest.MonkeyPatch, step: str, code: int) -> None:
    store, result = store_in(folder), with_body(folder, 0, b"x")
    _broken(monkeypatch, step, code, only=0)
    with pytest.raises(StorageError, match=os.strerror(code)):
        store.store([result])


def _broken(monkeypatch: pytest.MonkeyPatch, step: str, code: int, *, only: int) -> list[int]:
    """Have the call number `only` of that kind fail. The list is filled when it has."""
    calls, failed = [0], []

    def failing(real: Any) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            number = calls[0]
            calls[0] += 1
            if number == only:
                failed.append(number)
                raise OSError(code, os.strerror(code), "a file")
            return real(*args, **options)

        return call

    name = {"rename": "replace"}.get(step, step)
    monkeypatch.setattr(os, name, failing(getattr(os, name)))
    return failed


def test_many_files_are_brought_to_the_disk_at_once_and_one_by_one_where_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [str(tmp_path / str(number)) for number in range(20)]
    for path in paths:
        Path(path).touch()
    synced: list[int] = []
    monkeypatch.setattr(storage.os, "fsync", synced.append)
    monkeypatch.setattr(storage, "_syncfs", lambda: lambda _: 0)
    assert storage.sync_files(paths) == {}
    assert synced == []
    monkeypatch.setattr(storage, "_syncfs", lambda: lambda _: -1)
    assert storage.sync_files(paths) == {}
    assert len(synced) == 20
    monkeypatch.setattr(storage, "_syncfs", lambda: None)
    assert list(storage.sync_files([*paths, "/nowhere/at/all"])) == ["/nowhere/at/all"]

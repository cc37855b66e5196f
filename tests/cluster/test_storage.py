"""Where the files of a job are: the same in a folder and in what fsspec knows."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from fetchq.cluster.job import JobError, open_job
from fetchq.cluster.opened_storage import is_url, open_storage
from fetchq.cluster.storage import JobStorage, check_writable
from fetchq.core.disk import StorageError


@pytest.fixture(params=["folder", "memory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[JobStorage]:
    place = str(tmp_path / "job") if request.param == "folder" else f"memory://{uuid4().hex}"
    yield (found := open_storage(place))
    found.delete("")


def test_a_file_has_what_was_written(storage: JobStorage, tmp_path: Path) -> None:
    check_writable(storage)
    storage.write("a/b", b"first")
    storage.write("a/b", b"0123456789")
    assert storage.read("a/b") == b"0123456789"
    assert storage.read("a/b", 3, 4) == b"3456"
    (tmp_path / "file").write_bytes(b"uploaded")
    storage.upload(tmp_path / "file", "a/c")
    for name in ("one", "two"):
        (tmp_path / name).write_bytes(name.encode())
    storage.upload_all({"x/one": tmp_path / "one", "x/y/two": tmp_path / "two"})
    storage.copy("a/c", "z/copied")
    assert storage.names("a") == ["b", "c"]
    assert storage.names("x") == ["one", "y"]
    assert storage.names("nowhere") == []
    assert [storage.read(name) for name in ("a/c", "x/y/two", "z/copied")] == [b"uploaded", b"two", b"uploaded"]
    with storage.local_copy("x/one") as path:
        assert path.read_bytes() == b"one"
    storage.delete("x")
    assert not storage.exists("x/one")
    assert storage.exists("a/b")


def test_a_file_is_created_once(storage: JobStorage) -> None:
    assert storage.create("done/1", b"mine")
    assert not storage.create("done/1", b"yours")
    assert storage.read("done/1") == b"mine"


def test_what_is_missing_says_so(storage: JobStorage) -> None:
    with pytest.raises(FileNotFoundError):
        storage.read("nowhere")
    with pytest.raises(FileNotFoundError), storage.local_copy("nowhere"):
        pass
    storage.delete("nowhere")
    with pytest.raises(JobError, match="there is no job in"):
        open_job(storage)


def test_what_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        open_storage(str(tmp_path / "file")).write("a", b"")
    (tmp_path / "job").mkdir()
    with pytest.raises(StorageError, match="cannot be written: No such file"):
        open_storage(str(tmp_path / "job")).upload(tmp_path / "gone", "a")
    for url in ("nosuch://a/b", "s3-but-not-known://b"):
        with pytest.raises(StorageError, match="cannot be used"):
            open_storage(url)


@pytest.mark.parametrize("content", [b"", b"[]", b"nonsense", b'{"format": 1}', b'{"format": 2}'])
def test_a_job_file_that_is_none_is_an_error(content: bytes, tmp_path: Path) -> None:
    storage = open_storage(str(tmp_path))
    storage.write("job.json", content)
    with pytest.raises(JobError, match=r"is damaged|another version"):
        open_job(storage)


def test_a_folder_is_known_from_a_url(tmp_path: Path) -> None:
    assert is_url("s3://bucket/job")
    assert is_url("simplecache::s3://bucket/job")
    assert not is_url("job")
    assert not is_url(f"file://{tmp_path}")
    open_storage(f"file://{tmp_path}/a%20b").write("x", b"")
    assert (tmp_path / "a b/x").exists()


def test_a_storage_shows_no_password_and_is_not_sent_with_its_connections() -> None:
    storage = open_storage("memory://user:secret@host/job")
    assert "secret" not in storage.shown
    with pytest.raises(Exception, match="pickle"):
        pickle.dumps(storage.scratch())

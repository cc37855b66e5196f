"""MemoryFiles: files on a file system in memory, without releasing the GIL."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path
from time import sleep
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fetchq.core.body_spool import create_file
from fetchq.core.memory_files import MemoryFiles, memory_files

linux = pytest.mark.skipif(sys.platform != "linux", reason="keeps the GIL on Linux alone")


class OfOs:
    create = staticmethod(create_file)


@pytest.fixture(params=[OfOs, pytest.param(MemoryFiles, marks=linux)])
def calls(request: pytest.FixtureRequest) -> Any:
    return request.param()


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=70_000))
def test_a_file_has_the_content_that_it_is_given_and_is_for_its_owner_alone(
    tmp_path: Path, calls: Any, data: bytes
) -> None:
    file = tmp_path / "é.bin"
    file.unlink(missing_ok=True)
    calls.create(str(file), data)
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_bytes() == data


def test_a_failure_is_the_exception_that_os_raises(tmp_path: Path, calls: Any) -> None:
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(FileExistsError) as existing:
        calls.create(str(tmp_path / "file"), b"new")
    assert existing.value.filename == str(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"old"
    with pytest.raises(FileNotFoundError) as missing:
        calls.create(str(tmp_path / "none" / "file"), b"")
    assert missing.value.filename == str(tmp_path / "none" / "file")


@linux
def test_a_file_that_cannot_be_written_whole_is_not_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(descriptor: int, view: memoryview) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    calls: Any = MemoryFiles()
    monkeypatch.setattr(calls, "_write", lambda *_: -1)
    monkeypatch.setattr(os, "write", write)
    with pytest.raises(OSError, match="No space"):
        calls.create(str(tmp_path / "file"), b"0123456789")
    assert list(tmp_path.iterdir()) == []


@linux
def test_what_is_written_in_part_is_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: Any = MemoryFiles()
    write = calls._write
    monkeypatch.setattr(calls, "_write", lambda descriptor, data, size: write(descriptor, data, size // 2))
    calls.create(str(tmp_path / "file"), b"0123456789")
    assert (tmp_path / "file").read_bytes() == b"0123456789"


@linux
@pytest.mark.parametrize("folder", ["/dev/shm", "/proc", "/", "."])  # only looked at
def test_only_a_file_system_in_memory_gets_the_calls_that_keep_the_gil(folder: str) -> None:
    kind = subprocess.check_output(["stat", "-f", "-c", "%T", folder], text=True).strip()
    assert (memory_files(folder) is not None) == (kind in {"tmpfs", "ramfs"})


@linux
def test_no_other_thread_runs_between_the_calls_in_memory(tmp_path: Path) -> None:
    calls, turns, ended, interval = MemoryFiles(), [0], threading.Event(), sys.getswitchinterval()

    def run() -> None:
        while not ended.is_set():
            turns[0] += 1
            sleep(0.0001)  # and then it wants the GIL

    other = threading.Thread(target=run)
    other.start()
    try:
        sys.setswitchinterval(60)  # otherwise the other thread would ask for the GIL after 5 ms
        while turns[0] < 10:
            sleep(0.001)
        before = turns[0]
        for number in range(50):
            calls.create(f"{tmp_path}/{number}", b"x")
        after = turns[0]
    finally:
        sys.setswitchinterval(interval)
        ended.set()
        other.join()
    assert before == after

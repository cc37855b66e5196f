"""The folder of a run: what may be done with which, and that only one process does it."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fetchq.store.folder import FolderError, RunFolder
from fetchq.store.wiping import wipe


@pytest.mark.parametrize("content", [[], ["run.db"], ["lock"], ["lock", "bodies", "input"]])
def test_a_folder_that_is_empty_or_a_runs_is_taken(tmp_path: Path, content: list[str]) -> None:
    for name in content:
        (tmp_path / name).touch()
    RunFolder(tmp_path).check()


def test_a_folder_that_is_not_there_is_made(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "a" / "b")
    folder.check()
    folder.make()
    assert folder.path.is_dir()


@pytest.mark.parametrize("content", [["letters"], ["bodies"], [".hidden"]])
def test_a_folder_with_other_things_is_refused(tmp_path: Path, content: list[str]) -> None:
    for name in content:
        (tmp_path / name).mkdir()
    with pytest.raises(FolderError, match="holds other files"):
        RunFolder(tmp_path).check()


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FolderError, match="is not a folder"):
        RunFolder(tmp_path / "file").check()


def test_a_second_one_is_kept_out_at_once_also_in_another_process(tmp_path: Path) -> None:
    with RunFolder(tmp_path):
        with pytest.raises(FolderError, match="another fetchq is at work"), RunFolder(tmp_path):
            pass
        program = f"from fetchq.store.folder import RunFolder\nwith RunFolder({str(tmp_path)!r}): pass"
        ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        assert "another fetchq is at work" in ended.stderr
    with RunFolder(tmp_path):
        pass


def _hold(path: str, ready: object) -> None:
    with RunFolder(path):
        ready.set()  # type: ignore[attr-defined]
        os.kill(os.getpid(), 9)


def test_a_kill_leaves_no_lock(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=_hold, args=(str(tmp_path), ready))
    process.start()
    process.join()
    assert ready.is_set()
    with RunFolder(tmp_path):
        pass


def test_sweeping_leaves_an_empty_temporary_folder(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.sweep()
    (folder.temporary / "1-1").write_bytes(b"half")
    folder.sweep()
    assert list(folder.temporary.iterdir()) == []


def test_a_link_in_place_of_the_temporary_folder_is_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").touch()
    folder = RunFolder(tmp_path / "run")
    folder.make()
    folder.temporary.symlink_to(elsewhere)
    folder.sweep()
    assert (elsewhere / "precious").exists()
    assert not folder.temporary.is_symlink()


def test_throwing_a_run_away_leaves_what_is_not_its_own(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.make()
    for name in ("run.db", "run.db-wal", "run.db-journal", "notes.txt"):
        (folder.path / name).touch()
    (folder.path / "bodies" / "000000").mkdir(parents=True)
    (folder.path / "warc").symlink_to(tmp_path)
    wipe(folder)
    assert [one.name for one in folder.path.iterdir()] == ["notes.txt"]
    assert tmp_path.exists()


def test_a_run_that_is_thrown_away_loses_its_ledger_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def kill(*_: object) -> None:
        raise KeyboardInterrupt

    folder = RunFolder(tmp_path)
    (folder.path / "bodies" / "000000").mkdir(parents=True)
    folder.ledger.touch()
    monkeypatch.setattr(shutil, "rmtree", kill)
    with pytest.raises(KeyboardInterrupt):
        wipe(folder)
    assert not folder.ledger.exists()  # it would say that bodies are there which may not be

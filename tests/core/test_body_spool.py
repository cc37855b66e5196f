"""Spool: a body on its way to the disk."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fetchq.core.body_spool import MAX_IN_MEMORY, LinkedSpool, Spool


@pytest.fixture
def folder(tmp_path: Path) -> str:
    (tmp_path / "tmp").mkdir()
    return str(tmp_path)


def files(folder: str) -> list[Path]:
    return list((Path(folder) / "tmp").iterdir())


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(st.integers(0, 100_000), max_size=12))
def test_the_pieces_come_out_as_they_went_in_and_few_bytes_stay_in_memory(folder: str, pieces: list[int]) -> None:
    spool, body = Spool(folder), b""
    for number, size in enumerate(pieces):
        piece = bytes([number]) * size
        spool.add(piece)
        body += piece
        if spool.due:
            spool.write()
        assert spool.in_memory <= 300_000
    assert spool.size == len(body)
    content = spool.content()
    assert (content is None) == bool(files(folder))
    path = Path(spool.path())
    assert (path.read_bytes() if content is None else content) == body
    assert path.read_bytes() == body
    path.unlink()


def test_a_small_body_never_touches_the_disk(folder: str) -> None:
    spool = Spool(folder)
    spool.add(b"x" * MAX_IN_MEMORY)
    assert not spool.due
    assert spool.content() == b"x" * MAX_IN_MEMORY
    spool.discard()
    assert files(folder) == []


def test_what_is_discarded_is_gone(folder: str) -> None:
    spool = Spool(folder)
    spool.add(b"x" * (MAX_IN_MEMORY + 1))
    assert spool.due
    spool.write()
    assert len(files(folder)) == 1
    spool.discard()
    spool.discard()
    assert files(folder) == []
    assert spool.in_memory == 0


def test_a_write_that_was_on_its_way_when_it_was_discarded_leaves_nothing(folder: str) -> None:
    spool = Spool(folder)
    spool.add(b"x" * (MAX_IN_MEMORY + 1))
    spool.write()
    spool.add(b"y")
    spool.discard()
    spool.write()
    assert files(folder) == []


def test_a_folder_that_is_gone_is_an_oserror(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path / "nowhere"))
    spool.add(b"x")
    with pytest.raises(FileNotFoundError):
        spool.write()


def test_a_file_with_another_name_stays_as_it_is(folder: str) -> None:
    file = Path(folder) / "body"
    file.write_bytes(b"x" * MAX_IN_MEMORY * 5)
    spool = LinkedSpool(folder, str(file))
    spool.add(b"x" * MAX_IN_MEMORY * 5)
    assert (spool.in_memory, spool.due, spool.size, spool.content()) == (0, False, MAX_IN_MEMORY * 5, None)
    assert Path(spool.path()).samefile(file)
    spool.discard()
    assert (files(folder), file.stat().st_size, file.stat().st_nlink) == ([], MAX_IN_MEMORY * 5, 1)


def test_a_symbolic_link_gets_no_other_name(folder: str) -> None:
    (Path(folder) / "body").write_bytes(b"x")
    (Path(folder) / "link").symlink_to("body")
    with pytest.raises(OSError, match="not a plain file"):
        LinkedSpool(folder, f"{folder}/link")
    assert files(folder) == []

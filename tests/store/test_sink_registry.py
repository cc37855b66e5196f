"""The registry of sinks agrees with the settings, with the command line and with the modules that it names."""

from __future__ import annotations

from pathlib import Path

import pytest

from fetchq.cli.display import FORMATS
from fetchq.core.parsers import SAVES
from fetchq.core.row_set import RowSet
from fetchq.store.sinks import _BODY_STORES, BODY_FOLDERS, LIVE_FORMATS, RECORD_FORMATS, body_reader_for, body_store_for


def test_each_value_of_save_is_none_or_has_a_body_store() -> None:
    assert {*_BODY_STORES, "none"} == set(SAVES)
    assert len(set(BODY_FOLDERS)) == len(_BODY_STORES)


@pytest.mark.parametrize("save", _BODY_STORES)
def test_a_body_store_keeps_to_the_folder_that_the_registry_names(tmp_path: Path, save: str) -> None:
    store = body_store_for(save, tmp_path, 0)
    assert store is not None
    store.restore(None, RowSet())
    assert [one.name for one in tmp_path.iterdir()] == [_BODY_STORES[save].folder]


def test_no_body_store_is_needed_where_none_are_kept(tmp_path: Path) -> None:
    assert body_store_for("none", tmp_path, 0) is None


def test_a_reader_is_found_by_the_suffix_of_a_file() -> None:
    assert body_reader_for("warc/00000.warc.gz") is not None
    assert body_reader_for("parquet/part-00000.parquet") is not None
    assert body_reader_for("bodies/000000/00000000-a.txt") is None


def test_what_a_run_can_show_it_can_export() -> None:
    assert set(LIVE_FORMATS) <= set(RECORD_FORMATS)
    assert FORMATS == ("text", "jsonl", "csv", "none")

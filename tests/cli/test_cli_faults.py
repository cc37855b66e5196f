"""A durable run whose calls to the operating system fail: a shorter form of `scripts/torture faults`."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator

import pytest
import torture_faults


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[torture_faults.Workshop]:
    if sys.platform != "linux" or not shutil.which("gcc"):
        assert not os.environ.get("FETCHQ_REQUIRE_ALL"), "gcc is missing"
        pytest.skip("gcc is not installed")
    with torture_faults.opened(tmp_path_factory.mktemp("faults")) as workshop:
        yield workshop


@pytest.mark.parametrize(
    ("stage", "save", "mode", "kind", "error", "forever"),
    [
        ("begin", "files", "async", "write", "EIO", False),
        ("begin", "files", "threads", "rename", "EIO", True),
        ("begin", "files", "async", "open", "EIO", False),
        ("begin", "warc", "threads", "write", "ENOSPC", True),
        ("begin", "parquet", "async", "write", "ENOSPC", False),
        ("begin", "parquet", "async", "short", "EIO", True),
        ("resume", "files", "async", "other", "EIO", False),
        ("resume", "warc", "async", "write", "EIO", False),
        ("retry", "files", "async", "sync", "EIO", True),
        ("retry", "parquet", "threads", "read", "EIO", False),
    ],
)
def test_a_call_that_fails_costs_its_row_or_stops_the_run_and_what_is_kept_is_whole(
    workshop: torture_faults.Workshop, stage: str, save: str, mode: str, kind: str, error: str, forever: bool
) -> None:
    found = torture_faults.each(workshop, save, kind, stage, mode, error, forever, step=23)
    assert found.total() > 0
    assert not found["WRONG"]

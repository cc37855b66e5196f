"""The main job against a server that is not ours."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench import SIZE, server, url_of, write_list

from fetchq.server import blocks

COUNT = 2_000
VARIES = ("mode", "worker", "started", "elapsed", "timing", "remote")


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    if not shutil.which("nginx"):
        assert not os.environ.get("FETCHQ_REQUIRE_ALL"), "nginx is missing"
        pytest.skip("nginx is not installed")
    with server() as url:
        yield url


def records(base: str, folder: Path, *options: str) -> list[dict[str, object]]:
    urls = write_list(folder / "urls.txt", base, COUNT)
    command = [sys.executable, "-m", "fetchq", str(urls), "--json", *options]
    done = subprocess.run(command, capture_output=True, check=True)
    return sorted((json.loads(line) for line in done.stdout.splitlines()), key=lambda record: record["index"])


@pytest.mark.parametrize("workers", ["2", "64"])
def test_every_url_gets_one_record_with_the_right_size_and_hash(base: str, workers: str, tmp_path: Path) -> None:
    found = records(base, tmp_path, "--workers", workers)
    assert [record["index"] for record in found] == list(range(COUNT))
    for number, record in enumerate(found):
        body = b"".join(blocks(SIZE, str(number)))
        assert record["url"] == url_of(base, number)
        assert record["ok"] is True
        assert record["complete"] == "yes"
        assert record["size"] == record["wire_size"] == SIZE
        assert record["sha256"] == hashlib.sha256(body).hexdigest()


def test_the_three_modes_give_the_same_records(base: str, tmp_path: Path) -> None:
    by_mode = [records(base, tmp_path, "--workers", "8", "--mode", mode) for mode in ("async", "threads", "sync")]
    for found in by_mode:
        for record in found:
            for name in VARIES:
                del record[name]
    assert by_mode[0] == by_mode[1] == by_mode[2]

"""Rows with a priority: from lists and from Python, in every mode, and also when a run goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.cli import Cli
from support.servers import ScriptServer, by_path, late
from support.store import change_ledger, set_meta
from support.waiting import A_MOMENT

from fetchq import Cause, Request, fetch_all_sync

PRIORITIES = [9, 0, -1, 5, 1, 5, 0]
IN_ORDER = [0, 3, 5, 4, 1, 6, 2]
"""The rows that have these, as they are to go."""


@pytest.fixture
def server() -> Iterator[ScriptServer]:
    """Its first page takes so long that all others wait by then."""
    with ScriptServer(by_path({"/0": late(A_MOMENT)})) as one:
        yield one


@pytest.mark.parametrize("durable", [False, True])
def test_rows_of_a_program_go_by_priority(mode: str, durable: bool, server: ScriptServer, tmp_path: Path) -> None:
    options: dict[str, Any] = {"output": str(tmp_path / "run"), "save": "none"} if durable else {}
    rows = [Request(f"{server.url}/{index}", priority=priority) for index, priority in enumerate(PRIORITIES)]
    results = fetch_all_sync(rows, mode=mode, workers=1, **options)
    assert server.seen == [f"/{index}" for index in IN_ORDER]
    assert [result.index for result in results] == list(range(7))


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_rows_of_a_list_go_by_priority(mode: str, form: str, server: ScriptServer, cli: Cli) -> None:
    rows = [(f"{server.url}/{index}", priority) for index, priority in enumerate(PRIORITIES)]
    if form == "jsonl":
        lines = [json.dumps({"url": url, "priority": priority}) for url, priority in rows]
    else:
        lines = ["url,priority", *(f"{url},{priority}" for url, priority in rows)]
    assert cli(cli.write(f"rows.{form}", "\n".join(lines)), "--mode", mode, "-w", "1").status == 0
    assert server.seen == [f"/{index}" for index in IN_ORDER]


def test_a_run_that_goes_on_by_its_folder_alone_keeps_the_priorities(server: ScriptServer, cli: Cli) -> None:
    rows = [Request(f"{server.url}/{index}", priority=priority) for index, priority in enumerate(PRIORITIES)]
    fetch_all_sync(rows, output="run", save="none")
    change_ledger("run", "DELETE FROM records")  # as if killed before the first one
    set_meta("run", "finished", "null")
    server.log.clear()
    assert cli("resume", "run", "-w", "1").status == 0
    assert server.seen == [f"/{index}" for index in IN_ORDER]


def test_rows_that_ask_the_same_go_by_the_priority_of_the_first(server: ScriptServer, tmp_path: Path) -> None:
    rows = [Request(f"{server.url}/{page}", priority=rank) for page, rank in [("0", 9), ("a", 0), ("b", 1), ("a", 5)]]
    results = fetch_all_sync(rows, output=str(tmp_path / "run"), save="none", dedupe=True, workers=1)
    assert server.seen == ["/0", "/b", "/a"]
    assert [result._duplicate_of for result in results] == [None, None, None, 1]


@pytest.mark.parametrize("priority", ["high", 1.5, None, 10**6 + 1, float("nan"), b"1"])
def test_a_priority_that_is_none_makes_a_row_of_a_program_unusable(priority: Any, tmp_path: Path) -> None:
    rows = [Request("http://a.test/", priority=priority), Request("http://a.test/", priority=priority, problem="worse")]
    durable = {"output": str(tmp_path / "run"), "save": "none"}
    for options in ({}, durable):
        first, second = fetch_all_sync(rows, **options)
        assert first.cause is second.cause is Cause.INVALID_URL
        assert first.error == "the priority is not a whole number from -1,000,000 to 1,000,000"
        assert second.error == "worse"

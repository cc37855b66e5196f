"""How many functions and modules of fetchq one row passes on its way from the list to the disk.

`python tests/test_row_path.py` (with tests/ on PYTHONPATH) prints them, the most called first.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path
from types import FrameType

import pytest
from support.servers import ScriptServer, answer

import fetchq
from fetchq.cli import main

PACKAGE = Path(fetchq.__file__).parent
GENERATED = {"make", "change", "begin", "finish", "row_of"}
"""The functions that fetchq generates have no file."""
FEW, MANY = 300, 900
MOST_CALLS = 89
MOST_MODULES = 33
"""Two of them tell apart waiting for the network from waiting for the event loop: `http/attempt_clock` measures the
phases of an attempt, and `engines/aiohttp/turns` when the loop was free to take what had arrived. With two of them, a
row needs no `yarl.URL` and no parsed headers: `http/target` and `core/lazy_headers`. Four are the fast path, on which a
row passes fewer functions: `http/plain_head`, and in `engines/aiohttp` `fast_path`, `fast_requests` and `pausing`.
`scheduling/backlog` counts the rows that wait, in one place. `core/lazy_field` makes a time of the seconds that a
Result keeps, where a record is written. One is passed only where the run's folder is in memory: `core/memory_files`."""


def _calls_of(rows: int, url: str, folder: Path) -> Counter[tuple[str, str]]:
    """The calls of fetchq's functions, by module and name, in a durable run of that many rows with one async worker.

    A coroutine that is resumed counts like a call.
    """
    folder.mkdir()
    source = folder / "urls.txt"
    source.write_text("".join(f"{url}{number}\n" for number in range(rows)))
    calls: Counter[tuple[str, str]] = Counter()

    def count(frame: FrameType, event: str, _: object) -> None:
        if event != "call":
            return
        code = frame.f_code
        if code.co_filename.startswith(f"{PACKAGE}{os.sep}"):
            calls[os.path.relpath(code.co_filename, PACKAGE), code.co_qualname] += 1
        elif code.co_filename == "<string>" and code.co_name in GENERATED:
            calls["", code.co_name] += 1

    before = sys.getprofile()
    threading.setprofile(count)
    sys.setprofile(count)
    try:
        with pytest.raises(SystemExit) as ended:
            main([str(source), "-o", str(folder / "run"), "--quiet", "--workers", "1"])
    finally:
        threading.setprofile(None)
        sys.setprofile(before)
    assert not ended.value.code
    return calls


def calls_for_a_row(folder: Path) -> dict[tuple[str, str], float]:
    """What one row more costs, in calls of fetchq's functions by module and name. What a run costs once is left out."""
    with ScriptServer(answer(b"x" * 1000, b"Content-Type: text/html")) as server:
        _calls_of(10, f"{server.url}/", folder / "warm")  # what is imported first is not counted
        few = _calls_of(FEW, f"{server.url}/", folder / "few")
        many = _calls_of(MANY, f"{server.url}/", folder / "many")
    return {name: (many[name] - few[name]) / (MANY - FEW) for name in many}


def modules_of(calls: dict[tuple[str, str], float]) -> set[str]:
    """The modules that every second row calls at least."""
    return {module for (module, _), times in calls.items() if times >= 0.5 and module}


@pytest.mark.usefixtures("capfd")
def test_a_row_passes_few_functions_and_modules(tmp_path: Path) -> None:
    calls = calls_for_a_row(tmp_path)
    assert 40 < sum(calls.values()) <= MOST_CALLS
    assert 15 < len(modules_of(calls)) <= MOST_MODULES, sorted(modules_of(calls))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        found = calls_for_a_row(Path(place))
    print(f"{sum(found.values()):.1f} calls, {len(modules_of(found))} modules", file=sys.stderr)
    for (where, what), times in sorted(found.items(), key=lambda one: (-one[1], one[0])):
        if times >= 0.01:
            print(f"{times:6.2f}  {where or 'generated'}  {what}", file=sys.stderr)

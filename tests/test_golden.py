"""The command line says today, to the byte, what it said when the golden files were recorded: `golden/NAME.txt`.

They are of one and the same set of packages: another version of click, say, may word its errors in another way. What
has changed for good is recorded anew, and read before it is committed:

    FETCHQ_UPDATE_GOLDEN=1 .venv/bin/python -m pytest tests/test_golden.py
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from difflib import unified_diff
from pathlib import Path

import pytest
from golden.cases import CASES, Case
from golden.mask import masked
from golden.play import played, practice_server

FOLDER = Path(__file__).parent / "golden"
UPDATE = os.environ.get("FETCHQ_UPDATE_GOLDEN") == "1"


@pytest.fixture(scope="session")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a practice server."""
    with practice_server(tmp_path_factory.mktemp("web")) as url:
        yield url


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_command_line_says_what_it_said(case: Case, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if not os.path.exists("/dev/full") and any("/dev/full" in command for command in case.commands):
        pytest.skip("this machine has no /dev/full")
    needs_web = any("$WEB" in text for text in (*case.commands, *map(str, case.files.values())))
    found = played(case, tmp_path, request.getfixturevalue("web") if needs_web else None)
    file = FOLDER / f"{case.name}.txt"
    if UPDATE:
        file.write_bytes(found.encode())
        return
    recorded = file.read_bytes().decode()
    if found != recorded:
        diff = unified_diff(recorded.splitlines(), found.splitlines(), f"golden/{file.name}", "today", lineterm="")
        pytest.fail("\n".join(diff), pytrace=False)


@pytest.mark.skipif(UPDATE, reason="they are being written")
def test_every_golden_file_has_its_case() -> None:
    assert sorted(file.stem for file in FOLDER.glob("*.txt")) == sorted(case.name for case in CASES)


def test_what_varies_is_masked_and_its_columns_keep_their_width() -> None:
    line = '   200    4.4 ms      83 B      1  http://127.0.0.1:40001/?4.4 ms {"wait":0.00012345,"held":0.0,"dns":2.5}'
    shown = '   200    <time>      83 B      1  http://127.0.0.1:<raw>/?4.4 ms {"wait":<seconds>,"held":0.0,"dns":2.5}'
    assert masked(line, {}, {40001: "<raw>"}) == shown


def test_a_table_is_masked_only_if_it_is_laid_out_as_one() -> None:
    head = "worker  URLs    busy  share"
    assert masked(f"{head}\n1          2  5.1 ms   19 %", {}, {}) == (
        "worker  URLs    busy    share\n1          2  <time>  <share>"
    )
    for row in ("1         2  5.1 ms   19 %", "1          2    12 s    100 %", "1          2  5.1 ms  19 %"):
        assert masked(f"{head}\n{row}", {}, {}) == f"{head}\n{row}"

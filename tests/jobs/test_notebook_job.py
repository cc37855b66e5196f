"""A job in a notebook, run by nbclient: fetch a list with a bar, look at it, and go on with a table of pandas."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from support.servers import ScriptServer, answer, by_path, late, need

FETCH = "results = await fetchq.fetch_all(urls, workers=4, progress=True)\nresults"
IN_THE_LOOP = "again = fetchq.fetch_all_sync(urls, mode='{mode}', workers=4, progress=True)\nagain[0]"
TABLE = """
frame = results.to_pandas(include=["text"])
print(frame.groupby("status").size().to_dict(), frame["text"].str.len().sum())
frame.head()
"""
HABITS = """
import copy, dataclasses, json
failed = [one for one in results if not one.ok]
print(len(failed), failed[0].cause, len(set(results)), copy.deepcopy(results) == results)
print(dataclasses.asdict(failed[0])["status"], json.loads(json.dumps(failed[0].to_record()))["reason"])
"""
ENDLESS = """
async with fetchq.fetch_iter((urls[0] for _ in iter(int, 1)), timeout=None, progress=True) as run:
    async for result in run:
        if run.summary.total >= 20:
            break
print(run.summary.ok >= 20)
"""


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Any]]:
    """The outputs of each cell."""
    for package in ("ipykernel", "nbclient", "nbformat"):
        need(find_spec(package), f"{package} is not installed")
    from nbclient import NotebookClient
    from nbformat.v4 import new_code_cell, new_notebook

    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    missing = answer(b"gone", status=b"404 Not Found")
    with ScriptServer(by_path({"/missing": missing}, otherwise=late(0.005))) as server:
        first = f"import fetchq\nurls = [f'{server.url}/{{n}}' for n in range(40)] + ['{server.url}/missing']"
        sync, threads = (IN_THE_LOOP.format(mode=mode) for mode in ("sync", "threads"))
        sources = [first, FETCH, TABLE, HABITS, sync, threads, ENDLESS, "results.summary"]
        notebook = new_notebook(cells=[new_code_cell(source) for source in sources])
        NotebookClient(notebook, timeout=60, kernel_name="python3").execute()  # raises for an exception in a cell
    return {cell.source: cell.outputs for cell in notebook.cells}


def test_a_notebook_shows_bars_tables_and_data_frames(shown: dict[str, list[Any]]) -> None:
    bar, table = shown[FETCH]
    assert "41/41" in bar.data["text/html"]
    assert "1 failed" in bar.data["text/html"]
    assert "<table>" in table.data["text/html"]
    assert "41 Results, the first 20 of them here: 1 failed" in table.data["text/html"]
    counted, frame = shown[TABLE]
    assert counted.text == f"{{200: 40, 404: 1}} {40 * len('ok') + len('gone')}\n"
    assert "<table" in frame.data["text/html"]
    assert shown[HABITS][0].text == "1 status 41 True\n404 Not Found\n"
    for mode in ("sync", "threads"):
        bar, one = shown[IN_THE_LOOP.format(mode=mode)]
        assert "41/41" in bar.data["text/html"]
        assert "200 OK" in one.data["text/html"]
    bar, said = shown[ENDLESS]
    assert " done" in bar.data["text/html"]
    assert said.text == "True\n"
    (summary,) = shown["results.summary"]
    assert "40 ok, 1 failed" in summary.data["text/html"]

"""`fetchq.compare`: variants from Python values, in processes that share nothing with the caller's program."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from faults.server import FaultServer

import fetchq
from fetchq import Request, RunFailedError, Settings, SettingsError
from fetchq.cli.practice.server import PracticeServer
from fetchq.comparison.variants import plan_variants

MALFORMED = (r"http:\\name:secret@host/", "http:/name:secret@host/", "name:secret@host", "http://name:secret/x@host:1/")


def names(given: dict[str, Any]) -> list[str]:
    return [plan.name for plan in plan_variants(given, lambda values: Settings(**values))]


# --- the variants ---


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({}, ["sync", "threads", "async"]),
        ({"workers": ["2"]}, ["sync", "threads", "async"]),
        ({"mode": ["async"]}, ["async"]),
        ({"mode": ["async"], "workers": [2, 20]}, ["2 workers", "20 workers"]),
        ({"mode": ["async", "async", "async"]}, ["async", "async (2)", "async (3)"]),
        ({"rate": ["50/s", "10/m"], "adapt": [True, False]}, [
            *("rate 50/s, adapt", "rate 50/s, no adapt", "rate 10/m, adapt", "rate 10/m, no adapt"),
        ]),
        ({"proxy": ["http://u:p@h:1", "http://u:p@h:2", "http://u:p@h:1"]}, ["proxy #1", "proxy #2", "proxy #1 (2)"]),
        ({"timeout": [1, "2s"]}, ["timeout 1", "timeout 2s"]),
        ({"mode": ["async"], "processes": [1, 2]}, ["1 process", "2 processes"]),
        ({"mode": ["processes", "threads", "async"]}, ["processes", "threads", "async"]),
    ],
    ids=str,
)  # fmt: skip
def test_a_variant_is_named_by_what_differs(given: dict[str, Any], found: list[str]) -> None:
    assert names(given) == found


@pytest.mark.parametrize(
    ("given", "processes"), [({"workers": [5]}, 5), ({"workers": [100]}, 32), ({"workers": [9], "processes": [2]}, 2)]
)
def test_the_word_processes_stands_for_one_request_at_a_time_in_each(given: dict[str, Any], processes: int) -> None:
    (plan,) = plan_variants({"mode": ["processes"], **given}, lambda values: Settings(**values))
    assert (plan.settings.mode, plan.settings.processes, plan.shown["mode"]) == ("sync", processes, "processes")


# --- the call ---


def test_cpu_and_memory_are_those_of_all_processes(practice: PracticeServer) -> None:
    hosts = [f"host{number}.test" for number in range(4)]
    port = int(practice.url.rpartition(":")[2])
    rows = [f"http://{hosts[row % 4]}:{port}/bytes/100?{row}" for row in range(40)]
    resolve = [f"{host}:{port}:127.0.0.1" for host in hosts]
    found = fetchq.compare(
        rows, modes=("processes", "sync"), workers=2, rounds=1, settings=None, resolve=resolve, timeout=30
    )
    several, one = (variant.runs[0] for variant in found.variants)
    assert several.ok == one.ok == 40
    assert several.peak_memory > 2 * one.peak_memory
    assert several.cpu > 0


def test_a_comparison_from_python_has_the_runs_of_each_variant(practice: PracticeServer) -> None:
    rows = [f"{practice.url}/json", Request(f"{practice.url}/echo", method="POST", body=b"x", label="a")]
    found = fetchq.compare(rows, modes=("sync", "async"), workers=2, rounds=2, cold=True, seed=3, timeout="5s")
    assert [one.name for one in found.variants] == ["sync", "async"]
    assert [[run.round for run in one.runs] for one in found.variants] == [[1, 2], [1, 2]]
    assert {run.ok for one in found.variants for run in one.runs} == {2}
    assert (found.rows.count, found.rounds, found.cold, found.seed) == (2, 2, True, 3)
    assert found.variants[0].settings == {"mode": "sync", "workers": "2"}
    assert found._repr_html_().count("<td ") > 20
    assert str(found).splitlines()[0].startswith("2 URLs, 2 rounds in random order, new connections")


def test_cpu_time_and_memory_are_those_of_the_run_alone_and_nothing_is_left(practice: PracticeServer) -> None:
    held = bytearray(300_000_000)
    held[::4096] = b"x" * len(held[::4096])
    before = len(os.listdir("/dev/fd"))
    found = fetchq.compare([f"{practice.url}/json"], modes="sync", rounds=1)
    assert len(os.listdir("/dev/fd")) == before
    assert 10e6 < found.fastest.peak_memory < 200e6 < len(held)
    assert 0 < found.fastest.cpu < 5


@pytest.mark.parametrize("mode", ["sync", "threads", "async"])
def test_a_deadline_is_for_the_list_alone_without_a_warm_up(faults: FaultServer, mode: str) -> None:
    rows = [f"{faults.url}/ok", faults.url_of("hang")]
    found = fetchq.compare(rows, modes=mode, workers=1, rounds=1, deadline=1)
    assert (found.cold, found.fastest.ok, found.fastest.failed, found.fastest.unfinished) == (True, 1, 0, 1)
    assert found.fastest.mean >= 1.0
    assert [asked.path for asked in faults.log].count("/ok") == 1


def test_it_works_in_a_running_loop_and_from_a_program_without_a_main_guard(
    practice: PracticeServer, tmp_path: Path
) -> None:
    program = tmp_path / "fetchq.py"  # and modules are not looked for where the program happens to run
    program.write_text("raise SystemExit('the wrong fetchq')")
    program = tmp_path / "program.py"
    program.write_text(f"""
import asyncio, sys
sys.path.remove({str(tmp_path)!r})
import fetchq

async def main():
    return fetchq.compare(["{practice.url}/json"], modes=("async", "sync"), rounds=1)

print(asyncio.run(main()).variants[1].name)
""")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(program)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "sync\n", "")


def test_of_a_list_without_end_only_as_many_rows_are_read_as_the_limit_says(faults: FaultServer) -> None:
    endless = iter(lambda: f"{faults.url}/ok", None)
    found = fetchq.compare(endless, modes="sync", rounds=1, cold=True, limit=3)
    assert (found.rows.count, len(faults.log)) == (3, 3)
    with pytest.raises(ValueError, match="more than 100,000 rows: a limit is needed"):
        fetchq.compare(endless, modes="sync")
    assert len(faults.log) == 3


def test_a_text_is_one_value_of_a_setting(faults: FaultServer) -> None:
    found = fetchq.compare([f"{faults.url}/ok"], modes="sync", rounds=1, vary={"user_agent": "me"})
    assert [one.name for one in found.variants] == ["sync"]


WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"modes": "fast"}, SettingsError, "mode"),
    ({"modes": ()}, SettingsError, "mode: a value is needed"),
    ({"rounds": 0}, SettingsError, "rounds: 0 is below 1"),
    ({"limit": 0}, SettingsError, "limit: 0 is below 1"),
    ({"vary": {"output": ["a", "b"]}}, SettingsError, "output: it is no setting of a comparison"),
    ({"vary": {"mode": ["sync"]}, "modes": "sync"}, SettingsError, "mode: it is given twice"),
    ({"timeot": 3}, TypeError, "did you mean 'timeout'"),
    ({"settings": Settings(), "timeout": 3}, TypeError, "either settings or timeout"),
    ({"vary": {"cacert": (None, __file__)}}, SettingsError, "cacert"),
]


@pytest.mark.parametrize(("given", "kind", "said"), WRONG, ids=lambda one: str(one)[:40])
def test_what_cannot_be_compared_is_refused_before_anything_is_fetched(
    faults: FaultServer, given: dict[str, Any], kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=said):
        fetchq.compare([f"{faults.url}/ok"], **given)
    assert faults.log == []


def test_what_the_start_of_python_prints_is_no_report(
    faults: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('hello')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert fetchq.compare([f"{faults.url}/ok"], modes="async", rounds=1, cold=True).fastest.ok == 1


def test_the_failure_of_a_run_says_how_it_ended_and_can_be_pickled() -> None:
    problem = pickle.loads(pickle.dumps(RunFailedError("it ended", "Traceback\n  ...\nMemoryError: http://u:p@h/\n")))
    assert str(problem) == "it ended: MemoryError: http://***@h/"
    assert problem.output.startswith("Traceback")


@pytest.mark.parametrize("url", MALFORMED)
def test_no_password_of_a_malformed_url_is_shown(url: str) -> None:
    found = fetchq.compare([url], modes="sync", rounds=1)
    assert "***@host" in found.rows.failed[0].url
    assert "secret" not in f"{found}{found.to_json()}{found._repr_html_()}"


def test_an_empty_list_and_a_single_url_are_refused() -> None:
    with pytest.raises(ValueError, match="there are no URLs"):
        fetchq.compare([])
    with pytest.raises(TypeError, match="not a single one"):
        fetchq.compare("http://h/")


def test_settings_of_ones_own_are_those_of_every_variant(faults: FaultServer) -> None:
    mine = Settings(user_agent="mine", workers=3, mode="threads")
    found = fetchq.compare([f"{faults.url}/ok"], settings=mine, workers=(1, 2), rounds=1, cold=True)
    assert [one.settings["mode"] for one in found.variants] == ["threads", "threads"]
    assert {asked.header("user-agent") for asked in faults.log} == {"mine"}

"""Trace files: what each worker did when, as events within events, and how many attempts were under way."""

from __future__ import annotations

import json
import signal
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from faults.server import FaultServer
from hypothesis import given
from hypothesis import strategies as st
from support.cli import Cli
from support.factories import examples
from support.servers import Script, ScriptServer, answer, by_path, late
from support.signals import Handled
from support.waiting import PATIENCE

from fetchq import fetch_all_sync
from fetchq.reports.trace import UnderWay

MOMENT = 0.05
"""Seconds that the servers here let a client wait."""
SPANS = st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 10_000)).map(sorted), max_size=60)


def events(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_bytes())["traceEvents"]
    return found


def redirect(location: str) -> Script:
    return answer(b"moved", b"Location: " + location.encode(), status=b"302 Found")


def test_each_attempt_is_an_event_of_its_worker_with_its_hops_and_their_phases_within(
    mode: str, tmp_path: Path
) -> None:
    script = by_path({"/a": redirect("/b"), "/b": late(MOMENT), "/c": answer(b"no", status=b"503 Busy")})
    with ScriptServer(script) as server:
        urls = [f"{server.url}/{name}" for name in "aaccaa"]
        results = fetch_all_sync(urls, mode=mode, workers=2, retries=1, retry_wait=0, trace=tmp_path / "t.json")
    found = events(tmp_path / "t.json")
    rows = [one for one in found if one.get("cat") == "row"]
    assert len(rows) == sum(result.attempts for result in results) == 8
    assert {one["args"]["attempt"] for one in rows if one["args"]["status"] == 503} == {1, 2}
    assert len([one for one in found if one.get("cat") == "hop"]) == 8
    spent = sum(one["dur"] for one in found if one.get("cat") == "phase" and one["name"] == "wait")
    assert spent / 1e6 == pytest.approx(sum(result.timing.wait for result in results), abs=1e-4)
    assert [one["args"]["name"] for one in found if one["name"] == "process_name"] == [f"fetchq in mode {mode}"]
    names = {one["tid"]: one["args"]["name"] for one in found if one["name"] == "thread_name"}
    assert names == {number: f"worker {number}" for number in {one["tid"] for one in rows}}
    for worker in names:
        check_nesting([one for one in found if one["ph"] == "X" and one["tid"] == worker])


def check_nesting(spans: list[dict[str, Any]]) -> None:
    """Of two events of a worker, either one lies within the other, or they do not overlap."""
    open_until: list[int] = []
    for one in sorted(spans, key=lambda one: (one["ts"], -one["dur"])):
        while open_until and open_until[-1] <= one["ts"]:
            open_until.pop()
        assert not open_until or one["ts"] + one["dur"] <= open_until[-1]
        open_until.append(one["ts"] + one["dur"])


def test_the_counter_says_how_many_attempts_were_under_way(engine_mode: str, tmp_path: Path) -> None:
    with ScriptServer(late(MOMENT)) as server:
        fetch_all_sync([server.url] * 6, mode=engine_mode, workers=3, trace=tmp_path / "t.json")
    counts = [(one["ts"], one["args"]["attempts"]) for one in events(tmp_path / "t.json") if one["ph"] == "C"]
    assert counts == sorted(counts)
    assert counts[-1][1] == 0
    assert max(number for _, number in counts) == (3 if engine_mode == "async" else 1)


@examples(100)
@given(spans=SPANS, most=st.integers(2, 20))
def test_a_counter_of_a_long_run_is_coarser_and_ends_at_0(spans: list[list[int]], most: int) -> None:
    counter, exact = UnderWay(most), UnderWay(10_000)
    for began, ended in spans:
        counter.add(began, ended)
        exact.add(began, ended)
    levels = list(counter.levels())
    assert len(levels) <= most
    assert all(before < after for (before, _), (after, _) in pairwise(levels))
    if levels:
        assert levels[-1][1] == 0
    changes: dict[int, int] = defaultdict(int)
    for began, ended in spans:
        changes[began] += 1
        changes[ended] -= 1
    assert dict(exact.levels()) == {
        at: sum(change for when, change in changes.items() if when <= at) for at, change in changes.items() if change
    }


def test_after_an_interrupt_both_files_are_whole(
    cli: Cli, faults: FaultServer, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fetchq.cli.interrupts.GRACE_PERIOD", 0.1)
    name = cli.write("urls.txt", f"{faults.url}/ok\n{faults.url_of('hang')}\n" + f"{faults.url}/ok\n" * 5)
    with Handled(monkeypatch).send(signal.SIGINT, lambda: faults.wait_for_requests(2, PATIENCE)):
        done = cli(name, "-q", "-w", "1", "--mode", mode, "--har", "a.har", "--trace", "t.json")
    assert done.status == 130
    assert [one["args"]["cause"] for one in events(cli.folder / "t.json") if one.get("cat") == "row"] == [
        None,
        "cancelled",
    ]
    assert len(json.loads((cli.folder / "a.har").read_bytes())["log"]["entries"]) == 2
    assert not list(cli.folder.glob("*fetchq-part*"))

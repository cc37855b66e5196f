"""`fetchq diff OLD NEW`: what a person and what a program get to see, and the exit status."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from support.cli import Cli
from support.factories import failed_result, make_result
from support.runs import NASTY, make_run, nasty_results, renumbered
from support.terminal import ACTIVE

from fetchq.cli.practice.server import PracticeServer
from fetchq.core.model import Cause
from fetchq.core.text import without_surrogates
from fetchq.reports import diff_text

ONE, TWO = "1" * 64, "2" * 64


@pytest.fixture
def runs(tmp_path: Path) -> tuple[str, str]:
    """Two runs with one difference of each kind."""
    old = [
        make_result(url="http://h/same"),
        make_result(url="http://h/gone", method="POST"),
        make_result(url="http://h/status"),
        make_result(url="http://h/cause"),
        make_result(url="http://h/content", sha256=ONE),
        make_result(url="http://h/slower", elapsed=0.12),
        make_result(url="http://h/faster", elapsed=1.5),
    ]
    new = [
        *old[:1],
        failed_result(Cause.STATUS, url="http://h/status", status=404),
        failed_result(Cause.TIMEOUT, url="http://h/cause"),
        make_result(url="http://h/content", sha256=TWO),
        make_result(url="http://h/slower", elapsed=0.3),
        make_result(url="http://h/faster", elapsed=0.25),
        make_result(url="http://h/new", status=204),
    ]
    return tuple(  # type: ignore[return-value]
        make_run(tmp_path / name, (renumbered(one, at) for at, one in enumerate(results)))
        for name, results in (("old", old), ("new", new))
    )


def test_a_person_sees_the_counts_and_then_each_kind_of_difference(cli: Cli, runs: tuple[str, str]) -> None:
    done = cli("diff", *runs)
    assert (done.status, done.said) == (1, "")
    assert (
        done.text
        == """\
1 new, 1 gone, 2 status changed, 1 content changed, 1 slower, 1 faster

new:
  http://h/new  ok 204

gone:
  POST http://h/gone  ok 200

status changed:
  http://h/cause  ok 200 -> timeout
  http://h/status  ok 200 -> status 404

content changed:
  http://h/content  111111111111 -> 222222222222

slower:
  http://h/slower  120 ms -> 300 ms

faster:
  http://h/faster  1.50 s -> 250 ms
"""
    )


def test_a_program_gets_an_object_for_each_difference(cli: Cli, runs: tuple[str, str]) -> None:
    done = cli("diff", *runs, "--json")
    assert (done.status, done.said) == (1, "")
    found = {record["url"].rpartition("/")[2]: record for record in map(json.loads, done.lines)}
    assert found.keys() == {"new", "gone", "status", "cause", "content", "slower", "faster"}
    assert found["status"] == {
        "url": "http://h/status",
        "method": "GET",
        "change": "status",
        "old": {"status": 200, "cause": None},
        "new": {"status": 404, "cause": "status"},
        "old_index": 2,
        "new_index": 1,
    }
    assert (found["slower"]["old"], found["slower"]["new"]) == (0.12, 0.3)
    assert (found["content"]["old"], found["content"]["new"]) == (ONE, TWO)


def test_no_difference_is_said_and_is_0(cli: Cli, runs: tuple[str, str]) -> None:
    assert cli("diff", runs[0], runs[0]) == (0, b"no difference\n", b"")
    assert cli("diff", runs[0], runs[0], "--json") == (0, b"", b"")


def test_how_much_slower_counts_can_be_chosen(cli: Cli, runs: tuple[str, str]) -> None:
    for options, count in (
        ([], 2),
        (["--factor", "3"], 1),
        (["--least", "500ms"], 1),
        (["--factor=7", "--least=0"], 0),
    ):
        found = [json.loads(line)["change"] for line in cli("diff", *runs, "--json", *options).lines]
        assert len({"slower", "faster"} & set(found)) == count


def test_two_fetches_of_one_list_are_compared(cli: Cli, practice: PracticeServer) -> None:
    paths = ("json", "html", "bytes/10")
    cli.write("old.txt", "\n".join(f"{practice.url}/{path}" for path in paths))
    cli.write("new.txt", "\n".join(f"{practice.url}/{path}" for path in (*paths[1:], "status/404")))
    for name in ("old", "new"):
        cli(f"{name}.txt", "-o", name, "--quiet")
    done = cli("diff", "old", "new", "--json", "--least", "60")
    found = [(record["change"], record["url"].removeprefix(practice.url)) for record in map(json.loads, done.lines)]
    assert (done.status, found) == (1, [("gone", "/json"), ("new", "/status/404")])


@pytest.mark.parametrize("in_memory", [diff_text._IN_MEMORY, 10])
def test_values_that_would_do_harm_do_none(cli: Cli, in_memory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diff_text, "_IN_MEMORY", in_memory)
    old, new = make_run(cli.folder / "old", nasty_results()), make_run(cli.folder / "new", [])
    done = cli("diff", old, new)
    assert done.status == 1
    assert not ACTIVE.search(done.text)
    assert len(done.lines) == len(nasty_results()) + 3
    done = cli("diff", old, new, "--json")
    assert not ACTIVE.search(done.text)
    assert {without_surrogates(text) for text in NASTY} <= {json.loads(line)["url"] for line in done.lines}


def test_a_run_that_has_not_ended_is_told(cli: Cli) -> None:
    old = make_run(cli.folder / "old", [make_result()])
    new = make_run(cli.folder / "new\x1b[31m", [], finished=False)
    done = cli("diff", old, new)
    assert (done.status, done.lines[0]) == (1, "1 gone")
    assert "has not ended: 0 rows are done" in done.said
    assert not ACTIVE.search(done.said)


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["old"],
        ["old", "none"],
        ["home", "new"],
        ["old", "new", "new"],
        ["old", "new", "--factor", "0.5"],
        ["old", "new", "--factor", "nan"],
        ["old", "new", "--factor", "inf"],
        ["old", "new", "--factor", "x"],
        ["old", "new", "--least", "-1"],
        ["old", "new", "--least", "soon"],
    ],
)
def test_wrong_usage_is_2_and_one_line(cli: Cli, runs: tuple[str, str], args: list[str]) -> None:
    assert cli("diff", *args).problem


def test_a_ledger_that_is_none_ends_with_3(cli: Cli, runs: tuple[str, str]) -> None:
    (Path(runs[1]) / "run.db").write_text("something else, long enough to be looked at " * 99)
    done = cli("diff", *runs)
    assert (done.status, done.out) == (3, b"")
    assert done.said.count("\n") == 1


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_reader_that_has_seen_enough_ends_it_quietly(cli: Cli, options: list[str]) -> None:
    old = make_run(cli.folder / "old", (make_result(index=at, url=f"http://h/{at}") for at in range(5000)))
    ours, theirs = os.pipe()
    process = cli.start("diff", old, make_run(cli.folder / "new", []), *options, stdout=theirs)
    os.close(theirs)
    assert os.read(ours, 10)
    os.close(ours)
    _, err = process.communicate()
    assert (process.returncode, err) == (1, b"")

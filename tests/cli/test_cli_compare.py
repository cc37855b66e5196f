"""`fetchq compare` and `fetchq demo`: the same list in several modes, side by side."""

from __future__ import annotations

import gzip
import os
import re
import signal

import pytest
from faults.server import FaultServer
from support.cli import Cli, Ended
from support.servers import closed_port
from support.signals import Handled
from support.terminal import Terminal
from support.waiting import PATIENCE

from fetchq.cli import interrupts
from fetchq.cli.practice.server import PracticeServer
from fetchq.reports.compare_text import LEGEND
from fetchq.reports.text import HEADING

ALL = ["sync", "threads", "async"]
ROWS = ["elapsed", "sum of fetch times", "URLs at a time", "URL/s", "p50", "p99", "ok", "failed", "times as fast"]


def table(done: Ended) -> dict[str, list[str]]:
    """The rows of the comparison by their names; the modes are under 'mode'."""
    lines = done.lines[-len(ROWS) - 1 :]
    split = [re.split(r"\s{2,}", line) for line in lines]
    return {name: cells for name, *cells in split}


def seconds(cell: str) -> float:
    number, unit = cell.split()
    return float(number) * {"s": 1.0, "ms": 0.001}[unit]


def test_compare_has_a_column_for_each_mode_and_each_mode_fetches_the_whole_list(cli: Cli, faults: FaultServer) -> None:
    cli.write("urls.txt", f"{faults.url}/ok?n=1\n{faults.url}/none\n")
    done = cli("compare", "urls.txt", f"{faults.url}/ok?n=2", "--workers", "2")
    rows = table(done)
    assert done.status == 1
    assert rows["mode"] == ALL
    assert list(rows) == ["mode", *ROWS]
    assert {len(cells) for cells in rows.values()} == {3}
    assert (rows["ok"], rows["failed"]) == (["2"] * 3, ["1"] * 3)
    wanted = ["/ok?n=1", "/none", "/ok?n=2"]
    for mode in range(3):
        assert sorted(asked.target for asked in faults.log[3 * mode : 3 * mode + 3]) == sorted(wanted)
    assert len(faults.log) == 9


@pytest.mark.parametrize("modes", [["sync", "async"], ["async", "sync"], ["threads"], ["async", "async"]])
def test_compare_runs_the_modes_that_are_given_in_their_order(
    cli: Cli, practice: PracticeServer, modes: list[str]
) -> None:
    done = cli("compare", f"{practice.url}/json", *[arg for mode in modes for arg in ("--mode", mode)])
    assert done.status == 0
    assert table(done)["mode"] == modes
    assert re.findall(r"^mode (\w+), 10 workers$", done.said, re.MULTILINE) == modes


def test_compare_says_how_many_times_as_fast_as_the_slowest_each_mode_was(cli: Cli, practice: PracticeServer) -> None:
    done = cli("compare", *[f"{practice.url}/delay/0.1"] * 4, "--mode", "sync", "--mode", "async", "-w", "4")
    rows = table(done)
    slow, fast = (seconds(cell) for cell in rows["elapsed"])
    assert slow > fast
    assert rows["times as fast"][0] == "1.0"
    assert float(rows["times as fast"][1]) == pytest.approx(slow / fast, rel=0.1)
    assert float(rows["URLs at a time"][0]) <= 1.0 < float(rows["URLs at a time"][1])


def test_the_timeline_shows_who_fetched_what_when(cli: Cli, practice: PracticeServer) -> None:
    given = [f"{practice.url}/delay/{delay}" for delay in (0.2, 0.1, 0.05)]
    done = cli("compare", *given, "--mode", "sync", "--mode", "threads", "-w", "2")
    drawn: dict[str, list[str]] = {}
    for line in done.lines:
        if match := re.fullmatch(r"(sync|threads): [\d.]+ m?s", line):
            rows = drawn.setdefault(match[1], [])
        elif match := re.fullmatch(r"  worker +(\d+) \|(.{64})\|", line):
            rows.append(match[2])
    assert {mode: len(rows) for mode, rows in drawn.items()} == {"sync": 2, "threads": 2}
    first, second = drawn["sync"]  # the workers take turns, and one waits for the other
    assert re.fullmatch(r"1=* +3=* *", first)
    assert re.fullmatch(r" +2=* *", second)
    assert second.index("2") >= first.index(" ") - 1
    first, second = sorted(drawn["threads"], key=lambda row: "2" in row)
    assert re.fullmatch(r" *1=* *", first)
    assert re.fullmatch(r" *2=* *3=* *", second)
    assert second.index("2") < first.rindex("=")


@pytest.mark.parametrize(("urls", "workers"), [(41, 2), (20, 17)], ids=["many-urls", "many-workers"])
def test_there_is_no_timeline_of_a_long_list_or_many_workers(
    cli: Cli, practice: PracticeServer, urls: int, workers: int
) -> None:
    done = cli("compare", *[f"{practice.url}/delay/0.01"] * urls, "-w", str(workers), "--mode", "sync")
    assert done.status == 0
    assert len(done.lines) == len(ROWS) + 1
    assert LEGEND not in done.text


def test_one_worker_is_not_called_workers(cli: Cli, practice: PracticeServer) -> None:
    done = cli("compare", f"{practice.url}/json", "-w", "1", "--mode", "sync")
    assert "mode sync, 1 worker\n" in done.said


def test_compare_shows_results_on_stderr_and_the_comparison_on_stdout(cli: Cli, practice: PracticeServer) -> None:
    url = f"{practice.url}/json"
    done = cli("compare", url, "--mode", "async")
    assert url in done.said
    assert url not in done.text
    quiet = cli("compare", url, "--mode", "async", "-q")
    assert (quiet.err, table(quiet)["ok"]) == (b"", ["1"])
    started = cli("compare", url, "--mode", "async", "-v")
    assert re.search(rf"^ +start +1  {url}$", started.said, re.MULTILINE)


def test_compare_reads_a_compressed_list_once_for_each_mode(cli: Cli, practice: PracticeServer) -> None:
    name = cli.write("urls.txt.gz", gzip.compress(f"{practice.url}/json\n".encode() * 5))
    done = cli("compare", name)
    assert (done.status, table(done)["ok"]) == (0, ["5"] * 3)


def test_compare_refuses_standard_input_and_pipes(cli: Cli, faults: FaultServer) -> None:
    os.mkfifo("pipe")
    for source in ("-", "pipe"):
        done = cli("compare", f"{faults.url}/ok", source, stdin=f"{faults.url}/ok".encode())
        assert "a file, not a pipe" in done.problem
    assert faults.log == []


def test_compare_does_not_offer_what_only_a_durable_run_has(cli: Cli) -> None:
    assert "Durable run:" not in cli("compare", "--help").text


def test_what_a_config_file_says_of_durable_runs_does_compare_no_harm(cli: Cli, practice: PracticeServer) -> None:
    cli.write("fetchq.toml", 'output = "run"\nresume = true\nsave = "none"\ndedupe = true\nrefresh = "old"\n')
    done = cli("compare", f"{practice.url}/json", "--mode", "sync")
    assert (done.status, table(done)["ok"]) == (0, ["1"])
    assert not (cli.folder / "run").exists()


WRONG = {
    "no-source": [],
    "missing-file": ["none.txt"],
    "mode": ["URL", "--mode", "fast"],
    "workers": ["URL", "--workers", "0"],
    "workers-for-a-later-mode": ["URL", "--mode", "async", "--mode", "threads", "--workers", "1001"],
    "json": ["URL", "--json"],
    "dedupe": ["URL", "--dedupe"],
    "include": ["URL", "--include", "text"],
    "cacert": ["URL", "--cacert", "bad.pem"],
    "config": ["URL", "--config", "none.toml"],
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_usage_of_compare_is_one_line_and_2_and_nothing_is_fetched(
    cli: Cli, faults: FaultServer, case: str
) -> None:
    cli.write("bad.pem", "no certificate")
    args = [f"{faults.url}/ok" if arg == "URL" else arg for arg in WRONG[case]]
    assert cli("compare", *args, "-q").problem
    assert faults.log == []


def test_compare_ends_with_0_only_when_every_mode_fetched_every_url(cli: Cli, practice: PracticeServer) -> None:
    assert cli("compare", f"{practice.url}/json").status == 0
    # Each mode asks once: the first one fails, the others find it mended.
    done = cli("compare", f"{practice.url}/flaky/1?key=compare", "--retries", "0")
    assert done.status == 1
    assert table(done)["failed"] == ["1", "0", "0"]
    with closed_port() as url:
        done = cli("compare", f"{url}/", "--retries", "0")
    assert (done.status, table(done)["failed"]) == (1, ["1"] * 3)


def test_compare_of_an_empty_list_says_that_it_is_empty(cli: Cli) -> None:
    done = cli("compare", cli.write("urls.txt", "# nothing\n"))
    assert done.status == 0
    assert "no URLs in urls.txt" in done.said


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_signal_ends_compare_and_the_modes_that_are_left_do_not_begin(
    cli: Cli, faults: FaultServer, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setattr(interrupts, "GRACE_PERIOD", 0.05)
    with Handled(monkeypatch).send(signal.SIGINT, lambda: faults.wait_for_requests(1, PATIENCE)):
        done = cli("compare", faults.url_of("hang"), "--mode", mode, "--mode", "threads")
    assert done.status == 130
    assert (table(done)["mode"], table(done)["failed"]) == ([mode], ["1"])
    assert len(faults.log) == 1


def test_compare_draws_a_bar_on_a_terminal_with_the_results_whole_beside_it(cli: Cli, practice: PracticeServer) -> None:
    given = [f"{practice.url}/bytes/{n}" for n in range(10)]
    status, shown = cli.on_terminal("compare", *given, "--mode", "async", "--mode", "sync")
    lines = Terminal(shown).lines
    assert (status, "10/10" in shown.decode()) == (0, True)
    for mode, first in (("async", 0), ("sync", 12)):
        assert lines[first] == f"mode {mode}, 10 workers"
        assert lines[first + 1] == HEADING
        assert sorted(line.split()[-1] for line in lines[first + 2 : first + 12]) == given
    assert lines[24].startswith("async: ")
    assert LEGEND in lines


def test_no_line_of_a_comparison_is_wider_than_the_terminal(cli: Cli, practice: PracticeServer) -> None:
    given = [f"{practice.url}/bytes/{n}" for n in range(3)]
    status, shown = cli.on_terminal("compare", *given, "-w", "2", columns=60, err=False)
    lines = shown.decode().splitlines()
    assert status == 0
    assert max(map(len, lines)) == 60
    assert LEGEND in " ".join(lines)  # behind the lines of the workers, of which some may have had nothing to do


def test_the_demo_shows_three_modes_and_async_is_faster_than_sync(cli: Cli) -> None:
    done = cli.run("demo")
    assert done.status == 0
    rows = table(done)
    assert rows["mode"] == ALL
    sync, threads, asynchronous = (seconds(cell) for cell in rows["elapsed"])
    assert sync > asynchronous
    assert sync > threads
    assert (rows["ok"], rows["failed"]) == (["4"] * 3, ["0"] * 3)
    assert [line.split(":")[0] for line in done.lines if re.match(r"\w+: ", line)] == ALL
    assert len(re.findall(r"^  worker +[12] \|", done.text, re.MULTILINE)) == 6
    assert done.said.count("/delay/") == 12


@pytest.mark.parametrize(
    ("workers", "problem"),
    [("0", "0 is below 1"), ("x", "'x' is not a whole number"), ("1001", "at most 1000 in mode sync")],
)
def test_the_demo_says_what_is_wrong_with_the_number_of_workers(cli: Cli, workers: str, problem: str) -> None:
    assert cli("demo", "-w", workers).problem == f"fetchq: --workers: {problem}"

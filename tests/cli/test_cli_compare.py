"""`fetchq compare` and `fetchq demo`: the same list in several ways, each run in a process of its own."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import subprocess
from collections import Counter
from itertools import takewhile
from time import monotonic
from typing import Any

import pytest
from faults.server import FaultServer
from faults.wire import Asked, Connection
from support.cli import Cli, Ended, ended
from support.servers import ScriptServer, answer, by_path, closed_port, hang
from support.waiting import PATIENCE

from fetchq.cli.practice.server import PracticeServer
from fetchq.reports.attribution import Attribution
from fetchq.reports.timeline_text import LEGEND

ONCE = ("--rounds", "1", "--cold")
"""One run of each variant, and nothing before it."""
PARTS = Attribution(workers=1, duration=1).parts()
IN_SYNC = ("--mode", "sync", *ONCE)


def compared(done: Ended) -> dict[str, Any]:
    """What `--json` printed."""
    found: dict[str, Any] = json.loads(done.out)
    return found


def figures(done: Ended) -> dict[str, list[str]]:
    """The rows of the table by their names; the names of the variants are under ''."""
    lines = done.lines
    first = next(at for at, line in enumerate(lines) if line.startswith(("elapsed ", "mean "))) - 1
    rows = (re.split(r"\s{2,}", line) for line in takewhile(str.strip, lines[first:]))
    return {name: cells for name, *cells in rows}


def test_each_variant_fetches_the_whole_list_and_has_a_column(cli: Cli, faults: FaultServer) -> None:
    cli.write("urls.txt", f"{faults.url}/ok?n=1\n{faults.url}/none\n")
    done = cli("compare", "urls.txt", f"{faults.url}/ok?n=2", "--workers", "2", *ONCE)
    rows = figures(done)
    assert done.status == 1
    assert rows[""] == ["sync", "threads", "async"]
    assert (rows["ok"], rows["failed"]) == (["2"] * 3, ["1"] * 3)
    assert {len(cells) for cells in rows.values()} == {3}
    assert Counter(asked.target for asked in faults.log) == {"/ok?n=1": 3, "/none": 3, "/ok?n=2": 3}
    assert "1 row failed in every variant:" in done.lines
    assert f"  row 2, {faults.url}/none: status 404" in done.lines


def test_every_combination_of_values_is_a_variant_and_equal_ones_are_numbered(
    cli: Cli, practice: PracticeServer
) -> None:
    given = ["--mode", "sync", "--mode", "sync", "--workers", "1", "--workers", "3", "--no-robots", "--timeout", "5"]
    found = compared(cli("compare", f"{practice.url}/json", *given, *ONCE, "--json"))
    names = ["sync, 1 worker", "sync, 3 workers", "sync, 1 worker (2)", "sync, 3 workers (2)"]
    assert [one["name"] for one in found["variants"]] == names
    assert found["variants"][1]["settings"] == {"mode": "sync", "workers": "3"}
    assert len(found["pairs"]) == 6


def test_any_option_may_have_several_values_and_secrets_are_not_shown(cli: Cli, practice: PracticeServer) -> None:
    cli.write("fetchq.toml", 'mode = "threads"\n')
    given = ["--user", "a:secret", "--user", "b:secret", "--adapt", "--no-adapt"]
    done = cli("compare", f"{practice.url}/json", *given, *ONCE, "--json")
    names = [one["name"] for one in compared(done)["variants"]]
    assert names == ["user #1, adapt", "user #1, no adapt", "user #2, adapt", "user #2, no adapt"]
    assert {one["settings"]["mode"] for one in compared(done)["variants"]} == {"threads"}
    assert b"secret" not in done.out + done.err


@pytest.mark.parametrize("mode", ["sync", "threads", "async"])
def test_connections_are_open_before_the_clock_starts(cli: Cli, mode: str) -> None:
    def once_both_came(conn: Connection, asked: Asked) -> None:
        if mode != "sync":
            server.wait_for_requests(2, PATIENCE)
        answer()(conn, asked)

    with ScriptServer(once_both_came) as server:
        urls = [f"{server.url}/{n}" for n in range(3)]
        found = compared(cli("compare", *urls, "--mode", mode, "--rounds", "1", "-w", "2", "--json"))
        assert Counter(asked.path for asked in server.log) == {"/0": 2, "/1": 2, "/2": 1}
        assert {asked.connection for asked in server.log} == {1, 2}
    (run,) = found["variants"][0]["runs"]
    assert (run["ok"], run["failed"]) == (3, 0)
    attribution = run["attribution"]
    parts = [value for name, value in attribution.items() if name in PARTS and name != "held"]
    held = sum(one["seconds"] for one in attribution["held"])
    assert sum(parts) + held == pytest.approx(2 * run["duration"], rel=0.01)


def test_no_row_is_posted_twice_to_open_a_connection(cli: Cli) -> None:
    with ScriptServer() as server:
        rows = [{"url": f"{server.url}/post", "body": "x"}, {"url": f"{server.url}/get"}]
        name = cli.write("rows.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        done = cli("compare", name, "--mode", "async", "--rounds", "1")
        assert (done.status, figures(done)["ok"]) == (0, ["2"])
        assert Counter(asked.path for asked in server.log) == {"/post": 1, "/get": 2}


def test_json_has_all_figures_and_the_runs(cli: Cli, practice: PracticeServer) -> None:
    urls = [f"{practice.url}/delay/0.05"] * 4
    done = cli("compare", *urls, "--mode", "sync", "--mode", "async", "--rounds", "2", "--seed", "7", "--json", "-q")
    found = compared(done)
    assert (done.status, done.err) == (0, b"")
    assert (found["rows"], found["rounds"], found["cold"], found["seed"]) == (4, 2, False, 7)
    sync, in_loop = found["variants"]
    for one in (sync, in_loop):
        assert [run["round"] for run in one["runs"]] == [1, 2]
        assert one["best"] <= one["median"] <= one["worst"]
        assert one["mean"] == pytest.approx(sum(run["duration"] for run in one["runs"]) / 2)
        assert 0 < one["cpu"] < 10
        assert 10e6 < one["peak_memory"] < 500e6
        assert one["verdict"]
    assert sync["best"] >= 0.2
    assert in_loop["best"] < sync["best"]
    assert in_loop["concurrency"] > 1 >= sync["concurrency"]
    (pair,) = found["pairs"]
    assert (pair["faster"], pair["slower"]) == ("async", "sync")
    assert pair["interval"][0] < pair["ratio"] < pair["interval"][1]
    assert found["failed_rows"] == found["failing_rows"] == found["different_rows"] == {"count": 0, "first": []}


def test_a_row_that_fails_in_one_variant_alone_is_named_and_nothing_is_called_faster(cli: Cli) -> None:
    slow_missing = by_path({"/missing": answer(status=b"404 Not Found")})
    with ScriptServer(slow_missing) as server:
        urls = [f"{server.url}/there", f"{server.url}/missing"]
        given = ["--accept", "200", "--accept", "200,404", "--mode", "sync", "--rounds", "2", "--cold"]
        done = cli("compare", *urls, *given)
    assert done.status == 1
    assert "1 row failed in some variants, and in others not:" in done.lines
    assert f"row 2, {urls[1]}: status 404 in accept 200; 404" in done.text
    assert "not called faster or slower" in done.text
    assert " x as fast" not in done.text
    assert "not the same rows" in figures(done)["difference"]


def test_rows_with_other_bodies_in_one_variant_are_named_and_those_that_always_change_counted(cli: Cli) -> None:
    seen: Counter[bytes] = Counter()

    def by_agent(conn: Connection, asked: Asked) -> None:
        agent = asked.header("user-agent") or ""
        seen[asked.target.encode()] += 1
        answer(agent.encode() if asked.path == "/agent" else str(seen[b"/clock"]).encode())(conn, asked)

    with ScriptServer(by_agent) as server:
        urls = [f"{server.url}/agent", f"{server.url}/clock"]
        done = cli("compare", *urls, "-A", "one", "-A", "two", "--mode", "sync", "--rounds", "2", "--cold")
    assert done.status == 0
    assert "1 row came out differently, so the variants did not do the same:" in done.lines
    assert re.search(rf"row 1, {urls[0]}: 200, sha256 7692c3ad... in user-agent one; 200, sha256", done.text)
    assert "1 row changed from one request to the next, whatever the variant." in done.lines


def test_each_run_begins_with_the_same_cookies_and_none_writes_them(cli: Cli) -> None:
    cookies = "127.0.0.1\tFALSE\t/\tFALSE\t0\tgiven\tyes\n"
    jar = cli.write("cookies.txt", cookies)
    with ScriptServer(answer(b"", b"Set-Cookie: taken=yes")) as server:
        cli("compare", f"{server.url}/", "--cookie-jar", jar, "--mode", "sync", "--mode", "async", *ONCE)
        assert [asked.header("cookie") for asked in server.log] == ["given=yes"] * 2
    assert (cli.folder / jar).read_text() == cookies


def test_the_timeline_shows_who_fetched_what_when(cli: Cli, practice: PracticeServer) -> None:
    given = [f"{practice.url}/delay/{delay}" for delay in (0.2, 0.1, 0.05)]
    done = cli("compare", *given, "--mode", "sync", "--mode", "threads", "-w", "2", *ONCE)
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
    first, second = sorted(drawn["threads"], key=lambda row: "2" in row)
    assert re.fullmatch(r" *1=* *", first)
    assert re.fullmatch(r" *2=* *3=* *", second)


def test_there_is_no_timeline_of_a_long_list(cli: Cli, practice: PracticeServer) -> None:
    done = cli("compare", *[f"{practice.url}/json"] * 41, *IN_SYNC)
    assert (done.status, figures(done)["ok"]) == (0, ["41"])
    assert LEGEND not in done.text
    assert "nothing to compare it with" in done.text


def test_progress_goes_to_stderr_a_line_for_each_round(cli: Cli, practice: PracticeServer) -> None:
    done = cli("compare", f"{practice.url}/json", "--mode", "sync", "--mode", "async", "--rounds", "2", "--cold")
    lines = done.said.splitlines()
    assert [line.split(":")[0] for line in lines] == ["warm-up", "round 1 of 2", "round 2 of 2"]
    for line in lines:
        assert sorted(re.findall(r"(?:sync|async) [\d.]+ m?s", line))
        assert line.count(", ") == 1


def test_markdown_is_a_table_in_which_nothing_is_markup(cli: Cli, practice: PracticeServer) -> None:
    given = ["-A", "a|*b*", "-A", "<b>", "--mode", "sync", *ONCE, "--markdown"]
    lines = cli("compare", f"{practice.url}/json", *given).lines
    table = [line for line in lines if line.startswith("| ")]
    assert table[:2] == ["|  | user-agent a\\|\\*b\\* | user-agent \\<b\\> |", "| --- | ---: | ---: |"]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {4}


def test_a_report_shows_the_comparison_and_a_file_that_cannot_be_written_is_refused_at_once(
    cli: Cli, faults: FaultServer
) -> None:
    given = ["compare", f"{faults.url}/ok", "--mode", "sync", "--mode", "sync", *ONCE]
    assert re.search("--report: '.*/none/r.html' cannot be written", cli(*given, "--report", "none/r.html").problem)
    assert faults.log == []
    done = cli(*given, "--report", "r.html")
    page = (cli.folder / "r.html").read_text()
    assert done.status == 0
    for shown in ("sync (2)", "Where the time went", "One round does not show whether that is chance"):
        assert shown in page


def test_only_the_first_rows_are_fetched_with_a_limit_and_a_very_long_list_needs_one(
    cli: Cli, faults: FaultServer
) -> None:
    name = cli.write("urls.txt.gz", gzip.compress("".join(f"{faults.url}/ok?n={n}\n" for n in range(100_001)).encode()))
    problem = cli("compare", name, *IN_SYNC).problem
    assert problem == "fetchq: the list has more than 100,000 rows: --limit N compares only the first N"
    assert faults.log == []
    done = cli("compare", name, *IN_SYNC, "--limit", "3")
    assert figures(done)["ok"] == ["3"]
    assert [asked.target for asked in faults.log] == [f"/ok?n={n}" for n in range(3)]


def test_a_list_may_come_through_a_pipe_since_it_is_read_once(cli: Cli, practice: PracticeServer) -> None:
    piped = f"{practice.url}/json\n".encode() * 3
    done = cli("compare", "-", "--mode", "sync", "--mode", "sync", *ONCE, stdin=piped)
    assert (done.status, figures(done)["ok"]) == (0, ["3", "3"])


def test_what_a_config_file_says_of_durable_runs_and_reports_does_compare_no_harm(
    cli: Cli, practice: PracticeServer
) -> None:
    cli.write("fetchq.toml", 'output = "run"\nresume = true\nsave = "none"\ndedupe = true\nhar = "x.har"\n')
    done = cli("compare", f"{practice.url}/json", *IN_SYNC, "--config", "fetchq.toml")
    assert (done.status, figures(done)["ok"]) == (0, ["1"])
    assert {path.name for path in cli.folder.iterdir()} == {"fetchq.toml", "home"}


WRONG = {
    "no-source": [],
    "missing-file": ["none.txt"],
    "mode": ["URL", "--mode", "fast"],
    "workers": ["URL", "--workers", "0"],
    "workers-for-a-later-mode": ["URL", "--mode", "async", "--mode", "threads", "--workers", "1001"],
    "two-forms": ["URL", "--json", "--markdown"],
    "rounds": ["URL", "--rounds", "0"],
    "limit": ["URL", "--limit", "0"],
    "dedupe": ["URL", "--dedupe"],
    "include": ["URL", "--include", "text"],
    "cacert": ["URL", "--cacert", "bad.pem"],
    "cookie-jar": ["URL", "--cookie-jar", "bad.pem"],
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


def test_compare_of_an_empty_list_says_that_it_is_empty(cli: Cli) -> None:
    done = cli("compare", cli.write("urls.txt", "# nothing\n"))
    assert done.status == 0
    assert "no URLs in urls.txt" in done.said


def test_a_list_of_which_every_row_fails_shows_nothing_to_be_faster(cli: Cli) -> None:
    with closed_port() as url:
        done = cli("compare", f"{url}/", "--retries", "0", "--mode", "sync", "--mode", "async", "--rounds", "2")
    assert (done.status, figures(done)["failed"]) == (1, ["1", "1"])
    assert "No row was ok, so none is called faster." in done.lines


def children_of(process: subprocess.Popen[bytes]) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=False)
    return [int(pid) for pid in found.stdout.split()]


def ends(pid: int) -> bool:
    """Wait for the end of a process that is nobody's child here; False if it does not come."""
    until = monotonic() + PATIENCE
    while monotonic() < until:
        found = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
        if found.stdout.strip()[:1] in ("", "Z"):
            return True
    return False


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)], ids=str
)
def test_a_signal_ends_compare_and_the_process_of_its_run(cli: Cli, number: signal.Signals, status: int) -> None:
    with ScriptServer(hang) as server:
        process = cli.start("compare", f"{server.url}/", "--mode", "async", "--mode", "threads")
        assert server.wait_for_requests(1, PATIENCE)
        children = children_of(process)
        assert len(children) == 1
        process.send_signal(number)
        done = ended(process)
        assert (done.status, done.out) == (status, b"")
        assert ends(children[0])
        assert len(server.log) == 1


def test_no_secret_is_on_the_command_line_of_a_run(cli: Cli) -> None:
    with ScriptServer(hang) as server:
        url = server.url.replace("//", "//me:hidden@")
        process = cli.start("compare", "-", "-H", "X-Key: hidden", "--mode", "sync", stdin=subprocess.PIPE)
        assert process.stdin is not None
        process.stdin.write(f"{url}/\n".encode())
        process.stdin.close()
        assert server.wait_for_requests(1, PATIENCE)
        (child,) = children_of(process)
        shown = subprocess.run(["ps", "eww", "-o", "command=", "-p", str(child)], capture_output=True, check=False)
        assert b"fetchq.comparison" in shown.stdout
        assert b"hidden" not in shown.stdout
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 143


@pytest.mark.parametrize(
    ("number", "perhaps"), [(signal.SIGKILL, ", perhaps for lack of memory"), (signal.SIGTERM, "")]
)
def test_a_run_whose_process_is_killed_ends_compare_with_3(number: int, perhaps: str, cli: Cli) -> None:
    with ScriptServer(hang) as server:
        process = cli.start("compare", f"{server.url}/", *IN_SYNC)
        assert server.wait_for_requests(1, PATIENCE)
        os.kill(children_of(process)[0], number)
        done = ended(process)
    assert done.status == 3
    assert done.said == f"fetchq: the process of a run was ended by signal {number:d}{perhaps}\n"


def test_no_line_of_a_comparison_is_wider_than_the_terminal(cli: Cli, practice: PracticeServer) -> None:
    given = [f"{practice.url}/bytes/{n}" for n in range(3)]
    status, shown = cli.on_terminal("compare", *given, "-w", "2", *ONCE, columns=60, err=False)
    lines = shown.decode().splitlines()
    assert status == 0
    assert max(map(len, lines)) == 60
    assert LEGEND in " ".join(lines)


def test_the_demo_shows_three_modes_and_async_is_faster_than_sync(cli: Cli) -> None:
    done = cli.run("demo")
    assert done.status == 0
    rows = figures(done)
    assert rows[""] == ["sync", "threads", "async"]
    assert (rows["ok"], rows["failed"]) == (["4"] * 3, ["0"] * 3)
    assert [float(cell) > 1.3 for cell in rows["times as fast"]] == [False, True, True]
    assert len(re.findall(r"^  worker +[12] \|", done.text, re.MULTILINE)) == 6


@pytest.mark.parametrize(
    ("workers", "problem"),
    [("0", "0 is below 1"), ("x", "'x' is not a whole number"), ("1001", "at most 1000 in mode sync")],
)
def test_the_demo_says_what_is_wrong_with_the_number_of_workers(cli: Cli, workers: str, problem: str) -> None:
    assert cli("demo", "-w", workers).problem == f"fetchq: --workers: {problem}"


def test_the_page_is_written_even_if_nobody_reads_the_table(cli: Cli, faults: FaultServer) -> None:
    process = cli.start("compare", f"{faults.url}/ok", *IN_SYNC, "--report", "page.html", stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait() == 1
    assert cli.folder.joinpath("page.html").stat().st_size > 100_000


@pytest.mark.parametrize("file", ["./urls.txt", "jar"])
def test_the_page_does_not_replace_what_the_runs_need(file: str, cli: Cli) -> None:
    cli.write("urls.txt", "http://127.0.0.1:9/\n")
    cli.write("jar", "# Netscape HTTP Cookie File\n")
    before = cli.folder.joinpath(file).read_bytes()
    assert "--report: " in cli("compare", "urls.txt", *IN_SYNC, "--cookie-jar", "jar", "--report", file).problem
    assert cli.folder.joinpath(file).read_bytes() == before

"""Durable runs on the command line: -o, resume, retry; killed, interrupted, out of space."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import torture
from faults.wire import Asked, head, length
from support.cli import Cli, ended
from support.servers import Scripted, reply
from support.signals import PATIENT, signal_twice
from support.waiting import PATIENCE

from fetchq.cli.practice.server import PracticeServer
from fetchq.store.ledger import Ledger
from fetchq.store.ledger_connection import LedgerError
from fetchq.store.stored_run import open_run


def rows(sql: str = 'SELECT "index", status, cause FROM records ORDER BY "index"') -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect("run/run.db")) as connection:
        return connection.execute(sql).fetchall()


def bodies() -> list[str]:
    return sorted(str(path.relative_to("run")) for path in Path("run/bodies").rglob("*") if path.is_file())


# --- the whole way ---


def test_a_run_leaves_its_records_and_bodies_in_the_folder(cli: Cli, practice: PracticeServer, mode: str) -> None:
    sizes = [0, 10, 65_536, 65_537, 400_000]
    urls = [f"{practice.url}/bytes/{size}" for size in sizes] + [f"{practice.url}/status/404", "nonsense"]
    cli.write("urls.txt", "\n".join(urls))
    found = cli("urls.txt", "-o", "run", "--json", "--mode", mode)
    assert found.status == 1
    with open_run("run") as run:
        assert run.finished
        assert sorted(run.counts().items()) == [("invalid_url", 1), ("ok", 5), ("status", 1)]
        records, results = list(run.records()), list(run)
        assert [run.body(result) for result in results[:2]] == [b"", (run.path / str(results[1].path)).read_bytes()]
    assert [record["path"] for record in records] == [record["path"] for record in found.records]
    assert [record | {"started": 0} for record in records] == [record | {"started": 0} for record in found.records]
    for record in records[1:5]:
        body = Path("run", record["path"]).read_bytes()
        assert (len(body), hashlib.sha256(body).hexdigest()) == (record["size"], record["sha256"])
        assert record["timing"]["store"] > 0
        spent = sum(value or 0 for name, value in record["timing"].items() if name not in ("queued", "held"))
        assert spent == pytest.approx(record["elapsed"], abs=1e-3)
    assert bodies() == sorted(record["path"] for record in records if record["path"])
    assert os.listdir("run/tmp") == []


def test_without_bodies_there_are_only_records(cli: Cli, practice: PracticeServer) -> None:
    assert cli(f"{practice.url}/bytes/100000", "-o", "run", "--save", "none", "-q").status == 0
    assert rows() == [(0, 200, None)]
    assert "bodies" not in os.listdir("run")


def test_a_log_of_several_sessions_has_all_of_them_and_is_no_list_of_theirs(cli: Cli, practice: PracticeServer) -> None:
    cli.write("urls.txt", f"{practice.url}/json\n{practice.url}/status/404\n{practice.url}/html\n")
    assert cli("urls.txt", "-o", "run", "--fail-fast", "-w", "1", "-q", "--log-file", "run/log.txt").status == 4
    assert "the run needs" in cli("resume", "run", "--log-file", "urls.txt").problem
    assert cli("resume", "run", "--no-fail-fast", "-q", "--log-file", "run/log.txt").status == 1
    lines = Path("run/log.txt").read_text().splitlines()
    assert [line.split()[-1] for line in lines if "exit status" in line] == ["4", "1"]
    assert sum("/html: 200" in line or "/json: 200" in line for line in lines) == 2


def test_a_finished_run_is_not_fetched_again(cli: Cli) -> None:
    with Scripted() as server:
        cli.write("urls.txt", f"{server.url}/a\n{server.url}/b\n")
        assert cli("urls.txt", "-o", "run").status == 0
        ended = cli("resume", "run")
        assert (ended.status, ended.out) == (0, b"")
        assert ended.said == "fetchq: all 2 rows are done, 0 of them failed\n"
        assert cli("urls.txt", "-o", "run", "--resume").status == 0
        assert len(server.log) == 2


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["urls.txt", "-o", "run"], "'run' holds a run already"),
        (["urls.txt", "-o", "."], "holds other files"),
        (["urls.txt", "-o", "urls.txt"], "is not a folder"),
        (["urls.txt", "-o", "urls.txt/run"], "cannot be used: Not a directory"),
        (["urls.txt", "-o", ""], "is not a path"),
        (["urls.txt", "--resume"], "--resume: it needs an output folder"),
        (["urls.txt", "--overwrite"], "--overwrite: it needs an output folder"),
        (["urls.txt", "-o", "run", "--resume", "--overwrite"], "--overwrite: not together with resume"),
        (["urls.txt", "-o", "new", "--save", "paper"], "--save"),
        (["missing.txt", "-o", "new"], "missing.txt"),
        (["resume", "nowhere"], "there is no run in 'nowhere'"),
        (["resume", "."], "there is no run in '.'"),
        (["retry", "run", "--where", "index = 1"], "not a condition over the columns of the record"),
        (["retry", "nowhere"], "there is no run in 'nowhere'"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_fetched(cli: Cli, arguments: list[str], problem: str) -> None:
    with Scripted() as server:
        cli.write("urls.txt", f"{server.url}/\n")
        cli("urls.txt", "-o", "run")
        asked = len(server.log)
        assert problem in cli(*arguments).problem
        assert len(server.log) == asked


def test_a_damaged_ledger_is_status_3(cli: Cli, practice: PracticeServer) -> None:
    cli(f"{practice.url}/json", "-o", "run")
    Path("run/run.db").write_bytes(b"SQLite format 3\0" + b"x" * 5000)
    ended = cli("resume", "run")
    assert (ended.status, ended.out) == (3, b"")
    assert ended.said.startswith("fetchq: the ledger 'run/run.db'")
    assert cli(f"{practice.url}/json", "-o", "run", "--overwrite", "-q").status == 0
    assert rows() == [(0, 200, None)]


@pytest.mark.parametrize("command", ["resume", "retry"])
def test_a_ledger_that_cannot_be_read_any_more_is_status_3(
    cli: Cli, practice: PracticeServer, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    def fail(ledger: Ledger, name: str, default: Any = None) -> Any:
        if name == "withheld":
            raise LedgerError("the disk is gone")
        return meta(ledger, name, default)

    cli.write("urls.txt", f"{practice.url}/status/503\n")
    cli("urls.txt", "-o", "run", "--retries", "0", "--deadline", "0.001" if command == "resume" else "60")
    meta = Ledger.meta
    monkeypatch.setattr(Ledger, "meta", fail)
    found = cli(command, "run")
    assert (found.status, found.said) == (3, "fetchq: the disk is gone\n")


def test_a_folder_that_is_removed_under_a_run_is_status_3(cli: Cli, mode: str) -> None:
    def answer(asked: Asked) -> bytes:
        return reply() if asked.path == "/0" else server.hold(asked)

    with Scripted(answer) as server:
        cli.write("urls.txt", "".join(f"{server.url}/{number}\n" for number in range(2)))
        process = cli.start("urls.txt", "-o", "run", "--mode", mode, "--save", "none", "--progress", "none")
        assert process.stdout is not None
        process.stdout.readline()
        assert server.wait_for_requests(2)
        shutil.rmtree("run", ignore_errors=True)  # the first row may be on its way into the ledger
        server.released.set()
        found = ended(process)
    assert found.status == 3
    assert "run/run.db'" in found.said
    assert "go on with" not in found.said


def test_a_second_process_is_kept_out_at_once(cli: Cli) -> None:
    with Scripted() as server:
        server.answer = server.hold
        cli.write("urls.txt", f"{server.url}/\n")
        first = cli.start("urls.txt", "-o", "run")
        assert server.wait_for_requests(1)
        second = cli("resume", "run")
        assert "another fetchq is at work in 'run'" in second.problem
        server.released.set()
        assert ended(first).status == 0


def test_the_server_of_the_torture_counts_also_what_ended_processes_had_asked_for() -> None:
    server = torture.Server()
    try:
        for _ in range(50):
            with socket.create_connection(("127.0.0.1", urlsplit(server.url).port)) as client:
                client.sendall(b"GET /1.txt HTTP/1.1\r\nHost: h\r\n\r\n")
        server.settle()
        assert server.served == {1: 50}
    finally:
        server.close()


# --- interrupted ---


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_keeps_what_is_done_and_says_how_to_go_on(
    cli: Cli, mode: str, number: signal.Signals, status: int
) -> None:
    def answer(asked: Asked) -> bytes:
        return reply(b"x" * 10) if asked.path.startswith("/quick") else server.hold(asked)

    with Scripted(answer) as server:
        cli.write("urls.txt", "".join(f"{server.url}/{name}\n" for name in ["quick1", "quick2", "slow", "never"]))
        args = ("urls.txt", "-o", "run", "--mode", mode, "-w", "3", "--progress", "none")
        process = cli.start(*args, patch=PATIENT)
        assert server.wait_for_requests(3)
        assert process.stdout is not None
        process.stdout.readline(), process.stdout.readline()
        signal_twice(process, number)
        found = ended(process)
        assert found.status == status
        assert found.said.splitlines()[-1] == "run: 2 rows are done; go on with: fetchq resume run"
        assert rows() == [(0, 200, None), (1, 200, None)]
        server.released.set()
        again = cli("resume", "run", "--json")
        assert again.status == 0
        assert [record["index"] for record in again.records] == [2, 3]
    assert [row[0] for row in rows()] == [0, 1, 2, 3]
    assert len(bodies()) == 4


@pytest.mark.parametrize("answer", [head(length(9)) + b"part", reply(b"", status=b"HTTP/1.1 503 Busy")])
def test_a_row_that_fails_after_a_signal_and_would_have_been_tried_again_is_still_to_do(
    cli: Cli, mode: str, answer: bytes
) -> None:
    def play(asked: Asked) -> bytes:
        if len(server.log) > 1:
            return reply()
        server.released.wait(PATIENCE)
        return answer

    with Scripted(play) as server:
        process = cli.start(server.url, "-o", "run", "--mode", mode, "--retries", "1", "--progress", "none")
        assert server.wait_for_requests(1)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert "stopping" in str(process.stderr.readline())
        server.released.set()
        found = ended(process)
        assert (found.status, rows()) == (130, [])
        assert found.said.splitlines()[-1] == "run: 0 rows are done; go on with: fetchq resume run"
        assert cli("resume", "run", "--json").record["ok"]


def test_a_reader_that_leaves_costs_nothing_of_the_run(cli: Cli, practice: PracticeServer) -> None:
    cli.write("urls.txt", "".join(f"{practice.url}/json?{number}\n" for number in range(2000)))
    process = cli.start("urls.txt", "-o", "run", "--json", "--progress", "none")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    process.stdout = None
    found = ended(process)
    assert found.status == 1
    before = len(rows())
    assert 0 < before < 2000
    assert f"{before} URLs: {before} ok, 0 failed" in found.said
    assert f"run: {before} rows are done; go on with: fetchq resume run" in found.said
    assert cli("resume", "run", "-q").status == 0
    assert [row[0] for row in rows()] == list(range(2000))


def test_the_deadline_leaves_the_rest_to_do(cli: Cli, practice: PracticeServer, mode: str) -> None:
    cli.write("urls.txt", f"{practice.url}/json\n{practice.url}/delay/30\n")
    found = cli("urls.txt", "-o", "run", "--deadline", "0.6", "--json", "--mode", mode)
    assert [record["cause"] for record in found.records] == [None, "cancelled"]
    assert found.status == 4
    assert rows() == [(0, 200, None)]
    assert "go on with: fetchq resume run" in found.said


def test_a_resumed_run_has_the_rows_that_its_limit_and_its_seed_have_chosen(cli: Cli, mode: str) -> None:
    def answer(asked: Asked) -> bytes:
        return reply(status=b"HTTP/1.1 404 Gone" if len(server.log) == 3 else b"HTTP/1.1 200 OK")

    with Scripted(answer) as server:
        cli.write("urls.txt", "".join(f"{server.url}/{number}\n" for number in range(40)))
        given = ["urls.txt", "-o", "run", "--limit", "6", "-w", "1", "--mode", mode]
        begun = cli(*given, "--shuffle", "--fail-fast")
        assert (begun.status, len(server.log)) == (4, 3)
        assert "6 URLs: 2 ok, 1 failed, 3 not tried" in begun.said
        assert "begun with another --limit" in cli("urls.txt", "-o", "run", "--resume", "--shuffle").problem
        assert "begun with another --shuffle" in cli(*given, "--resume").problem
        assert "begun with another --shuffle" in cli(*given, "--resume", "--shuffle", "1000000").problem
        resumed = cli(*given, "--resume", "--shuffle", "--no-fail-fast")
        assert (resumed.status, len(server.log)) == (1, 6)
        assert "run: all 6 rows are done, 1 of them failed" in resumed.said
        assert len({*server.seen}) == 6
        assert cli("resume", "run").said == "fetchq: all 6 rows are done, 1 of them failed\n"
        assert len(server.log) == 6


def test_a_finished_run_is_not_fetched_again_and_says_so(cli: Cli, practice: PracticeServer) -> None:
    cli.write("urls.txt", f"{practice.url}/json\n{practice.url}/status/404\n")
    assert cli("urls.txt", "-o", "run").status == 1
    done = cli("urls.txt", "-o", "run", "--resume")
    assert (done.status, done.out, done.said) == (1, b"", "fetchq: all 2 rows are done, 1 of them failed\n")
    assert cli("urls.txt", "-o", "run", "--resume", "-q").said == ""


def test_the_log_says_that_nothing_was_left_to_do(cli: Cli, practice: PracticeServer) -> None:
    cli.write("urls.txt", f"{practice.url}/json\n{practice.url}/status/404\n")
    given = ("urls.txt", "-o", "run", "--resume", "-q", "--log-file", "a.log")
    assert cli(*given).status == 1
    before = (cli.folder / "a.log").read_text()
    done = cli(*given)
    assert (done.status, done.said) == (1, "")
    added = (cli.folder / "a.log").read_text().removeprefix(before).splitlines()
    assert [line.split(" ", 3)[3] for line in added] == [
        "begins: urls.txt; mode async, workers 10",
        "all 2 rows are done, 1 of them failed",
        "ends with exit status 1",
    ]


def test_standard_input_can_be_gone_on_with_after_a_kill(cli: Cli) -> None:
    def answer(asked: Asked) -> bytes:
        return reply() if int(asked.path[1:]) < 20 else server.hold(asked)

    with Scripted(answer) as server:
        urls = "".join(f"{server.url}/{number}\n" for number in range(40)).encode()
        process = cli.start("-", "-o", "run", "-w", "5", stdin=subprocess.PIPE)
        assert process.stdin is not None
        process.stdin.write(urls)
        process.stdin.close()
        process.stdin = None
        assert server.wait_for_requests(25)
        process.kill()
        process.communicate()
        server.released.set()
        assert cli("resume", "run", "-q").status == 0
    assert [row[0] for row in rows()] == list(range(40))


# --- retry ---


def test_what_failed_is_fetched_again_and_what_it_was_is_history(cli: Cli) -> None:
    healthy = False

    def answer(asked: Asked) -> bytes:
        return reply(asked.path.encode(), status=b"HTTP/1.1 " + (b"200 OK" if healthy else asked.path[1:].encode()))

    with Scripted(answer) as server:
        cli.write("urls.txt", "".join(f"{server.url}/{status}\n" for status in (200, 404, 503)))
        assert cli("urls.txt", "-o", "run", "--retries", "0").status == 1
        healthy = True
        found = cli("retry", "run", "--json")
        assert (found.status, [record["index"] for record in found.records]) == (1, [2])
        found = cli("retry", "run", "--where", "status = 404", "--json")
        assert (found.status, [record["index"] for record in found.records]) == (0, [1])
        found = cli("retry", "run")
        assert (found.status, found.out) == (0, b"")
        assert found.said == "fetchq: no row is to be fetched again: all 3 rows are done, 0 of them failed\n"
    assert rows() == [(0, 200, None), (1, 200, None), (2, 200, None)]
    assert rows('SELECT "index", status, generation FROM history ORDER BY "index"') == [(1, 404, 0), (2, 503, 0)]
    paths = [path for (path,) in rows("SELECT path FROM records UNION SELECT path FROM history")]
    assert bodies() == sorted(paths)


def test_a_retry_that_finds_no_row_to_fetch_says_how_many_failed_and_is_no_success(
    cli: Cli, practice: PracticeServer
) -> None:
    nowhere = f"{practice.url}/status/404"
    cli("-o", "run", f"{practice.url}/json", nowhere, nowhere)
    found = cli("retry", "run")
    assert (found.status, found.out) == (1, b"")
    assert found.said == "fetchq: no row is to be fetched again: all 3 rows are done, 2 of them failed\n"


def test_a_run_of_one_row_is_told_of_as_such(cli: Cli, practice: PracticeServer) -> None:
    for path, outcome in (("json", "ok"), ("status/404", "failed")):
        cli(f"{practice.url}/{path}", "-o", "run", "--overwrite")
        assert cli("resume", "run").said == f"fetchq: the only row is done, and {outcome}\n"


def test_secrets_are_asked_for_again_and_kept_nowhere(cli: Cli) -> None:
    with Scripted() as server:
        server.answer = server.hold
        cli.write("urls.txt", f"{server.url}/\n")
        process = cli.start("urls.txt", "-o", "run", "-H", "Authorization: s3cr3t", "-w", "7")
        assert server.wait_for_requests(1)
        process.kill()
        process.communicate()
        server.released.set()
        assert "begun with --header, not to be taken from its folder: give it again" in cli("resume", "run").problem
        assert cli("resume", "run", "-H", "Authorization: s3cr3t").status == 0
        assert cli("resume", "run").said == "fetchq: the only row is done, and ok\n"
        assert [dict(asked.headers).get("Authorization") for asked in server.log] == ["s3cr3t", "s3cr3t"]
    for path in Path("run").rglob("*"):
        assert not path.is_file() or b"s3cr3t" not in path.read_bytes()


# --- the disk is full ---


@contextmanager
def small_disk(path: Path, size: str) -> Iterator[None]:
    """A tmpfs of that size, where this machine lets us mount one."""
    path.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path], capture_output=True).returncode:
        if os.environ.get("FETCHQ_REQUIRE_ALL"):
            pytest.fail("a tmpfs cannot be mounted")
        pytest.skip("a tmpfs cannot be mounted")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", path], check=True)


@pytest.mark.parametrize("size", [20_000, 300_000])
def test_a_full_disk_is_status_3_and_the_run_goes_on_when_there_is_space(
    cli: Cli, practice: PracticeServer, engine_mode: str, tmp_path: Path, size: int
) -> None:
    count = 6_000_000 // size
    cli.write("urls.txt", "".join(f"{practice.url}/bytes/{size}?seed={number}\n" for number in range(count)))
    disk = tmp_path / "disk"
    with small_disk(disk, "3M"):
        found = cli.run("urls.txt", "-o", "disk/run", "--mode", engine_mode, "-q")
        assert found.status == 3
        assert "No space left on device" in found.said
        assert "go on with: fetchq resume disk/run" in found.said
        subprocess.run(["mount", "-o", "remount,size=40M", disk], check=True)
        assert cli.run("resume", "disk/run", "-q").status == 0
        with open_run("disk/run") as run:
            assert run.finished
            for result in run:
                assert hashlib.sha256(run.body(result)).hexdigest() == result.sha256


def test_a_run_on_a_disk_that_is_only_to_be_read_can_be_read(
    cli: Cli, practice: PracticeServer, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    with small_disk(disk, "3M"):
        url = f"{practice.url}/bytes/10"
        assert cli.run(url, "-o", "disk/run", "-q").status == 0
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        assert len(cli.run("export", "disk/run").lines) == 1
        assert cli.run("diff", "disk/run", "disk/run").status == 0
        with open_run("disk/run") as run:
            assert [len(run.body(result)) for result in run] == [10]
        assert cli.run(url, "-o", "new", "--refresh", "disk/run", "-q").status == 0


# --- kill -9, at any instant ---


@pytest.mark.parametrize("save", list(torture.CHECKS))
def test_a_run_that_is_killed_again_and_again_ends_exact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, save: str
) -> None:
    """A shorter form of `scripts/torture kill`."""
    monkeypatch.setattr(torture, "MOST_KILLS", 4)
    server = torture.Server()
    try:
        kills = torture.one_run(
            server, tmp_path / "run", 700 if save in torture.NAMED else 1500, save, random.Random(1)
        )
    finally:
        server.close()
    assert kills >= 1


def test_the_torture_that_is_not_known_is_told() -> None:
    script = Path(torture.__file__).with_suffix("")
    found = subprocess.run([script, "tickle"], capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (2, "")
    assert "scripts/torture kill" in found.stderr

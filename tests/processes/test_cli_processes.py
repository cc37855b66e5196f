"""`--processes` on the command line: records, summaries, signals and exit statuses are those of one process."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from faults.wire import Asked, Connection
from support.cli import Cli, ended
from support.hosts import Hosts
from support.servers import Scripted, ScriptServer, answer, by_path, hang
from support.waiting import PATIENCE


def echo(conn: Connection, asked: Asked) -> None:
    if asked.path.endswith("7"):
        answer(b"no", b"X-Number: 7", status=b"404 Not Found")(conn, asked)
    else:
        answer(asked.path.encode(), b"X-Number: " + asked.path[1:].encode())(conn, asked)


@pytest.fixture
def hosts(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hosts]:
    """Five hosts, to which the command line is led, and their list of 40 URLs in urls.txt."""
    with ScriptServer(echo) as server:
        found = Hosts(server, 5)
        monkeypatch.setenv("FETCHQ_RESOLVE", "\n".join(found.resolve))
        cli.write("urls.txt", "\n".join([*found.rows(40), "nonsense"]))
        yield found


_VARYING = ("worker", "started", "elapsed", "timing", "remote")


def same(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in _VARYING}


@pytest.mark.parametrize("options", [(), ("--include", "headers", "--include", "hops"), ("--include", "text")])
@pytest.mark.parametrize("mode", ["async", "threads"])
def test_records_are_those_of_one_process(cli: Cli, hosts: Hosts, options: tuple[str, ...], mode: str) -> None:
    command = ("urls.txt", "--json", "--mode", mode, "--retries", "0", *options)
    several, one = cli(*command, "--processes", "2"), cli(*command)
    assert several.status == one.status == 1
    assert list(map(same, several.records)) == list(map(same, one.records))
    assert "41 URLs: 36 ok, 5 failed" in several.said
    assert "4 x 404, 1 invalid_url" in several.said


@pytest.mark.parametrize("options", [("--fields", "index,status"), ("--only", "failed"), ("--format", "csv"), ("-v",)])
def test_lines_are_those_of_one_process(cli: Cli, hosts: Hosts, options: tuple[str, ...]) -> None:
    fields = () if options == ("-v",) else ("--json",)
    if options[0] in ("--only", "--format"):
        fields = ("--json", "--fields", "index,url,status") if options[0] == "--only" else ("--fields", "index,ok")
    several = cli("urls.txt", *fields, *options, "--processes", "2")
    one = cli("urls.txt", *fields, *options)
    assert several.status == one.status == 1
    if options == ("-v",):
        assert several.said.count(" start ") == one.said.count(" start ") == 40
        return
    assert sorted(several.lines) == sorted(one.lines)


def test_text_is_that_of_one_process(cli: Cli, hosts: Hosts) -> None:
    def columns(line: str) -> tuple[str, str]:
        return line.split(maxsplit=1)[0], line.rsplit(maxsplit=1)[-1]

    several, one = cli("urls.txt", "--processes", "2"), cli("urls.txt")
    assert len(several.lines) == 41
    assert sorted(map(columns, several.lines)) == sorted(map(columns, one.lines))


@pytest.mark.parametrize("save", ["files", "none", "parquet"])
def test_a_durable_run_goes_on_and_is_exported(cli: Cli, hosts: Hosts, save: str) -> None:
    begun = cli("urls.txt", "-o", "run", "--processes", "2", "--save", save, "--json")
    assert begun.status == 1
    assert len(begun.records) == 41
    asked = len(hosts.server.log)
    assert cli("resume", "run").status == 1
    assert len(hosts.server.log) == asked
    exported = cli("export", "run").records
    assert [record["path"] for record in exported] == [record["path"] for record in begun.records]
    if save == "files":
        for record in exported:
            if record["path"] is not None:
                body = (cli.folder / "run" / record["path"]).read_bytes()
                assert body == (b"no" if record["status"] == 404 else b"/%d" % record["index"])
        assert len(list((cli.folder / "run" / "bodies").rglob("*-*"))) == 40
    again = cli("retry", "run", "--where", "status = 404", "--processes", "3", "--json")
    assert [record["index"] for record in again.records] == [7, 17, 27, 37]
    assert len(hosts.server.log) == asked + 4
    assert len(cli("export", "run").records) == 41


def test_resume_takes_the_number_of_processes_of_the_run(cli: Cli, hosts: Hosts) -> None:
    cli("urls.txt", "-o", "run", "--processes", "2", "--deadline", "1ms")
    cli("resume", "run", "--deadline", "30s")
    stored = [json.loads(line) for line in cli("export", "run").lines]
    assert len(stored) == 41


def test_an_interrupted_run_keeps_what_was_done_and_goes_on(cli: Cli) -> None:
    with ScriptServer(by_path({"/3": hang}, echo)) as server:
        hosts = Hosts(server, 4)
        cli.write("urls.txt", "\n".join(hosts.rows(30)))
        resolve = [part for one in hosts.resolve for part in ("--resolve", one)]
        process = cli.start("urls.txt", "-o", "run", "--processes", "2", *resolve)
        server.wait_for_requests(30, PATIENCE)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        found = ended(process)
        assert found.status in (130, 143)
        assert b"go on with: fetchq resume run" in found.err
        server.script = echo
        resumed = cli("resume", "run", *resolve)
        assert resumed.status == 1  # some are 404
        assert len(cli("export", "run").records) == 30


def test_processes_end_when_the_run_is_killed(cli: Cli) -> None:
    with ScriptServer(hang) as server:
        hosts = Hosts(server, 4)
        cli.write("urls.txt", "\n".join(hosts.rows(30)))
        resolve = [part for one in hosts.resolve for part in ("--resolve", one)]
        process = cli.start("urls.txt", "--processes", "2", *resolve, stderr=subprocess.DEVNULL)
        server.wait_for_requests(8, PATIENCE)
        children = [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
        for task in Path(f"/proc/{process.pid}/task").iterdir():
            children += [int(pid) for pid in (task / "children").read_text().split()]
        assert len(set(children)) == 2
        waiting = [os.pidfd_open(pid) for pid in set(children)]
        process.kill()
        for descriptor in waiting:
            with os.fdopen(descriptor, "rb", buffering=0, closefd=True):
                assert is_over(descriptor)


def is_over(process: int) -> bool:
    """Wait until a process, given by its descriptor, has ended."""
    import select

    return bool(select.select([process], [], [], PATIENCE)[0])


def test_a_reader_that_leaves_ends_the_run(cli: Cli, hosts: Hosts) -> None:
    cli.write("long.txt", "\n".join(hosts.rows(20_000)))
    process = cli.start("long.txt", "--json", "--processes", "2", "--progress", "none")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["ok"]
    process.stdout.close()
    assert process.wait(PATIENCE) == 1
    assert process.stderr is not None
    assert b"Traceback" not in process.stderr.read()


def test_a_row_that_kills_its_process_again_and_again_ends_the_run_with_one_line(cli: Cli) -> None:
    killed: list[int] = []

    def kill(asked: Asked) -> bytes:
        for task in Path(f"/proc/{process.pid}/task").iterdir():
            for pid in (task / "children").read_text().split():
                killed.append(int(pid))
                os.kill(int(pid), signal.SIGKILL)
        return b""

    with Scripted(kill) as server:
        cli.write("urls.txt", f"{server.url}/0\n{server.url}/1\n" + "".join(f"http://h{n}.test/\n" for n in range(9)))
        process = cli.start("urls.txt", "-o", "run", "--processes", "2", "--save", "none", "--retries", "0")
        found = ended(process)
    assert found.status == 3
    assert b"fetchq: process " in found.err
    assert b"was ended by signal 9" in found.err


def test_a_file_that_is_too_large_ends_the_run_as_in_one_process(cli: Cli) -> None:
    patch = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))"
    with ScriptServer(by_path({"/4": answer(b"x" * 500_000)}, echo)) as server:
        hosts = Hosts(server, 3)
        cli.write("urls.txt", "\n".join(hosts.rows(12)))
        options = ["--progress", "none", *(part for one in hosts.resolve for part in ("--resolve", one))]
        several = ended(cli.start("urls.txt", "-o", "run", "--processes", "2", *options, patch=patch))
        one = ended(cli.start("urls.txt", "-o", "other", *options, patch=patch))
        assert several.status == one.status == 3
        assert several.said.splitlines()[0] == one.said.splitlines()[0]
        resumed = cli("resume", "run", *options)
        assert resumed.status == 1  # one is a 404
        assert len(cli("export", "run").records) == 12


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--processes", "0"), "--processes"),
        (("--processes", "many"), "--processes"),
        (("--processes", "2", "--cookie-jar", "jar"), "--processes: not together with"),
        (("--processes", "2", "--per-host-by", "ip"), "--processes: not together with"),
    ],
)
def test_wrong_numbers_are_refused_in_one_line(cli: Cli, options: tuple[str, ...], why: str) -> None:
    assert why in cli("http://127.0.0.1:1/", *options).problem


def test_views_have_every_row(cli: Cli, hosts: Hosts) -> None:
    done = cli("urls.txt", "--processes", "2", "--har", "run.har", "--trace", "run.json", "--report", "run.html", "-q")
    assert done.status == 1
    entries = json.loads((cli.folder / "run.har").read_text())["log"]["entries"]
    assert sorted(int(one["request"]["url"].rpartition("/")[2]) for one in entries) == list(range(40))
    assert len(json.loads((cli.folder / "run.json").read_text())["traceEvents"]) > 40
    assert "41" in (cli.folder / "run.html").read_text()


def test_a_copy_of_the_command_line_holds_none_of_its_files_open(cli: Cli) -> None:
    with ScriptServer(hang) as server:
        hosts = Hosts(server, 4)
        cli.write("urls.txt", "\n".join(hosts.rows(30)))
        resolve = [part for one in hosts.resolve for part in ("--resolve", one)]
        process = cli.start("urls.txt", "-o", "run", "--processes", "2", *resolve, stderr=subprocess.DEVNULL)
        server.wait_for_requests(8, PATIENCE)
        members = list(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split())
        assert len(members) == 2
        for pid in members:
            held = {os.readlink(one) for one in Path(f"/proc/{pid}/fd").iterdir()}
            assert not [name for name in held if str(cli.folder) in name], held
        process.send_signal(signal.SIGKILL)


def test_processes_end_with_a_run_that_is_killed_and_delete_its_temporary_files(cli: Cli) -> None:
    temporary = cli.folder / "tmp"
    temporary.mkdir()
    with ScriptServer(hang) as server:
        hosts = Hosts(server, 4)
        cli.write("urls.txt", "\n".join(hosts.rows(30)))
        options = [*("--processes", "2", "--json"), *(part for one in hosts.resolve for part in ("--resolve", one))]
        process = cli.start("urls.txt", *options, env={"TMPDIR": str(temporary)}, stderr=subprocess.DEVNULL)
        server.wait_for_requests(8, PATIENCE)
        assert len(list(temporary.iterdir())) == 1
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        ends = [os.pidfd_open(int(pid)) for pid in children]
        process.send_signal(signal.SIGKILL)
        for end in ends:
            assert select.select([end], [], [], PATIENCE)[0], "it has not ended"
            os.close(end)
    assert list(temporary.iterdir()) == []
